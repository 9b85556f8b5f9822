"""How plots are drawn: as SVG text, in the colours and widths of the page."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "FAINT", "FULL", "GREY", "HALF", "INK", "MARKERS", "WINE", "bare", "drawn"]

WINE, INK, GREY, FAINT = "#7b1e3a", "#26221f", "#8a837c", "#e6e0d9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6a51a3", "#8c564b", "#505050")
"""A palette for the colour-blind (Okabe and Ito, with three more colours), for the sources; the blend is wine red."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<", ">")
"""One for each colour, so that the sources can also be told apart without colours."""
FONT = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.5,
    "svg.hashsalt": "cuvee",
    "text.parse_math": False,
    "text.color": INK,
}
FULL, HALF = 9.6, 4.9
"""Widths in inches: of the page, and of half of it."""


def drawn(width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """Draw into a figure of its own and give it as SVG; no global state is touched."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: Any = {**FONT, "axes.edgecolor": GREY, "xtick.color": INK, "ytick.color": INK}
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return out.getvalue()


def bare(axis: Axes, grid: str = "x") -> None:
    """Grid lines along ``x``, ``y`` or ``both``, few of them, and no frame."""
    if grid != "y":
        axis.locator_params(axis="x", nbins=6)
    axis.spines[["top", "right", "left" if grid == "x" else "bottom"]].set_visible(False)
    axis.tick_params(length=0)
    axis.grid(axis="both" if grid == "both" else "x" if grid == "x" else "y", color=FAINT, linewidth=0.9)
    axis.set_axisbelow(True)
