"""The configuration: ``cuvee.toml`` and ``products/<name>.toml``, as frozen, checked models.

Loading reports every mistake of every file at once, each with its path.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from cuvee.environment import from_environment
from cuvee.errors import ConfigError, Mistake
from cuvee.recommender import RecommenderConfig
from cuvee.registry import Registry

__all__ = [
    "BlendConfig", "Duration", "EventsConfig", "ExploreConfig", "FallbackConfig", "Instance", "PageSize", "Product",
    "RuleUse", "Settings", "SourceUse", "StoreConfig", "TuneConfig", "load_settings",
]  # fmt: skip

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0}


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m)\s*", value)
        if not found:
            raise ValueError("a duration is a number with a unit: '40ms', '1.5s', '2m'")
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, int | float):
        raise ValueError("a duration needs a unit: '40ms', '1.5s', '2m'")  # noqa: TRY004 - pydantic collects ValueError
    return value


Duration = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=3600), PlainSerializer(lambda s: f"{s * 1e3:g}ms")
]
"""Seconds in memory; ``"40ms"``, ``"1.5s"``, ``"2m"`` in a file."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Table(BaseModel):
    """Parent of every table: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PageSize(Table):
    """How long a list is."""

    default: int = Field(20, ge=1, le=1000)
    max: int = Field(100, ge=1, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> PageSize:
        if self.default > self.max:
            raise ValueError(f"default ({self.default}) is above max ({self.max})")
        return self


class SourceUse(Table):
    """A recommender's part in a product."""

    use: str
    """The name of a ``[recommenders.<name>]`` table."""
    candidates: int = Field(200, ge=1, le=10_000)
    timeout: Duration | None = None
    """For each of its calls; by default whatever is left of the caller's deadline."""


class BlendConfig(Table):
    """How opinions become one score."""

    method: str = "weighted"
    calibrate: str = "zscore"
    missing: Literal["prior", "skip", "zero"] = "prior"
    options: dict[str, Any] = Field(default_factory=dict)
    """The blender's own keys, such as ``k`` of ``rrf``."""
    segments: dict[str, int] = Field(default_factory=lambda: {"cold": 0, "new": 1, "growing": 3, "warm": 10})
    """Segment name -> least number of events in the history; one must start at 0."""
    passage: Literal["smooth", "hard"] = "smooth"
    """``smooth``: weights pass from those of one segment at its beginning to those of the next at its
    beginning, in proportion to log(1 + events). ``hard``: they change at once."""
    weights: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = Field(default_factory=dict)
    """Segment name (or ``similar``, for SimilarItems) -> source -> weight. A segment without a
    table weighs all sources equally; a source that a table leaves out has weight 0."""
    max_candidates: int = Field(2000, ge=1, le=100_000)
    """Cap of the union of candidates, per query."""

    @model_validator(mode="after")
    def _from_zero(self) -> BlendConfig:
        if 0 not in self.segments.values():
            raise ValueError("segments: one must start at 0 events")
        if len(set(self.segments.values())) != len(self.segments):
            raise ValueError("segments: two start at the same number of events")
        return self


class RuleUse(Table):
    """One rule: its name, and its own keys beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    use: str

    @property
    def options(self) -> dict[str, Any]:
        """The rule's own keys."""
        return dict(self.model_extra or {})


class TuneConfig(Table):
    """What ``cuvee tune`` learns the weights for."""

    metric: Literal["ndcg", "hit_rate", "recall", "mrr"] = "ndcg"
    k: int = Field(10, ge=1, le=1000)
    """Of the first so many items."""
    window: Literal["validation", "global-time"] = "validation"
    """``validation``: each user's event before the last. ``global-time``: a stretch of time, for
    products whose items come and go."""


class FallbackConfig(Table):
    """What fills a list that the blend leaves short."""

    chain: tuple[str, ...] = ()


class ExploreConfig(Table):
    """Places of a list that go to items of which little is known."""

    share: float = Field(0.0, ge=0, le=0.5)
    """The chance of each place, from ``first`` on, to be one of these; 0 explores nothing."""
    method: Literal["epsilon", "thompson"] = "epsilon"
    """``epsilon``: evenly. ``thompson``: by a rate of likes drawn for each item, the less sure the
    less is known of it."""
    fewer_than: int | None = Field(20, ge=1)
    """Only items with fewer events than so many."""
    younger_than_days: float | None = Field(None, gt=0)
    """Only items whose first event, if any, was in the last so many days before the newest of all."""
    first: int = Field(3, ge=1)
    """The first place that may be one, from 1."""
    seed: int = Field(0, ge=0)


EventName = Literal["view", "click", "favourite", "purchase", "rating", "dismiss"]


class EventsConfig(Table):
    """What the product's stored events say of their items."""

    weights: dict[EventName, Annotated[float, Field(ge=-100, le=100)]] = Field(
        default_factory=dict, validate_default=True
    )
    """Event type -> how much it speaks for the item. Below 0 it takes back what earlier events of
    the user said for it; 0 is "seen, not liked". Types that are left out weigh as by default."""
    rating_liked_from: float = 4.0
    """A rating of this value or more has the weight of ``rating``, one below has 0."""
    retention_days: int | None = Field(None, ge=1, le=36_500)
    """Events that happened longer ago, and exposures, are deleted; by default none are."""
    exposures: float = Field(0.0, ge=0, le=1)
    """The share of answers of which the store keeps what was shown, for ``cuvee report``."""

    @field_validator("weights", mode="after")
    @classmethod
    def _filled(cls, given: dict[EventName, float]) -> dict[EventName, float]:
        weights: dict[EventName, float] = {
            "view": 1.0, "click": 1.0, "favourite": 1.0, "purchase": 1.0, "rating": 1.0, "dismiss": -1.0,
        }  # fmt: skip
        return weights | given


class Product(Table):
    """``products/<name>.toml``: a shop, a feed, a music page."""

    name: Name
    """The file's name without ``.toml``."""
    dataset: str
    """The imported dataset; the product's own name by default."""
    page_size: PageSize = PageSize()
    sources: tuple[SourceUse, ...] = Field(min_length=1)
    blend: BlendConfig = BlendConfig()
    tune: TuneConfig = TuneConfig()
    rules: tuple[RuleUse, ...] = (RuleUse(use="exclude_seen"),)
    fallback: FallbackConfig = FallbackConfig()
    explore: ExploreConfig = ExploreConfig()
    events: EventsConfig = EventsConfig()
    history: int = Field(1000, ge=1, le=10_000)
    """The newest events that recommenders get; ``exclude_seen`` always knows them all."""

    @property
    def recommenders(self) -> tuple[str, ...]:
        """Every instance that it uses, sources first."""
        return tuple(dict.fromkeys([*(s.use for s in self.sources), *self.fallback.chain]))


class Tls(Table):
    """Server certificate; with ``client_ca`` clients must show one, too."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Limits(Table):
    """What the server grants."""

    deadline: Duration = 1.0
    """For callers that set none, and the cap for those that do."""
    threads: int = Field(8, ge=1, le=256)
    """Slots of each source's pool."""
    max_message_bytes: int = Field(4 * 2**20, ge=1024)


class ServerConfig(Table):
    """Where and how the server listens."""

    listen: str = "127.0.0.1:50051"
    reflection: bool = False
    tls: Tls | None = None
    limits: Limits = Limits()
    shutdown_grace: Duration = 10.0


class StoreConfig(Table):
    """Where events and the catalogue's changes are kept."""

    url: str = "sqlite:///var/store.db"
    """``sqlite:///file`` or ``postgresql://user@host/name``; a relative file starts at the folder of
    ``cuvee.toml``. Passwords are better kept where libpq looks: ``PGPASSWORD``, ``~/.pgpass``.
    Empty: no store, and the services that need one are not offered."""
    pool: int = Field(8, ge=1, le=256)
    """Connections of one process, for writing and as many for reading."""
    timeout: Duration = 2.0
    """What a statement, or waiting for a connection or another writer, may take."""
    refresh: Duration = 0.2
    """How often a server looks for changes of the catalogue that others wrote."""

    @field_validator("url")
    @classmethod
    def _of_a_kind(cls, url: str) -> str:
        if not re.fullmatch(r"|sqlite:///(?!:memory:).+|postgresql://.+", url):
            raise ValueError("must be sqlite:///file, postgresql://user@host/name, or empty for no store")
        return url

    @field_serializer("url")
    def _without_password(self, url: str) -> str:
        return re.sub(r"(//[^/@:]*):[^/@]*@", r"\1:***@", url)


class Instance(Table):
    """A configured recommender: ``[recommenders.<name>]``."""

    name: Name
    plugin: str
    config: RecommenderConfig
    vectors: Mapping[str, str] = Field(default_factory=dict)
    """The recommenders whose item vectors it is fitted on, with their digests."""

    @property
    def digest(self) -> str:
        """sha256 of plugin, effective config and whose vectors it needs: a model fitted under another is not used.

        What only concerns serving (:attr:`RecommenderConfig.serving_only`) may change freely.
        """
        fitted = self.config.model_dump(mode="json", exclude=set(self.config.serving_only))
        dump = json.dumps([self.plugin, fitted, *([dict(self.vectors)] if self.vectors else [])], sort_keys=True)
        return hashlib.sha256(dump.encode()).hexdigest()


class Settings(Table):
    """The whole effective configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    root: Path = Field(exclude=True)
    """The folder of ``cuvee.toml``: relative paths start there."""
    data: Path = Path("var/data")
    artifacts: str = "var/artifacts"
    """A folder, or any fsspec URL."""
    server: ServerConfig = ServerConfig()
    store: StoreConfig = StoreConfig()
    recommenders: Mapping[str, Instance]
    products: Mapping[str, Product]

    @property
    def revision(self) -> str:
        """Twelve hex digits that change with any effective value."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:12]

    def effective(self) -> dict[str, Any]:
        """Every value, defaults filled in, as plain values in the order of the files."""
        dump = self.model_dump(mode="json", exclude={"recommenders", "products"})
        dump["recommenders"] = {
            name: {"plugin": i.plugin, **i.config.model_dump(mode="json")} for name, i in self.recommenders.items()
        }
        dump["products"] = {name: p.model_dump(mode="json", exclude={"name"}) for name, p in self.products.items()}
        return dump

    def canonical(self) -> str:
        """The effective configuration as JSON, keys sorted."""
        return json.dumps(self.effective(), sort_keys=True)

    @property
    def data_dir(self) -> Path:
        """Absolute folder of the datasets."""
        return (self.root / self.data).resolve()

    @property
    def artifact_url(self) -> str:
        """The artefact root: a URL as given, or an absolute folder."""
        return self.artifacts if "://" in self.artifacts else str((self.root / self.artifacts).resolve())


class _Collector:
    """Gathers mistakes, so that one run shows them all."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def add(self, file: Path, path: str, message: str) -> None:
        self.mistakes.append(Mistake(str(file), path, message))

    def invalid(self, file: Path, prefix: str, problem: ValidationError) -> None:
        errors = problem.errors()
        for error in errors:
            # a list is "too short" as well when its only element is wrong
            inside = [e for e in errors if len(e["loc"]) > len(error["loc"])]
            if error["type"] == "too_short" and any(e["loc"][: len(error["loc"])] == error["loc"] for e in inside):
                continue
            loc = ".".join(str(p) for p in (prefix, *error["loc"]) if str(p))
            message = error["msg"].removeprefix("Value error, ")
            if error["type"] == "extra_forbidden":
                message = "unknown key; see `cuvee check --help` and the plugin's README for those that exist"
            self.add(file, loc, message)

    def parse(self, file: Path) -> dict[str, Any] | None:
        """A file's tables; None where it cannot be read, which is noted."""
        try:
            return tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as problem:
            self.add(file, "", f"cannot be read: {problem}")
        except tomllib.TOMLDecodeError as problem:
            self.add(file, "", f"not TOML: {problem}")
        return None

    def refuse(self, file: Path, values: dict[str, Any], name: str, message: str) -> None:
        """Take out a key that a file may not set."""
        if name in values:
            del values[name]
            self.add(file, name, f"unknown key; {message}")


def _instances(table: object, file: Path, registry: Registry, found: _Collector) -> dict[str, Instance]:
    instances: dict[str, Instance] = {}
    if not isinstance(table, dict):
        found.add(file, "recommenders", "must be a table of tables")
        return instances
    for name, raw in table.items():
        path = f"recommenders.{name}"
        if not isinstance(raw, dict) or not isinstance(raw.get("plugin"), str):
            found.add(file, path, 'needs plugin = "<name>"; `cuvee plugins` lists them')
            continue
        keys = {k: v for k, v in raw.items() if k != "plugin"}
        registered = registry.recommenders.get(raw["plugin"])
        if registered is None:
            found.add(file, f"{path}.plugin", _unknown("recommender", raw["plugin"], registry))
            continue
        try:
            config = registered.component.Config.model_validate(keys, context={"root": file.parent.resolve()})
            instances[name] = Instance(name=name, plugin=raw["plugin"], config=config)
        except ValidationError as problem:
            found.invalid(file, path, problem)
    return instances


def _with_vectors(
    instances: dict[str, Instance], known: set[str], file: Path, found: _Collector
) -> dict[str, Instance]:
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
                found.add(file, path, f"nobody can be fitted first of those that need each other's vectors: {circle}")
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
    return f"no installed plugin registers the {kind} {name!r}; there are: {there or 'none'}{broken}"


def _check_sources(product: Product, file: Path, known: set[str], found: _Collector) -> None:
    """Every name of a recommender must be one of cuvee.toml's."""
    used = [s.use for s in product.sources]
    there = ", ".join(sorted(known)) or "none"
    named = [*((f"sources.{at}.use", name) for at, name in enumerate(used))]
    named += [(f"fallback.chain.{at}", name) for at, name in enumerate(product.fallback.chain)]
    for path, name in named:
        if name not in known:
            found.add(file, path, f"there is no [recommenders.{name}] in cuvee.toml; there are: {there}")
    for at, name in enumerate(used):
        if name in used[:at]:
            found.add(file, f"sources.{at}.use", f"{name!r} is listed twice")


def _check_weights(product: Product, file: Path, found: _Collector) -> None:
    """Every table of weights must name a segment, and sources of the product."""
    used = {s.use for s in product.sources}
    for segment, table in product.blend.weights.items():
        path = f"blend.weights.{segment}"
        if segment not in product.blend.segments and segment != "similar":
            there = ", ".join(product.blend.segments)
            found.add(file, path, f"there is no such segment; there are: {there}, similar")
        for name in table.keys() - used:
            found.add(file, f"{path}.{name}", "is not one of the product's sources")
        if not any(table.values()):
            found.add(file, path, "needs a weight above 0")


def _check_components(product: Product, file: Path, registry: Registry, found: _Collector) -> Product:
    """Calibrator, blender and rules must be installed, and their keys be theirs.

    Gives the product with its blender's options completed.
    """
    context = {
        "root": file.parent.resolve(), "calibrate": product.blend.calibrate, "sources": [s.use for s in product.sources]
    }  # fmt: skip
    if product.blend.calibrate not in registry.calibrators:
        found.add(file, "blend.calibrate", _unknown("calibrator", product.blend.calibrate, registry))
    named = [("blend.method", "blender", product.blend.method, "Options", "blend.options", product.blend.options)]
    named += [
        (f"rules.{at}.use", "rule", r.use, "Config", f"rules.{at}", r.options) for at, r in enumerate(product.rules)
    ]
    for path, kind, name, model, table, options in named:
        registered = getattr(registry, f"{kind}s").get(name)
        if registered is None:
            found.add(file, path, _unknown(kind, name, registry))
            continue
        try:
            checked = getattr(registered.component, model).model_validate(options, context=context)
        except ValidationError as problem:
            found.invalid(file, table, problem)
            continue
        if path == "blend.method":
            # with what they name beside the file read, so that a product is whole and its revision tells
            whole = checked.model_dump(mode="json", exclude_unset=True)
            product = product.model_copy(update={"blend": product.blend.model_copy(update={"options": whole})})
    return product


def load_settings(file: Path, registry: Registry) -> Settings:
    """Read and check ``cuvee.toml`` and every ``products/*.toml`` beside it.

    Raises:
        ConfigError: with every mistake of every file.
    """
    found = _Collector()
    if not file.is_file():
        raise ConfigError([Mistake(str(file), "", "does not exist; pass --config, or copy deploy/cuvee.toml here")])
    parsed = found.parse(file)
    raw = from_environment(parsed or {}, os.environ, lambda path, message: found.add(file, path, message))
    found.refuse(file, raw, "root", "relative paths start at the folder of this file")
    instances = _instances(raw.pop("recommenders", {}), file, registry, found)
    known = {*instances, *(m.path.split(".")[1] for m in found.mistakes if m.path.startswith("recommenders."))}
    instances = _with_vectors(instances, known, file, found)
    folder = file.parent / str(raw.pop("products", "products"))
    products: dict[str, Product] = {}
    for path in sorted(folder.glob("*.toml")):
        values = found.parse(path)
        if values is None:
            continue
        found.refuse(path, values, "name", "a product is named as its file")
        try:
            product = Product.model_validate({"name": path.stem, "dataset": path.stem, **values})
        except ValidationError as problem:
            found.invalid(path, "", problem)
            continue
        products[product.name] = product
        if parsed is not None:
            _check_sources(product, path, known, found)
        _check_weights(product, path, found)
        products[product.name] = _check_components(product, path, registry, found)
    if not products and not found.mistakes:
        found.add(folder, "", "holds no product: add <name>.toml; deploy/products/movies.toml is an example")
    if parsed is None:
        raise ConfigError(found.mistakes)
    try:
        settings = Settings(root=file.parent.resolve(), recommenders=instances, products=products, **raw)
    except ValidationError as problem:
        found.invalid(file, "", problem)
    if found.mistakes:
        raise ConfigError(found.mistakes)
    return settings
