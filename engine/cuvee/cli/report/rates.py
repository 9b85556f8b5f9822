"""What came of a group of shown items: counts, and rates with their intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cuvee.data.store.exposures import Outcome

__all__ = ["COLUMNS", "PLACE", "figures_of", "named", "wilson"]

PLACE = "place"
"""What the `position` of an item is called, counted from 1."""
COLUMNS = ("answers", "items", "clicked", "click-through", "bought", "conversion")
Z = 1.959964
"""The standard normal quantile of a two-sided 95 % interval."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927): sensible also for few trials, and for none of them."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z * Z
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def named(by: str, group: str) -> str:
    """A group as people read it: a place in a list counts from 1, as in the lists that are printed."""
    return str(int(group) + 1) if by == "position" else group or "none"


def figures_of(one: Outcome) -> tuple[str, ...]:
    """A group's figures as people read them, in the order of :data:`COLUMNS`."""
    return (
        f"{one.answers:,}", f"{one.shown:,}",
        f"{one.clicked:,}", _with_interval(one.clicked, one.shown),
        f"{one.bought:,}", _with_interval(one.bought, one.shown),
    )  # fmt: skip


def _with_interval(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count / of:.1%} [{100 * low:.1f}, {100 * high:.1f}]"  # short: a table has two of them, and 80 columns
