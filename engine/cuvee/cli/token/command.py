"""``cuvee token new``, ``list`` and ``revoke``: the file that ``[server.auth] tokens`` names."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options
from cuvee.config import Scope

if TYPE_CHECKING:
    from cuvee.serving.access.tokens import Token, TokenFile

__all__ = ["register"]

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="The file of tokens, instead of the configured one.", show_default=False),
]
AGES = {"h": 1 / 24, "d": 1, "w": 7, "y": 365}


def register(app: typer.Typer) -> None:
    """Add ``token`` with its commands."""
    token = typer.Typer(
        no_args_is_help=True,
        help="Make, list and revoke the tokens by which a server knows its callers.",
        epilog=options.examples("cuvee token new shop --scope recommend    make one, and show it once"),
    )
    token.command(
        epilog=options.examples(
            "cuvee token new shop --scope recommend --scope write",
            "cuvee token new feed --scope write --product movies    for one product only",
            "cuvee token new lawyer --scope privacy --expires 30d",
            "cuvee token new ops --scope admin --out ops.token      not on the screen",
        )
    )(new)
    token.command("list", epilog=options.examples("cuvee token list", "cuvee token list --json"))(list_tokens)
    token.command(
        epilog=options.examples(
            "cuvee token revoke 3f9a2b7c51de    running servers refuse it within a second",
            "cuvee token revoke --all           nobody gets in by a token any more",
        )
    )(revoke)
    app.add_typer(token, name="token")


def new(
    name: Annotated[str, typer.Argument(help="Who will have it, for your own list.", metavar="NAME")],
    scope: Annotated[
        list[Scope],
        typer.Option(
            "--scope",
            "-s",
            help="recommend, write, privacy or admin; may be repeated.",
            metavar="SCOPE",
            show_choices=False,
        ),
    ],
    product: Annotated[
        list[str] | None,
        typer.Option("--product", "-p", help="A product that it is for; may be repeated. Otherwise all."),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="For how long it is valid: 12h, 90d, 8w, 1y, or never.")
    ] = "1y",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new file for the secret, for its owner alone.", show_default=False),
    ] = None,
    config: options.Config = options.DEFAULT_CONFIG,
    file: FileOption = None,
    as_json: options.Json = False,
) -> None:
    """Make a token, and show its secret once.

    The secret cannot be shown again: the file holds its hash alone. Running
    servers know the token within a second.
    """
    from cuvee.cli.terminal.tables import print_json
    from cuvee.serving.access.tokens import change_tokens, new_token

    ends = _until(expires)
    name = " ".join(name.split())
    if not 0 < len(name) <= 100:
        raise typer.BadParameter("must have 1 to 100 characters", param_hint="NAME")
    where = _file(config, file)
    secret, token = new_token(name, list(dict.fromkeys(scope)), product or None, ends)
    if out is not None:
        _write(out, secret)
    change_tokens(where, lambda before: before.model_copy(update={"tokens": (*before.tokens, token)}))
    if as_json:
        print_json({**_told(token), **({"out": str(out)} if out is not None else {"token": secret})})
        return
    if out is None:
        typer.echo(secret)
    until = f"until {ends:%Y-%m-%d %H:%M} UTC" if ends is not None else "for good"
    which = ", ".join(product) if product else "all products"
    shown = f"its secret is in {out}" if out is not None else "its secret is shown this once"
    typer.echo(f"token {token.id} ({name}): {', '.join(token.scopes)} of {which}, {until}; {shown}", err=True)


def list_tokens(
    config: options.Config = options.DEFAULT_CONFIG, file: FileOption = None, as_json: options.Json = False
) -> None:
    """List the tokens with what each is for; no secret is shown, as none is kept."""
    from rich.console import Console

    from cuvee.cli.terminal.tables import plain_table, print_json, show_table
    from cuvee.serving.access.tokens import read_tokens

    found = read_tokens(_file(config, file)).tokens
    if as_json:
        print_json([_told(token) for token in found])
        return
    table = plain_table("id", "name", "scopes", "products", "expires", "state")
    for token in found:
        told = _told(token)
        products = ", ".join(token.products) if token.products is not None else "all"
        ends = f"{token.expires:%Y-%m-%d}" if token.expires is not None else "never"
        table.add_row(token.id, token.name, ", ".join(token.scopes), products, ends, str(told["state"]))
    show_table(Console(highlight=False), table)


def revoke(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids, as `list` shows them.", metavar="[ID]...")] = None,
    every: Annotated[bool, typer.Option("--all", help="All tokens.")] = False,
    config: options.Config = options.DEFAULT_CONFIG,
    file: FileOption = None,
) -> None:
    """Revoke tokens: running servers refuse them within a second."""
    from cuvee.errors import NotFound
    from cuvee.serving.access.tokens import change_tokens

    if bool(ids) == every:
        raise typer.BadParameter("give ids, or --all", param_hint="ID")
    now = datetime.now(UTC).replace(microsecond=0)
    # whoever has only the secret at hand may give that
    wanted = {re.sub(r"^cuvee_([0-9a-f]{12})_.*$", r"\1", one) for one in ids or ()}
    done: list[str] = []

    def change(before: TokenFile) -> TokenFile:
        known = {token.id for token in before.tokens}
        for one in sorted(wanted - known):
            raise NotFound("token", one[:12], sorted(known))
        tokens = []
        for token in before.tokens:
            hit = (every or token.id in wanted) and token.revoked is None
            tokens.append(token.model_copy(update={"revoked": now}) if hit else token)
            done.extend([f"{token.id} ({token.name})"] if hit else [])
        return before.model_copy(update={"tokens": tuple(tokens)})

    change_tokens(_file(config, file), change)
    typer.echo(f"revoked: {', '.join(done)}" if done else "nothing to revoke: they are revoked already")


def _told(token: Token) -> dict[str, object]:
    """What may be shown of a token."""
    return {**token.model_dump(mode="json", exclude={"sha256"}), "state": token.state(datetime.now(UTC))}


def _until(expires: str) -> datetime | None:
    if expires == "never":
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})([hdwy])", expires)
    if found is None:
        raise typer.BadParameter(f"{expires!r} is none of 12h, 90d, 8w, 1y, never", param_hint="--expires")
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=int(found[1]) * AGES[found[2]])


def _file(config: Path, file: Path | None) -> Path:
    """The file of tokens: as given, or as a configuration says. Nothing else of that is read."""
    from pydantic import ValidationError

    from cuvee.config import AuthConfig
    from cuvee.environment import from_environment
    from cuvee.errors import ConfigError, Mistake
    from cuvee.mistakes import Mistakes

    if file is not None:
        return file
    found = Mistakes()
    if not config.is_file():
        found.add(config, "", "does not exist; pass --config or --file")
    tables = (found.parse(config) if config.is_file() else None) or {}
    server = tables.get("server")
    auth = server.get("auth") if isinstance(server, dict) else None
    named = {"tokens": auth.get("tokens", "")} if isinstance(auth, dict) else {}
    filled = from_environment(named, os.environ, lambda path, said: found.add(config, f"server.auth.{path}", said))
    try:
        tokens = AuthConfig.model_validate(filled).tokens
    except ValidationError as problem:
        found.add(config, "server.auth.tokens", problem.errors(include_input=False)[0]["msg"])
        tokens = None
    if found.found:
        raise ConfigError(found.found)
    if tokens is None:
        said = 'is not set: write `tokens = "tokens.json"` into the table [server.auth], or pass --file'
        raise ConfigError([Mistake(str(config), "server.auth.tokens", said)])
    return config.parent / tokens


def _write(out: Path, secret: str) -> None:
    """Write a secret for its owner alone; a file that is there stays."""
    from cuvee.errors import OperatorError

    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as problem:
        raise OperatorError(f"--out {out} cannot be made: {problem.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secret + "\n")
