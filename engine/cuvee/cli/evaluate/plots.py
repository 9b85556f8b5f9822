"""The plots of an evaluation's report, each as SVG text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cuvee.cli.html.drawing import COLOURS, FAINT, FULL, GREY, HALF, INK, MARKERS, WINE, bare, drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cuvee.evaluation.bootstrap import Interval
    from cuvee.evaluation.results import Evaluation, RoundFigures, Row

__all__ = ["by_segment", "growth", "known_and_new", "metric_of_rows", "trade_offs", "what_sources_bring"]


def _look(one: RoundFigures) -> dict[str, tuple[str, str]]:
    """Row name -> colour and marker, the same in every plot."""
    look = {}
    members = itertools.cycle(zip(COLOURS, MARKERS, strict=True))
    baselines = itertools.cycle("dp")
    for row in _main_rows(one):
        if row.kind == "member":
            look[row.name] = next(members)
        else:
            look[row.name] = (WINE, "*") if row.kind == "blend" else (GREY, next(baselines))
    return look


def _size(marker: str) -> float:
    return 13 if marker == "*" else 7


def _error(value: Interval) -> list[list[float]] | None:
    if math.isnan(value.low):
        return None
    return [[max(value.mean - value.low, 0)], [max(value.high - value.mean, 0)]]


def _main_rows(one: RoundFigures) -> list[Row]:
    return [row for row in one.rows if row.kind != "without"]


def metric_of_rows(one: RoundFigures, metric: str, label: str, width: float = HALF) -> str:
    """One metric of members, baselines and blend, best on top, with intervals."""
    rows = sorted(_main_rows(one), key=lambda r: r.figures.means[metric].mean)
    look = _look(one)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for place, row in enumerate(rows):
            value = row.figures.means[metric]
            colour = look[row.name][0]
            axis.barh(place, value.mean, height=0.62, color=colour, alpha=1 if row.kind == "blend" else 0.55)
            end = (value.mean if math.isnan(value.high) else value.high, place)
            axis.errorbar(value.mean, place, xerr=_error(value), color=INK, linewidth=1.1, capsize=2.5)
            axis.annotate(f"{value.mean:.3f}", end, (5, 0), textcoords="offset points", va="center", fontsize=9)
        axis.set_yticks(range(len(rows)), [r.name for r in rows])
        for tick, row in zip(axis.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("bold" if row.kind == "blend" else "normal")
            tick.set_color(WINE if row.kind == "blend" else GREY if row.kind == "baseline" else INK)
        axis.set_xlabel(label)
        axis.margins(x=0.12)
        axis.set_xlim(left=0)
        bare(axis)

    return drawn(width, 0.34 * len(rows) + 0.75, draw)


def by_segment(one: RoundFigures, metric: str, label: str) -> str:
    """The metric of every member and the blend, by history length."""
    rows = _main_rows(one)
    look = _look(one)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        step = 0.8 / max(len(rows), 2)
        for place, row in enumerate(rows):
            colour, marker = look[row.name]
            for at, segment in enumerate(one.segments):
                value = row.segments[segment.name].means[metric]
                axis.errorbar(
                    at - 0.4 + step * (place + 0.5),
                    value.mean,
                    yerr=_error(value),
                    color=colour,
                    marker=marker,
                    markersize=_size(marker),
                    markeredgecolor="white",
                    linewidth=1.3,
                    label=row.name if at == 0 else None,
                    clip_on=False,
                    zorder=4 if row.kind == "blend" else 3,
                )
        heads = [f"{s.name}\n{s.events} events, {s.n_users:,} users" for s in one.segments]
        axis.set_xticks(range(len(heads)), heads)
        for at in range(1, len(heads)):
            axis.axvline(at - 0.5, color=FAINT, linewidth=1)
        axis.set_xlim(-0.5, len(heads) - 0.5)
        axis.set_ylim(bottom=0)
        axis.set_ylabel(label)
        bare(axis, "y")
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)

    return drawn(FULL, 3.6, draw)


def what_sources_bring(one: RoundFigures, label: str) -> str:
    """The uplift of the blend over the blend without each of its sources, in percent."""
    rows = [(row, one.against(row.name)) for row in one.rows if row.kind == "without"]
    found = [(row.source, comparison.found) for row, comparison in rows if comparison is not None]
    found = [(name, f) for name, f in found if math.isfinite(f.uplift.mean)]
    found.sort(key=lambda pair: pair[1].uplift.mean)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for place, (_, difference) in enumerate(found):
            value = difference.uplift
            sure = difference.difference.low > 0 or difference.difference.high < 0
            colour = (WINE if value.mean > 0 else COLOURS[0]) if sure else GREY
            axis.barh(place, 100 * value.mean, height=0.6, color=colour, alpha=0.75)
            error = _error(value)
            if error is not None:
                axis.errorbar(
                    100 * value.mean, place, xerr=[[100 * e[0]] for e in error], color=INK, linewidth=1.1, capsize=2.5
                )
        axis.axvline(0, color=INK, linewidth=1)
        axis.set_yticks(range(len(found)), [name for name, _ in found])
        axis.set_xlabel(f"{label} of the blend over the blend without it, %")
        axis.margins(x=0.08)
        bare(axis)

    return drawn(HALF, 0.34 * len(found) + 0.75, draw)


def trade_offs(one: RoundFigures, label: str) -> str:
    """Accuracy against breadth, variety and popularity, one panel each."""
    shown = [
        (name, title)
        for name, title in (
            ("coverage", "coverage: share of the catalogue shown"),
            ("diversity", "diversity within a list"),
            ("popularity", "popularity percentile of the items"),
        )
        if name in one.rows[0].figures.means
    ]
    rows = _main_rows(one)
    look = _look(one)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axis, (name, title) in zip(axes, shown, strict=True):
            for row in rows:
                x, y = row.figures.means[name], row.figures.means[one.primary]
                colour, marker = look[row.name]
                axis.errorbar(
                    x.mean,
                    y.mean,
                    xerr=_error(x),
                    yerr=_error(y),
                    color=colour,
                    marker=marker,
                    markersize=_size(marker) + 1,
                    markeredgecolor="white",
                    linewidth=1,
                    linestyle="none",
                    label=row.name if axis is axes[0] else None,
                    zorder=4 if row.kind == "blend" else 3,
                )
            axis.set_xlabel(title)
            axis.margins(0.1)
            bare(axis, "both")
        axes[0].set_ylabel(label)
        axes[0].set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=min(len(rows), 6), frameon=False, fontsize=9)

    return drawn(FULL, 3.7, draw)


def growth(found: Evaluation, label: str) -> str:
    """The metric over the number of a new user's events, round by round, for members, baselines and blend."""
    first = found.rounds[0]
    look = _look(first)

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        places = range(len(found.rounds))
        for row in _main_rows(first):
            values = [one.row(row.name).figures.means[one.primary] for one in found.rounds]
            colour, marker = look[row.name]
            blend = row.kind == "blend"
            means = [v.mean for v in values]
            if blend:
                axis.fill_between(
                    places, [v.low for v in values], [v.high for v in values], color=colour, alpha=0.14, linewidth=0
                )
            axis.plot(
                places,
                means,
                color=colour,
                marker=marker,
                markersize=_size(marker),
                markeredgecolor="white",
                linewidth=2.6 if blend else 1.4,
                linestyle="--" if row.kind == "baseline" else "-",
                label=row.name,
                clip_on=False,
                zorder=4 if blend else 3,
            )
        axis.set_xticks(places, [one.name for one in found.rounds])
        axis.set_ylim(bottom=0)
        axis.set_ylabel(label)
        axis.set_xlabel("what is known of the new user")
        bare(axis, "y")
        figure.legend(loc="outside right upper", frameon=False, fontsize=9)

    return drawn(FULL, 3.9, draw)


def known_and_new(rounds: Sequence[RoundFigures], label: Callable[[RoundFigures], str]) -> str:
    """Rounds side by side, with a bar for each row: new items, and the cost for known items of serving them."""
    rows = _main_rows(rounds[0])[::-1]
    look = _look(rounds[0])

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(rounds), squeeze=False, sharey=True)[0]
        for axis, one in zip(axes, rounds, strict=True):
            for place, row in enumerate(rows):
                value = one.row(row.name).figures.means[one.primary]
                blend = row.kind == "blend"
                axis.barh(place, value.mean, height=0.62, color=look[row.name][0], alpha=1 if blend else 0.55)
                axis.errorbar(value.mean, place, xerr=_error(value), color=INK, linewidth=1, capsize=2)
            axis.set_title(one.name.replace(", ", ",\n"), fontsize=9.5, loc="left")
            axis.set_xlabel(label(one))
            axis.set_xlim(left=0)
            bare(axis)
        axes[0].set_yticks(range(len(rows)), [r.name for r in rows])

    return drawn(FULL, 0.34 * len(rows) + 1.2, draw)
