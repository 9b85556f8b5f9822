"""``cuvee recommend``, ``similar``, ``rank`` and ``users``: ask a running server, as any client does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.cli.ask.render import Answer
    from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["DEFAULT_ADDRESS", "profile_of", "register"]

DEFAULT_ADDRESS = "127.0.0.1:50051"

AddressOption = Annotated[
    str, typer.Option("--address", envvar="CUVEE_ADDRESS", help="Where the server listens: host:port.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="CUVEE_TOKEN_FILE",
        help="A file with the token; otherwise the environment's CUVEE_TOKEN.",
        show_default=False,
    ),
]
TlsOption = Annotated[bool, typer.Option("--tls", help="Encrypt; the server's certificate is of a public authority.")]
CaOption = Annotated[
    Path | None,
    typer.Option("--ca", envvar="CUVEE_CA", help="Encrypt; PEM of the server's authority.", show_default=False),
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", help="PEM of a client certificate.", show_default=False)
]
KeyOption = Annotated[Path | None, typer.Option("--key", help="PEM of its key.", show_default=False)]
TimeoutOption = Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the answer.")]
UserOption = Annotated[str, typer.Option("--user", "-u", help="The user's id.")]
ContextOption = Annotated[
    list[str] | None, typer.Option("--context", "-x", help="An item just touched; repeat it, oldest first.")
]
AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        "-a",
        help="What is known of the user: column=value. A number, true, false, or text.",
        metavar="COLUMN=VALUE",
    ),
]
InterestOption = Annotated[
    list[str] | None,
    typer.Option("--interest", "-i", help="Liked values of an item column.", metavar="COLUMN=VALUE,VALUE"),
]
FilterOption = Annotated[str, typer.Option("--filter", "-f", help="A SQL condition on the items' columns.")]
ExcludeOption = Annotated[list[str] | None, typer.Option("--exclude", help="An item that must not come back.")]
PageSizeOption = Annotated[int, typer.Option("--page-size", "-n", help="Length of the list; 0 is the product's own.")]
VariantOption = Annotated[
    str,
    typer.Option(
        "--variant",
        metavar="EXPERIMENT/VARIANT",
        help="Answer as this variant of an experiment does; such answers count nowhere.",
    ),
]
ExplainOption = Annotated[bool, typer.Option("--explain/--no-explain", help="Show what each source contributed.")]


def register(app: typer.Typer) -> None:
    """Add ``recommend``, ``similar``, ``rank`` and ``users``."""
    app.command(
        epilog=options.examples(
            "cuvee recommend movies --user 196",
            "cuvee recommend movies --context 50 --context 181 --context 172",
            "cuvee recommend movies -a age=24 -a occupation=artist -i genres=Film-Noir,Crime",
            "cuvee recommend movies -u 196 --filter \"year < 1960 AND 'Film-Noir' IN genres\"",
            "cuvee recommend movies -u 196 --json",
            "cuvee recommend movies -u 196 --address cuvee.example:50051 --ca ca.pem --token-file token",
        )
    )(recommend)
    app.command(epilog=options.examples("cuvee similar movies 50", "cuvee similar movies 50 181 --page-size 5"))(
        similar
    )
    app.command(epilog=options.examples("cuvee rank movies --user 196 50 181 172 1 302"))(rank)
    app.command(
        epilog=options.examples(
            "cuvee users movies 50",
            "cuvee users movies 50 --filter \"age < 30 AND occupation = 'student'\" --page-size 1000 --json",
        )
    )(users)


def recommend(
    product: options.Product,
    user: UserOption = "",
    context: ContextOption = None,
    attribute: AttributeOption = None,
    interest: InterestOption = None,
    where: FilterOption = "",
    exclude: ExcludeOption = None,
    page_size: PageSizeOption = 10,
    variant: VariantOption = "",
    explain: ExplainOption = True,
    address: AddressOption = DEFAULT_ADDRESS,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    timeout: TimeoutOption = 10.0,
    as_json: options.Json = False,
) -> None:
    """Ask for a list, and show what each source contributed to it.

    The user is an id, a session of items just touched, a declared profile, or any mixture.
    """
    from cuvee.cli.ask.calling import Server, ask

    answer = ask(
        Server(address, token_file, ca, certificate, key, tls),
        lambda client: client.recommend(
            product,
            user,
            context_item_ids=context or (),
            profile=profile_of(attribute or (), interest or ()),
            page_size=page_size,
            filter=where,
            exclude_item_ids=exclude or (),
            variant=variant,
            view=_view(explain),
            timeout=timeout,
        ),
    )
    _show(answer, as_json=as_json)


def similar(
    product: options.Product,
    items: Annotated[list[str], typer.Argument(help="Items whose like is wanted.", metavar="ITEM...")],
    where: FilterOption = "",
    exclude: ExcludeOption = None,
    page_size: PageSizeOption = 10,
    variant: VariantOption = "",
    explain: ExplainOption = True,
    address: AddressOption = DEFAULT_ADDRESS,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    timeout: TimeoutOption = 10.0,
    as_json: options.Json = False,
) -> None:
    """Ask for items that go with the given ones."""
    from cuvee.cli.ask.calling import Server, ask

    answer = ask(
        Server(address, token_file, ca, certificate, key, tls),
        lambda client: client.similar_items(
            product,
            items,
            page_size=page_size,
            filter=where,
            exclude_item_ids=exclude or (),
            variant=variant,
            view=_view(explain),
            timeout=timeout,
        ),
    )
    _show(answer, as_json=as_json, asked=items)


def rank(
    product: options.Product,
    items: Annotated[list[str], typer.Argument(help="The items to put in order.", metavar="ITEM...")],
    user: UserOption = "",
    context: ContextOption = None,
    attribute: AttributeOption = None,
    interest: InterestOption = None,
    explain: ExplainOption = True,
    address: AddressOption = DEFAULT_ADDRESS,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    timeout: TimeoutOption = 10.0,
    as_json: options.Json = False,
) -> None:
    """Put your own items in order for one user. Nothing is added or left out."""
    from cuvee.cli.ask.calling import Server, ask

    answer = ask(
        Server(address, token_file, ca, certificate, key, tls),
        lambda client: client.rank(
            product,
            items,
            user,
            context_item_ids=context or (),
            profile=profile_of(attribute or (), interest or ()),
            view=_view(explain),
            timeout=timeout,
        ),
    )
    _show(answer, as_json=as_json, asked=items)


def users(
    product: options.Product,
    item: Annotated[str, typer.Argument(help="The item that is to be shown.", metavar="ITEM")],
    where: Annotated[str, typer.Option("--filter", "-f", help="A SQL condition on the users' columns.")] = "",
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="A user who must not come back.")] = None,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also users who have seen the item.")] = False,
    page_size: Annotated[int, typer.Option("--page-size", "-n", help="How many users; at most 1,000.")] = 10,
    page_token: Annotated[str, typer.Option(help="Go on behind an earlier answer: its next_page_token.")] = "",
    explain: ExplainOption = True,
    address: AddressOption = DEFAULT_ADDRESS,
    token_file: TokenOption = None,
    tls: TlsOption = False,
    ca: CaOption = None,
    certificate: CertificateOption = None,
    key: KeyOption = None,
    timeout: TimeoutOption = 60.0,
    as_json: options.Json = False,
) -> None:
    """Ask whom to tell about an item: the users for whom it scores highest. Needs the scope privacy."""
    from google.protobuf.json_format import MessageToDict

    from cuvee.cli.ask.calling import Server, ask
    from cuvee.cli.ask.people import show_users
    from cuvee.cli.terminal.tables import print_json

    answer = ask(
        Server(address, token_file, ca, certificate, key, tls),
        lambda client: client.recommend_users(
            product,
            item,
            page_size=page_size,
            page_token=page_token,
            filter=where,
            exclude_user_ids=exclude or (),
            include_seen=include_seen,
            view=_view(explain),
            timeout=timeout,
        ),
    )
    if as_json:
        print_json(MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))
    else:
        show_users(answer, item)


def profile_of(attributes: Sequence[str], interests: Sequence[str]) -> pb.UserProfile | None:
    """What ``--attribute`` and ``--interest`` declare; None if nothing."""
    from cuvee.client import profile_in_texts
    from cuvee.errors import InvalidArgument

    try:
        return profile_in_texts(attributes, interests)
    except InvalidArgument as problem:
        option, example = _TYPED[problem.field]
        raise typer.BadParameter(f"{problem.description}, as in {option} {example}", param_hint=option) from None


_TYPED = {
    "profile.attributes": ("--attribute", "age=24"),
    "profile.interests": ("--interest", "genres=Film-Noir,Crime"),
}
"""Fields of the request: the option that fills each, and an example."""


def _view(explain: bool) -> pb.AttributionView.ValueType:
    from cuvee.v1.recommendation_pb2 import AttributionView

    return AttributionView.ATTRIBUTION_VIEW_FULL if explain else AttributionView.ATTRIBUTION_VIEW_BASIC


def _show(answer: Answer, *, as_json: bool, asked: Sequence[str] = ()) -> None:
    """Print an answer; ``asked`` are the items that the request was about."""
    from google.protobuf.json_format import MessageToDict

    from cuvee.cli.ask.render import show_answer
    from cuvee.cli.terminal.tables import print_json

    # on stderr: also beside --json, whoever reads a misspelt name as a preference wants to know
    for key in getattr(answer, "unknown_profile_keys", ()):
        kind, _, name = key.partition(".")
        whose, option = ("users", "--attribute") if kind == "attributes" else ("items", "--interest")
        typer.echo(f"warning: {option} {name}: the product's {whose} have no such column; it is ignored", err=True)
    for pair in getattr(answer, "unknown_profile_values", ()):
        kind, _, value = pair.partition(".")
        whose, option = ("user", "--attribute") if kind == "attributes" else ("item", "--interest")
        typer.echo(f"warning: {option} {value}: no {whose} of the product has this value; it is ignored", err=True)
    if as_json:
        print_json(MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))
    else:
        show_answer(answer, asked=asked)
