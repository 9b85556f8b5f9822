"""The result of ``cuvee tune``, as tables and as the proposed patch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal.figures import uplift
from cuvee.cli.terminal.tables import plain_table, say, show_table, span
from cuvee.cli.tune.patch import Patch

if TYPE_CHECKING:
    from rich.table import Table

    from cuvee.product import Product
    from cuvee.tuning.results import Group, SegmentTuning, Tuning

__all__ = ["patch_of", "show_tuning"]


def lengths(segments: Sequence[SegmentTuning], at: int) -> str:
    """How many events the users of a segment have."""
    least = segments[at].least
    later = sorted(s.least for s in segments if s.least > least)
    if not later:
        return f"{least}+"
    return str(least) if later[0] == least + 1 else f"{least}-{later[0] - 1}"


def show_tuning(found: Tuning) -> None:
    """The known users and the new ones by segment, the whole, and the other methods that were tried."""
    console = Console(highlight=False)
    say(console, Text(f"{found.product}: {found.measure}", "bold"))
    known = any(one.known.people for one in found.segments)
    if known:
        console.print()
        show_table(console, _groups("known users (events)", found, [one.known for one in found.segments], whole=True))
    if any(one.new.people for one in found.segments):
        console.print()
        groups = [one.new for one in found.segments]
        show_table(console, _groups("new users (events so far)", found, groups, whole=not known))
    say(console, f"over the weights before: {uplift(found.against_before)}")
    if found.tried:
        console.print()
        show_table(console, _tried(found))
    if found.calibrators:
        tried = ", ".join(f"{name} {value:.4f}" for name, value in found.calibrators.items())
        say(console, Text(f"calibrators: {tried}", "dim"))
    for note in notes(found):
        say(console, Text(note, "dim"))


def _groups(head: str, found: Tuning, groups: Sequence[Group], *, whole: bool) -> Table:
    """One kind of people by segment, without empty segments; with ``whole`` a last line for all of them."""
    right = ("people", "before", "learnt", "alone")
    table = plain_table(head, *right, "best member", "learnt over it", right=right)
    for at, (one, group) in enumerate(zip(found.segments, groups, strict=True)):
        against = group.against_best
        if against is None:
            continue
        over = f"{one.judged.best_member} alone" if one.alone else uplift(against)
        table.add_row(
            Text.assemble((one.name, "bold"), f" ({lengths(found.segments, at)})"),
            f"{group.people:,}",
            f"{group.before:.4f}",
            f"{group.after:.4f}",
            f"{against.second:.4f}",
            Text(group.best_member, "dim"),
            over if one.weights else "stays as it is",
        )
    if whole:
        best = found.against_best
        table.add_row(
            Text("all", "bold"),
            f"{found.people:,}",
            f"{found.before:.4f}",
            Text(f"{found.after:.4f}", "bold green"),
            f"{best.second:.4f}",
            Text(found.best_member, "dim"),
            Text(uplift(best), "bold"),
        )
    return table


def _tried(found: Tuning) -> Table:
    right = (str(found.measure), "per request")
    table = plain_table("blend", right[0], "over best member", "over the row above", right[1], right=right)
    member = found.members[found.best_member]
    table.add_row(f"{found.best_member} alone", f"{member:.4f}", "", "", _cost(found, found.member_seconds))
    for one in found.tried:
        table.add_row(
            one.recipe.method,
            f"{one.value:.4f}",
            uplift(one.against_best),
            uplift(one.against_last) if one.against_last else "",
            _cost(found, one.seconds),
        )
    return table


def _cost(found: Tuning, seconds: float) -> str:
    return f"{span(seconds)}, {seconds / found.member_seconds:.2f}x" if seconds and found.member_seconds else ""


def notes(found: Tuning) -> list[str]:
    """Notes on the meaning of the figures."""
    from cuvee.tuning.bench import ENOUGH_THERE

    lines = [
        f"{found.window} window, {found.n_cases:,} cases; each is measured with weights learnt from other people",
        "intervals: 95 %, paired bootstrap over people",
    ]
    if found.window == "validation":
        fewer = f", less the {found.withheld:,} withheld" if found.withheld else ""
        lines.append(
            "known users: their event before the last is to be found, with all before it as history; each is in the "
            f"segment of that history's length: those of `cuvee evaluate --protocol validation`{fewer}"
        )
    else:
        lines.append(
            "known users: what they liked in a stretch of time is to be found, with all before it as history; each is "
            "in the segment of that history's length"
        )
    if found.withheld:
        lines.append(
            f"new users: {found.withheld:,} people withheld from every model, asked for after their first events; "
            "right are their next 5 items. A person counts once for each number of events"
        )
    lines.append(
        f"the weights of a segment are decided on both together; where there are {ENOUGH_THERE} known users or more, "
        "on these alone, and its new users are not shown"
    )
    if empty := [one.name for one in found.segments if not one.known.people and not one.new.people]:
        lines.append(f"{', '.join(empty)}: nobody has a history of this length; the weights stay as they are")
    return lines


def patch_of(found: Tuning, product: Product, day: str, config: str) -> Patch:
    """The patch that a tuning proposes. ``day`` is its date, ``config`` the revision that it was made under."""
    blend, recipe = product.blend, found.recipe
    settings = {
        key: value
        for key, value in (("method", recipe.method), ("calibrate", recipe.calibrate), ("missing", recipe.missing))
        if value != getattr(blend, key)
    }
    best = found.against_best
    head = [
        f"cuvee tune {found.product}, {day}, configuration {config}.",
        f"{found.measure} on the {found.window} window, {found.people:,} people, out of fold:",
        f"  {found.before:.4f} before, {found.after:.4f} after, {found.best_member} alone {best.second:.4f};",
        f"  over {found.best_member} {uplift(best)}, over before {uplift(found.against_before)}",
        "  (95 %, paired bootstrap over people).",
        f"`cuvee tune {found.product} --apply` puts this into products/{found.product}.toml.",
    ]
    weights, said = {}, {}
    for at, one in enumerate(found.segments):
        if not one.weights or not one.judged.people:
            continue
        weights[one.name] = one.weights
        lines = [_line(one.known, "known", alone=one.alone), _line(one.new, "new", alone=one.alone)]
        figures = "; of ".join(line for line in lines if line)
        said[one.name] = f"{lengths(found.segments, at)} events: {found.measure} of {figures}"
        if one.alone:
            said[one.name] += f"; {_alone(one)}"
    segments = {one.name: one.least for one in found.segments}
    model = blend.options.get("model") if "method" not in settings else None
    file = model or f"{found.product}.learned.json"
    options = {key: value for key, value in recipe.options.items() if key != "learnt"}
    if "learnt" in recipe.options:
        options["model"] = file
    return Patch(
        head=head,
        settings=settings,
        options=options if "method" in settings or options != blend.options else None,
        files={file: json.dumps(recipe.options["learnt"], indent=2) + "\n"} if "learnt" in recipe.options else {},
        segments=segments if segments != blend.segments else {},
        weights=weights,
        notes=said,
        tag=f"{day}",
    )


def _line(group: Group, kind: str, *, alone: bool) -> str:
    """The figures of known or of new users, in a line; empty where there are none."""
    if group.against_best is None:
        return ""
    line = f"{group.people:,} {kind} users {group.before:.4f} -> {group.after:.4f}"
    best = group.against_best
    return line if alone else f"{line}, {group.best_member} alone {best.second:.4f}, over it {uplift(best)}"


def _alone(segment: SegmentTuning) -> str:
    """A note that one source is best, and why others are listed beside it."""
    said = f"{segment.judged.best_member} alone is best"
    if not segment.beside:
        return said
    names, them = " and ".join(segment.beside), "they had" if len(segment.beside) > 1 else "it had"
    keeps = "keep their weights" if len(segment.beside) > 1 else "keeps its weight"
    return f"{said} of those with an opinion; {names} {keeps}: {them} none on any of these cases"
