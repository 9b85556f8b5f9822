"""The plots of a report on what was shown, each as SVG text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cuvee.cli.html.drawing import HALF, INK, WINE, bare, drawn
from cuvee.cli.report.rates import wilson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["by_group", "by_place"]


def by_group(counts: Mapping[str, tuple[int, int]], label: str) -> str:
    """A bar with its interval per group, the first on top; ``counts`` are successes and trials by name."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import PercentFormatter

        axis = figure.subplots()
        for place, (count, of) in enumerate(reversed(list(counts.values()))):
            rate, (low, high) = count / of, wilson(count, of)
            axis.barh(place, rate, height=0.62, color=WINE, alpha=0.55)
            error = [[max(rate - low, 0)], [max(high - rate, 0)]]
            axis.errorbar(rate, place, xerr=error, color=INK, linewidth=1.1, capsize=2.5)
            axis.annotate(f"{rate:.1%}", (high, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
        axis.set_yticks(range(len(counts)), list(counts)[::-1])
        axis.set_xlabel(label)
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.margins(x=0.15)
        axis.set_xlim(left=0)
        bare(axis)
        axis.locator_params(axis="x", nbins=4)

    return drawn(HALF, 0.34 * len(counts) + 0.75, draw)


def by_place(counts: Mapping[int, tuple[int, int]], label: str) -> str:
    """A line over the place in the list, with its intervals as a band; ``counts`` are successes and trials."""

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        axis = figure.subplots()
        places = sorted(counts)
        rates = [counts[place][0] / counts[place][1] for place in places]
        bounds = [wilson(*counts[place]) for place in places]
        lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
        axis.fill_between(places, lows, highs, color=WINE, alpha=0.14, linewidth=0)
        axis.plot(places, rates, color=WINE, marker="o", markersize=5, markeredgecolor="white", linewidth=2)
        axis.set_xlabel("place in the list; 1 is the top")
        axis.set_ylabel(label)
        bare(axis, "y")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.set_ylim(bottom=0)

    return drawn(HALF, 3.2, draw)
