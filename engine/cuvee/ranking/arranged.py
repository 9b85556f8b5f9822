"""What rules want of the lists, put together: one pass fills the places so that all of it holds.

Scores are the blend's and what rules add. The best item takes the next place, unless a pin or exploration has it,
and as far as every limit holds. Where the blend has nothing left, the fallback chain and the last resort fill up
under the same pins and limits, with as many items as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cuvee.errors import PluginError
from cuvee.kernels import best_columns
from cuvee.kernels.arranging import Nearness, Placed, arrange
from cuvee.ranking.explore import columns_of
from cuvee.ranking.fallback import Filled
from cuvee.ranking.gather import Gathered
from cuvee.ranking.plan import Plan, Question
from cuvee.ranking.rows import padded
from cuvee.recommender import Bools, Floats, Ints, Offsets, Ragged
from cuvee.rules import Arrangement, Limit, Lists, Pins, Rule, Spread

__all__ = ["Arranged", "Effects", "arranged"]

FIRST, MORE = 20, 8
"""To fill up a short list that has limits, so many more items are asked for than fit; then so many times as many."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What the rules did, by place of B lists of K."""

    rules: Sequence[int]
    """The R rules that arrange, as indices into the plan's."""
    added: Floats
    """float32[R, B, K]: what each added to the score."""
    mover: Ints
    """int32[B, K]: which of the R gave the item its place by a pin or kept it from a better one by a limit; -1 none."""
    origin: Ints
    """int32[B, K]: the place, from 0, that the item would have had by the blend alone; -1: none."""
    removed: Ints
    """int32[R, B]: how many candidates each kept from being shown."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """B lists of K places, over the columns of the candidates and then of those that fill up."""

    columns: Ints
    """int32[B, K]: columns of the M candidates; M + j is the j-th of the row that fills up; -1 behind the end."""
    scores: Floats
    """float32[B, M]: the blend's, with what rules added."""
    penalty: Floats
    """float32[B, K]: what the item at a place lost to spread."""
    explored: Bools
    """bool[B, K]."""
    filled: Filled
    effects: Effects


@dataclass(slots=True)
class _Wishes:
    """What all rules want together."""

    scores: Floats
    removed: Bools
    added: list[tuple[int, Floats]] = field(default_factory=list)
    taken: list[tuple[int, Ints]] = field(default_factory=list)
    only_scored: bool = False
    pins: list[tuple[int, Pins]] = field(default_factory=list)
    limits: list[tuple[int, Limit]] = field(default_factory=list)
    spread: tuple[int, Spread] | None = None


def arranged(
    plan: Plan, question: Question, found: Gathered, scores: Floats, fill: Callable[[Offsets, Ragged, int], Filled]
) -> Arranged:
    """Arrange the candidates of B queries.

    Args:
        plan: whose rules are asked.
        question: how many places, and what stood before them.
        found: the candidates.
        scores: float32[B, M] of the blend, NaN on padding.
        fill: up to so many items of the fallback for the given rows, less what each row of a ragged leaves out.
    """
    rules = plan.arranging(question.segment)
    items, k = found.items, question.k
    shown = np.empty((len(items), 0), np.int32) if question.shown is None else question.shown
    wishes = _asked(plan, rules, found, scores)
    proposed = (found.ranks > 0).any(axis=0) & (items >= 0)
    again = _among(items, shown)
    able = proposed & ~wishes.removed & ~again
    order = best_columns(np.where(able, wishes.scores, np.float32(np.nan)), items.shape[1])
    pinned, pinners = _pinned(wishes, items, shown.shape[1], k, ~(wishes.removed | again))
    turns = drawn = None
    if found.drawn is not None:
        turns = found.drawn.places[:, shown.shape[1] :]
        usable = columns_of(np.where(_among(found.drawn.items, shown), -1, found.drawn.items), items)
        drawn = _left(usable, wishes.removed)
    # what is pinned further on than is looked ahead stays away until then
    free = able.astype(np.uint8)
    nearness = wishes.spread and Nearness(*_of(wishes.spread[1]))

    def place(
        rows: Offsets, items: Ints, values: Floats, order: Ints, able: npt.NDArray[np.uint8], last: Bools
    ) -> Placed:
        usable = None if drawn is None else drawn[rows]
        if usable is not None and items.shape[1] > found.items.shape[1]:
            # a drawn item that found no place and comes by the fallback comes by that alone
            more = np.take_along_axis(items, np.maximum(usable, 0), axis=1)
            usable = _left(np.where(_among(more, items[:, found.items.shape[1] :]), -1, usable), wishes.removed[rows])
        return arrange(
            items, values, order, able, k, pinned=pinned[rows],
            turns=None if turns is None else turns[rows], drawn=usable,
            prefix=shown[rows], forward=last,
            limits=[(w.offsets, w.groups, w.at_most, w.window) for _, w in wishes.limits],
            nearness=nearness,
        )  # fmt: skip

    last = np.full(len(items), wishes.only_scored)
    placed = place(np.arange(len(items)), items, wishes.scores, order, free, last)
    filled = Filled.none(len(items))
    if not wishes.only_scored and k:
        placed, filled = _filled_up(place, fill, placed, items, wishes, order, free, pinned, shown)
    effects = _effects(rules, wishes, scores, proposed, placed, pinned, pinners)
    return Arranged(placed.columns, wishes.scores, placed.penalty, placed.explored, filled, effects)


def _asked(plan: Plan, rules: Sequence[tuple[int, Rule[Any]]], found: Gathered, scores: Floats) -> _Wishes:
    """Ask the rules one after another: each sees the scores with what those before it added."""
    wishes = _Wishes(scores, np.zeros(scores.shape, np.bool_))
    for at, (_, rule) in enumerate(rules):
        wish = rule.arrange(Lists(found.queries, found.items, wishes.scores, plan.vectors.get))
        if wish is None:
            continue
        _check(rule, wish, scores)
        if wish.added is not None:
            added = np.where(found.items >= 0, wish.added, np.float32(0)).astype(np.float32, copy=False)
            wishes.added.append((at, added))
            wishes.scores = wishes.scores + added
        if wish.removed is not None:
            fresh = wish.removed & ~wishes.removed & (found.items >= 0)
            wishes.taken.append((at, fresh.sum(axis=1).astype(np.int32)))
            wishes.removed = wishes.removed | fresh
        wishes.only_scored |= wish.only_scored
        if wish.pins is not None:
            wishes.pins.append((at, wish.pins))
        wishes.limits.extend((at, limit) for limit in wish.limits)
        if wish.spread is not None:
            wishes.spread = at, wish.spread
    return wishes


def _check(rule: Rule[Any], wish: Arrangement, scores: Floats) -> None:
    """Raises PluginError for a wish that is not what the contract promises."""
    said = ""
    if wish.added is not None and (wish.added.shape != scores.shape or not np.isfinite(wish.added).all()):
        said = f"added must be finite, and of shape {scores.shape}"
    elif wish.removed is not None and (wish.removed.shape != scores.shape or wish.removed.dtype != np.bool_):
        said = f"removed must be bool of shape {scores.shape}"
    elif wish.pins is not None and wish.pins.items.shape != (len(scores), len(wish.pins.places)):
        said = "pins.items must have a row for each query and a column for each place"
    elif any(limit.at_most < 1 or limit.window < 1 for limit in wish.limits):
        said = "a limit needs at_most and window of 1 or more"
    if said:
        raise PluginError(f"rule {rule.name!r}: {said}")


def _of(spread: Spread) -> tuple[Floats, float, int, int]:
    return spread.vectors, spread.strength, spread.window, spread.among


def _among(items: Ints, others: Ints) -> Bools:
    """bool[B, M]: which of a row's items, int32[B, M], are among the others of the row, int32[B, O]."""
    if not others.shape[1]:
        return np.zeros(items.shape, np.bool_)
    return np.stack([np.isin(row, own[own >= 0]) for row, own in zip(items, others, strict=True)])


def _left(columns: Ints, removed: Bools) -> Ints:
    """Columns of each row without those that bool[B, M] removes, -1 behind the end."""
    return padded(Ragged.of([own[(own >= 0) & ~row[own]] for own, row in zip(columns, removed, strict=True)]))


def _pinned(wishes: _Wishes, items: Ints, before: int, k: int, may: Bools) -> tuple[Ints, Ints]:
    """int32[B, H] the column pinned at each place behind ``before``, and which rule pins it; -1 for none.

    H reaches to the last pin. Of two pins at one place, or of one item, the first rule's holds.
    """
    last = max((int(p.places.max(initial=0)) for _, p in wishes.pins), default=0)
    pinned = np.full((len(items), max(k, last - before)), -1, np.int32)
    pinners = np.full(pinned.shape, -1, np.int32)
    for at, pins in wishes.pins:
        for place, wanted in zip(pins.places.tolist(), np.asarray(pins.items).T, strict=True):
            if place <= before:
                continue
            there = (items == wanted[:, None]) & (wanted >= 0)[:, None] & may
            rows = np.flatnonzero(there.any(axis=1))
            columns = there[rows].argmax(axis=1)
            new = (pinned[rows, place - before - 1] < 0) & ~(pinned[rows] == columns[:, None]).any(axis=1)
            pinned[rows[new], place - before - 1] = columns[new]
            pinners[rows[new], place - before - 1] = at
    return pinned, pinners


def _filled_up(
    place: Callable[..., Placed],
    fill: Callable[[Offsets, Ragged, int], Filled],
    placed: Placed,
    items: Ints,
    wishes: _Wishes,
    order: Ints,
    free: npt.NDArray[np.uint8],
    pinned: Ints,
    shown: Ints,
) -> tuple[Placed, Filled]:
    """Give short lists items of the fallback, more and more of them until the list is full or there are no more.

    What a list gets depends on that list alone: how much is asked for depends on its length and its own tries.
    """
    k, m = placed.columns.shape[1], items.shape[1]
    short = np.flatnonzero(placed.columns[:, -1] < 0)
    columns, penalty, explored = placed.columns.copy(), placed.penalty.copy(), placed.explored.copy()
    cause = placed.cause.copy()
    kept: dict[int, tuple[Ints, Floats, Ints]] = {}
    want = shown.shape[1] + k + (FIRST if wishes.limits else 0)
    while len(short):
        # the blend's own candidates stay the blend's; drawn ones that found no place may come by the fallback
        gone = []
        for b in short.tolist():
            fixed = np.concatenate([pinned[b], placed.columns[b]])
            own = (free[b] > 0) | wishes.removed[b]
            own[fixed[fixed >= 0]] = True
            gone.append(np.concatenate([items[b, own & (items[b] >= 0)], shown[b, shown[b] >= 0]]))
        more = fill(short, Ragged.of(gone), want)
        given = (more.items >= 0).sum(axis=1)
        there = np.argsort(more.items < 0, axis=1, kind="stable")[:, : int(given.max(initial=0))]
        new, own_scores, levels = (np.take_along_axis(x, there, axis=1) for x in (more.items, more.scores, more.levels))
        width = new.shape[1]
        both = np.concatenate([items[short], new], axis=1)
        values = np.concatenate([wishes.scores[short], np.full(new.shape, np.nan, np.float32)], axis=1)
        ends = [np.concatenate([order[b][order[b] >= 0], m + np.arange(n)]) for b, n in zip(short, given, strict=True)]
        ready = np.concatenate([free[short], np.where(new >= 0, np.uint8(2), np.uint8(0))], axis=1)
        tried = place(short, both, values, padded(Ragged.of(ends)), ready, given < want)
        columns[short], penalty[short], explored[short] = tried.columns, tried.penalty, tried.explored
        cause[short] = tried.cause[:, :m]
        for at, b in enumerate(short.tolist()):
            kept[b] = new[at], own_scores[at], levels[at]
        short = short[(tried.columns[:, -1] < 0) & (given >= want)] if width else short[:0]
        want *= MORE
    return Placed(columns, explored, cause, penalty), _kept(kept, len(items))


def _kept(rows: dict[int, tuple[Ints, Floats, Ints]], b: int) -> Filled:
    """What fills up, row by row, as one matrix."""
    if not rows:
        return Filled.none(b)
    width = max(len(own) for own, _, _ in rows.values())
    items, levels = np.full((b, width), -1, np.int32), np.zeros((b, width), np.int32)
    scores = np.full((b, width), np.nan, np.float32)
    for at, (own, said, level) in rows.items():
        items[at, : len(own)], scores[at, : len(own)], levels[at, : len(own)] = own, said, level
    return replace(Filled.none(b), items=items, scores=scores, levels=levels)


def _effects(
    rules: Sequence[tuple[int, Rule[Any]]],
    wishes: _Wishes,
    blend: Floats,
    proposed: Bools,
    placed: Placed,
    pinned: Ints,
    pinners: Ints,
) -> Effects:
    columns, m = placed.columns, blend.shape[1]
    own = (columns >= 0) & (columns < m)
    at = np.where(own, columns, 0)
    rows = np.arange(len(blend))[:, None]
    added = np.zeros((len(rules), *columns.shape), np.float32)
    removed = np.zeros((len(rules), len(blend)), np.int32)
    mover = np.full(columns.shape, -1, np.int32)
    origin = np.full(columns.shape, -1, np.int32)
    if m:
        for r, share in wishes.added:
            added[r] += np.where(own, share[rows, at], 0)
        place_of = np.full(blend.shape, -1, np.int32)
        first = best_columns(np.where(proposed, blend, np.float32(np.nan)), m)
        there = first >= 0
        place_of[np.broadcast_to(rows, first.shape)[there], first[there]] = np.nonzero(there)[1]
        origin = np.where(own, place_of[rows, at], -1).astype(np.int32)
        if wishes.limits:
            whose = np.array([r for r, _ in wishes.limits], np.int32)
            waited = np.where(own, placed.cause[rows, at], -1)
            mover = np.where(waited >= 0, whose[np.maximum(waited, 0)], -1).astype(np.int32)
            missed = placed.cause >= 0
            those, which = np.nonzero(own)
            missed[those, columns[those, which]] = False
            for limit, r in enumerate(whose.tolist()):
                removed[r] += (missed & (placed.cause == limit)).sum(axis=1).astype(np.int32)
        for j in np.flatnonzero((pinned >= 0).any(axis=0)).tolist():
            hit = own & (columns == pinned[:, [j]])
            mover = np.where(hit, pinners[:, [j]], mover)
    if wishes.spread is not None:
        added[wishes.spread[0]] -= placed.penalty
    for r, count in wishes.taken:
        removed[r] += count
    return Effects([index for index, _ in rules], added, mover, origin, removed)
