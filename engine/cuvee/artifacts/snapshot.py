"""Snapshots: one product's data, models and configuration, ready to serve, and immutable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import structlog

from cuvee.artifacts.cache import Lease
from cuvee.artifacts.choice import wanted
from cuvee.artifacts.versions import ArtifactRoot, Manifest
from cuvee.config import Settings
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.dataset import Dataset
from cuvee.data.imported import imported_data
from cuvee.errors import ArtifactError, ConfigError, CuveeError, DataError, Mistake, RequestError
from cuvee.product import Product
from cuvee.ranking.calibrate import Calibrator
from cuvee.ranking.explore import Explorer
from cuvee.ranking.facts import ItemFacts
from cuvee.ranking.plan import EVERYWHERE, Plan, Source
from cuvee.recommender import Bools, Floats, Recommender
from cuvee.registry import Registry
from cuvee.rules import Rule

__all__ = ["Snapshot", "compile_plan", "explorer_of", "grown", "load_snapshot", "replanned", "rules_of"]

MOST_TRIED = 8
"""How many versions are tried, newest first, until one is complete and undamaged."""

Vectors: TypeAlias = dict[str, Floats]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """Everything needed to answer for a product. A reload builds another snapshot and swaps it in."""

    product: Product
    version: str
    data: Dataset
    plan: Plan
    problems: tuple[str, ...]
    """Sources that could not be loaded: they count as degraded in every answer."""
    manifest: Manifest
    folders: Mapping[str, Path]
    """The folder of each loaded model; its files were checked against the manifest."""
    lease: Lease | None = None
    """What keeps those folders on this machine, where the version came from elsewhere."""
    variants: Mapping[str, Snapshot] = field(default_factory=dict)
    """By label as in :attr:`Product.variants`: other plans over the same data and models."""

    @property
    def plans(self) -> Sequence[Plan]:
        """Its plan, and those of its variants."""
        return (self.plan, *(one.plan for one in self.variants.values()))

    @property
    def models(self) -> dict[str, Recommender[Any]]:
        """The recommenders that could be loaded, by name."""
        sources = [source for plan in self.plans for source in (*plan.sources, *plan.fallback)]
        return {source.name: source.recommender for source in sources if source.recommender is not None}

    def replanned(self, change: Callable[[str, Plan], Plan]) -> Snapshot:
        """The same with other plans; ``change`` gets a label, which is empty for the product's own, and the plan."""
        variants = {label: replace(one, plan=change(label, one.plan)) for label, one in self.variants.items()}
        return replace(self, plan=change("", self.plan), variants=variants)

    @property
    def lacking(self) -> frozenset[str]:
        """The recommenders that could not be loaded."""
        return frozenset(self.product.recommenders) - self.models.keys()

    def close(self) -> None:
        """Close every recommender."""
        for model in self.models.values():
            model.close()


def compile_plan(
    product: Product,
    registry: Registry,
    catalog: Catalog,
    models: Mapping[str, Recommender[Any] | None],
    calibrators: Mapping[str, Calibrator],
    version: str,
    facts: ItemFacts | None = None,
    like: tuple[Product, Plan] | None = None,
) -> Plan:
    """Combine a product's configuration with given models, ready to run.

    ``like`` is another product and its plan, just made over the same catalogue and models: equal rules and the
    vectors that they ask for are taken over.

    Raises:
        ConfigError: a rule does not fit the catalogue (a filter over a column that is not there) or the models.
    """
    timeouts = {s.use: s.timeout for s in product.sources}
    blender = registry.blenders[product.blend.method].component
    if like is not None and like[0].rules == product.rules:
        rules, eligible = like[1].rules, like[1].eligible
    else:
        rules, eligible = rules_of(product, registry, catalog)
    return Plan(
        product=product.name,
        catalog=catalog,
        sources=[Source(s.use, models[s.use], s.candidates, s.timeout, version) for s in product.sources],
        calibrators=calibrators,
        blender=blender(blender.Options.model_validate(product.blend.options), product.blend.missing),
        segments=sorted(product.blend.segments.items(), key=lambda s: s[1]),
        weights=product.blend.weights,
        rules=rules,
        eligible=eligible,
        fallback=[
            Source(n, models[n], product.page_size.max, timeouts.get(n), version) for n in product.fallback.chain
        ],
        max_candidates=product.blend.max_candidates,
        passage=product.blend.passage,
        facts=facts,
        vectors=_vectors(product, rules, models, like[1].vectors if like is not None else {}),
    )


def rules_of(product: Product, registry: Registry, catalog: Catalog) -> tuple[Sequence[Rule[Any]], Bools | None]:
    """A product's rules over a catalogue, and which items those that hold everywhere allow: bool[N], None for all.

    Raises:
        ConfigError: with every rule that does not fit the catalogue.
    """
    rules: list[Rule[Any]] = []
    eligible: Bools | None = None
    mistakes = []
    for at, (use, name) in enumerate(zip(product.rules, product.rule_names, strict=True)):
        component = registry.rules[use.use].component
        try:
            rule = component(component.Config.model_validate(use.options), catalog)
        except RequestError as problem:
            mistakes.append(Mistake(f"products/{product.name}.toml", f"rules.{at}", str(problem)))
            continue
        rule.name, rule.on = name, frozenset(use.on)
        rules.append(rule)
        if rule.eligible is not None and rule.on == EVERYWHERE:
            eligible = rule.eligible if eligible is None else eligible & rule.eligible
    if mistakes:
        raise ConfigError(mistakes)
    return rules, eligible


def _vectors(
    product: Product,
    rules: Sequence[Rule[Any]],
    models: Mapping[str, Recommender[Any] | None],
    known: Mapping[str, Floats],
) -> Vectors:
    """The item vectors that rules ask for, of the recommenders that are loaded; those that are known are taken."""
    found: Vectors = {}
    for at, rule in enumerate(rules):
        for key in sorted(rule.config.vectors_from):
            name = getattr(rule.config, key)
            model = models.get(name)
            if model is None or name in found:
                continue
            if name in known:
                found[name] = known[name]
                continue
            vectors = model.item_vectors()
            if vectors is None:
                path = f"products/{product.name}.toml"
                raise ConfigError([Mistake(path, f"rules.{at}.{key}", f"{name!r} has no item vectors; take another")])
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            found[name] = np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), np.float32)
    return found


def explorer_of(product: Product, data: Dataset, version: str) -> Explorer | None:
    """The exploration of a product over a dataset; None where it explores nothing."""
    table = product.explore
    if not table.share:
        return None
    return Explorer.of(
        data,
        version,
        share=table.share,
        method=table.method,
        first=table.first,
        seed=table.seed,
        fewer_than=table.fewer_than,
        younger_than=table.younger_than_days,
    )


def _check_grown(data: Dataset, manifest: Manifest) -> None:
    """Check that the dataset is the one that was fitted on, perhaps with rows added at its end."""
    for kind, entities, n, digest in (
        ("items", data.catalog.items, manifest.n_items, manifest.items_digest),
        ("users", data.catalog.users, manifest.n_users, manifest.users_digest),
    ):
        if len(entities) < n or entities.digest(n) != digest:
            raise ArtifactError(
                f"the {kind} of product {manifest.product!r} are not those that version {manifest.version} was "
                f"fitted on; run `cuvee fit {manifest.product}`"
            )


def load_snapshot(settings: Settings, registry: Registry, product: str, version: str | None = None) -> Snapshot:
    """Load a product's data and a version of its models.

    By default the chosen one (:mod:`cuvee.artifacts.choice`), or the newest complete and undamaged one.

    A model that is missing, damaged or was fitted under another configuration does not stop the
    others: it is listed in ``problems``. Where that version is damaged and another one is not,
    the newest of these is loaded instead, and ``problems`` says so; where all are, the newest that can be used.

    Raises:
        ArtifactError: there is no such version, it fits another dataset, or no model of it loads.
        DataError: the dataset was not imported, or its ids are not kept as ``[privacy]`` says.
    """
    root = ArtifactRoot.of(settings)
    data = imported_data(settings, product)
    there = root.versions(product) if version is None else []
    if len(there) < 2:
        return _loaded(root, settings, registry, product, version, data)[0]
    usable: list[str] = []
    why: list[str] = []
    first = _wanted(root, product, there)
    for name in [first, *(one for one in reversed(there[-MOST_TRIED:]) if one != first)]:
        try:
            snapshot, whole = _loaded(root, settings, registry, product, name, data)
        except (ArtifactError, DataError) as problem:
            log.warning("version not loaded", product=product, version=name, problem=str(problem))
            why.append(str(problem))
            continue
        if whole and name == first:
            return snapshot
        if whole:
            log.warning("an older version answers", product=product, version=name, newest=first, problem=why[0])
            told = f"version {first} cannot be used, so {name} answers: {why[0]}"
            return replace(snapshot, problems=(told, *snapshot.problems))
        snapshot.close()
        usable.append(name)
        why.extend(snapshot.problems)
    if not usable:
        raise ArtifactError(why[0])
    return _loaded(root, settings, registry, product, usable[0], data)[0]


def _wanted(root: ArtifactRoot, product: str, there: Sequence[str]) -> str:
    try:
        return wanted(root, product) or there[-1]
    except ArtifactError as problem:
        log.warning("the newest version answers", product=product, problem=str(problem))
        return there[-1]


def _loaded(
    root: ArtifactRoot, settings: Settings, registry: Registry, product: str, version: str | None, data: Dataset
) -> tuple[Snapshot, bool]:
    """A snapshot of one version, and whether the version is whole: every model of it is undamaged and loads.

    A model that was fitted under another configuration does not count as damage: an older version would
    not be better.
    """
    config = settings.products[product]
    manifest = root.manifest(product, version)
    if manifest.catalog:
        data = data.placed(Catalog.load(root.fetch_catalog(manifest)))
    _check_grown(data, manifest)
    models: dict[str, Recommender[Any] | None] = {}
    folders: dict[str, Path] = {}
    problems = []
    whole = True
    for name in config.recommenders:
        try:
            _check_configured(manifest, settings, name)
        except ArtifactError as problem:
            log.warning("model not loaded", product=product, recommender=name, problem=str(problem))
            problems.append(f"{name}: {problem}")
            models[name] = None
            continue
        try:
            folder = root.fetch(manifest, name)
            models[name] = _load_model(folder, settings, registry, name, data.catalog)
            folders[name] = folder
        except Exception as problem:  # noqa: BLE001 - a plugin's load may raise anything; the others go on
            what = f"{root.folder(manifest, name)} cannot be loaded: {type(problem).__name__}: {problem}"
            said = str(problem) if isinstance(problem, CuveeError) else what
            log.warning("model not loaded", product=product, recommender=name, problem=said)
            problems.append(f"{name}: {said}")
            models[name], whole = None, False
    if not any(models.values()):
        raise ArtifactError(f"no model of product {product!r} could be loaded:\n" + "\n".join(problems))
    plan = _plan(config, registry, data, models, manifest)
    lease = root.lease(manifest)
    snapshot = Snapshot(config, manifest.version, data, plan, tuple(problems), manifest, folders, lease)
    return _with_variants(snapshot, registry, models), whole


def grown(snapshot: Snapshot, settings: Settings, registry: Registry, items: Entities) -> Snapshot:
    """The same models, reloaded over a catalogue whose items have changed or have new ones at the end.

    Raises:
        ConfigError: a rule does not fit the new catalogue.
        Exception: whatever a plugin's load raises; the snapshot is as good as before.
    """
    data = snapshot.data.with_catalog(Catalog(items, snapshot.data.catalog.users))
    models: dict[str, Recommender[Any] | None] = dict.fromkeys(snapshot.product.recommenders)
    try:
        for name, folder in snapshot.folders.items():
            if name in models:
                models[name] = _load_model(folder, settings, registry, name, data.catalog)
        plan = _plan(snapshot.product, registry, data, models, snapshot.manifest)
        return _with_variants(replace(snapshot, data=data, plan=plan), registry, models)
    except BaseException:
        for model in models.values():
            if model is not None:
                model.close()
        raise


def replanned(snapshot: Snapshot, before: Settings, after: Settings, registry: Registry) -> Snapshot | None:
    """The same models under another configuration, without loading any; None where some must be loaded.

    That is where the dataset is another, a recommender is new or has other settings, or events count otherwise
    (models are updated by them).

    Raises:
        ConfigError: a rule does not fit the catalogue.
    """
    old = snapshot.product
    new = after.products[old.name]
    if (new.dataset, new.events) != (old.dataset, old.events):
        return None
    models: dict[str, Recommender[Any] | None] = {**snapshot.models}
    for name in new.recommenders:
        if name not in models or before.recommenders.get(name) != after.recommenders.get(name):
            return None
    plan = _plan(new, registry, snapshot.data, models, snapshot.manifest, (old, snapshot.plan))
    return _with_variants(replace(snapshot, product=new, plan=plan, problems=()), registry, models)


def _with_variants(snapshot: Snapshot, registry: Registry, models: Mapping[str, Recommender[Any] | None]) -> Snapshot:
    """The snapshot with the plans of its product's variants over the same models.

    Raises:
        ConfigError: a rule of a variant does not fit the catalogue or the models.
    """
    like = snapshot.product, snapshot.plan
    variants: dict[str, Snapshot] = {}
    for label, product in snapshot.product.variants.items():
        try:
            plan = _plan(product, registry, snapshot.data, models, snapshot.manifest, like, fresh=True)
        except ConfigError as problem:
            told = [Mistake(m.file, m.path, f"in the variant {label}: {m.message}") for m in problem.mistakes]
            raise ConfigError(told) from None
        variants[label] = replace(snapshot, product=product, plan=plan, variants={})
    return replace(snapshot, variants=variants)


def _plan(
    config: Product,
    registry: Registry,
    data: Dataset,
    models: Mapping[str, Recommender[Any] | None],
    manifest: Manifest,
    like: tuple[Product, Plan] | None = None,
    *,
    fresh: bool = False,
) -> Plan:
    """The plan, with the calibrators that were learnt with the models.

    ``like`` is another product and its plan over the same dataset and models: facts and an equal exploration are
    taken over. Where it is ``fresh`` (nothing was hidden in it since, and no model learnt), equal rules are, too.
    """
    component = registry.calibrators[config.blend.calibrate].component
    calibrators = {s.use: component(_learnt(manifest, s.use, config.blend.calibrate)) for s in config.sources}
    facts = like[1].facts if like is not None else ItemFacts.of(data)
    taken = like if fresh else None
    plan = compile_plan(config, registry, data.catalog, models, calibrators, manifest.version, facts, taken)
    if like is not None and like[0].explore == config.explore:
        return replace(plan, explorer=like[1].explorer)
    return replace(plan, explorer=explorer_of(config, data, manifest.version))


def _learnt(manifest: Manifest, model: str, calibrator: str) -> dict[str, list[float]]:
    entry = manifest.models.get(model)
    return dict(entry.calibration.get(calibrator, {})) if entry else {}


def _check_configured(manifest: Manifest, settings: Settings, name: str) -> None:
    """Raises ArtifactError where a version's model is not the configured one."""
    entry = manifest.models.get(name)
    if entry is None:
        raise ArtifactError(f"version {manifest.version} holds no model {name!r}; run `cuvee fit {manifest.product}`")
    if entry.config_digest != settings.recommenders[name].digest:
        raise ArtifactError(
            f"[recommenders.{name}] has changed since version {manifest.version} was fitted; "
            f"run `cuvee fit {manifest.product}`"
        )


def _load_model(folder: Path, settings: Settings, registry: Registry, name: str, catalog: Catalog) -> Recommender[Any]:
    instance = settings.recommenders[name]
    loaded: Recommender[Any] = registry.recommenders[instance.plugin].component.load(folder, instance.config, catalog)
    return loaded
