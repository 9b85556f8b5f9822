"""A batch job: what was asked for, and how far it has come. All of it lies in the target folder.

::

    TARGET/batch.json              what was asked for, of which version, and whether it is whole
    TARGET/users/00000.parquet     whose lists part 0 holds; deleted at the end
    TARGET/lists/00000.parquet     their lists; written beside its place and moved there

A part is there or not, so an interrupted job goes on with those that are not, in any process on any machine.
"""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from cuvee.errors import DataError
from cuvee.folder import Folder

__all__ = ["LISTS", "STATE", "USERS", "Asked", "Job", "Manifest", "begin", "manifest_of", "missing", "users_of"]

STATE, USERS, LISTS = "batch.json", "users", "lists"


class Asked(BaseModel):
    """What lists are wanted. Two runs into one folder must agree on all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: str
    revision: str
    """Of the product's configuration."""
    page_size: int
    """Length of the lists."""
    filter: str = ""
    """A SQL condition on items."""
    users: str = "all"
    """``all``, ``where <SQL>``, or ``sha256 <digest of the ids of a file>``."""
    attributions: bool = False
    chunk: int = 10_000
    """Users of one part."""


class Manifest(BaseModel):
    """``batch.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asked: Asked
    version: str
    """The snapshot whose models make the lists, from the first part to the last."""
    n_users: int | None = None
    """None: it is not yet written down whose lists are to be made."""
    complete: bool = False
    cuvee: str = ""
    """The version of Cuvée."""

    @property
    def n_parts(self) -> int:
        """How many parts there are in the end."""
        return -(-(self.n_users or 0) // self.asked.chunk)


class Job(BaseModel):
    """All that a process needs to make parts of a job, in plain values: it may run on another machine."""

    model_config = ConfigDict(frozen=True)

    config: str
    """Path of ``cuvee.toml``."""
    target: str
    """The folder, a path or an fsspec URL."""


def part(number: int) -> str:
    """The name of a part's file."""
    return f"{number:05}.parquet"


def manifest_of(folder: Folder) -> Manifest | None:
    """What the folder says of itself; None where it says nothing.

    Raises:
        DataError: the file is damaged.
    """
    text = folder.read(STATE)
    if text is None:
        return None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as problem:
        what = problem.errors()[0]["msg"]
        raise DataError(f"{folder.url}/{STATE} is damaged ({what}); delete the folder, or choose another") from None


def say(folder: Folder, manifest: Manifest) -> None:
    """Write ``batch.json``."""
    folder.write(STATE, (manifest.model_dump_json(indent=1) + "\n").encode())


def begin(folder: Folder, asked: Asked, version: str, chosen: str | None, cuvee: str) -> Manifest:
    """The manifest of a new job, or of the interrupted one that goes on here.

    Args:
        folder: the target.
        asked: what is wanted.
        version: the snapshot that answers for the product now; a job that goes on keeps its own.
        chosen: the snapshot that the caller insists on, if any.
        cuvee: this program's version.

    Raises:
        DataError: the folder holds something else, a whole batch, or one that was begun with other settings.
    """
    found = manifest_of(folder)
    if found is None:
        if folder.names():
            raise DataError(f"{folder.url} is not empty, and holds no batch; choose another folder")
        manifest = Manifest(asked=asked, version=chosen or version, cuvee=cuvee)
        say(folder, manifest)
        return manifest
    other = _differences(found.asked, asked)
    if chosen is not None and chosen != found.version:
        other.append(f"version {found.version}, not {chosen}")
    if other:
        raise DataError(
            f"{folder.url} holds a batch with other settings ({'; '.join(other)}): "
            "choose another folder, delete this one, or ask for what was asked then"
        )
    if found.complete:
        raise DataError(f"{folder.url} holds the whole batch already; choose another folder, or delete this one")
    return found


def _differences(before: Asked, now: Asked) -> list[str]:
    old: dict[str, Any] = before.model_dump()
    new: dict[str, Any] = now.model_dump()
    return [
        f"{name.replace('_', ' ')} {json.dumps(old[name])}, not {json.dumps(new[name])}"
        for name in old
        if old[name] != new[name]
    ]


def write_users(folder: Folder, manifest: Manifest, ids: pl.Series) -> Manifest:
    """Write down whose lists are to be made, a file for each part, and then that this is done."""
    planned = manifest.model_copy(update={"n_users": len(ids)})
    for number in range(planned.n_parts):
        own = ids.slice(number * manifest.asked.chunk, manifest.asked.chunk)
        folder.put(f"{USERS}/{part(number)}", pl.DataFrame({"user_id": own}).write_parquet)
    say(folder, planned)
    return planned


def users_of(folder: Folder, number: int) -> list[str]:
    """Whose lists a part holds.

    Raises:
        DataError: the file is not there.
    """
    content = folder.read(f"{USERS}/{part(number)}")
    if content is None:
        raise DataError(f"{folder.url}/{USERS}/{part(number)} is missing; delete the folder, and begin anew")
    return pl.read_parquet(io.BytesIO(content))["user_id"].to_list()


def missing(folder: Folder, manifest: Manifest) -> list[int]:
    """The parts that are not there yet."""
    there = set(folder.names(LISTS))
    return [number for number in range(manifest.n_parts) if part(number) not in there]


def end(folder: Folder, manifest: Manifest) -> None:
    """Say that the batch is whole, and delete what only going on needed."""
    say(folder, manifest.model_copy(update={"complete": True}))
    folder.remove(USERS)
