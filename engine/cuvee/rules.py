"""Rules: what may be shown, per product, in the order of the configuration.

Rules apply before retrieval, so that sources propose no item that cannot be shown, and the fallback
chain obeys them too.
"""

from __future__ import annotations

from abc import ABC
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from cuvee.data.catalog import Catalog
from cuvee.data.filters import compile_filter
from cuvee.recommender import Bools, Queries, Ragged

__all__ = ["ExcludeSeen", "Filter", "Rule", "RuleConfig"]


class RuleConfig(BaseModel):
    """Parent of every rule's ``Config``: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


R = TypeVar("R", bound=RuleConfig)


class Rule(ABC, Generic[R]):
    """Says which items may be shown. Built once per snapshot; called from many threads."""

    Config: ClassVar[type[RuleConfig]] = RuleConfig
    """The keys beside ``use`` in the rule's ``[[rules]]`` table."""

    def __init__(self, config: R, catalog: Catalog) -> None:
        self.config = config
        self.catalog = catalog

    def eligible(self) -> Bools | None:
        """bool[N]: the items that may be shown to anyone; None restricts nothing.

        Asked once per snapshot. Raises :class:`cuvee.errors.InvalidArgument` for a configuration
        that does not fit the catalogue.
        """
        return None

    def excluded(self, queries: Queries, seen: Ragged) -> Ragged | None:
        """Per query the items that must not be shown; None excludes nothing.

        ``seen`` holds B rows: all that the user has events with, also where the history handed to
        the recommenders was cut short.
        """
        return None


class ExcludeSeen(Rule[RuleConfig]):
    """Leaves out what the user has seen: stored events and the request's own."""

    def excluded(self, queries: Queries, seen: Ragged) -> Ragged:
        """All that was seen."""
        return seen


class FilterConfig(RuleConfig):
    """``where``: a SQL boolean expression over the catalogue's columns."""

    where: str


class Filter(Rule[FilterConfig]):
    """Shows only items for which a SQL expression holds: ``'Film-Noir' IN genres AND year < 1960``."""

    Config = FilterConfig

    def eligible(self) -> Bools:
        """The items for which the expression is true (null is not)."""
        return compile_filter(self.config.where, self.catalog.items, field="where").mask
