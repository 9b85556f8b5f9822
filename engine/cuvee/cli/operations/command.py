"""``cuvee operations start``, ``list``, ``watch`` and ``cancel``, over AdminService."""

from __future__ import annotations

import enum
import time
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.steering import TIMEOUT, admin, on_server
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.cli.ask.calling import Server
    from cuvee.v1 import admin_pb2 as pb

__all__ = ["register"]

LOOK = 0.5
"""Seconds between two looks at how an operation stands."""


class Kind(enum.StrEnum):
    """What a server can be told to do."""

    FIT = "fit"
    TUNE = "tune"


def register(app: typer.Typer) -> None:
    """Add ``operations`` with its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Have a running server fit or tune a product; follow it, and end it.",
        epilog=options.examples(
            "cuvee operations start fit movies --watch    fit, and show how far it is",
            "cuvee operations list                        what runs and what has ended, of all products",
        ),
    )
    group.command(
        epilog=options.examples(
            "cuvee operations start fit movies            prints the operation's id, and does not wait",
            "cuvee operations start tune movies --apply   learn the blend's weights, and put them into the file",
        )
    )(start)
    group.command("list", epilog=options.examples("cuvee operations list movies"))(list_operations)
    group.command(epilog=options.examples("cuvee operations watch 20260712T101500000000-3f9a2b1c"))(watch)
    group.command(epilog=options.examples("cuvee operations cancel 20260712T101500000000-3f9a2b1c"))(cancel)
    app.add_typer(group, name="operations")


OperationArgument = Annotated[str, typer.Argument(help="Its id (`operations list`).", metavar="OPERATION")]


@on_server
def start(
    kind: Annotated[Kind, typer.Argument(help="What to do.", metavar="fit|tune")],
    product: options.Product,
    apply: Annotated[bool, typer.Option("--apply", help="Of `tune`: write what was learnt into the files.")] = False,
    follow: Annotated[bool, typer.Option("--watch", help="Stay until it has ended.")] = False,
    as_json: options.Json = False,
    *,
    server: Server,
) -> None:
    """Have the server fit or tune a product, beside its answers.

    It goes on where this command or the server ends. A product has one
    operation at a time.
    """
    from cuvee.v1 import admin_pb2 as pb

    if kind is Kind.FIT:
        if apply:
            raise typer.BadParameter("belongs to `tune`", param_hint="--apply")
        fit = pb.StartFitRequest(product=product)
        begun = admin(server, lambda stub: stub.StartFit(fit, timeout=TIMEOUT)).operation
    else:
        tune = pb.StartTuneRequest(product=product, apply=apply)
        begun = admin(server, lambda stub: stub.StartTune(tune, timeout=TIMEOUT)).operation
    if follow:
        _follow(server, begun.operation_id, as_json=as_json)
    elif as_json:
        _print(begun)
    else:
        typer.echo(begun.operation_id)


@on_server
def list_operations(
    product: Annotated[str, typer.Argument(help="Those of one product.", metavar="PRODUCT", show_default=False)] = "",
    as_json: options.Json = False,
    *,
    server: Server,
) -> None:
    """List the operations of a product, or of all; the newest first."""
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, print_json, say, show_table
    from cuvee.v1 import admin_pb2 as pb

    names = [product]
    if not product:
        every = pb.ListProductsRequest(page_size=1000)
        names = [one.product for one in admin(server, lambda stub: stub.ListProducts(every, timeout=TIMEOUT)).products]
    found: list[pb.Operation] = []
    for name in names:
        asked = pb.ListOperationsRequest(product=name, page_size=1000)
        found += admin(server, lambda stub: stub.ListOperations(asked, timeout=TIMEOUT)).operations  # noqa: B023 - at once
    found.sort(key=lambda one: one.operation_id, reverse=True)
    if as_json:
        print_json([_plain(one) for one in found])
        return
    console = Console(highlight=False)
    if not found:
        say(console, Text("no operation; `cuvee operations start fit PRODUCT` begins one"))
        return
    table = plain_table("operation", "product", "kind", "state", "began", "at")
    for one in found:
        began = f"{one.create_time.ToDatetime():%Y-%m-%d %H:%M}"
        table.add_row(Text(one.operation_id, "bold"), one.product, _kind(one), _state(one), began, _at(one))
    show_table(console, table)


@on_server
def watch(operation: OperationArgument, as_json: options.Json = False, *, server: Server) -> None:
    """Show how far an operation is, until it has ended.

    Ctrl-C ends the watching, not the operation. With --json a line for each
    change. The exit code is 0 where it succeeded, 2 where it failed, 1 where
    it was cancelled.
    """
    _follow(server, operation, as_json=as_json)


@on_server
def cancel(operation: OperationArgument, as_json: options.Json = False, *, server: Server) -> None:
    """End an operation; what was published before it began stays in use."""
    from cuvee.v1 import admin_pb2 as pb

    request = pb.CancelOperationRequest(operation_id=operation)
    found = admin(server, lambda stub: stub.CancelOperation(request, timeout=TIMEOUT)).operation
    until = time.monotonic() + TIMEOUT
    while found.state == pb.Operation.STATE_RUNNING and time.monotonic() < until:  # it cleans up after itself
        time.sleep(LOOK)
        found = _get(server, operation)
    if as_json:
        _print(found)
    else:
        typer.echo(f"{found.operation_id}: {_state(found)}")


def _get(server: Server, operation: str) -> pb.Operation:
    from cuvee.v1 import admin_pb2 as pb

    request = pb.GetOperationRequest(operation_id=operation)
    return admin(server, lambda stub: stub.GetOperation(request, timeout=TIMEOUT)).operation


def _follow(server: Server, operation: str, *, as_json: bool) -> None:
    """Show each change until the end.

    Raises:
        OperatorError: it failed; with what it said.
    """
    from cuvee.cli.terminal.progress import Bars
    from cuvee.errors import OperatorError
    from cuvee.v1 import admin_pb2 as pb

    told = step = None
    try:
        with Bars(hidden=as_json) as bars:
            while True:
                found = _get(server, operation)
                now = found.state, found.step, round(found.step_progress, 3)
                if now != told:
                    told = now
                    if as_json:
                        _print(found)
                    elif found.step:
                        if found.step != step:
                            step, advance = found.step, bars(found.step)
                        advance(found.step_progress, 1.0)
                if found.state != pb.Operation.STATE_RUNNING:
                    break
                time.sleep(LOOK)
    except KeyboardInterrupt:
        typer.echo(f"it goes on; `cuvee operations cancel {operation}` ends it", err=True)
        raise
    if found.state == pb.Operation.STATE_FAILED:
        raise OperatorError(f"operation {operation} failed; it said:\n{found.output.strip()}")
    if not as_json:
        typer.echo(found.output, nl=False)
        typer.echo(f"{operation}: {_state(found)}")
    if found.state == pb.Operation.STATE_CANCELLED:
        raise typer.Exit(1)


def _kind(one: pb.Operation) -> str:
    from cuvee.v1 import admin_pb2 as pb

    return pb.Operation.Kind.Name(one.kind).removeprefix("KIND_").lower()


def _state(one: pb.Operation) -> str:
    from cuvee.v1 import admin_pb2 as pb

    return pb.Operation.State.Name(one.state).removeprefix("STATE_").lower()


def _at(one: pb.Operation) -> str:
    return f"{one.step} {one.step_progress:.0%}" if one.step and _state(one) == "running" else ""


def _plain(one: pb.Operation) -> dict[str, object]:
    return {
        "operation": one.operation_id,
        "product": one.product,
        "kind": _kind(one),
        "state": _state(one),
        "began": one.create_time.ToJsonString(),
        "ended": one.end_time.ToJsonString() if one.HasField("end_time") else None,
        "step": one.step or None,
        "step_progress": one.step_progress,
        "output": one.output,
    }


def _print(one: pb.Operation) -> None:
    """One line of JSON."""
    import json

    typer.echo(json.dumps(_plain(one), ensure_ascii=False))
