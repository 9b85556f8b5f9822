"""The weights of stored events: by type, and with dislikes that cancel likes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from cuvee.data.store.rows import EventType
from cuvee.product import EventsConfig
from cuvee.queries import Floats, Ints

__all__ = ["HEAVIEST", "settled", "weights_of"]

HEAVIEST = 10.0
"""The highest value that multiplies an event's weight. Callers' events with higher ones are refused; those that were
stored before or imported count as this."""


def weights_of(config: EventsConfig, types: npt.ArrayLike, values: npt.ArrayLike) -> Floats:
    """float32[n]: the weight of each event; may be negative.

    It is the type's weight, times the event's value where that is a share (how much of a film was
    watched). The number of pieces bought does not multiply it, and a rating counts fully or not at all.
    """
    by_type = np.zeros(max(EventType) + 1, np.float32)
    for kind in EventType:
        by_type[kind] = config.weights[kind.name.lower()]  # type: ignore[index]
    kinds, given = np.asarray(types, np.int64), np.asarray(values, np.float64)
    times: npt.NDArray[np.float64] = given.copy()
    times[kinds == EventType.PURCHASE] = 1.0
    rated = kinds == EventType.RATING
    times[rated] = given[rated] >= config.rating_liked_from
    return np.asarray(by_type[kinds] * np.clip(times, 0, HEAVIEST), np.float32)


def settled(items: Ints, weights: Floats) -> Floats:
    """float32[n], never negative: recommenders only know likes with a weight, and "seen, not liked".

    A negative event subtracts its weight from the earlier events with the same item, the newest first,
    down to 0, and gets weight 0 itself. Later events are not affected.

    Args:
        items: int32[n], oldest first.
        weights: float32[n], the weight of each event.
    """
    left = weights.copy()
    concerned = np.isin(items, items[weights < 0])
    behind: defaultdict[int, list[int]] = defaultdict(list)
    for at in np.flatnonzero(concerned).tolist():
        earlier, owed = behind[int(items[at])], -float(weights[at])
        if owed <= 0:
            earlier.append(at)
            continue
        left[at] = 0
        while earlier and owed > 0:
            taken = min(owed, float(left[earlier[-1]]))
            left[earlier[-1]] -= taken
            owed -= taken
            if left[earlier[-1]] <= 0:
                earlier.pop()
    return left
