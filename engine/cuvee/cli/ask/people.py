"""An answer of RecommendUsers as a person reads it: whom to tell about an item, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from cuvee.cli.ask.render import BAR_WIDTH, Palette, bar, source_table
from cuvee.cli.terminal.tables import plain_table, say, show_table

if TYPE_CHECKING:
    from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["show_users"]


def show_users(answer: pb.RecommendUsersResponse, item: str, console: Console | None = None) -> None:
    """Print a whole answer about an item."""
    console = console or Console(highlight=False)
    palette = Palette.of([source.source for source in answer.sources], coloured=console.color_system is not None)
    if answer.users:
        shares = [{a.source: a.contribution for a in user.attributions} for user in answer.users]
        below = max(-sum(v for v in parts.values() if v < 0) for parts in shares)
        above = max(sum(v for v in parts.values() if v > 0) for parts in shares)
        explained = any(shares)
        table = plain_table()
        table.add_column("#", justify="right")
        table.add_column("user", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        if explained:
            table.add_column("who contributed what", min_width=BAR_WIDTH)
        for user, parts in zip(answer.users, shares, strict=True):
            row = [str(user.position + 1), user.user_id, f"{user.score:.3f}"]
            table.add_row(*row, *([bar(parts, below, above, palette, BAR_WIDTH)] if explained else []))
        show_table(console, table)
    else:
        say(console, Text(_why_nobody(answer, item), "yellow"))
    console.print()
    show_table(console, source_table(answer, palette))
    facts = [f"{answer.scored_users:,} users scored", f"snapshot {answer.snapshot_version}"]
    about = Text(" · ".join([*facts, f"config {answer.config_revision}"]), "dim")
    if answer.degraded:
        about = Text.assemble(("degraded: ", "bold red"), "not every source could answer\n", about)
    if answer.narrowed:
        about.append("\nthere are more users than the server looks at ([server.limits] users)", "yellow")
    if answer.unknown_user_ids:
        about.append(f"\nnot known: {', '.join(answer.unknown_user_ids)}", "yellow")
    if answer.next_page_token:
        about.append(f"\nthere are more: --page-token {answer.next_page_token}", "dim")
    say(console, about)


def _why_nobody(answer: pb.RecommendUsersResponse, item: str) -> str:
    if not answer.item_known:
        return f"the catalogue has no item {item!r}"
    if not answer.scored_users:
        return "no user to show: the item may not be shown, or the filter leaves nobody who has not seen it"
    return "no user to show"
