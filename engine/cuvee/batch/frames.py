"""Answers of the pipeline as columns: one row for each item of each list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from cuvee.product import CATALOGUE
from cuvee.ranking.pipeline import Answer
from cuvee.ranking.plan import Plan
from cuvee.recommender import Bools, Floats

__all__ = ["frame_of", "schema_of"]

Rows: TypeAlias = npt.NDArray[np.int64]

KINDS = ("blend", "exploration", "fallback")
"""As in the store's exposures."""


def schema_of(sources: Sequence[str], *, attributions: bool) -> pl.Schema:
    """The columns of lists of these sources.

    ``position`` counts from 0. ``recommender`` is the source that contributed most, or the one that filled the place.
    ``score`` is null for an item of the fallback that gave it none. With attributions, ``attributions`` holds what each
    source contributed: null for a source of another variant alone, and all of it null for an item of the fallback.
    ``rules`` is what rules added; together they are the score.
    """
    columns: dict[str, pl.DataType] = {
        "user_id": pl.String(),
        "position": pl.Int32(),
        "item_id": pl.String(),
        "score": pl.Float32(),
        "recommender": pl.String(),
        "kind": pl.String(),
    }
    if attributions:
        columns["attributions"] = pl.Struct({name: pl.Float32() for name in sources})
        columns["rules"] = pl.Float32()
    return pl.Schema(columns)


def frame_of(
    plan: Plan, answer: Answer, user_ids: Sequence[str], sources: Sequence[str], *, attributions: bool
) -> pl.DataFrame:
    """The lists of B users, in their order, as :func:`schema_of` says; ``sources`` may be more than the plan's."""
    order = answer.places()
    there = order >= 0
    b, place = (np.asarray(axis, np.int64) for axis in np.nonzero(there))
    column = order[there].astype(np.int64)
    m = answer.blended.items.shape[1]
    filled = column >= m
    items = _both(answer.blended.items, answer.fallback.items, b, column)
    scores = _both(answer.blended.scores, answer.fallback.scores, b, column)
    names = [source.name for source in plan.sources]
    chain = [one.name if (one := plan.filler(level)) else CATALOGUE for level in range(1, len(plan.fallback) + 2)]
    who = np.zeros(len(column), np.int64)
    kind = np.zeros(len(column), np.int64)
    if m:
        own = ~filled
        who[own] = answer.blended.contributions.argmax(axis=0)[b[own], column[own]]
        kind[own] = answer.explored[b[own], column[own]]
    if filled.any():
        kind[filled] = KINDS.index("fallback")
        who[filled] = len(names) + answer.fallback.levels[b[filled], column[filled] - m] - 1
    columns = {
        "user_id": pl.Series(user_ids, dtype=pl.String).gather(b),
        "position": pl.Series(place, dtype=pl.Int32),
        "item_id": plan.catalog.items.column_ids.gather(items),
        "score": _or_null(scores),
        "recommender": pl.Series([*names, *chain], dtype=pl.String).gather(who),
        "kind": pl.Series(KINDS, dtype=pl.String).gather(kind),
    }
    if attributions:
        columns["attributions"] = _attributions(plan, answer, sources, b, column, filled)
        columns["rules"] = _rules(answer, b, place)
    return pl.DataFrame(columns, schema=schema_of(sources, attributions=attributions))


def _both(
    blended: npt.NDArray[np.generic], fallback: npt.NDArray[np.generic], b: Rows, column: Rows
) -> npt.NDArray[np.generic]:
    """The values of places out of the blend's columns and, behind these, the fallback's."""
    both = np.concatenate([blended, fallback], axis=1) if fallback.shape[1] else blended
    return both[b, column] if both.shape[1] else np.empty(0, blended.dtype)


def _or_null(values: npt.NDArray[np.generic]) -> pl.Series:
    return pl.Series(np.asarray(values, np.float32)).fill_nan(None)


def _attributions(
    plan: Plan, answer: Answer, sources: Sequence[str], b: Rows, column: Rows, filled: Bools
) -> pl.Series:
    given: dict[str, Floats | None] = dict.fromkeys(sources)
    at = np.where(filled, 0, column)
    for s, source in enumerate(plan.sources):
        values = answer.blended.contributions[s]
        given[source.name] = values[b, at] if values.shape[1] else np.zeros(len(column), np.float32)
    none = np.full(len(column), np.nan, np.float32)
    each = pl.DataFrame({name: none if values is None else values for name, values in given.items()}).fill_nan(None)
    whole = each.to_struct("attributions").to_frame().with_columns(pl.Series("filled", filled))
    return whole.select(pl.when(~pl.col("filled")).then("attributions"))["attributions"]


def _rules(answer: Answer, b: Rows, place: Rows) -> pl.Series:
    if answer.effects is None or not len(answer.effects.added):
        return pl.Series(np.zeros(len(b), np.float32))
    return pl.Series(np.asarray(answer.effects.added.sum(axis=0)[b, place], np.float32))
