"""``cuvee diff``: the changed keys, how lists change, and what that is worth offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cuvee.cli.ask.command import (
    DEFAULT_ADDRESS,
    AddressOption,
    CaOption,
    CertificateOption,
    KeyOption,
    TlsOption,
    TokenOption,
)
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from rich.console import Console

    from cuvee.config import Settings
    from cuvee.data.catalog import Entities
    from cuvee.evaluation.bootstrap import PairedDifference
    from cuvee.evaluation.change import Change, ListChange
    from cuvee.registry import Registry

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``diff``."""
    app.command(
        epilog=options.examples(
            "cuvee diff movies                               the files here against a running server",
            "cuvee diff movies --against movies.before.toml  against another file of the product",
            "cuvee diff movies --against ../released         against another folder's cuvee.toml and products",
            "cuvee diff movies --variant bolder/bold         the product here against a variant of it",
            "cuvee diff movies --requests asked.jsonl        over requests that were logged, a JSON object a line",
            "cuvee diff movies --metric                      and the change of NDCG on each user's last event",
        )
    )(diff)


def diff(
    product: options.Product,
    against: Annotated[
        Path | None,
        typer.Option(
            help="What to compare with: a folder, a cuvee.toml, or another file of the product; "
            "without it, what the server at --address serves.",
            show_default=False,
        ),
    ] = None,
    variant: Annotated[
        str,
        typer.Option(
            metavar="EXPERIMENT/VARIANT",
            help="Compare the product of the files here with this variant of it; ~NAME is a shadow.",
        ),
    ] = "",
    users: Annotated[int, typer.Option(metavar="N", min=1, help="Compare the lists of so many sampled users.")] = 200,
    requests: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare the lists of these requests instead: a RecommendRequest in JSON a line, e.g. "
            '{"user_id": "196", "context_item_ids": ["50"]}.',
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("--k", metavar="N", min=1, max=100, help="Length of the lists.")] = 10,
    metric: Annotated[
        bool, typer.Option("--metric", help="Measure both on held-out events; fits models on the rest, and keeps them.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of samples and intervals.")] = 0,
    config: options.Config = options.DEFAULT_CONFIG,
    address: AddressOption = DEFAULT_ADDRESS,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    as_json: options.Json = False,
) -> None:
    """Show what the configuration here would change, without using it.

    The keys that differ; how the lists of sampled users, or of logged requests,
    differ, made by the pipeline that serves and the models that are published;
    those that differ most, side by side; with --metric also NDCG, user by user.
    """
    import dataclasses

    from rich.console import Console

    from cuvee.cli.diff.sides import files_of, served_files, settings_for, sides_of_variant
    from cuvee.cli.steering import server_at
    from cuvee.cli.terminal.failures import warn
    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.config import Files
    from cuvee.errors import ArtifactError

    registry = options.open_registry()
    after = settings_for(Files.read(config), registry, product)
    if variant:
        before, after = sides_of_variant(after, product, variant)
    elif against is not None:
        before = settings_for(files_of(config, product, against), registry, product)
    else:
        files = served_files(config, product, server_at(address, token_file, tls, ca, certificate, key))
        before = settings_for(files, registry, product)
    changes = _changes(before, after, product)
    lists = measured = None
    console = Console(highlight=False)
    with Bars(hidden=as_json) as bars:
        try:
            lists, items = _lists(before, after, registry, product, (users, k, seed), requests, bars)
        except ArtifactError as problem:
            warn(f"lists cannot be compared: {problem}")
        if metric:
            measured = _metric(before, after, registry, product, (k, seed), bars)
    if as_json:
        told: dict[str, Any] = {
            "before": before.revision_of(product),
            "after": after.revision_of(product),
            "changes": [dataclasses.asdict(one) for one in changes],
        }
        if lists is not None:
            whose = "user" if requests is None else "request"
            told["lists"] = {
                **{name: value for name, value in dataclasses.asdict(lists).items() if name != "examples"},
                "examples": [
                    {whose: one.user, "group": one.group, "before": items.ids(one.before[one.before >= 0]),
                     "after": items.ids(one.after[one.after >= 0])}
                    for one in lists.examples
                ],
            }  # fmt: skip
        if measured is not None:
            told["metric"] = {"name": measured[0], **dataclasses.asdict(measured[1])}
        print_json(told)
        return
    _show_changes(console, product, before, after, changes)
    if lists is not None:
        _show_lists(console, lists, items, "position" if requests is None else "place")
    if measured is not None:
        _show_metric(console, *measured)


def _changes(before: Settings, after: Settings, product: str) -> list[Change]:
    from cuvee.evaluation.change import differences

    def told(settings: Settings) -> dict[str, Any]:
        effective = settings.effective()
        used = settings.products[product].recommenders
        return {
            f"products/{product}.toml": effective["products"][product],
            "cuvee.toml": {"recommenders": {name: effective["recommenders"][name] for name in used}},
        }

    return differences(told(before), told(after))


def _lists(
    before: Settings,
    after: Settings,
    registry: Registry,
    product: str,
    how: tuple[int, int, int],
    requests: Path | None,
    bars: Any,
) -> tuple[ListChange, Entities]:
    """The lists of sampled users, or of logged requests, under both, over the models that are published.

    Raises:
        ArtifactError: a model that one of them needs was not fitted.
    """
    from cuvee.artifacts.snapshot import load_snapshot
    from cuvee.cli.diff.requests import changed_answers, read_requests
    from cuvee.errors import ArtifactError
    from cuvee.evaluation.change import changed_lists, sampled_users

    users, k, seed = how
    logged = read_requests(requests, product) if requests is not None else None
    old = load_snapshot(before, registry, product)
    new = load_snapshot(after, registry, product, old.version)
    try:
        if problems := (*old.problems, *new.problems):
            raise ArtifactError("\n".join(dict.fromkeys(problems)))
        items = new.data.catalog.items
        if logged is not None:
            return changed_answers(logged, old, new, registry, after, k, bars("lists")), items
        asked = sampled_users(new.data, users, seed)
        products = before.products[product], after.products[product]
        found = changed_lists(new.data, old.plan, new.plan, products, asked, k, bars("lists"))
        return found, items
    finally:
        old.close()
        new.close()


def _metric(
    before: Settings, after: Settings, registry: Registry, product: str, how: tuple[int, int], bars: Any
) -> tuple[str, PairedDifference]:
    from cuvee.evaluation.change import changed_metric
    from cuvee.evaluation.holding_out import Protocol
    from cuvee.evaluation.protocols import carry_out
    from cuvee.training.fit import training_data

    k, seed = how
    trial = carry_out(Protocol.LEAVE_LAST_OUT, training_data(after, product), k, seed)
    return changed_metric(before, after, registry, product, trial, bars, seed=seed)


def _show_changes(console: Console, product: str, before: Settings, after: Settings, changes: list[Change]) -> None:
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, say, show_table

    one, other = before.revision_of(product), after.revision_of(product)
    if not changes:
        say(console, Text.assemble((product, "bold"), f": revision {one}, nothing changes"))
        return
    say(console, Text.assemble((product, "bold"), f": revision {one} -> ", (other, "bold green")))
    table = plain_table("key", "before", "after")
    for change in changes:
        table.add_row(Text(change.path, "bold"), _shown(change.before), _shown(change.after))
    show_table(console, table)


def _shown(value: object) -> str:
    import json

    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _show_lists(console: Console, lists: ListChange, items: Entities, where: str) -> None:
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, say, show_table

    numbers = ("users", "same list", "same first", "items in both", "places moved")
    table = plain_table(f"lists of {lists.k}", *numbers, right=numbers)
    for group in lists.groups:
        overlap, moved = group.overlap, group.moved
        table.add_row(
            group.name,
            f"{group.users:,}",
            f"{group.same:.1%}",
            f"{group.top:.1%}",
            f"{overlap.mean:.1%} [{overlap.low:.1%}, {overlap.high:.1%}]",
            f"{moved.mean:.2f} [{moved.low:.2f}, {moved.high:.2f}]",
        )
    say(console, Text())
    show_table(console, table)
    say(console, Text(f"different items shown: {lists.coverage[0]:,} before, {lists.coverage[1]:,} after"))
    for example in lists.examples:
        say(console, Text(f"\n{example.group}: the one at {where} {example.user:,}"))
        table = plain_table("", "before", "after", right=("",))
        for at in range(lists.k):
            table.add_row(str(at + 1), _item(items, example.before, at), _item(items, example.after, at))
        show_table(console, table)


def _item(items: Entities, found: Any, at: int) -> str:
    if at >= len(found) or found[at] < 0:
        return ""
    position = [int(found[at])]
    return items.titles_of(position)[0] or items.ids(position)[0]


def _show_metric(console: Console, name: str, found: PairedDifference) -> None:
    from rich.text import Text

    from cuvee.cli.terminal.figures import uplift
    from cuvee.cli.terminal.tables import say

    say(console, Text(f"\n{name} on the last event of {found.n_users:,} users: "
                      f"{found.second:.4f} before, {found.first:.4f} after: {uplift(found)}"))  # fmt: skip
