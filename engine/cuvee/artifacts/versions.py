"""Artefacts: fitted models on disk, by product and version, each version whole or absent.

``<root>/<product>/<version>/<recommender>/...`` and one ``manifest.json`` per version, which is
written last: a folder without it is not a version. The root is a folder or any fsspec URL;
a remote version is fetched once into a local cache, so that arrays can be memory-mapped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fsspec.implementations.local import LocalFileSystem
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from cuvee.artifacts.cache import Cache, Lease
from cuvee.config import Settings
from cuvee.errors import ArtifactError
from cuvee.folder import file_system, reached

__all__ = ["CATALOG", "ArtifactRoot", "FileEntry", "Manifest", "ModelEntry", "digest_of"]

_VERSION = re.compile(r"\d{8}T\d{6}\d{3}Z")
MANIFEST = "manifest.json"
CACHE_BYTES = 20 * 2**30
CATALOG = "_catalog"
"""The folder beside the models that holds the fitted catalogue; no recommender may have this name."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _inside(name: str) -> str:
    """The name of a file below a folder.

    Raises ValueError where it leads out of the folder or is not a plain relative path: a manifest may be
    damaged or forged, so its paths are checked before they are used.
    """
    parts = name.split("/")
    if not name or "\\" in name or "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{name!r} is no name of a file below its folder")
    return name


def _plain(name: str) -> str:
    """The name of a file or folder without any folder before it; raises ValueError for another."""
    if "/" in name:
        raise ValueError(f"{name!r} is no name of a folder")
    return _inside(name)


def _version(name: str) -> str:
    if not _VERSION.fullmatch(name):
        raise ValueError(f"{name!r} is no version")
    return name


FileName: TypeAlias = Annotated[str, AfterValidator(_inside)]
FolderName: TypeAlias = Annotated[str, AfterValidator(_plain)]


class FileEntry(_Entry):
    """A file of a model."""

    sha256: str
    size: int
    """Bytes."""


class ModelEntry(_Entry):
    """One fitted recommender of a version."""

    plugin: str
    distribution: str
    distribution_version: str
    config_digest: str
    fit_seconds: float
    peak_bytes: int
    """Highest growth of resident memory seen while it was fitted."""
    files: Mapping[FileName, FileEntry]
    calibration: Mapping[str, Mapping[str, list[float]]]
    """Calibrator name -> what it learnt of this source's scores."""
    figures: Mapping[str, float] = {}
    """Figures that the fit measured (:meth:`cuvee.Recommender.figures`): an index's recall."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(f.size for f in self.files.values())


class Manifest(_Entry):
    """What a version holds, and what it was fitted on."""

    product: FolderName
    version: Annotated[str, AfterValidator(_version)]
    created: datetime
    config_revision: str
    n_items: int
    n_users: int
    n_events: int
    items_digest: str
    users_digest: str
    models: Mapping[FolderName, ModelEntry]
    events_until: int = 0
    """When the newest event of the store that this version learnt from was received (microseconds since
    the epoch); 0 for none. Servers add later events to the models themselves."""
    catalog: Mapping[FileName, FileEntry] = {}
    """Files of the fitted catalogue, where it differs from the imported one."""


def digest_of(manifest: Mapping[str, Any]) -> str:
    """The sha256 of a manifest as read from JSON, without its own ``digest``: a flipped bit may leave valid JSON."""
    rest = {name: value for name, value in manifest.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_files(directory: Path) -> dict[str, FileEntry]:
    """Every file below a folder with its digest and size."""
    return {
        str(path.relative_to(directory)): FileEntry(sha256=_sha256(path), size=path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def _is(path: Path, entry: FileEntry, *, checked: bool) -> bool:
    """Whether a file is there as the manifest describes it; only ``checked`` reads it."""
    whole = path.is_file() and path.stat().st_size == entry.size
    return whole and (not checked or _sha256(path) == entry.sha256)


def _sync(directory: Path) -> None:
    """Fsync every file and folder, so that a version that was renamed into place survives a power cut."""
    for path in [*directory.rglob("*"), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def new_version() -> str:
    """A version's name: UTC time to the millisecond, so that names sort by age."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z"


class ArtifactRoot:
    """Where versions live."""

    def __init__(self, url: str, cache: Path | None = None, most: int = CACHE_BYTES) -> None:
        """``cache`` holds versions of a remote root, ``most`` bytes of them; it is a temporary folder by default."""
        self._fs, self._path = file_system(url)
        self._local = isinstance(self._fs, LocalFileSystem)
        self._folder, self._most = cache, most
        self._leases: dict[str, Lease] = {}

    @classmethod
    def of(cls, settings: Settings) -> ArtifactRoot:
        """Where the configuration says."""
        return cls(settings.artifact_url, settings.cache_dir, settings.artifact_cache_bytes)

    def _join(self, *parts: str) -> str:
        return "/".join((self._path, *parts))

    def versions(self, product: str) -> list[str]:
        """Whole versions of a product, newest last."""
        folder = self._join(product)
        self._fs.invalidate_cache()  # a remembered listing lacks what others have published since
        if not self._fs.isdir(folder):
            return []
        names = (str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in self._fs.ls(folder, detail=False))
        return sorted(n for n in names if _VERSION.fullmatch(n) and self._fs.exists(self._join(product, n, MANIFEST)))

    def stamp(self, product: str) -> tuple[int, ...] | None:
        """Changes when a version or a note of the product comes or goes; None where that cannot be told cheaply."""
        if not self._local:
            return None
        try:
            return (Path(self._join(product)).stat().st_mtime_ns,)
        except OSError:
            return ()

    def note(self, product: str, name: str) -> str | None:
        """The text of a small file beside the versions; None where there is none."""
        try:
            return bytes(self._fs.cat_file(self._join(product, name))).decode()
        except FileNotFoundError:
            return None

    def put_note(self, product: str, name: str, text: str | None) -> None:
        """Write such a file in one step; None removes it."""
        target = self._join(product, name)
        if text is None:
            if self._fs.exists(target):
                self._fs.rm(target)
        elif self._local:
            Path(self._join(product)).mkdir(parents=True, exist_ok=True)
            aside = Path(f"{target}.{os.getpid()}")
            aside.write_text(text)
            aside.replace(target)
        else:
            self._fs.pipe_file(target, text.encode())

    def workspace(self, product: str) -> Path:
        """A fresh local folder to write a version into before it is published."""
        if self._local:
            parent = Path(self._join(product))
            parent.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        return Path(tempfile.mkdtemp(prefix="cuvee-writing-"))

    def publish(self, workspace: Path, manifest: Manifest) -> None:
        """Publish the folder ``workspace`` as the version that ``manifest`` describes, in one step."""
        told = json.loads(manifest.model_dump_json())
        (workspace / MANIFEST).write_text(json.dumps(told | {"digest": digest_of(told)}, indent=1))
        target = self._join(manifest.product, manifest.version)
        if self._local:
            workspace.chmod(0o755)
            _sync(workspace)
            workspace.rename(target)
            _sync(Path(target).parent)
            return
        files = sorted(path for path in workspace.rglob("*") if path.is_file() and path.name != MANIFEST)
        with reached(target, writing=True):
            for path in [*files, workspace / MANIFEST]:  # which makes it a version, and so comes last
                self._fs.put_file(str(path), f"{target}/{path.relative_to(workspace)}")
        shutil.rmtree(workspace)

    def manifest(self, product: str, version: str | None = None) -> Manifest:
        """Read a version's manifest; the newest version by default.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        if version is None:
            versions = self.versions(product)
            if not versions:
                raise ArtifactError(f"nothing was fitted yet for product {product!r}; run `cuvee fit {product}`")
            version = versions[-1]
        path = self._join(product, version, MANIFEST)
        try:
            text = self._fs.cat_file(path) if _VERSION.fullmatch(version) else None
        except FileNotFoundError:
            text = None
        except OSError as problem:
            raise ArtifactError(f"{path} cannot be read: {problem}; run `cuvee fit` again") from problem
        if text is None:
            there = ", ".join(self.versions(product)) or "none"
            raise ArtifactError(f"product {product!r} has no version {version!r}; there are: {there}")
        try:
            told = json.loads(text)
            if not isinstance(told, dict) or told.pop("digest", "") != digest_of(told):
                why = "is damaged, or of an older Cuvée: its digest differs"
                raise ArtifactError(f"{path} {why}; run `cuvee fit` again")
            found = Manifest.model_validate_json(json.dumps(told))
        except ValidationError as problem:
            raise ArtifactError(f"{path} is damaged: {problem.errors()[0]['msg']}; run `cuvee fit` again") from problem
        except (ValueError, RecursionError) as problem:
            raise ArtifactError(f"{path} is damaged: it is no JSON; run `cuvee fit` again") from problem
        if (found.product, found.version) != (product, version):
            raise ArtifactError(
                f"{path} is of version {found.version} of product {found.product!r}, and lies where another should; "
                "run `cuvee fit` again"
            )
        return found

    def retire(self, product: str, version: str) -> None:
        """Delete a version's manifest and its user ids: without a manifest the folder no longer counts as a version.

        The models of a local version are deleted by the next :meth:`sweep`, since a server may still use them.
        """
        folder = self._join(product, version)
        if not self._local:
            self._fs.rm(folder, recursive=True)
            return
        self._fs.rm(f"{folder}/{MANIFEST}")
        if self._fs.exists(f"{folder}/{CATALOG}"):
            self._fs.rm(f"{folder}/{CATALOG}", recursive=True)

    def sweep(self, product: str) -> None:
        """Delete the remaining files of versions that were retired earlier."""
        folder = Path(self._join(product))
        for left in folder.iterdir() if self._local and folder.is_dir() else ():
            if _VERSION.fullmatch(left.name) and not (left / MANIFEST).exists():
                shutil.rmtree(left, ignore_errors=True)

    def fetch(self, manifest: Manifest, model: str) -> Path:
        """The local folder of one model, each file checked against the manifest.

        Raises:
            ArtifactError: a file is missing, differs from what was written, or lies elsewhere.
        """
        return self._fetch(manifest, model, manifest.models[model].files)

    def folder(self, manifest: Manifest, model: str) -> str:
        """Where a model's files lie, to be named in messages."""
        return self._join(manifest.product, manifest.version, model)

    def fetch_catalog(self, manifest: Manifest, *, checked: bool = True) -> Path:
        """The local folder of the catalogue that a version was fitted on, optionally checked like a model's.

        Raises:
            ArtifactError: a file is missing, differs from what was written, or lies elsewhere.
        """
        return self._fetch(manifest, CATALOG, manifest.catalog, checked=checked)

    def _fetch(self, manifest: Manifest, part: str, files: Mapping[str, FileEntry], *, checked: bool = True) -> Path:
        remote = self._join(manifest.product, manifest.version, part)
        folder = Path(remote) if self._local else self._held(manifest).folder / part
        place = folder.resolve()
        for name, entry in files.items():
            path = folder / name
            if not path.resolve().is_relative_to(place):
                raise ArtifactError(f"{path} leads out of its folder; run `cuvee fit` again")
            whole = _is(path, entry, checked=checked)
            if not whole and not self._local:  # not there yet, or damaged here since
                self._download(f"{remote}/{name}", path)
                whole = _is(path, entry, checked=checked)
            if not whole:
                raise ArtifactError(f"{path} is missing or differs from the manifest; run `cuvee fit` again")
        return folder

    def lease(self, manifest: Manifest) -> Lease | None:
        """What keeps a version's copy on this machine while it is used; None where there is no copy."""
        return None if self._local else self._held(manifest)

    def _held(self, manifest: Manifest) -> Lease:
        found = self._leases.get(manifest.version)
        if found is None:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="cuvee-artifacts-"))
            cache = Cache(self._folder, self._most)
            found = self._leases[manifest.version] = cache.hold(manifest.product, manifest.version)
            files = [*manifest.catalog.values(), *(f for m in manifest.models.values() for f in m.files.values())]
            there = sum(path.stat().st_size for path in found.folder.rglob("*") if path.is_file())
            cache.make_room(max(sum(entry.size for entry in files) - there, 0))
        return found

    def _download(self, remote: str, path: Path) -> None:
        """Fetch a file in one step: another process may fetch it, too, and this one may be killed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            with reached(remote):
                self._fs.get_file(remote, str(aside))
            aside.replace(path)
        except FileNotFoundError:
            raise ArtifactError(f"{remote} is missing; run `cuvee fit` again") from None
        finally:
            aside.unlink(missing_ok=True)
