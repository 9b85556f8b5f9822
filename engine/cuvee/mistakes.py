"""Reading tables into models so that every mistake is found, not just the first of each kind.

A table with a mistake is validated again without the wrong keys, until the rest is valid: a misspelt
key hides no other mistake of the table, and none in what depends on it.
"""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cuvee.errors import Mistake

__all__ = ["UNREAD", "Mistakes"]

UNREAD = ""
"""Stands in for the ``use`` of a ``sources`` or ``rules`` entry that could not be read; its mistake is noted."""
ENTRIES = ("sources", "rules")
"""Lists of tables whose indices appear in messages: a wrong entry is replaced by :data:`UNREAD`, not removed."""
ROUNDS = 50

M = TypeVar("M", bound=BaseModel)
Place = tuple[int | str, ...]


class Mistakes:
    """Collects mistakes, so that one run shows them all."""

    def __init__(self) -> None:
        self.found: list[Mistake] = []

    def add(self, file: Path, path: str, message: str) -> None:
        """Note a mistake at a path of a file; one that is noted already is not noted again."""
        mistake = Mistake(str(file), path, message)
        if mistake not in self.found:
            self.found.append(mistake)

    def parse(self, file: Path, content: bytes | None = None) -> dict[str, Any] | None:
        """A file's tables; None where it cannot be read, which is noted. ``content``: what was read of it already."""
        try:
            return tomllib.loads((file.read_bytes() if content is None else content).decode("utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            self.add(file, "", f"cannot be read: {problem}")
        except tomllib.TOMLDecodeError as problem:
            self.add(file, "", f"not TOML: {problem}")
        return None

    def refuse(self, file: Path, values: dict[str, Any], name: str, message: str) -> None:
        """Remove a key that a file may not set, and note the mistake."""
        if name in values:
            del values[name]
            self.add(file, name, f"unknown key; {message}")

    def read(
        self,
        model: type[M],
        values: Mapping[str, Any],
        file: Path,
        prefix: str = "",
        *,
        context: Mapping[str, Any] | None = None,
        fixed: Mapping[str, Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        listed: tuple[str, ...] = (),
    ) -> M | None:
        """The model of a table without its wrong keys, which are noted; None where no model can be made.

        Args:
            model: what the table holds.
            values: as they stand in the file.
            file: whose table it is.
            prefix: the table's path in the file.
            context: for the model's validators.
            fixed: fields that the file does not set.
            defaults: fields for a file that does not set them.
            listed: which of the fixed fields a list of the known keys names all the same.
        """
        left = copy.deepcopy(dict(values))
        hidden = tuple(name for name in fixed or () if name not in listed)
        noted: set[Place] = set()
        for _ in range(ROUNDS):
            try:
                return model.model_validate({**(defaults or {}), **left, **(fixed or {})}, context=dict(context or {}))
            except ValidationError as problem:
                errors = problem.errors()
            taken: list[Place] = []
            lacking = False
            for path, message, error in _told(errors, model, hidden):
                if path not in noted:  # otherwise the mistake is only a consequence of the removal
                    self.add(file, ".".join(str(part) for part in (prefix, *path) if str(part)), message)
                noted.add(path)
                place = _place(left, path, error)
                if place is None:
                    lacking = True  # there is nothing to remove, but the other mistakes are told all the same
                else:
                    taken.append(place)
            if lacking:
                return None
            for place in taken:
                _take_out(left, place)
        return None


def _told(
    errors: list[ErrorDetails], model: type[BaseModel], hidden: tuple[str, ...]
) -> Iterator[tuple[Place, str, str]]:
    """Path, message and kind of each mistake: one for each value, whatever pydantic tried with it."""
    # the value that a default is computed from is wrong, and is noted itself
    rest = [e for e in errors if e["type"] != "default_factory_not_called"]
    said: dict[Place, list[ErrorDetails]] = {}
    for error in rest:
        inside = [
            e for e in rest if len(e["loc"]) > len(error["loc"]) and e["loc"][: len(error["loc"])] == error["loc"]
        ]
        if error["type"] == "too_short" and inside:  # since its only element is wrong
            continue
        said.setdefault(_named(error["loc"], model), []).append(error)
    for path, kinds in said.items():
        message = "; or ".join(dict.fromkeys(_message(e, model, path, hidden) for e in kinds))
        yield path, message, kinds[0]["type"]


def _message(error: ErrorDetails, model: type[BaseModel], path: Place, hidden: tuple[str, ...]) -> str:
    if error["type"] in {"model_type", "model_attributes_type", "dict_type"}:
        inside = ", ".join(_fields(model, path))
        return "must be a table, { key = value }" + (f"; its keys are: {inside}" if inside else "")
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    keys = [name for name in _fields(model, path[:-1]) if name not in hidden]
    near = difflib.get_close_matches(str(path[-1]), keys, 1)
    meant = f"; is {near[0]!r} meant?" if near else ""
    return f"unknown key{meant} There are: {', '.join(keys)}" if meant else f"unknown key; there are: {', '.join(keys)}"


def _fields(model: type[BaseModel], path: Place) -> list[str]:
    """The keys of the table at a path."""
    at: Any = model
    for part in path:
        if isinstance(part, int):
            continue
        field = at.model_fields.get(part) if _is_model(at) else None
        if field is None:
            return []
        at = next(iter(_models(field.annotation)), None)
    return list(at.model_fields) if _is_model(at) else []


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, such as that of ``tuple[SourceUse, ...]``."""
    if _is_model(kind):
        yield kind
    for one in get_args(kind):
        yield from _models(one)


def _named(loc: Place, model: type[BaseModel]) -> Place:
    """A location as in the file, without the parts that pydantic adds for the members of a union."""
    at: Any = model
    path: list[int | str] = []
    for part in loc:
        if part == "[key]":
            break
        if isinstance(part, int):
            path.append(part)
        elif _is_model(at):
            path.append(part)
            field = at.model_fields.get(part)
            at = field.annotation if field is not None else None
            if at is not None and not _takes_keys(at):
                at = next(_models(at), at)
        elif at is None or _takes_keys(at):
            path.append(part)
            at = next(_models(at), _value_of(at)) if at is not None else None
        else:  # the name of a union's member: "constrained-int", "literal[...]", "function-after[...]"
            break
    return tuple(path)


def _takes_keys(kind: Any) -> bool:
    """Whether a value of an annotation is a table with any keys."""
    return not _is_model(kind) and any(name in str(kind) for name in ("dict", "Mapping"))


def _value_of(kind: Any) -> Any:
    """The annotation of a table's values."""
    arguments = get_args(kind)
    return arguments[-1] if arguments else None


def _place(values: Mapping[str, Any], path: Place, error: str) -> Place | None:
    """What to remove so that the rest can be validated: the value, or the table that lacks it; None for nothing."""
    depth, at = 0, values
    while depth < len(path):
        part = path[depth]
        inside = (
            part in at if isinstance(at, dict) else isinstance(at, list) and isinstance(part, int) and part < len(at)
        )
        if not inside:
            break
        depth, at = depth + 1, at[part]  # type: ignore[index]
    if not depth:
        return path[:1] if error == "missing" and path[0] in ENTRIES else None
    place = path[:depth]
    if isinstance(place[-1], int) and not (depth == 2 and place[0] in ENTRIES):
        place = place[:-1]  # lists are right or wrong as a whole
    return place


def _take_out(values: dict[str, Any], place: Place) -> None:
    """Remove the wrong parts; entries of :data:`ENTRIES` are replaced by :data:`UNREAD` instead."""
    *above, last = place
    at: Any = values
    for part in above:
        if (isinstance(at, dict) and part not in at) or not isinstance(at, dict | list):
            return  # removed already, with the table around it
        at = at[part]  # type: ignore[index]
    unread = {"use": UNREAD}
    if isinstance(at, list):
        at[int(last)] = unread
    elif not above and last in ENTRIES:
        at[last] = [unread]
    elif isinstance(at, dict):
        at.pop(last, None)
