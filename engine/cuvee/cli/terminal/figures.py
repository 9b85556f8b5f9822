"""Text for the differences between two ways to make lists."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cuvee.evaluation.bootstrap import Interval, PairedDifference

__all__ = ["better_share", "percent", "uplift", "with_margin"]


def percent(value: float) -> str:
    """A relative difference in percent, with its sign."""
    return f"{100 * value:+.0f}" if abs(value) >= 1 else f"{100 * value:+.1f}"


def uplift(found: PairedDifference) -> str:
    """By how much the first is higher than the second: ``+4.1 % [+1.2, +6.9]``, with its 95 % interval.

    The difference is absolute where the second is (nearly) 0. It has no interval for a single person.
    ``both 0`` where both are 0.
    """
    if found.first == found.second == 0:
        return "both 0"
    relative, absolute = found.uplift, found.difference
    if math.isfinite(relative.low):
        return f"{percent(relative.mean)} % [{percent(relative.low)}, {percent(relative.high)}]"
    if math.isfinite(absolute.low):
        return f"{absolute.mean:+.4f} [{absolute.low:+.4f}, {absolute.high:+.4f}]"
    return f"{percent(relative.mean)} %" if math.isfinite(relative.mean) else f"{absolute.mean:+.4f}"


def better_share(found: PairedDifference) -> str:
    """The share of resamples in which the first is better; empty for a single person."""
    return f"{found.share_above:.1%}" if math.isfinite(found.difference.low) else ""


def with_margin(value: Interval, digits: int = 4) -> str:
    """A mean and half its interval's width: ``0.1204 ±0.0294``; the mean alone where everybody's figure is the same."""
    margin = (value.high - value.low) / 2
    return f"{value.mean:.{digits}f}" + (f" ±{margin:.{digits}f}" if margin > 0 else "")
