"""What is told: one table, the same as JSON, and a plot of latency against rate."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from load.driving import Run
from load.processes import CORES
from load.products import KEPT

__all__ = ["Curve", "Row", "console", "in_words", "plot", "show", "write"]

WIDTH = 100
console = Console(highlight=False, width=None if os.isatty(1) else WIDTH)


@dataclass(frozen=True)
class Row:
    """One measure."""

    section: str
    measure: str
    beside: str
    """What it is compared with: the echo of the same run, or the case named in ``measure``."""
    found: str
    ratio: float | None = None
    """Of found to beside."""
    note: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """The numbers, for programs."""


@dataclass(frozen=True)
class Curve:
    """Latency by rate, of one server."""

    label: str
    runs: Sequence[tuple[float, Run]]
    """By calls a second."""


def in_words(run: Run) -> str:
    """A rate and its latencies."""
    if np.isnan(run.p50):
        return "none OK"
    return f"{run.rate:,.0f}/s {_ms(run.p50)} / {_ms(run.p99)}"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def show(rows: Sequence[Row]) -> None:
    """The table."""
    table = Table(
        title="OK answers a second, p50 / p99 in milliseconds", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("measure", max_width=36)
    table.add_column("beside", justify="right", no_wrap=True)
    table.add_column("Cuvée", justify="right", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    section = ""
    for row in rows:
        if row.section != section:
            table.add_row(f"[bold]{row.section}[/bold]")
            section = row.section
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}" if row.ratio < 1 else f"{row.ratio:.2f}"
        table.add_row(f"  {row.measure}", row.beside, row.found, ratio, row.note)
    console.print(table)


def write(rows: Sequence[Row], file: Path | None) -> Path:
    """The same for programs."""
    file = file or KEPT / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    told = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": platform.processor() or platform.machine(),
        "cores": {"server": sorted(CORES.server), "callers": sorted(CORES.callers)},
        "load_average": os.getloadavg(),
        "rows": [asdict(row) for row in rows],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1, default=float))
    return file


def plot(title: str, curves: Sequence[Curve], file: Path) -> None:
    """p50 (solid) and p99 (dashed) against the rate that was asked for."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for curve, colour in zip(curves, ("#b3123f", "#7a7a7a", "#1f6f8b"), strict=False):
        rates = [rate for rate, _ in curve.runs]
        axes.plot(rates, [run.p50 for _, run in curve.runs], "o-", color=colour, label=f"{curve.label}, p50")
        axes.plot(rates, [run.p99 for _, run in curve.runs], "o--", color=colour, label=f"{curve.label}, p99")
        for rate, run in curve.runs:
            if run.ok < 0.99 and not np.isnan(run.p99):
                note = f"{run.ok:.0%} OK"
                axes.annotate(note, (rate, run.p99), textcoords="offset points", xytext=(4, 5), fontsize=8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("calls a second, sent at a fixed rate")
    axes.set_ylabel("milliseconds from when a call was due")
    axes.set_title(title)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
    plt.close(figure)
