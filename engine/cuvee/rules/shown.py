"""What may be shown: ``exclude_seen``, ``filter``, ``min_score``."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from cuvee.data.catalog import Catalog
from cuvee.data.filters import compile_filter
from cuvee.queries import Queries, Ragged
from cuvee.rules.contract import Arrangement, Lists, Restriction, Rule, RuleConfig, Seen, SeenType

__all__ = ["ExcludeSeen", "Filter", "MinScore"]

DAY = 86_400.0

Kind = Literal["imported", "view", "click", "favourite", "purchase", "rating", "dismiss", "context"]


class ExcludeSeenConfig(RuleConfig):
    """Which events count. By default all, whenever they were."""

    events: tuple[Kind, ...] | None = Field(None, min_length=1)
    """The types that count. ``imported`` are events of the imported data set and of a plugin's ``load_history``, of
    which no type is known; ``context`` are the items that the request itself names."""
    within_days: float | None = Field(None, gt=0)
    """Only events of the last so many days."""


class ExcludeSeen(Rule[ExcludeSeenConfig]):
    """Leaves out what the user has seen: imported and stored events, and the request's own."""

    Config = ExcludeSeenConfig

    def __init__(self, config: ExcludeSeenConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.reads_events = config.events is not None or config.within_days is not None
        self._counts: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None
        if config.events is not None:
            self._counts = np.zeros(len(SeenType), np.bool_)
            self._counts[[SeenType[kind.upper()] for kind in config.events]] = True

    def restrict(self, queries: Queries, seen: Seen) -> Restriction:
        """What was seen by an event that counts."""
        counts, days = self._counts, self.config.within_days
        if counts is None and days is None:
            return Restriction(excluded=seen)
        kept = np.ones(len(seen.items), np.bool_)
        if counts is not None:
            kept &= counts[SeenType.IMPORTED if seen.types is None else seen.types]
        if days is not None and seen.times is not None:
            kept &= seen.times >= queries.now - days * DAY
        offsets = np.zeros(len(seen) + 1, np.int64)
        np.cumsum(np.bincount(seen.rows[kept], minlength=len(seen)), out=offsets[1:])
        return Restriction(excluded=Ragged(offsets, seen.items[kept]))


class FilterConfig(RuleConfig):
    """``where``: a SQL boolean expression over the catalogue's columns."""

    where: str


class Filter(Rule[FilterConfig]):
    """Shows only items for which a SQL expression holds: ``'Film-Noir' IN genres AND year < 1960``."""

    Config = FilterConfig

    def __init__(self, config: FilterConfig, catalog: Catalog) -> None:
        super().__init__(config, catalog)
        self.eligible = compile_filter(config.where, catalog.items, field="where").mask


class MinScoreConfig(RuleConfig):
    """The least score, as the blend and the rules before this one make it."""

    at_least: float
    """In units of the score: with the calibration ``zscore``, standard deviations above a user's mean candidate."""
    fallback: bool = False
    """Whether items that fill up a short list, which have no such score, may still be shown."""


class MinScore(Rule[MinScoreConfig]):
    """Leaves out what scores too low: a short list instead of a weak one."""

    Config = MinScoreConfig

    def arrange(self, lists: Lists) -> Arrangement:
        """What scores below is removed."""
        removed = np.asarray(lists.scores < np.float32(self.config.at_least))
        return Arrangement(removed=removed, only_scored=not self.config.fallback)
