"""What came of an experiment, as a page with plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.cli.html.page import Card, Cell, Page, Plot, Section, Table, TableRow, write_page
from cuvee.cli.report.experiment import between, figure, lifted, split_told
from cuvee.experiments.lifts import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cuvee.experiments.analysis import Report, Variant
    from cuvee.experiments.lifts import Lift

__all__ = ["write_experiment"]

NOTES = (
    "the unit is the user: variances are those of ratios of means over users (delta method)",
    "95 %: the interval of one look that was planned beforehand",
    "at any look: the confidence sequence of the mixture sequential probability ratio test (Johari, Koomen, Pekelis "
    "and Walsh, Operations Research 2022); look every day, and end whenever it leaves 0 out",
    "too few: fewer than 30 users of one of the two variants have something to count",
)


def write_experiment(product: str, report: Report, days: int, file: Path) -> None:
    """Write the report of an experiment over the last ``days``."""
    users = sum(one.users for one in report.variants)
    lifts = [one for one in report.variants[1:] if any(one.lifts.values())]
    write_page(
        Page(
            product=product,
            what=f"the experiment {report.experiment}",
            lead=f"{users:,} users of the last {days} days. " + " ".join(report.next),
            cards=list(_cards(report)),
            sections=[
                Section(
                    "Lifts", "Against the first variant. Thick lines are 95 % intervals, thin ones hold at any look.",
                    [Plot(_drawn(one), f"Lifts of {one.name} by metric") for one in lifts],
                )
            ] if lifts else (),
            tables=list(_tables(report)),
            under=split_told(report),
            glossary=[(metric.title, metric.says) for metric in METRICS.values()],
            notes=NOTES,
        ),
        file,
    )  # fmt: skip


def _cards(report: Report) -> Iterator[Card]:
    metric = METRICS[report.metric]
    for one in report.variants[1:]:
        lift = one.lifts[report.metric]
        if lift is None:
            yield Card(f"{one.name}: {metric.title}", "too few", "let it run")
            continue
        tone = "good" if lift.always_low > 0 else "bad" if lift.always_high < 0 else ""
        yield Card(
            f"{one.name}: {metric.title}", lifted(lift),
            f"at any look {between(lift.always_low, lift.always_high)} %, p = {lift.p:.3f}", tone,
        )  # fmt: skip


def _tables(report: Report) -> Iterator[Table]:
    heads = ["users", "answers", "items", *(metric.title for metric in METRICS.values())]
    yield Table(
        "Variants", heads,
        [
            TableRow(one.name, "", [Cell(f"{n:,}") for n in (one.users, one.answers, one.shown)]
                     + [Cell(figure(name, one.rates[name].value)) for name in METRICS])
            for one in report.variants
        ],
    )  # fmt: skip
    for one in report.variants[1:]:
        rows = [TableRow(METRICS[name].title, "", _cells(lift)) for name, lift in one.lifts.items()]
        yield Table(f"{one.name} against {report.variants[0].name}", ["lift", "95 %", "at any look", "p"], rows)
    names = [one.name for one in report.variants[1:]]
    yield Table(
        f"By segment: {METRICS[report.metric].title}", ["users", *names],
        [
            TableRow(one.name, "", [Cell(f"{sum(one.users.values()):,}"),
                                    *(Cell(lifted(lift) + (f" {between(lift.low, lift.high)}" if lift else ""))
                                      for lift in one.lifts.values())])
            for one in report.segments
        ],
    )  # fmt: skip


def _cells(lift: Lift | None) -> list[Cell]:
    if lift is None:
        return [Cell(lifted(lift)), Cell(""), Cell(""), Cell("")]
    once, always = between(lift.low, lift.high), between(lift.always_low, lift.always_high)
    return [Cell(lifted(lift)), Cell(once), Cell(always), Cell(f"{lift.p:.3f}")]


def _drawn(variant: Variant) -> str:
    from cuvee.cli.html.drawing import FULL, GREY, INK, WINE, bare, drawn

    lifts = [(METRICS[name].title, lift) for name, lift in variant.lifts.items() if lift is not None]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import PercentFormatter

        axis = figure.subplots()
        for place, (_, lift) in enumerate(reversed(lifts)):
            axis.plot([lift.always_low, lift.always_high], [place, place], color=WINE, linewidth=1.2)
            axis.plot([lift.low, lift.high], [place, place], color=WINE, linewidth=5, alpha=0.6)
            axis.plot([lift.lift], [place], marker="o", color=INK, markersize=5)
        axis.axvline(0, color=GREY, linewidth=1)
        axis.set_yticks(range(len(lifts)), [title for title, _ in reversed(lifts)])
        axis.set_xlabel(f"lift of {variant.name}")
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        bare(axis)

    return drawn(FULL, 0.42 * len(lifts) + 0.8, draw)
