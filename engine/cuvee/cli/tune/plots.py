"""Plots of ``cuvee tune``: the metric against the weight of each source, one panel per segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.cli.html.drawing import COLOURS, FAINT, INK, MARKERS
from cuvee.errors import PluginError

if TYPE_CHECKING:
    from cuvee.tuning.curves import SegmentCurves

__all__ = ["as_text", "save_png"]

IN_TERMINAL = ("blue+", "red+", "green+", "magenta+", "yellow", "cyan+", "magenta", "red", "white")
INDENT, BETWEEN = "     ", "   "
"""Before and between the labels under a plot."""
IN_BLACK = ("*", "+", "o", "x", "#", "@", "%", "=", "~")


def _sources(panels: Sequence[SegmentCurves]) -> list[str]:
    return list(dict.fromkeys(curve.source for panel in panels for curve in panel.curves))


def save_png(panels: Sequence[SegmentCurves], title: str, measure: str, file: Path) -> None:
    """Draw all segments into one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.2 * columns, 3.7 * rows + 1.1), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colour = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(_sources(panels))}
    marker = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(_sources(panels))}
    for axis, panel in zip(axes, panels, strict=False):
        for curve in panel.curves:
            axis.plot(curve.weights, curve.values, color=colour[curve.source], linewidth=1.6)
            if curve.chosen > 0:
                axis.plot(
                    curve.chosen,
                    panel.learnt,
                    marker[curve.source],
                    color=colour[curve.source],
                    markersize=8,
                    markeredgecolor="white",
                    zorder=3,
                    clip_on=False,
                )
        axis.axhline(panel.best_value, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axis.set_title(panel.title, fontsize=10, loc="left")
        axis.set_xlim(-0.02, 1.02)
        axis.set_xlabel("weight of the source, the others in proportion", fontsize=9)
        axis.set_ylabel(measure, fontsize=9)
        axis.grid(color=FAINT, linewidth=0.7)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    handles = [
        Line2D([], [], color=colour[n], marker=marker[n], markeredgecolor="white", markersize=8, label=n)
        for n in colour
    ]
    handles.append(Line2D([], [], color=INK, linewidth=1, linestyle=(0, (4, 3)), label="best member alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5), frameon=False, fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(file, format="png")
    except OSError as problem:
        raise PluginError(f"the plot cannot be written to {file}: {problem}; pass another --plot") from problem


def as_text(panel: SegmentCurves, measure: str, width: int, *, colours: bool) -> str:
    """One segment as characters, for the terminal."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("simple" if colours else "colorless")
    figure.plot_size(width, 15)
    figure.title(f"{panel.title}: {measure} by weight")
    key: list[tuple[str, str]] = []
    for place, curve in enumerate(panel.curves):
        pixel = plotext.pixel(IN_TERMINAL[place % len(IN_TERMINAL)]) if colours else plotext.pixel()
        sign = IN_BLACK[place % len(IN_BLACK)]
        marker = plotext.marker("braille", pixel) if colours else plotext.marker(sign)
        figure.draw(figure.signal(list(curve.weights), list(curve.values), marker=marker).lines())
        label = f"{'━━' if colours else sign} {curve.source} {curve.chosen:.2f}"
        key.append((label, str(plotext.colorize(label, pixel)) if colours else label))
    figure.ruler("x").lim(0, 1)
    drawn = str(figure.build().string(colorless=not colours))
    figure.clear()
    return f"{drawn.rstrip()}\n{_lines(key, width)}\n"


def _lines(key: list[tuple[str, str]], width: int) -> str:
    """Labels (plain, coloured) in as many lines as they need."""
    lines: list[list[tuple[str, str]]] = [[]]
    for one in key:
        if lines[-1] and len(INDENT) + sum(len(label) + len(BETWEEN) for label, _ in [*lines[-1], one]) > width:
            lines.append([])
        lines[-1].append(one)
    return "\n".join(INDENT + BETWEEN.join(shown for _, shown in line) for line in lines)
