"""What people say of items, where each person is heard once a day: counts that one person cannot swell."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["votes"]

DAY = 86_400.0
"""Seconds."""

Floats: TypeAlias = npt.NDArray[np.float32]


def votes(
    users: npt.NDArray[Any], items: npt.NDArray[Any], weights: Floats, times: npt.NDArray[np.float64], most: float = 1.0
) -> Floats:
    """float32[n]: what each of n events adds to a count of people.

    All events of a user with an item on one day (UTC) are one vote of their weights' sum, but no more than the
    heaviest of them, nor than ``most``; the last of them carries it. The vote of the n-th such day counts 1 / n^2:
    over any time, a person counts for less than 1.65 votes of an item.

    Args:
        users: int[n], equal for the events of one person.
        items: int[n].
        weights: float32[n]; below 0 where a like is taken back.
        times: float64[n], seconds since the epoch.
        most: the weight of a vote at most.
    """
    n = len(items)
    told = np.zeros(n, np.float32)
    if not n:
        return told
    days = np.floor(times / DAY)
    order = np.lexsort((days, items, users))
    whose, what, when, weight = users[order], items[order], days[order], weights[order].astype(np.float64)
    first_of_pair = np.ones(n, np.bool_)
    first_of_pair[1:] = (whose[1:] != whose[:-1]) | (what[1:] != what[:-1])
    first_of_day = first_of_pair.copy()
    first_of_day[1:] |= when[1:] != when[:-1]
    starts = np.flatnonzero(first_of_day)
    heaviest = np.minimum(np.maximum.reduceat(np.abs(weight), starts), most)
    vote = np.clip(np.add.reduceat(weight, starts), -heaviest, heaviest)
    # the how-manieth day with a vote it is, of one person and item
    counted = np.cumsum(vote != 0)
    firsts = np.flatnonzero(first_of_pair[starts])
    before = (counted - (vote != 0))[firsts]
    nth = np.maximum(counted - before[np.cumsum(first_of_pair[starts]) - 1], 1)
    last = np.append(starts[1:], n) - 1
    told[order[last]] = vote / np.square(nth)
    return told
