"""A product's configuration: the tables of ``products/<name>.toml``, as frozen, checked models.

What product teams decide: which recommenders, how they are blended, which rules, what fills in. What
operators decide is in :mod:`cuvee.config`, which loads both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)  # fmt: skip

from cuvee.bucketing import BUCKETS, Assignment, Split, Stretch, bounds

__all__ = [
    "CATALOGUE", "HISTORY_HOOK", "RESERVED", "STORE", "BlendConfig", "Duration", "EventsConfig", "ExperimentConfig",
    "ExploreConfig", "FallbackConfig", "Name", "PageSize", "Product", "Rate", "RuleUse", "ShadowConfig", "SourceUse",
    "Table", "TuneConfig", "VariantConfig",
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
    float,
    BeforeValidator(_seconds),
    Field(gt=0, le=3600),
    PlainSerializer(lambda s: f"{s * 1e3:.12g}ms"),
    # ${} is a variable of the environment, in cuvee.toml
    WithJsonSchema({"type": "string", "pattern": r"^\s*(?=[\d.]*[1-9])\d+(\.\d+)?\s*(ms|s|m)\s*$|\$\{"}),
]
"""Seconds in memory; ``"40ms"``, ``"1.5s"``, ``"2m"`` in a file."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]

CATALOGUE = "catalogue"
"""The source that an answer names for items of the last resort."""
HISTORY_HOOK = "load_history"
"""The entry in an answer's sources that says that a user's history could not be loaded."""
STORE = "store"
"""The entry that says that the user's stored events could not be read."""
RESERVED = frozenset({CATALOGUE, HISTORY_HOOK, STORE})
"""Names in an answer's sources that are the engine's own: no recommender may have them."""


class Table(BaseModel):
    """Parent of every table: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Rate(Table):
    """How often something may be done: a token bucket. Each process that answers counts for itself."""

    per_second: float = Field(gt=0, le=1e6)
    burst: int = Field(0, ge=0, le=10_000_000, validate_default=True)
    """How many may come at once after a pause; by default those of one second, and at least one."""

    @field_validator("burst")
    @classmethod
    def _of_a_second(cls, burst: int, info: ValidationInfo) -> int:
        return burst or max(1, math.ceil(info.data.get("per_second", 1)))


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
    """Time limit of each call to it; by default the rest of the caller's deadline."""


class BlendConfig(Table):
    """How the sources' scores become one score."""

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

    @field_validator("segments")
    @classmethod
    def _from_zero(cls, segments: dict[str, int]) -> dict[str, int]:
        if 0 not in segments.values():
            raise ValueError("one must start at 0 events")
        if len(set(segments.values())) != len(segments):
            raise ValueError("two start at the same number of events")
        return segments


class RuleUse(Table):
    """One rule: which it is, and its own keys beside it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    use: str
    name: Name | None = None
    """By which answers call it; by default ``use``, with ``-2``, ``-3`` where several would be called the same."""
    on: tuple[Literal["recommend", "similar"], ...] = Field(("recommend", "similar"), min_length=1)
    """Where it holds."""

    @property
    def options(self) -> dict[str, Any]:
        """The rule's own keys."""
        return dict(self.model_extra or {})


class TuneConfig(Table):
    """What ``cuvee tune`` learns the weights for."""

    metric: Literal["ndcg", "hit_rate", "recall", "mrr"] = "ndcg"
    k: int = Field(10, ge=1, le=1000)
    """The length of list that the metric looks at."""
    window: Literal["validation", "global-time"] = "validation"
    """``validation``: each user's event before the last. ``global-time``: a stretch of time, for
    products whose items come and go."""


class FallbackConfig(Table):
    """What fills a list that the blend leaves short; after the chain comes the whole catalogue."""

    chain: tuple[str, ...] = ()


class ExploreConfig(Table):
    """Places of a list that are given to items with few events, to learn about them."""

    share: float = Field(0.0, ge=0, le=0.5)
    """The probability that a place, from ``first`` on, is given to such an item; 0 explores nothing."""
    method: Literal["epsilon", "thompson"] = "epsilon"
    """``epsilon``: items are drawn uniformly. ``thompson``: by a rate of likes sampled for each item,
    with more spread the fewer events it has."""
    fewer_than: int | None = Field(20, ge=1)
    """Only items with fewer events than so many."""
    younger_than_days: float | None = Field(None, gt=0)
    """Only items whose first event, if any, was in the last so many days before the newest of all."""
    first: int = Field(3, ge=1)
    """The first place that may be one, from 1."""
    seed: int = Field(0, ge=0)


EventName = Literal["view", "click", "favourite", "purchase", "rating", "dismiss"]


class EventsConfig(Table):
    """How the product's stored events count."""

    weights: dict[EventName, Annotated[float, Field(ge=-100, le=100)]] = Field(
        default_factory=dict, validate_default=True
    )
    """Event type -> how much it speaks for the item. Below 0 it takes back what earlier events of
    the user said for it; 0 is "seen, not liked". Types that are left out weigh as by default."""
    rating_liked_from: float = 4.0
    """A rating of this value or more has the weight of ``rating``, one below has 0."""
    retention_days: int | None = Field(None, ge=1, le=36_500)
    """Events that happened longer ago, and exposures, are deleted; by default none are."""
    user_rate: Rate | None = Rate(per_second=100, burst=10_000)
    """How many events of one user are taken; more are rejected (RATE_LIMITED), each by itself. ``"none"`` takes all.
    Histories are better imported (``cuvee import --product``), which has no such limit."""
    exposures: float = Field(0.0, ge=0, le=1)
    """The share of answers of which the store keeps what was shown, for ``cuvee report``."""

    @field_validator("user_rate", mode="before")
    @classmethod
    def _spelt_none(cls, value: object) -> object:
        """TOML has no null."""
        return None if value == "none" else value

    @field_validator("weights", mode="after")
    @classmethod
    def _filled(cls, given: dict[EventName, float]) -> dict[EventName, float]:
        weights: dict[EventName, float] = {
            "view": 1.0, "click": 1.0, "favourite": 1.0, "purchase": 1.0, "rating": 1.0, "dismiss": -1.0,
        }  # fmt: skip
        return weights | given


def _whole_buckets(share: float) -> float:
    if abs(share * BUCKETS - round(share * BUCKETS)) > 1e-6 or round(share * BUCKETS) < 1:
        raise ValueError(f"users are told apart by {BUCKETS:,} buckets: a share is 0.0001 or a multiple of it")
    return share


Share = Annotated[float, Field(gt=0, le=1), AfterValidator(_whole_buckets)]
"""Of users."""


class VariantConfig(Table):
    """One of the ways to answer that an experiment compares."""

    name: Name
    share: Share
    """Of the experiment's users; those of all its variants add up to 1."""
    overrides: dict[str, Any] = Field(default_factory=dict)
    """Keys of the product with other values, in tables as in the file. Tables are merged, everything else is
    replaced, lists too. Without any it answers as the product does."""


class ExperimentConfig(Table):
    """Variants that are compared on users who are drawn by lot."""

    name: Name
    layer: Name = "default"
    """A user takes part in at most one experiment of a layer; those of different layers are independent."""
    salt: str = Field("", max_length=100)
    """What is hashed with a user's id to choose the variant; by default the product, a slash and the name."""
    share: Share = 1.0
    """Of all users: how many take part."""
    start: float | None = Field(None, ge=0, lt=1)
    """Where its part of the layer begins; by default where that of the experiment before it ends. Leave room
    behind an experiment whose share is to grow, or those behind it change users."""
    metric: Literal["click_through", "conversion", "events", "value"] = "click_through"
    """By which `cuvee report --experiment` decides: choose it before the first look."""
    variants: tuple[VariantConfig, ...] = Field(min_length=2, max_length=10)
    """The first one is what the others are compared with."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [one.name for one in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two of its variants have the same name")
        total = sum(one.share for one in self.variants)
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of its variants add up to {total:.6g}; let them add up to 1")
        return self


class ShadowConfig(Table):
    """A way to answer that nobody is shown: its lists are made when the answer has gone, and compared with that."""

    name: Name
    share: Share = 1.0
    """Of all users."""
    overrides: dict[str, Any] = Field(min_length=1)
    """As those of a variant."""


def _check_names(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise ValueError(f"two {what} have the same name")


def _layer_salt(product: str, layer: str) -> str:
    return f"{product}/layer/{layer}"


def _stretches(product: str, experiments: Sequence[ExperimentConfig]) -> dict[str, list[Stretch]]:
    """By layer, which buckets belong to which experiment."""
    found: dict[str, list[Stretch]] = {}
    for one in experiments:
        before = found.setdefault(one.layer, [])
        first = round(one.start * BUCKETS) if one.start is not None else before[-1].end if before else 0
        labels = [f"{one.name}/{variant.name}" for variant in one.variants]
        split = Split(one.salt or f"{product}/{one.name}", bounds([v.share for v in one.variants]), labels)
        before.append(Stretch(first, first + round(one.share * BUCKETS), split))
    return found


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
    rate: Rate | None = None
    """How often the product may be asked by all its clients together; each request of a BatchRecommend counts."""
    history: int = Field(1000, ge=1, le=10_000)
    """The newest events that recommenders get; ``exclude_seen`` always knows them all."""
    experiments: tuple[ExperimentConfig, ...] = ()
    shadows: tuple[ShadowConfig, ...] = Field((), max_length=8)
    _variants: Mapping[str, Product] = PrivateAttr(default_factory=dict)

    @field_validator("experiments", mode="after")
    @classmethod
    def _exclusive(cls, given: tuple[ExperimentConfig, ...], info: ValidationInfo) -> tuple[ExperimentConfig, ...]:
        _check_names("experiments", [one.name for one in given])
        product = str(info.data.get("name", ""))
        salts: list[str] = []
        for layer, stretches in _stretches(product, given).items():
            salts += [_layer_salt(product, layer), *(one.split.salt for one in stretches)]
            taken = sorted((one.first, one.end) for one in stretches)
            for (_, end), (first, _) in pairwise(taken):
                if first < end:
                    raise ValueError(f"two of the layer {layer!r} overlap: see their share and start")
            if taken[-1][1] > BUCKETS:
                raise ValueError(
                    f"those of the layer {layer!r} take more than all users; make their shares smaller, or give one "
                    "another layer"
                )
        if len(set(salts)) < len(salts):
            raise ValueError("two have the same salt, so that one would decide the other")
        return given

    @field_validator("shadows", mode="after")
    @classmethod
    def _each_once(cls, given: tuple[ShadowConfig, ...]) -> tuple[ShadowConfig, ...]:
        _check_names("shadows", [one.name for one in given])
        return given

    @cached_property
    def assignment(self) -> Assignment:
        """Who gets which variants."""
        found = _stretches(self.name, self.experiments)
        return Assignment([(_layer_salt(self.name, layer), tuple(those)) for layer, those in found.items()])

    @property
    def variants(self) -> Mapping[str, Product]:
        """The product under each set of overrides: of its experiments' variants, alone and together, and of shadows.

        By labels joined with commas (``colour/red,size/big``); a shadow's begins with ``~``. A variant that
        overrides nothing is not among them: it is the product itself.
        """
        return self._variants

    def with_variants(self, variants: Mapping[str, Product]) -> Product:
        """The same with these variants."""
        made = self.model_copy()
        made._variants = dict(variants)
        return made

    @property
    def rule_names(self) -> tuple[str, ...]:
        """By which answers call the rules, each name once."""
        names: list[str] = []
        for rule in self.rules:
            wanted = rule.name or rule.use
            others = (f"{wanted}-{n}" for n in range(2, len(self.rules) + 2))
            names.append(wanted if wanted not in names else next(name for name in others if name not in names))
        return tuple(names)

    @property
    def recommenders(self) -> tuple[str, ...]:
        """Every instance that it uses, sources first, then those that variants alone use."""
        own = [*(s.use for s in self.sources), *self.fallback.chain]
        return tuple(dict.fromkeys([*own, *(name for one in self._variants.values() for name in one.recommenders)]))
