"""An evaluation as tables for a terminal of 80 columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal.figures import better_share, uplift, with_margin
from cuvee.cli.terminal.tables import plain_table, say, show_table, span

if TYPE_CHECKING:
    from rich.table import Table

    from cuvee.evaluation.bootstrap import PairedDifference
    from cuvee.evaluation.results import Comparison, Evaluation, RoundFigures, Row

__all__ = ["best_of", "main_comparisons", "notes_of", "sample_of", "show_evaluation", "worth"]

FEW = ("hit_rate", "recall", "mrr", "coverage")
"""Columns beside the primary metric."""
LAST = ("diversity", "popularity", "gini", "fallback", "empty")
"""Columns beside the seconds."""


def show_evaluation(found: Evaluation, *, every_metric: bool = False) -> None:
    """All tables: the rows, segments or rounds side by side, comparisons, and notes."""
    console = Console(highlight=False)
    title = Text.assemble((found.product, "bold"), f", {found.protocol}: ", sample_of(found))
    say(console, title)
    if len(found.rounds) > 1:
        _side_by_side(console, found)
    for one in found.rounds:
        if len(found.rounds) == 1 or every_metric:
            console.print()
            _rows(console, one, every_metric=every_metric)
        if len(one.segments) > 1 and len(found.rounds) == 1:
            console.print()
            _segments(console, one)
    console.print()
    _verdicts(console, found)
    console.print()
    for note in notes_of(found):
        say(console, Text(note, "dim"))
    say(console, Text(next_of(found), "dim"))


def next_of(found: Evaluation) -> str:
    """What to do after an evaluation: to learn weights where the blend is not surely better, else to serve it."""
    against = [one.against(one.best_member) for one in found.rounds]
    if all(one is not None and one.found.difference.low > 0 for one in against):
        return f"Next: `cuvee serve` answers with this blend; `cuvee tune {found.product}` looks for better weights."
    return f"Next: `cuvee tune {found.product}` learns weights; the blend is not surely better than its best member."


def sample_of(found: Evaluation) -> str:
    """Of how many users, items and events an evaluation is."""
    sample = f" (a sample of {found.n_known:,})" if found.n_users < found.n_known else ""
    return f"{found.n_users:,} users{sample}, {found.n_items:,} items, {found.n_train:,} events to learn from"


def _name(row: Row) -> Text:
    return Text(row.name, {"blend": "bold", "without": "dim", "baseline": "italic"}.get(row.kind, ""))


def _against(comparison: Comparison | None) -> Text:
    """The blend's uplift over a row: green where it is better beyond chance, red where it is worse."""
    if comparison is None:
        return Text("")
    return Text(uplift(comparison.found), _style(comparison.found))


def _style(found: PairedDifference) -> str:
    return "green" if found.difference.low > 0 else "red" if found.difference.high < 0 else "dim"


def _rows(console: Console, one: RoundFigures, *, every_metric: bool) -> None:
    from cuvee.evaluation.results import METRICS

    first = one.rows[0].figures.means
    alike = all(r.figures.means["hit_rate"] == r.figures.means["recall"] for r in one.rows)  # one right item each
    few = [n for n in FEW if n in first and n != one.primary and not (alike and n == "recall")]
    blocks = [few]
    if every_metric:
        rest = [n for n in first if n != one.primary]
        # two tables, each as wide as a terminal: accuracy first, then the other metrics
        first_block = [n for n in rest[:4] if n != "precision"]
        last_block = [n for n in rest if n in LAST]
        blocks = [first_block, [n for n in rest if n not in (*first_block, *last_block)], last_block]
    for at, names in enumerate(blocks):
        heads = [METRICS[n].label.format(k=one.k) for n in names]
        lead = [METRICS[one.primary].label.format(k=one.k)] if at == 0 else []
        last = ["blend against it"] if at == 0 else ["seconds"] if at == len(blocks) - 1 else []
        table = plain_table(one.name, *lead, *heads, *last, right=(*lead, *heads, *last))
        columns = [one.primary, *names] if at == 0 else names
        best = {n: best_of(one.rows, worth(n), METRICS[n].best) for n in columns}
        for row in one.rows:
            means = row.figures.means
            cells = [with_margin(means[one.primary])] if at == 0 else []
            cells += [f"{means[n].mean:.{2 if n == 'novelty' else 4}f}" for n in names]
            styled = [
                Text(cell, "bold green" if row.name in best[n] else "") for cell, n in zip(cells, columns, strict=True)
            ]
            end = _against(one.against(row.name)) if at == 0 else Text(f"{row.seconds:.1f}")
            table.add_row(_name(row), *styled, *([end] if last else []))
        if at:
            console.print()
        show_table(console, table)


def worth(metric: str, segment: str = "") -> Callable[[Row], float]:
    """A row's value of a metric, in a segment or among all."""
    return lambda row: (row.segments[segment] if segment else row.figures).means[metric].mean


def best_of(rows: Sequence[Row], value: Callable[[Row], float], direction: int = 1) -> set[str]:
    """Names of the rows with the highest value (1), or the lowest (-1); none where neither is better (0).

    Ablations do not count, and where all values are equal no row is best.
    """
    values = {row.name: value(row) for row in rows if row.kind != "without" and not math.isnan(value(row))}
    if not direction or len(set(values.values())) < 2:
        return set()
    top = max(values.values(), key=lambda v: direction * v)
    return {name for name, reached in values.items() if reached == top}


def _segments(console: Console, one: RoundFigures) -> None:
    """The primary metric by history length."""
    from cuvee.evaluation.results import METRICS

    label = METRICS[one.primary].label.format(k=one.k)
    heads = [f"{s.name} ({s.events})" for s in one.segments]
    table = plain_table(f"{label} by liked events", *heads, right=heads)
    table.add_row(Text("users", "dim"), *(Text(f"{s.n_users:,}", "dim") for s in one.segments))
    best = {s.name: best_of(one.rows, worth(one.primary, s.name)) for s in one.segments}
    for row in one.rows:
        cells = []
        for segment in one.segments:
            value = row.segments[segment.name].means[one.primary]
            cells.append(Text(with_margin(value), "bold green" if row.name in best[segment.name] else ""))
        table.add_row(_name(row), *cells)
    show_table(console, table)


def _side_by_side(console: Console, found: Evaluation) -> None:
    """The primary metric of every row in every round."""
    from cuvee.evaluation.results import METRICS

    labels = [f"{r.name}\n{METRICS[r.primary].label.format(k=r.k)}" for r in found.rounds]
    table = plain_table("", *labels, right=labels)
    best = [best_of(one.rows, worth(one.primary)) for one in found.rounds]
    for at, row in enumerate(found.rounds[0].rows):
        cells = []
        for one, top in zip(found.rounds, best, strict=True):
            value = one.rows[at].figures.means[one.primary]
            cells.append(Text(with_margin(value), "bold green" if row.name in top else ""))
        table.add_row(_name(row), *cells)
    table.add_row(Text("users", "dim"), *(Text(f"{r.n_users:,}", "dim") for r in found.rounds))
    console.print()
    show_table(console, table)


def main_comparisons(one: RoundFigures) -> Iterator[tuple[str, str, Comparison]]:
    """The blend against its best member, among all and in each segment, and against the baselines.

    Each with the users, and what the blend is compared with, in words.
    """
    overall = one.against(one.best_member)
    if overall is not None:
        yield one.name or "all users", f"its best member, {overall.second}", overall
    for row in one.rows:
        comparison = one.against(row.name)
        if row.kind == "baseline" and comparison is not None:
            yield one.name or "all users", row.name, comparison
    if len(one.segments) > 1:
        for comparison in one.comparisons:
            if comparison.segment:
                yield comparison.segment, f"its best member, {comparison.second}", comparison


def _verdicts(console: Console, found: Evaluation) -> None:
    """The blend against its best member, by round and segment; and one round against the one before."""
    resamples = found.rounds[0].comparisons[0].found.resamples
    better = f"better, of {resamples:,}"
    table = plain_table("", "the blend against", "uplift", better, right=("uplift", better))
    for one in found.rounds:
        for where, against, comparison in main_comparisons(one):
            _verdict(table, where, against, comparison.found)
    for comparison in found.comparisons:
        _verdict(table, comparison.first, comparison.second, comparison.found)
    show_table(console, table)


def _verdict(table: Table, where: str, against: str, found: PairedDifference) -> None:
    table.add_row(Text(where, "bold"), against, Text(uplift(found), _style(found)), better_share(found))


def notes_of(found: Evaluation) -> list[str]:
    """Notes on decisions that change figures."""
    from cuvee.evaluation.results import METRICS

    k = found.rounds[0].k
    sampled = found.protocol == "ncf"
    notes = [*found.notes]
    if not sampled:
        notes.append(
            "full ranking; " + ("seen items are left out" if found.seen_filtered else "seen items compete, too")
        )
    notes += [
        "equal scores are ordered by the item's position in the catalogue",
        f"NDCG's ideal list holds {'all' if found.ideal_over_all else f'at most {k}'} of a user's held-out items; "
        "recall is over all of them",
        "± and [ ] are 95 % intervals by bootstrap over users, left out for a single user and where all have the same; "
        "the blend against others is compared user by user; better: in how many resamples",
    ]
    if found.diversity_on:
        notes.append(f"diversity: {METRICS['diversity'].says}, by {', '.join(found.diversity_on)}")
    if any(len(one.segments) > 1 for one in found.rounds):
        notes.append(
            "segments: each user is in one, by the number of liked events in the history that the list is made from"
            + ("; those of `cuvee tune --newcomers 0`" if found.protocol == "validation" else "")
        )
    kept = [name for name, reused in found.reused.items() if reused]
    if kept:
        notes.append(f"fits kept from before: {', '.join(kept)}")
    seconds = sum(row.seconds for one in found.rounds for row in one.rows)
    notes.append(f"all lists took {span(seconds)}")
    return notes
