"""A gRPC answer as a person reads it: the list, who contributed what, and how each source fared.

The bars show contributions, which add up to the item's score: one stacked bar per item, a colour
per source, all bars of a list to one scale. What speaks against an item stands left of the axis.
Without colours each source has a letter instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cuvee.cli.terminal.tables import plain_table, say, show_table, span

if TYPE_CHECKING:
    from cuvee.v1 import recommendation_pb2 as pb

    Answer: TypeAlias = pb.RecommendResponse | pb.SimilarItemsResponse | pb.RankResponse

__all__ = ["Palette", "bar", "show_answer", "source_table"]

COLOURS = ("dodger_blue2", "dark_orange", "green3", "orchid", "gold1", "turquoise2", "salmon1", "chartreuse3")
"""Red is not among them: it says that something is wrong."""
FOR, AGAINST, AXIS = "█", "▒", "│"
BAR_WIDTH = 28
WIDE = 100
"""From so many columns on a reason stands beside its item or source; in fewer, below the table."""


@dataclass(frozen=True)
class Palette:
    """How each source of an answer is drawn."""

    colours: Mapping[str, str]
    letters: Mapping[str, str]
    coloured: bool

    @classmethod
    def of(cls, sources: Sequence[str], *, coloured: bool) -> Palette:
        """Colours in the order of the configuration, and a letter for each, of its name if possible."""
        letters: dict[str, str] = {}
        for name in sources:
            free = (c for c in name.upper() + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c.isalpha() and c not in letters.values())
            letters[name] = next(free, "?")
        return cls({name: COLOURS[i % len(COLOURS)] for i, name in enumerate(sources)}, letters, coloured)

    def cells(self, source: str, n: int, *, against: bool = False) -> Text:
        """N cells of a bar."""
        if self.coloured:
            return Text((AGAINST if against else FOR) * n, self.colours[source])
        letter = self.letters[source]
        return Text((letter.lower() if against else letter) * n)

    def name(self, source: str) -> Text:
        """A source in its own colour, or with its letter."""
        if self.coloured:
            return Text.assemble((FOR * 2, self.colours[source]), " ", source)
        return Text(f"{self.letters[source]} = {source}")


def _edges(values: Sequence[float], scale: float) -> list[int]:
    """Cells of each value: their sums are rounded, so that the whole bar is as long as its sum."""
    cells, total, drawn = [], 0.0, 0
    for value in values:
        total += value
        cells.append(round(total * scale) - drawn)
        drawn += cells[-1]
    return cells


def bar(parts: Mapping[str, float], below: float, above: float, palette: Palette, width: int = BAR_WIDTH) -> Text:
    """One item's contributions, stacked: those against it left of the axis, those for it right.

    ``below`` and ``above`` are the largest such sums of the list (0 or more): the bars' scale.
    """
    if below + above <= 0:
        return Text()
    scale = (width - (1 if below else 0)) / (below + above)
    against = {s: -v for s, v in parts.items() if v < 0}
    favour = {s: v for s, v in parts.items() if v > 0}
    drawn = Text()
    if below:
        left = _edges(list(against.values()), scale)
        drawn.append(" " * (round(below * scale) - sum(left)))
        for source, n in zip(reversed(against), reversed(left), strict=True):
            drawn.append_text(palette.cells(source, n, against=True))
        drawn.append(AXIS, "dim")
    for source, n in zip(favour, _edges(list(favour.values()), scale), strict=True):
        drawn.append_text(palette.cells(source, n))
    return drawn


def show_answer(
    answer: Answer,
    console: Console | None = None,
    *,
    mark: Callable[[str], bool] | None = None,
    asked: Sequence[str] = (),
) -> None:
    """Print a whole answer.

    ``mark`` says of an item's id whether its row is to stand out; ``asked`` are the items that
    the request was about, if it was about items.
    """
    console = console or Console(highlight=False)
    wide = console.width >= WIDE
    palette = Palette.of([s.source for s in answer.sources], coloured=console.color_system is not None)
    if answer.items:
        reasons = [_reason(item) for item in answer.items]
        show_table(console, _list(answer.items, palette, reasons if wide else None, mark or (lambda _: False)))
        if not wide:
            _show_below(
                console, "#", [(str(item.position + 1), why) for item, why in zip(answer.items, reasons, strict=True)]
            )
    else:
        say(console, Text(_why_empty(answer, asked), "yellow"))
    console.print()
    details = [_detail(source) for source in answer.sources]
    show_table(console, source_table(answer, palette, details if wide else None))
    if not wide:
        _show_below(console, "source", [(s.source, why) for s, why in zip(answer.sources, details, strict=True)])
    say(console, _about(answer))


def _show_below(console: Console, of: str, reasons: Sequence[tuple[str, Text]]) -> None:
    """Reasons that found no room beside what they are of: each once, with all that it is true of."""
    alike: dict[str, tuple[list[str], Text]] = {}
    for name, why in reasons:
        if why.plain:
            alike.setdefault(why.plain, ([], why))[0].append(name)
    if alike:
        table = plain_table(of, "why")
        for names, why in alike.values():
            table.add_row(", ".join(names), why)
        console.print()
        show_table(console, table)


def _why_empty(answer: Answer, asked: Sequence[str]) -> str:
    if asked and set(asked) <= set(answer.unknown_item_ids):
        return "no item to show: the catalogue has none of the items that were asked about"
    if answer.degraded:
        return "no item to show: see below which sources could not answer"
    return "no item may be shown: filter, rules and exclusions leave none"


def _reason(item: pb.RecommendedItem) -> Text:
    return Text("to learn about it", "cyan") if item.exploration else Text(item.reason, "dim")


def _list(
    items: Sequence[pb.RecommendedItem], palette: Palette, reasons: Sequence[Text] | None, mark: Callable[[str], bool]
) -> Table:
    """A row per item; without ``reasons`` there is less room, and they stand elsewhere."""
    contributions = [{a.source: a.contribution for a in item.attributions} for item in items]
    below = max(-sum(v for v in parts.values() if v < 0) for parts in contributions)
    above = max(sum(v for v in parts.values() if v > 0) for parts in contributions)
    bars = BAR_WIDTH if reasons else BAR_WIDTH * 2 // 3
    table = plain_table()
    table.add_column("#", justify="right")
    table.add_column("id", style="dim", no_wrap=True)
    table.add_column("title")
    table.add_column("score", justify="right", no_wrap=True)
    explained = any(contributions) or any(item.HasField("fallback") for item in items)
    if explained:
        table.add_column("who contributed what", min_width=bars)
    if reasons:
        table.add_column("why")
    for at, (item, parts) in enumerate(zip(items, contributions, strict=True)):
        title = Text.assemble(("★ ", "bold yellow"), (item.title, "bold")) if mark(item.item_id) else Text(item.title)
        fallen_back = item.HasField("fallback") and not parts
        what = _fallback(item) if fallen_back else bar(parts, below, above, palette, bars)
        table.add_row(
            str(item.position + 1),
            item.item_id,
            title,
            f"{item.score:.3f}",
            *([what] if explained else []),
            *([reasons[at]] if reasons else []),
        )
    return table


def _fallback(item: pb.RecommendedItem) -> Text:
    from cuvee.v1.recommendation_pb2 import DegradedReason

    reason = DegradedReason.Name(item.fallback.reason).removeprefix("DEGRADED_REASON_").lower().replace("_", " ")
    return Text(f"fallback {item.fallback.level}, {item.fallback.source}: {reason}", "yellow")


def _detail(source: pb.SourceStatus) -> Text:
    from cuvee.v1.recommendation_pb2 import DegradedReason, SourceStatus

    reason = ""
    if source.reason:
        reason = DegradedReason.Name(source.reason).removeprefix("DEGRADED_REASON_").lower().replace("_", " ")
    why = ": ".join(part for part in (reason, source.detail) if part)
    return Text(why, "red" if source.status == SourceStatus.STATUS_DEGRADED else "dim")


def source_table(
    answer: Answer | pb.RecommendUsersResponse, palette: Palette, details: Sequence[Text] | None = None
) -> Table:
    """A row per source; ``details`` beside it, if there is room for them."""
    from cuvee.v1.recommendation_pb2 import SourceStatus

    weights: dict[str, float] = {}
    if not hasattr(answer, "users"):  # each user has weights of his own
        weights = {a.source: a.weight for item in answer.items for a in item.attributions}
    weighed = ("weight",) if weights else ()
    # who ranks the caller's own list proposes nothing
    proposed = any(s.candidate_count for s in answer.sources)
    right = (*weighed, *(("proposed",) if proposed else ()), "latency")
    table = plain_table("source", "status", *right, "model", *([""] if details else []), right=right)
    for at, source in enumerate(answer.sources):
        status = SourceStatus.Status.Name(source.status).removeprefix("STATUS_").lower().replace("_", " ")
        style = {SourceStatus.STATUS_LIVE: "green", SourceStatus.STATUS_DEGRADED: "bold red"}.get(source.status, "dim")
        counts = [str(source.candidate_count)] if proposed else []
        asked = source.status != SourceStatus.STATUS_NOT_SERVING_QUERY
        table.add_row(
            palette.name(source.source),
            Text(status, style),
            *([f"{weights[source.source]:.2f}" if source.source in weights else ""] if weights else []),
            *(counts if asked else [""] * len(counts)),
            span(source.latency.ToTimedelta().total_seconds()) if asked else "",
            Text(source.model_version, "dim"),
            *([details[at]] if details else []),
        )
    return table


def _about(answer: Answer) -> Text:
    """Who was answered, by what, and what of the request could not be used."""
    facts = [
        f"segment {answer.segment}" if answer.segment else "",
        "" if not hasattr(answer, "user_known") else f"user {'known' if answer.user_known else 'not known'}",
        f"variant {answer.variant}" if answer.variant else "",
    ]
    origin = [
        f"snapshot {answer.snapshot_version}",
        f"config {answer.config_revision}",
        f"id {answer.recommendation_id}" if answer.recommendation_id else "",
    ]
    about = Text("\n".join(" · ".join(f for f in line if f) for line in (facts, origin)), "dim")
    if answer.degraded:
        about = Text.assemble(("degraded: ", "bold red"), "not every source could answer\n", about)
    if answer.unknown_item_ids:
        about.append(f"\nnot in the catalogue: {', '.join(answer.unknown_item_ids)}", "yellow")
    return about
