"""Lists built place by place, so that pins, limits, spread and exploration hold together; one pass for a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cuvee.kernels import Bools, Floats, Ints, Offsets, compiled_lists

__all__ = ["Nearness", "Placed", "arrange"]

NO_VECTORS: Floats = np.zeros((0, 1), np.float32)


class Nearness(NamedTuple):
    """What an item loses by standing near one that is like it."""

    vectors: Floats
    """float32[n, d], C order."""
    strength: float
    window: int
    among: int


class Placed(NamedTuple):
    """B lists of K places."""

    columns: Ints
    """int32[B, K], -1 behind the end."""
    explored: Bools
    """bool[B, K]: which places hold an item that was drawn."""
    cause: Ints
    """int32[B, M]: the first limit for which a column had to wait, or -1."""
    penalty: Floats
    """float32[B, K]: what the item at a place lost by what stands before it."""


def arrange(
    items: Ints,
    values: Floats,
    order: Ints,
    able: npt.NDArray[np.uint8],
    k: int,
    *,
    pinned: Ints | None = None,
    turns: Bools | None = None,
    drawn: Ints | None = None,
    prefix: Ints | None = None,
    forward: Bools | None = None,
    limits: Sequence[tuple[Offsets, Ints, int, int]] = (),
    nearness: Nearness | None = None,
) -> Placed:
    """Fill the places of B lists one after another, each with the best column that keeps all limits there.

    A place for exploration takes the first drawn column that does; a pinned column stands in its place unless it
    would break a limit. Where nothing is left for a place the next pin may come forward; where none does, pins give up
    their places and come in where they may; where that does not help either, the list ends.

    Args:
        items: int32[B, M], positions, -1 pads.
        values: float32[B, M]: the scores; NaN has none and stands behind all others.
        order: int32[B, up to M]: columns, best first, -1 behind the end.
        able: uint8[B, M]: 1 where a column may take any place, 2 the same for what only fills up, 0 where it may
            only be pinned or drawn.
        k: how many places.
        pinned: int32[B, at least k]: the column pinned at each place, -1 none; each column once.
        turns: bool[B, k]: the places for exploration.
        drawn: int32[B, E]: columns in the order in which they are to be used there, -1 behind the end.
        prefix: int32[B, O]: positions of what stands before the first place, -1 where it is not known.
        forward: bool[B]: in which lists the next pin comes forward where nothing else is left; by default in all.
        limits: of each the offsets int64[N + 1] and groups int32 of the catalogue's items, how many of one group
            may stand in a window, and how many places that has.
        nearness: if items that are near each other are to be apart.
    """
    b, m = items.shape
    columns, explored = np.empty((b, k), np.int32), np.zeros((b, k), np.uint8)
    cause, penalty = np.empty((b, m), np.int32), np.empty((b, k), np.float32)
    near = nearness or Nearness(NO_VECTORS, 0.0, 1, 0)
    compiled_lists.arrange(
        np.ascontiguousarray(items),
        np.ascontiguousarray(values),
        np.ascontiguousarray(order),
        np.ascontiguousarray(able),
        np.full((b, k), -1, np.int32) if pinned is None else np.ascontiguousarray(pinned),
        np.zeros((b, k), np.uint8) if turns is None else np.ascontiguousarray(turns).view(np.uint8),
        np.empty((b, 0), np.int32) if drawn is None else np.ascontiguousarray(drawn),
        np.empty((b, 0), np.int32) if prefix is None else np.ascontiguousarray(prefix),
        np.ones(b, np.uint8) if forward is None else np.ascontiguousarray(forward).view(np.uint8),
        [(np.ascontiguousarray(o), np.ascontiguousarray(g), most, window) for o, g, most, window in limits],
        [int(g.max(initial=-1)) + 1 for _, g, _, _ in limits],
        near.vectors,
        near.strength,
        near.window,
        near.among,
        columns,
        explored,
        cause,
        penalty,
    )
    return Placed(columns, explored.view(np.bool_), cause, penalty)
