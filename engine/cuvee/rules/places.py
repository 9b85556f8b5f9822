"""Where items stand: ``pin``, ``quota``, ``diversity``."""

from __future__ import annotations

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from cuvee.data.catalog import Catalog
from cuvee.errors import InvalidArgument
from cuvee.queries import Queries
from cuvee.rules.contract import (
    Arrangement,
    Limit,
    Lists,
    Pins,
    Restriction,
    Rule,
    RuleConfig,
    Seen,
    Spread,
)
from cuvee.rules.scores import column_of

__all__ = ["Diversity", "Pin", "Quota"]


class PinConfig(RuleConfig):
    """Which items, and where."""

    items: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Ids. One that the catalogue does not have, or that may not be shown to a user, leaves its place to others."""
    place: int = Field(1, ge=1, le=1000)
    """Of the first of them, counted from 1 and over all pages; the others follow it."""

    @model_validator(mode="after")
    def _different(self) -> PinConfig:
        if len(set(self.items)) < len(self.items):
            raise ValueError("an item is named twice; name each once")
        return self


class Pin(Rule[PinConfig]):
    """Shows items at given places, whoever asks, as far as they may be shown to him."""

    Config = PinConfig

    def __init__(self, config: PinConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self._items = catalog.items.positions(config.items)
        self._places = np.arange(config.place, config.place + len(config.items), dtype=np.int32)

    def restrict(self, queries: Queries, seen: Seen) -> Restriction:
        """The items are to be scored."""
        return Restriction(wanted=np.broadcast_to(self._items, (len(queries), len(self._items))))

    def arrange(self, lists: Lists) -> Arrangement:
        """The same places in each list."""
        return Arrangement(pins=Pins(self._places, np.broadcast_to(self._items, (len(lists.items), len(self._items)))))


class QuotaConfig(RuleConfig):
    """How many of what, among how many."""

    attribute: str
    """A column of the items. Items with one value are a group; where the column holds lists, an item is in one group
    for each of its values. Items without a value are not limited."""
    at_most: int = Field(ge=1, le=1000)
    window: int = Field(10, ge=2, le=1000)
    """Among so many places in a row, wherever these begin."""
    values: tuple[str, ...] | None = Field(None, min_length=1)
    """Only these values are limited; by default all. Numbers and flags as they are written."""

    @model_validator(mode="after")
    def _limits(self) -> QuotaConfig:
        if self.at_most >= self.window:
            raise ValueError(f"at_most ({self.at_most}) is not below window ({self.window}), so nothing is limited")
        return self


class Quota(Rule[QuotaConfig]):
    """At most so many items with one value of an attribute in any so many places in a row.

    The best item that keeps all quotas takes the next place. Where none is left the list ends: a quota is never broken.
    """

    Config = QuotaConfig

    def __init__(self, config: QuotaConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        column = column_of("attribute", config.attribute, catalog)
        listed = isinstance(column.dtype, pl.List | pl.Array)
        inner = column.dtype.inner if isinstance(column.dtype, pl.List | pl.Array) else column.dtype
        if inner is None or inner == pl.Float32 or isinstance(inner, pl.List | pl.Array | pl.Struct):
            raise InvalidArgument("attribute", f"{config.attribute!r} holds no labels, numbers or flags")
        rows = pl.DataFrame({"row": np.arange(len(column), dtype=np.int64), "value": column})
        if listed:
            rows = rows.with_columns(pl.col("value").cast(pl.List(inner))).explode("value")
        rows = rows.drop_nulls().unique(maintain_order=True)
        if config.values is not None:
            rows = rows.filter(pl.col("value").cast(pl.String).is_in(list(config.values)))
        offsets = np.zeros(len(column) + 1, np.int64)
        np.cumsum(np.bincount(rows["row"].to_numpy(), minlength=len(column)), out=offsets[1:])
        groups = (rows["value"].rank("dense").cast(pl.Int32) - 1).to_numpy().astype(np.int32)
        self._wish = Arrangement(limits=(Limit(offsets, groups, config.at_most, config.window),))

    def arrange(self, lists: Lists) -> Arrangement:
        """The same limit for each list."""
        return self._wish


class DiversityConfig(RuleConfig):
    """Whose idea of likeness counts, and how much."""

    vectors_from = frozenset({"vectors"})

    vectors: str
    """The name of a recommender of the product that has item vectors."""
    strength: float = Field(0.3, gt=0, le=1000)
    """What an item loses that is the same as one before it, in units of the score; in between by the cosine."""
    window: int = Field(10, ge=1, le=100)
    """How many places before it are looked at."""
    among: int = Field(100, ge=2, le=1000)
    """Only the so many best items that are left compete for a place."""


class Diversity(Rule[DiversityConfig]):
    """Maximal marginal relevance: an item loses by how near it is to what stands before it.

    Source: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998.
    """

    Config = DiversityConfig

    def arrange(self, lists: Lists) -> Arrangement | None:
        """Nothing while the recommender is not loaded."""
        vectors = lists.vectors(self.config.vectors)
        if vectors is None:
            return None
        return Arrangement(spread=Spread(vectors, self.config.strength, self.config.window, self.config.among))
