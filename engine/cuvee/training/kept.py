"""A cache of fits: a model that was fitted on a split is reused by later commands.

``cuvee evaluate`` and ``cuvee tune`` often need the same models, and a deep one takes an hour to fit.
So each is written as an artefact of its own. Its key is computed from the dataset, the plugin with its
version, and the settings that ``fit`` depends on. The model is always loaded from the cache, so that a
fresh fit and a cached one cannot differ::

    var/fits/                  beside the folder of the datasets
      <key>/<version>/         as any artefact: manifest.json with sha256 of every file
        <plugin>/model/          what the recommender saved
        <plugin>/published/      what it would have published for a model server

A fit is written aside and renamed; of two processes that need the same fit, one waits for the other.
Beyond a size limit the least recently used fits are deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import io
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from cuvee.artifacts.versions import ArtifactRoot, Manifest, ModelEntry, describe_files, new_version
from cuvee.config import Instance, Settings
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.errors import ArtifactError, NotFound
from cuvee.recommender import Progress, Recommender
from cuvee.registry import Registered, Registry
from cuvee.training.fit import Fitted, ProgressFor, fit_one
from cuvee.training.vectors import order_of_fits, with_vectors

__all__ = ["LIMIT", "FitStore", "KeptFit", "digest_of"]

log = structlog.get_logger(__name__)

LIMIT = 5 * 10**9
"""Size limit of the cache in bytes."""
MODEL, PUBLISHED = "model", "published"


@dataclass(frozen=True)
class KeptFit:
    """A model loaded from the store."""

    model: Recommender[Any]
    entry: ModelEntry
    reused: bool


def digest_of(data: Dataset) -> str:
    """sha256 over all that a fit can see: the events, and every column of items and users."""
    found = hashlib.sha256()
    events = data.events
    for array in (events.offsets, events.items, events.weights, events.times):
        found.update(array.tobytes())
    for entities in (data.catalog.items, data.catalog.users):
        found.update(_frame_bytes(entities))
    return found.hexdigest()


def _frame_bytes(entities: Entities) -> bytes:
    written = io.BytesIO()
    entities.frame.rechunk().write_ipc(written, compression="uncompressed")
    return written.getvalue() + json.dumps(dict(entities.roles), sort_keys=True).encode()


class FitStore:
    """The fits kept in a folder."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        """``limit`` in bytes; a fit in use is kept all the same."""
        self.folder = folder
        self._limit = limit
        self._root = ArtifactRoot(str(folder))

    @classmethod
    def of(cls, settings: Settings) -> FitStore:
        """The store of a configuration: ``fits``, beside the folder of its datasets."""
        return cls(settings.data_dir.parent / "fits")

    @contextmanager
    def fitted(
        self,
        data: Dataset,
        settings: Settings,
        registry: Registry,
        names: Collection[str],
        progress: ProgressFor,
        *,
        catalog: Catalog | None = None,
        refit: Collection[str] = (),
    ) -> Iterator[Mapping[str, KeptFit]]:
        """The named instances, fitted on a dataset or loaded from the cache; closed at the end.

        ``catalog`` is the one that they will serve, where it has grown since (the dataset's own by default).
        Those in ``refit`` are fitted again.

        Raises:
            PluginError: a recommender cannot be fitted; names it and keeps its error as the cause.
            NotFound: ``refit`` names no instance of the configuration.
        """
        for name in refit:
            if name not in settings.recommenders:
                raise NotFound("recommender", name, sorted(settings.recommenders))
        digest = digest_of(data)
        found: dict[str, KeptFit] = {}
        keys: dict[str, str] = {}
        try:
            for name in order_of_fits(settings, tuple(names)):
                instance = settings.recommenders[name]
                registered = registry.recommenders[instance.plugin]
                needs = instance.config.needs_vectors_of
                key = keys[name] = _key(digest, instance, registered, [keys[other] for other in needs])
                told = progress(name)
                anew = name in refit or not all(found[other].reused for other in needs)
                with self._alone(key):
                    kept = None if anew else self._kept(key, instance, registered, catalog or data.catalog)
                    if kept is None:
                        given = with_vectors(data, instance, {n: k.model for n, k in found.items()})
                        self._fit(key, given, instance, registered, told)
                        kept = self._loaded(key, instance, registered, catalog or data.catalog, reused=False)
                    else:
                        told(1, 1, "reused")
                found[name] = kept
            yield found
        finally:
            for one in found.values():
                one.model.close()
            self.prune(keys.values())

    def prune(self, keep: Collection[str] = ()) -> None:
        """Delete the least recently used fits until the rest is within the limit."""
        there = [f for f in self.folder.iterdir() if f.is_dir()] if self.folder.is_dir() else []
        sizes = {f: sum(p.stat().st_size for p in f.rglob("*") if p.is_file()) for f in there}
        total = sum(sizes.values())
        for folder in sorted(there, key=lambda f: f.stat().st_mtime):
            if total <= self._limit:
                return
            if folder.name not in keep:
                shutil.rmtree(folder, ignore_errors=True)
                total -= sizes[folder]

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Lock a fit against other processes: the second one waits, and then finds the first one's fit."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{key}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _kept(self, key: str, instance: Instance, registered: Registered[Any], catalog: Catalog) -> KeptFit | None:
        if not self._root.versions(key):
            return None
        try:
            return self._loaded(key, instance, registered, catalog, reused=True)
        except ArtifactError as problem:
            log.warning("a kept fit cannot be used: fitting again", recommender=instance.name, problem=str(problem))
            return None

    def _loaded(
        self, key: str, instance: Instance, registered: Registered[Any], catalog: Catalog, *, reused: bool
    ) -> KeptFit:
        manifest = self._root.manifest(key)
        folder = self._root.fetch(manifest, instance.plugin)
        if reused and _changed_since(registered.component, manifest.created):
            log.warning(
                "the plugin's code is newer than this fit; `--refit` fits again",
                recommender=instance.name,
                plugin=instance.plugin,
                fitted=manifest.created.isoformat(timespec="seconds"),
            )
        config = instance.config.apart(folder / PUBLISHED)
        model: Recommender[Any] = registered.component.load(folder / MODEL, config, catalog)
        (self.folder / key).touch()  # mark it as used now
        return KeptFit(model, manifest.models[instance.plugin], reused)

    def _fit(self, key: str, data: Dataset, instance: Instance, registered: Registered[Any], told: Progress) -> None:
        workspace = self._root.workspace(key)
        try:
            folder = workspace / instance.plugin
            for part in (MODEL, PUBLISHED):
                (folder / part).mkdir(parents=True)
            apart = instance.model_copy(update={"config": instance.config.apart(folder / PUBLISHED)})
            fitted = fit_one(data, apart, registered.component, told)
            try:
                fitted.model.save(folder / MODEL)
            finally:
                fitted.model.close()
            manifest = _manifest(key, data, instance, registered, fitted, folder)
            self._root.publish(workspace, manifest)
        except BaseException:
            shutil.rmtree(workspace, ignore_errors=True)
            raise
        for old in self._root.versions(key):
            if old != manifest.version:
                shutil.rmtree(self.folder / key / old, ignore_errors=True)


def _key(data_digest: str, instance: Instance, registered: Registered[Any], learnt_from: Sequence[str]) -> str:
    """32 hex digits, equal for equal fits whatever the instance's name; ``learnt_from`` holds others' keys."""
    origin = registered.plugin
    parts = (data_digest, instance.plugin, origin.distribution, origin.version, instance.digest, *learnt_from)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _changed_since(component: type, when: datetime) -> bool:
    """Whether a file of the component's package is newer: during development the version does not change."""
    file = Path(inspect.getfile(component))
    packaged = "." in component.__module__
    newest = max(p.stat().st_mtime for p in (file.parent.rglob("*.py") if packaged else (file,)))
    return newest > when.timestamp()


def _manifest(
    key: str, data: Dataset, instance: Instance, registered: Registered[Any], fitted: Fitted, folder: Path
) -> Manifest:
    catalog = data.catalog
    entry = ModelEntry(
        plugin=instance.plugin,
        distribution=registered.plugin.distribution,
        distribution_version=registered.plugin.version,
        config_digest=instance.digest,
        fit_seconds=fitted.seconds,
        peak_bytes=fitted.peak_bytes,
        files=describe_files(folder),
        calibration={},
    )
    return Manifest(
        product=key,
        version=new_version(),
        created=datetime.now(UTC),
        config_revision="",
        n_items=len(catalog.items),
        n_users=len(catalog.users),
        n_events=len(data),
        items_digest=catalog.items.digest(),
        users_digest=catalog.users.digest(),
        models={instance.plugin: entry},
    )
