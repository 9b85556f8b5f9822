"""``cuvee snapshots list``, ``activate``, ``rollback`` and ``prune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.steering import TIMEOUT, admin, on_server_or_files
from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.artifacts.versions import ArtifactRoot
    from cuvee.cli.ask.calling import Server
    from cuvee.config import Settings
    from cuvee.registry import Registry
    from cuvee.v1 import admin_pb2 as pb

__all__ = ["register"]

NEWEST = "newest"
CheckOption = Annotated[bool, typer.Option("--validate-only", help="Try it and change nothing.")]


def register(app: typer.Typer) -> None:
    """Add ``snapshots`` with its commands."""
    group = typer.Typer(
        no_args_is_help=True,
        help="List the fitted versions of a product, choose which one answers, go back, delete old ones.",
        epilog=options.examples(
            "cuvee snapshots list movies                 what there is, and which one answers",
            "cuvee snapshots rollback movies             back to the one before",
        ),
    )
    group.command(
        "list",
        epilog=options.examples(
            "cuvee snapshots list movies",
            "cuvee snapshots list movies --address 127.0.0.1:50051    as a running server has them",
        ),
    )(list_snapshots)
    group.command(
        epilog=options.examples(
            "cuvee snapshots activate movies 20260712T101500000Z",
            "cuvee snapshots activate movies newest               and each newer one from now on",
        )
    )(activate)
    group.command(epilog=options.examples("cuvee snapshots rollback movies"))(rollback)
    group.command(
        epilog=options.examples(
            "cuvee snapshots prune movies                        all but the five newest and those in use",
            "cuvee snapshots prune movies --keep 2 --validate-only",
        )
    )(prune)
    app.add_typer(group, name="snapshots")


@on_server_or_files
def list_snapshots(
    product: options.Product,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
    *,
    server: Server | None,
) -> None:
    """List the versions of a product, the newest first, and say which one answers."""
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import plain_table, print_json, say, show_table, size

    if server is not None:
        from cuvee.v1 import admin_pb2 as pb

        request = pb.ListSnapshotsRequest(product=product, page_size=1000)
        found = list(admin(server, lambda stub: stub.ListSnapshots(request, timeout=TIMEOUT)).snapshots)
        told = admin(server, lambda stub: stub.GetProduct(pb.GetProductRequest(product=product), timeout=TIMEOUT))
        held = told.product.held
    else:
        found, held = _local(product, config)
    if as_json:
        print_json({"held": held, "snapshots": [_plain(one) for one in found]})
        return
    console = Console(highlight=False)
    if not found:
        say(console, f"nothing was fitted yet for product {product!r}; run `cuvee fit {product}`")
        return
    table = plain_table("version", "state", "fitted", "models", "on disk", right=("models", "on disk"))
    for one in found:
        bytes_ = sum(artifact.size_bytes for artifact in one.artifacts)
        fitted = f"{one.create_time.ToDatetime():%Y-%m-%d %H:%M}" if one.HasField("create_time") else ""
        table.add_row(Text(one.version, "bold"), _state(one), fitted, str(len(one.artifacts)), size(bytes_))
    show_table(console, table)
    for one in found:
        if one.problem.message:
            say(console, Text.assemble((one.version, "bold"), f": {one.problem.message}"))
    if held:
        say(
            console,
            Text(f"held: newer versions are not taken up; `cuvee snapshots activate {product} newest` ends that"),
        )


@on_server_or_files
def activate(
    product: options.Product,
    version: Annotated[str, typer.Argument(help="A version, or `newest`.", metavar="VERSION")],
    validate_only: CheckOption = False,
    config: options.Config = options.DEFAULT_CONFIG,
    *,
    server: Server | None,
) -> None:
    """Have a version answer.

    It is loaded first, and is not chosen where that fails. Newer fits are then
    not taken up, until you activate `newest`. Running servers load it beside
    the one in use, ask it sample requests, and swap.
    """
    from cuvee.artifacts.choice import activate as choose
    from cuvee.artifacts.choice import release
    from cuvee.v1 import admin_pb2 as pb

    if server is not None:
        if version == NEWEST:
            freed = pb.ReleaseSnapshotRequest(product=product)
            done = admin(server, lambda stub: stub.ReleaseSnapshot(freed, timeout=TIMEOUT))
            _tell(product, done.snapshot.version, done.previous_version, tried=False)
            return
        request = pb.ActivateSnapshotRequest(product=product, version=version, validate_only=validate_only)
        said = admin(server, lambda stub: stub.ActivateSnapshot(request, timeout=TIMEOUT))
        _tell(product, said.snapshot.version, said.previous_version, tried=validate_only)
        return
    settings, registry, root = _open(config, product)
    before = _answers(root, product)
    if version == NEWEST:
        there = root.versions(product)
        release(root, product)
        _tell(product, there[-1] if there else "", before, tried=False)
        return
    _try(settings, registry, product, version)
    if not validate_only:
        choose(root, product, version)
    _tell(product, version, before, tried=validate_only)


@on_server_or_files
def rollback(
    product: options.Product,
    validate_only: CheckOption = False,
    config: options.Config = options.DEFAULT_CONFIG,
    *,
    server: Server | None,
) -> None:
    """Go back to the version that answered before; once more goes back further."""
    from cuvee.artifacts.choice import roll_back, target_of_rollback
    from cuvee.v1 import admin_pb2 as pb

    if server is not None:
        request = pb.RollbackSnapshotRequest(product=product, validate_only=validate_only)
        said = admin(server, lambda stub: stub.RollbackSnapshot(request, timeout=TIMEOUT))
        _tell(product, said.snapshot.version, said.previous_version, tried=validate_only)
        return
    settings, registry, root = _open(config, product)
    before, version = _answers(root, product), target_of_rollback(root, product)[0]
    _try(settings, registry, product, version)
    if not validate_only:
        roll_back(root, product)
    _tell(product, version, before, tried=validate_only)


@on_server_or_files
def prune(
    product: options.Product,
    keep: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest stay.")] = 5,
    validate_only: CheckOption = False,
    config: options.Config = options.DEFAULT_CONFIG,
    *,
    server: Server | None,
) -> None:
    """Delete old versions.

    The newest stay, the one that answers, and the one that a roll-back goes to.
    """
    from rich.console import Console
    from rich.text import Text

    from cuvee.artifacts import pruning
    from cuvee.cli.terminal.tables import say
    from cuvee.v1 import admin_pb2 as pb

    if server is not None:
        request = pb.PruneSnapshotsRequest(product=product, keep=keep, validate_only=validate_only)
        gone = list(admin(server, lambda stub: stub.PruneSnapshots(request, timeout=TIMEOUT)).versions)
    else:
        root = _open(config, product)[2]
        gone = (pruning.prunable if validate_only else pruning.prune)(root, product, keep)
    verb = "would be deleted" if validate_only else "deleted"
    say(Console(highlight=False), Text(f"{product}: {len(gone)} {verb}" + "".join(f"\n  {one}" for one in gone)))


def _open(config: Path, product: str) -> tuple[Settings, Registry, ArtifactRoot]:
    from cuvee.artifacts.versions import ArtifactRoot

    settings, registry = options.open_settings(config, product)
    options.check_product(settings, product)
    return settings, registry, ArtifactRoot.of(settings)


def _answers(root: ArtifactRoot, product: str) -> str:
    """The version that is to answer; empty where none is or that cannot be read."""
    from cuvee.artifacts.choice import wanted
    from cuvee.errors import ArtifactError

    try:
        return wanted(root, product) or ""
    except ArtifactError:
        return ""


def _try(settings: Settings, registry: Registry, product: str, version: str) -> None:
    """Raises ArtifactError where a version does not load with all its models."""
    from cuvee.artifacts.snapshot import load_snapshot
    from cuvee.errors import ArtifactError

    snapshot = load_snapshot(settings, registry, product, version)
    problems = snapshot.problems
    snapshot.close()
    if problems:
        raise ArtifactError("\n".join(problems))


def _local(product: str, config: Path) -> tuple[list[pb.Snapshot], bool]:
    from cuvee.artifacts.choice import chosen
    from cuvee.errors import ArtifactError
    from cuvee.serving.admin.to_wire import snapshot_message

    root = _open(config, product)[2]
    answers = _answers(root, product)
    found = []
    for version in root.versions(product)[::-1]:
        try:
            message = snapshot_message(product, version, root.manifest(product, version), active=version == answers)
        except ArtifactError as problem:
            message = snapshot_message(product, version, problem, active=False)
        found.append(message)
    try:
        held = bool(chosen(root, product).version)
    except ArtifactError:
        held = False
    return found, held


def _state(one: pb.Snapshot) -> str:
    from cuvee.v1 import admin_pb2 as pb

    return pb.Snapshot.State.Name(one.state).removeprefix("STATE_").lower()


def _plain(one: pb.Snapshot) -> dict[str, object]:
    return {
        "version": one.version,
        "state": _state(one),
        "created": one.create_time.ToJsonString() if one.HasField("create_time") else None,
        "size_bytes": sum(artifact.size_bytes for artifact in one.artifacts),
        "models": [artifact.source for artifact in one.artifacts],
        "problem": one.problem.message or None,
    }


def _tell(product: str, version: str, before: str, *, tried: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.terminal.tables import say

    what = " can answer" if tried else " answers"
    was = f" (before: {before})" if before and before != version else ""
    say(Console(highlight=False), Text.assemble((product, "bold"), ": ", (version, "bold green"), what + was))
