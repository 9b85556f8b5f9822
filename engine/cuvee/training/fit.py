"""Fit: learn every recommender of a product, calibrate, and publish them as one version."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cuvee.artifacts.forgotten import take_out
from cuvee.artifacts.snapshot import compile_plan
from cuvee.artifacts.versions import CATALOG, ArtifactRoot, Manifest, ModelEntry, describe_files, new_version
from cuvee.config import Instance, Settings
from cuvee.data.dataset import Dataset
from cuvee.data.imported import imported_data
from cuvee.data.store.opening import existing_store
from cuvee.data.store.training import with_stored
from cuvee.errors import CuveeError, PluginError
from cuvee.product import Product
from cuvee.ranking.ask import Directly
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.known_users import ask_about, in_batches
from cuvee.ranking.pipeline import make_lists
from cuvee.recommender import Floats, Progress, Recommender
from cuvee.registry import Registry
from cuvee.training.vectors import order_of_fits, with_vectors

__all__ = ["Fitted", "ProgressFor", "calibrate", "fit_models", "fit_one", "fit_product", "training_data"]

CALIBRATION_USERS = 512
"""How many users are sampled to learn the distribution of each source's scores over their candidates."""

ProgressFor = Callable[[str], Progress]
"""Returns the progress display for a recommender's name."""


@dataclass(frozen=True)
class Fitted:
    """A recommender fresh from its fit."""

    instance: Instance
    model: Recommender[Any]
    seconds: float
    peak_bytes: int


class _MemoryWatch(AbstractContextManager["_MemoryWatch"]):
    """Samples this process's resident memory; ``peak`` is its highest growth since the start."""

    def __enter__(self) -> Self:
        self._start = self._now()
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self.peak = max(self.peak, self._now() - self._start)

    @staticmethod
    def _now() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self._now() - self._start)


def fit_models(
    data: Dataset, settings: Settings, registry: Registry, names: tuple[str, ...], progress: ProgressFor
) -> dict[str, Fitted]:
    """Fit the named instances on a dataset, one after another, each after those whose vectors it needs.

    Raises:
        PluginError: a recommender cannot be fitted; names it and keeps its error as the cause.
    """
    fitted: dict[str, Fitted] = {}
    try:
        for name in order_of_fits(settings, names):
            instance = settings.recommenders[name]
            component = registry.recommenders[instance.plugin].component
            given = with_vectors(data, instance, {n: f.model for n, f in fitted.items()})
            fitted[name] = fit_one(given, instance, component, progress(name))
    except BaseException:
        for one in fitted.values():
            one.model.close()
        raise
    for name in fitted.keys() - set(names):  # fitted only for their vectors
        fitted[name].model.close()
    return {name: fitted[name] for name in names}


def fit_one(data: Dataset, instance: Instance, component: type[Recommender[Any]], told: Progress) -> Fitted:
    """Fit one instance, timed.

    Raises:
        PluginError: it cannot be fitted; names it and keeps its error as the cause.
    """
    started = time.perf_counter()
    with _MemoryWatch() as memory:
        try:
            model = component.fit(data, instance.config, told)
        except CuveeError:
            raise
        except Exception as problem:
            raise PluginError(f"{instance.name} ({instance.plugin}) cannot be fitted: {problem!r}") from problem
    return Fitted(instance, model, time.perf_counter() - started, memory.peak)


def calibrate(
    data: Dataset, product: Product, registry: Registry, models: Mapping[str, Recommender[Any] | None]
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Learn the parameters of each calibrator that needs any: source -> calibrator -> parameters.

    They are learnt from the sources' scores of all sources' candidates for sampled users, since these are
    the items that will be scored in serving.
    """
    learners = {n: r.component for n, r in registry.calibrators.items() if r.component.learns}
    plain: dict[str, Calibrator] = {s.use: registry.calibrators["zscore"].component({}) for s in product.sources}
    plan = compile_plan(product, registry, data.catalog, models, plain, "")
    active = np.flatnonzero(data.events.lengths > 0)
    sample = np.random.default_rng(0).permutation(active)[:CALIBRATION_USERS].astype(np.int32)
    found: dict[str, list[Floats]] = {s.use: [] for s in product.sources}
    with Directly() as ask:
        for users in in_batches(np.sort(sample)):
            question = ask_about(data, users, plan.max_candidates, product.history)
            answer = make_lists(plan.without_filling(), question, ask)
            for i, source in enumerate(product.sources):
                raw = answer.blended.raw[i]
                found[source.use].append(raw[~np.isnan(raw)])
    return {
        name: {kind: learner.learn(np.concatenate(scores)) for kind, learner in learners.items()}
        for name, scores in found.items()
        if scores
    }


def training_data(settings: Settings, name: str) -> Dataset:
    """The training data of a product's recommenders: the imported dataset with the store's changes.

    Raises:
        DataError: the dataset was not imported.
        UnavailableError: the store cannot be reached.
    """
    return _all_known(imported_data(settings, name), settings, name)[0]


def _all_known(imported: Dataset, settings: Settings, name: str) -> tuple[Dataset, int]:
    """The imported dataset with the store's changes, and the time of receipt of the newest event in it."""
    store = existing_store(settings)
    if store is None:
        return imported, 0
    try:
        until = store.newest_receipt(name)
        return with_stored(imported, store, name, settings.products[name].events, until), until
    finally:
        store.close()


def _take_out_forgotten(settings: Settings, name: str) -> None:
    store = existing_store(settings)
    if store is None:
        return
    try:
        take_out(settings, name, store)
    finally:
        store.close()


def fit_product(settings: Settings, registry: Registry, name: str, progress: ProgressFor) -> Manifest:
    """Fit, save, calibrate and publish a product's recommenders as a new version.

    They learn from the imported dataset and the store. Nothing is published unless all of them could be
    fitted. Then forgotten users are removed from older versions and datasets.

    Raises:
        PluginError: a recommender cannot be fitted.
        DataError: the dataset was not imported.
        UnavailableError: the store cannot be reached.
    """
    product = settings.products[name]
    imported = imported_data(settings, name)
    data, until = _all_known(imported, settings, name)
    root = ArtifactRoot.of(settings)
    workspace = root.workspace(name)
    fitted: dict[str, Fitted] = {}
    try:
        fitted = fit_models(data, settings, registry, product.recommenders, progress)
        learnt = calibrate(data, product, registry, {n: f.model for n, f in fitted.items()})
        entries = {}
        for instance_name, one in fitted.items():
            folder = workspace / instance_name
            folder.mkdir()
            one.model.save(folder)
            plugin = registry.recommenders[one.instance.plugin].plugin
            entries[instance_name] = ModelEntry(
                plugin=one.instance.plugin,
                distribution=plugin.distribution,
                distribution_version=plugin.version,
                config_digest=one.instance.digest,
                fit_seconds=one.seconds,
                peak_bytes=one.peak_bytes,
                files=describe_files(folder),
                calibration=learnt.get(instance_name, {}),
                figures=one.model.figures(),
            )
        catalog = data.catalog
        if data is not imported:
            (workspace / CATALOG).mkdir()
            catalog.save(workspace / CATALOG)
        manifest = Manifest(
            product=name,
            version=new_version(),
            created=datetime.now(UTC),
            config_revision=settings.revision,
            n_items=len(catalog.items),
            n_users=len(catalog.users),
            n_events=len(data),
            items_digest=catalog.items.digest(),
            users_digest=catalog.users.digest(),
            models=entries,
            events_until=until,
            catalog={} if data is imported else describe_files(workspace / CATALOG),
        )
        root.publish(workspace, manifest)
        _take_out_forgotten(settings, name)
    except BaseException:
        shutil.rmtree(workspace, ignore_errors=True)
        raise
    finally:
        for one in fitted.values():
            one.model.close()
    return manifest
