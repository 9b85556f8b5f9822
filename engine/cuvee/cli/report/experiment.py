"""``cuvee report --experiment``: what came of an experiment, in the terminal and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cuvee.experiments.lifts import METRICS

if TYPE_CHECKING:
    from rich.console import Console

    from cuvee.experiments.analysis import Report
    from cuvee.experiments.lifts import Lift, Rate

__all__ = ["between", "figure", "json_of", "lifted", "show_experiment", "split_told"]


def figure(metric: str, value: float) -> str:
    """A metric as people read it."""
    if math.isnan(value):
        return "-"
    return f"{value:.2%}" if METRICS[metric].percent else f"{value:.3f}"


def lifted(lift: Lift | None) -> str:
    """A lift in percent, with its sign; too little to tell is told."""
    return "too few" if lift is None else f"{lift.lift:+.1%}"


def between(low: float, high: float) -> str:
    """An interval of lifts in percent."""
    return f"[{100 * low:+.1f}, {100 * high:+.1f}]"


def split_told(report: Report) -> str:
    """The check of the split, in a sentence."""
    counts = ", ".join(f"{one.name} {one.users:,}" for one in report.variants)
    expected = ", ".join(f"{one:,.0f}" for one in report.split.expected)
    told = f"Users per variant: {counts} (expected {expected}; chi-square p = {report.split.p:.3g})"
    return told + (": NOT split as configured." if report.split.found else ": split as configured.")


def show_experiment(console: Console, product: str, report: Report, days: int) -> None:
    """Print a report."""
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, say, show_table

    users = sum(one.users for one in report.variants)
    say(
        console,
        Text.assemble((f"{product}: {report.experiment}", "bold"), f", {users:,} users of the last {days} days"),
    )
    titles = [metric.title for metric in METRICS.values()]
    table = plain_table("variant", "users", "answers", *titles, right=("users", "answers", *titles))
    for one in report.variants:
        figures = [figure(name, one.rates[name].value) for name in METRICS]
        table.add_row(Text(one.name, "bold"), f"{one.users:,}", f"{one.answers:,}", *figures)
    show_table(console, table)
    control = report.variants[0].name
    for one in report.variants[1:]:
        say(console, Text(f"\n{one.name} against {control}:"))
        heads = ("lift", "95 %", "at any look", "p")
        table = plain_table("metric", *heads, right=heads)
        for name, metric in METRICS.items():
            title = Text(metric.title + (" (decides)" if name == report.metric else ""), "bold")
            lift = one.lifts[name]
            if lift is None:
                table.add_row(title, "too few", "", "", "")
            else:
                table.add_row(
                    title, lifted(lift), between(lift.low, lift.high), between(lift.always_low, lift.always_high),
                    f"{lift.p:.3f}",
                )  # fmt: skip
        show_table(console, table)
    if len(report.segments) > 1:
        say(console, Text(f"\n{METRICS[report.metric].title} by the segment of each user's first answer:"))
        names = [one.name for one in report.variants]
        table = plain_table("segment", "users", *names[1:], right=("users", *names[1:]))
        for segment in report.segments:
            cells = [
                lifted(lift) + (f" {between(lift.low, lift.high)}" if lift else "") for lift in segment.lifts.values()
            ]
            table.add_row(Text(segment.name, "bold"), f"{sum(segment.users.values()):,}", *cells)
        show_table(console, table)
    say(console, "")
    say(console, split_told(report))
    if report.twice:
        say(console, f"{report.twice:,} users saw more than one variant and are left out.")
    say(console, Text("\nNext: ", "bold") + Text("\n".join(report.next)))


def json_of(report: Report) -> dict[str, Any]:
    """A report as plain values; lifts are relative, 0.1 is 10 %."""
    return {
        "experiment": report.experiment,
        "metric": report.metric,
        "variants": [
            {
                "name": one.name,
                "share": one.share,
                "users": one.users,
                "answers": one.answers,
                "items": one.shown,
                "metrics": {name: _rate(rate) for name, rate in one.rates.items()},
                "lifts": {name: _lift(lift) for name, lift in one.lifts.items()},
            }
            for one in report.variants
        ],
        "split": {"p": report.split.p, "expected": report.split.expected, "mismatch": report.split.found},
        "users_in_two_variants": report.twice,
        "alpha": report.alpha,
        "segments": [
            {"name": one.name, "users": one.users, "lifts": {name: _lift(lift) for name, lift in one.lifts.items()}}
            for one in report.segments
        ],
        "verdict": report.verdict,
        "next": report.next,
    }


def _rate(rate: Rate) -> dict[str, float]:
    low, high = rate.interval
    return {"value": rate.value, "low": low, "high": high}


def _lift(lift: Lift | None) -> dict[str, float] | None:
    if lift is None:
        return None
    return {name: value for name, value in asdict(lift).items() if name != "variance"}
