"""Reads ``cuvee.toml`` and ``products/*.toml``: every mistake of every file at once, each with its path."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuvee.config.files import Files
from cuvee.config.settings import Instance, Settings
from cuvee.config.variants import with_variants
from cuvee.environment import from_environment
from cuvee.errors import ConfigError, Mistake
from cuvee.mistakes import UNREAD, Mistakes
from cuvee.product import RESERVED, Product, RuleUse
from cuvee.registry import Registry
from cuvee.rules import RuleConfig

__all__ = ["apart", "load_settings", "read_settings"]

PUBLISHED = frozenset({"content", "lightfm", "neighbors", "popular", "remote", "tfserving"})
"""Recommenders whose plugins are distributions of this project, `cuvee-NAME` each."""


def _instances(table: object, file: Path, registry: Registry, found: Mistakes) -> dict[str, Instance]:
    instances: dict[str, Instance] = {}
    if not isinstance(table, dict):
        found.add(file, "recommenders", "must be a table of tables")
        return instances
    for name, raw in table.items():
        path = f"recommenders.{name}"
        if name in RESERVED:
            found.add(file, path, "is a name that answers use for something else; take another one")
            continue
        if not isinstance(raw, dict) or not isinstance(raw.get("plugin"), str):
            found.add(file, path, 'needs plugin = "<name>"; `cuvee plugins` lists them')
            continue
        keys = {k: v for k, v in raw.items() if k != "plugin"}
        registered = registry.recommenders.get(raw["plugin"])
        if registered is None:
            found.add(file, f"{path}.plugin", _unknown("recommender", raw["plugin"], registry))
            continue
        context = {"root": file.parent.resolve()}
        config = found.read(registered.component.Config, keys, file, path, context=context)
        if config is None:
            continue
        made = found.read(Instance, {}, file, path, fixed={"name": name, "plugin": raw["plugin"], "config": config})
        if made is not None:
            instances[name] = made
    return instances


def _with_vectors(instances: dict[str, Instance], known: set[str], file: Path, found: Mistakes) -> dict[str, Instance]:
    """The same instances, those that need the vectors of others with the digests of these."""
    ready: dict[str, Instance] = {}

    def settle(name: str, waiting: tuple[str, ...]) -> Instance | None:
        if name not in instances or name in ready:
            return ready.get(name)
        vectors = {}
        for field in sorted(instances[name].config.vectors_from):
            other, path = getattr(instances[name].config, field), f"recommenders.{name}.{field}"
            if other is None:
                continue
            if other not in known:
                there = ", ".join(sorted(known - {name})) or "none"
                found.add(file, path, f"there is no [recommenders.{other}]; there are: {there}")
            elif other in (*waiting, name):
                round_trip = (*waiting, name)
                circle = " -> ".join([*round_trip[round_trip.index(other) :], other])
                found.add(file, path, f"needs vectors in a circle, so none can be fitted first: {circle}")
            elif (source := settle(other, (*waiting, name))) is not None:
                vectors[other] = source.digest
        ready[name] = instances[name].model_copy(update={"vectors": vectors})
        return ready[name]

    for name in instances:
        settle(name, ())
    return {name: ready[name] for name in instances}


def _unknown(kind: str, name: str, registry: Registry) -> str:
    there = ", ".join(getattr(registry, f"{kind}s"))
    broken = "".join(f"; {b.distribution} could not be loaded ({b.problem})" for b in registry.broken)
    ours = f"; install it: pip install cuvee-{name}" if kind == "recommender" and name in PUBLISHED else ""
    return f"no installed plugin registers the {kind} {name!r}; there are: {there or 'none'}{broken}{ours}"


def _check_sources(product: Product, file: Path, known: set[str], found: Mistakes) -> None:
    """Every name of a recommender must be one of cuvee.toml's."""
    used = [s.use for s in product.sources]
    there = ", ".join(sorted(known)) or "none"
    named = [*((f"sources.{at}.use", name) for at, name in enumerate(used))]
    named += [(f"fallback.chain.{at}", name) for at, name in enumerate(product.fallback.chain)]
    for path, name in named:
        if name not in known and name != UNREAD:
            found.add(file, path, f"there is no [recommenders.{name}] in cuvee.toml; there are: {there}")
    for at, name in enumerate(used):
        if name in used[:at] and name != UNREAD:
            found.add(file, f"sources.{at}.use", f"{name!r} is listed twice")


def _check_weights(product: Product, file: Path, found: Mistakes) -> None:
    """Every table of weights must name a segment, and sources of the product."""
    used = {s.use for s in product.sources}
    for segment, table in product.blend.weights.items():
        path = f"blend.weights.{segment}"
        if segment not in product.blend.segments and segment != "similar":
            there = ", ".join(product.blend.segments)
            found.add(file, path, f"there is no such segment; there are: {there}, similar")
        for name in sorted(table.keys() - used) if UNREAD not in used else ():
            there = ", ".join(s.use for s in product.sources)
            found.add(file, f"{path}.{name}", f"is not one of the product's sources; there are: {there}")
        if not any(table.values()):
            found.add(file, path, "needs a weight above 0")


def _check_components(product: Product, file: Path, registry: Registry, found: Mistakes) -> Product:
    """Check that calibrator, blender and rules are installed and that each knows its keys.

    Returns the product with the default options of its blender filled in.
    """
    context = {
        "root": file.parent.resolve(), "calibrate": product.blend.calibrate, "missing": product.blend.missing,
        "sources": [s.use for s in product.sources if s.use != UNREAD],
    }  # fmt: skip
    if product.blend.calibrate not in registry.calibrators:
        found.add(file, "blend.calibrate", _unknown("calibrator", product.blend.calibrate, registry))
    named = [("blend.method", "blender", product.blend.method, "Options", "blend.options", product.blend.options)]
    named += [
        (f"rules.{at}.use", "rule", r.use, "Config", f"rules.{at}", r.options) for at, r in enumerate(product.rules)
    ]
    for path, kind, name, model, table, options in named:
        if kind == "rule" and name == UNREAD:
            continue
        registered = getattr(registry, f"{kind}s").get(name)
        if registered is None:
            found.add(file, path, _unknown(kind, name, registry))
            continue
        before = len(found.found)
        checked = found.read(getattr(registered.component, model), options, file, table, context=context)
        if checked is not None and kind == "rule" and len(found.found) > before:
            # without the wrong keys, so that the rest of the rule can be checked against a catalogue
            kept = checked.model_dump(exclude_unset=True)
            rules = [
                RuleUse.model_validate({**kept, "use": use.use, "name": use.name, "on": use.on})
                if f"rules.{at}" == table
                else use
                for at, use in enumerate(product.rules)
            ]
            product = product.model_copy(update={"rules": tuple(rules)})
        if checked is not None and kind == "rule":
            _check_vectors(checked, table, product, file, found)
        if checked is not None and path == "blend.method":
            # with the files that they name read in, so that the revision changes when those files do
            whole = checked.model_dump(mode="json", exclude_unset=True)
            product = product.model_copy(update={"blend": product.blend.model_copy(update={"options": whole})})
    return product


def _check_vectors(config: RuleConfig, table: str, product: Product, file: Path, found: Mistakes) -> None:
    """The recommenders whose vectors a rule asks for must be the product's."""
    for field in sorted(config.vectors_from):
        name = getattr(config, field)
        if name not in product.recommenders and UNREAD not in product.recommenders:
            there = ", ".join(product.recommenders)
            found.add(file, f"{table}.{field}", f"the product does not use {name!r}; it uses: {there}")


def load_settings(file: Path, registry: Registry, *, despite: bool = False, about: Collection[str] = ()) -> Settings:
    """Read and check ``cuvee.toml`` and every ``products/*.toml`` beside it.

    With ``despite``, products whose own files are wrong are left out, as long as others are right; those that it is
    ``about`` must be.

    Raises:
        ConfigError: with every mistake of every file.
    """
    files = Files.read(file)
    settings, mistakes = read_settings(files, registry)
    if settings is None or (mistakes and not despite):
        raise ConfigError(mistakes)
    of_product, of_server = apart(files, mistakes)
    good = {name: one for name, one in settings.products.items() if name not in of_product}
    if of_server or not good or any(name in of_product for name in about):
        raise ConfigError(mistakes)
    return settings.model_copy(update={"products": good})


def apart(files: Files, mistakes: Sequence[Mistake]) -> tuple[dict[str, tuple[Mistake, ...]], list[Mistake]]:
    """Mistakes by product, and those that concern all of them."""
    of_product: dict[str, tuple[Mistake, ...]] = {}
    of_server = []
    for mistake in mistakes:
        file = Path(mistake.file)
        if file.parent == files.folder and file.stem in files.products and file != files.file:
            of_product[file.stem] = (*of_product.get(file.stem, ()), mistake)
        else:
            of_server.append(mistake)
    return of_product, of_server


def read_settings(file: Path | Files, registry: Registry) -> tuple[Settings | None, list[Mistake]]:
    """The settings of ``cuvee.toml`` and ``products/*.toml``, and every mistake in them.

    Where there are mistakes, the settings leave out the wrong parts. They then serve only to find more
    mistakes (a filter that does not fit the catalogue). None where nothing usable is left.

    ``file`` is ``cuvee.toml``, or the contents of all files where they were read before.
    """
    found = Mistakes()
    files = file if isinstance(file, Files) else Files.read(file)
    file = files.file
    if files.server is None and not file.is_file():
        found.add(
            file, "", "does not exist; pass --config FILE, or let `cuvee init FILES` write one that suits your data"
        )
        return None, found.found
    parsed = found.parse(file, files.server)
    raw = from_environment(parsed or {}, os.environ, lambda path, message: found.add(file, path, message))
    found.refuse(file, raw, "root", "relative paths start at the folder of this file")
    instances = _instances(raw.pop("recommenders", {}), file, registry, found)
    known = {*instances, *(m.path.split(".")[1] for m in found.found if m.path.startswith("recommenders."))}
    instances = _with_vectors(instances, known, file, found)
    folder = file.parent / str(raw.pop("products", "products"))
    products: dict[str, Product] = {}
    for name, content in sorted(files.products.items()):
        path = folder / f"{name}.toml"
        product = _product(path, content, registry, known if parsed is not None else None, found)
        if product is not None:
            products[product.name] = product
    if not products and not found.found:
        found.add(
            folder,
            "",
            "holds no product: add NAME.toml (`cuvee init FILES --folder NEW` writes one that suits your data)",
        )
    fixed = {"root": file.parent.resolve(), "recommenders": instances, "products": products}
    settings = found.read(Settings, raw, file, fixed=fixed, listed=("recommenders", "products"))
    return settings, found.found


def _product(
    file: Path, content: bytes | None, registry: Registry, known: set[str] | None, found: Mistakes
) -> Product | None:
    """Read a product's file; None where it is unusable. ``known``: the recommenders, if they could be read."""
    values = found.parse(file, content)
    if values is None:
        return None
    found.refuse(file, values, "name", "a product is named after its file")

    def checked(values: Mapping[str, Any], found: Mistakes) -> Product | None:
        return _plain(file, values, registry, known, found)

    product = checked(values, found)
    return None if product is None else with_variants(product, values, file, checked, found)


def _plain(
    file: Path, values: Mapping[str, Any], registry: Registry, known: set[str] | None, found: Mistakes
) -> Product | None:
    """A product, without what its variants are."""
    defaults = {"dataset": file.stem}
    product = found.read(Product, values, file, fixed={"name": file.stem}, defaults=defaults)
    if product is None:  # the rest of the file is checked even where its name is not allowed
        product = found.read(Product, values, file, fixed={"name": "unnamed"}, defaults=defaults)
    if product is None:
        return None
    if known is not None:
        _check_sources(product, file, known, found)
    _check_weights(product, file, found)
    return _check_components(product, file, registry, found)
