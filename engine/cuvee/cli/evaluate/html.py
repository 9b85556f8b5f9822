"""An evaluation as a page with plots."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.cli.evaluate.tables import best_of, main_comparisons, sample_of, worth
from cuvee.cli.html.page import Card, Cell, Page, Plot, Section, Table, TableRow, write_page
from cuvee.cli.terminal.figures import better_share, uplift

if TYPE_CHECKING:
    from cuvee.evaluation.results import Comparison, Evaluation, Figures, RoundFigures, Row

__all__ = ["write_report"]


def write_report(found: Evaluation, notes: Sequence[str], html: Path) -> None:
    """Write the report of an evaluation; ``notes`` say how it was measured."""
    from cuvee.evaluation.results import METRICS

    shown = {name for one in found.rounds for name in one.rows[0].figures.means}
    k = found.rounds[0].k if len({one.k for one in found.rounds}) == 1 else "k"
    page = Page(
        product=found.product,
        what=found.protocol,
        lead=sample_of(found),
        cards=list(_cards(found)),
        sections=list(_sections(found)),
        tables=list(_tables(found)),
        under="Means over users with half the width of their 95 % interval; the best of each column is green.",
        glossary=[(m.label.format(k=k), m.says) for name, m in METRICS.items() if name in shown],
        notes=notes,
    )
    write_page(page, html)


def _label(one: RoundFigures, metric: str = "") -> str:
    from cuvee.evaluation.results import METRICS

    return METRICS[metric or one.primary].label.format(k=one.k)


def _tone(comparison: Comparison) -> str:
    found = comparison.found.difference
    return "good" if found.low > 0 else "bad" if found.high < 0 else ""


def _cards(found: Evaluation) -> Iterator[Card]:
    for one in found.rounds:
        blend = one.row("blend").figures.means[one.primary]
        where = f", {one.name}" if one.name else ""
        yield Card(
            f"{_label(one)} of the blend{where}",
            f"{blend.mean:.4f}",
            f"95 % interval {blend.low:.4f} to {blend.high:.4f}, {one.n_users:,} users",
        )
        against = one.against(one.best_member)
        if against is not None and len(found.rounds) == 1:
            value, rest = _first_word(uplift(against.found))
            share = better_share(against.found)
            told = [rest, f"better in {share} of {against.found.resamples:,} resamples" if share else ""]
            detail = ", ".join(part for part in told if part)
            yield Card(f"against its best member, {one.best_member}", value, detail, _tone(against))
            means = one.row("blend").figures.means
            yield Card(
                _label(one, "hit_rate"), f"{100 * means['hit_rate'].mean:.1f} %", "users with a right item in the list"
            )
            yield Card("coverage", f"{100 * means['coverage'].mean:.1f} %", "of the catalogue is in anyone's list")
    if found.protocol == "cold-items":
        for comparison in found.comparisons:
            value, rest = _first_word(uplift(comparison.found))
            yield Card("what known items gain or lose", value, f"{rest} by serving new ones".strip(), _tone(comparison))


def _first_word(text: str) -> tuple[str, str]:
    value, bracket, rest = text.partition(" [")
    return value, f"[{rest}" if bracket else ""


def _sections(found: Evaluation) -> Iterator[Section]:
    from cuvee.cli.evaluate import plots as draw

    first = found.rounds[0]
    label = _label(first)
    if found.protocol == "cold-users":
        yield Section(
            "What a few events are worth",
            "New users, whom the models do not know, after their first events. What counts as right is the same "
            "everywhere, so that the lines show what knowing more is worth. The band is the blend's 95 % interval.",
            [Plot(draw.growth(found, label), f"{label} over the number of known events, per recommender")],
        )
    elif len(found.rounds) > 1:
        yield Section(
            "New items, and what serving them costs",
            "Items that came after the models were fitted: found among each other, found among all items, and what "
            "the known items lose when the new ones are served beside them.",
            [Plot(draw.known_and_new(found.rounds, _label), "Each round's metric per recommender")],
        )
    else:
        yield Section(
            "How good the lists are",
            "Each recommender alone and the blend, through the same pipeline. Lines are 95 % intervals; two rows may "
            "differ for sure although theirs overlap, since they have the same users: see the comparisons below.",
            [
                Plot(draw.metric_of_rows(first, first.primary, label), f"{label} per recommender"),
                Plot(
                    draw.metric_of_rows(first, "hit_rate", _label(first, "hit_rate")),
                    "Share of users with a right item, per recommender",
                ),
            ],
        )
    if len(first.segments) > 1 and len(found.rounds) == 1:
        yield Section(
            "By how much history a user has",
            "A blend must hold for each segment of users, not on average alone.",
            [Plot(draw.by_segment(first, first.primary, label), f"{label} per segment and recommender")],
        )
    if any(row.kind == "without" for row in first.rows) and found.protocol != "cold-items":
        last = found.rounds[-1]
        where = f" ({last.name})" if last.name else ""
        yield Section(
            "What each source brings",
            f"The blend against itself without each source{where}, user by user. Grey: no more than chance explains.",
            [Plot(draw.what_sources_bring(last, _label(last)), "Uplift by each source")],
        )
    last = found.rounds[-1]
    where = f" Here: {last.name}." if last.name else ""
    yield Section(
        "Accuracy is not all",
        f"Right lists may show few items, alike items, or popular ones alone.{where}",
        [Plot(draw.trade_offs(last, _label(last)), f"{label} against coverage, diversity and popularity")],
    )


def _tables(found: Evaluation) -> Iterator[Table]:
    from cuvee.evaluation.results import ACCURACY, METRICS

    for one in found.rounds:
        names = list(one.rows[0].figures.means)
        best = {n: best_of(one.rows, worth(n), METRICS[n].best) for n in names}
        accuracy = [n for n in names if n in ACCURACY]
        # two tables, each as wide as a page: accuracy first, then the other metrics
        for part in (accuracy, [n for n in names if n not in accuracy]):
            heads = [_label(one, n) for n in part]
            rows = []
            for row in one.rows:
                cells = [_cell(row, row.figures, n, best[n]) for n in part]
                if part is accuracy:
                    against = one.against(row.name)
                    cells.append(Cell(uplift(against.found), "", _tone(against)) if against else Cell(""))
                rows.append(TableRow(row.name, row.kind, cells))
            yield Table(one.name, [*heads, *(["blend against it, %"] if part is accuracy else [])], rows)
        if len(one.segments) > 1 and len(found.rounds) == 1:
            yield _by_segment(one)
    yield _comparisons(found)


def _cell(row: Row, figures: Figures, metric: str, best: Collection[str]) -> Cell:
    value = figures.means[metric]
    digits = 2 if metric == "novelty" else 4
    if math.isnan(value.mean):
        return Cell("")
    margin = f"{(value.high - value.low) / 2:.{digits}f}" if value.high > value.low else ""
    return Cell(f"{value.mean:.{digits}f}", margin, "best" if row.name in best else "")


def _by_segment(one: RoundFigures) -> Table:
    metric = one.primary
    best = {s.name: best_of(one.rows, worth(metric, s.name)) for s in one.segments}
    rows = [
        TableRow(row.name, row.kind, [_cell(row, row.segments[s.name], metric, best[s.name]) for s in one.segments])
        for row in one.rows
    ]
    heads = [f"{s.name} ({s.events}), {s.n_users:,} users" for s in one.segments]
    return Table(f"{_label(one)} by liked events", heads, rows)


def _comparisons(found: Evaluation) -> Table:
    """The blend against its best member everywhere and the baselines, and rounds against each other."""
    rows = []
    for one in found.rounds:
        for where, against, comparison in main_comparisons(one):
            rows.append(_compared(f"{where}: against {against}", comparison))
    rows += [_compared(f"{c.first}, against {c.second}", c) for c in found.comparisons]
    return Table("The blend compared, user by user", ["uplift, %", "better in", "users"], rows)


def _compared(name: str, comparison: Comparison) -> TableRow:
    found = comparison.found
    return TableRow(
        name,
        "",
        [
            Cell(uplift(found), "", _tone(comparison)),
            Cell(f"{share} of {found.resamples:,} resamples" if (share := better_share(found)) else ""),
            Cell(f"{found.n_users:,}"),
        ],
    )
