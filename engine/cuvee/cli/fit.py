"""``cuvee fit``: learn the recommenders of products, and publish them as a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal import options
from cuvee.cli.terminal.failures import warn
from cuvee.cli.terminal.tables import plain_table, print_json, say, show_table, size, span

if TYPE_CHECKING:
    from cuvee.artifacts.versions import Manifest
    from cuvee.errors import CuveeError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``fit``."""
    app.command(
        epilog=options.examples(
            "cuvee fit                  every product",
            "cuvee fit movies           one product",
            "cuvee fit movies --json    what was fitted, for programs",
        )
    )(fit)


def fit(
    products: Annotated[
        list[str] | None, typer.Argument(help="Products to fit; all of them by default.", metavar="PRODUCT")
    ] = None,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Fit every recommender of a product and publish them as one version.

    A product is only published when all of its recommenders could be fitted;
    the other products are fitted in any case. Running servers take the new
    version up by themselves; `cuvee snapshots rollback` takes it back. Of
    older versions the newest `keep_snapshots` (10) stay, and those in use.
    """
    from cuvee.artifacts.pruning import prune
    from cuvee.artifacts.versions import ArtifactRoot
    from cuvee.cli.terminal.progress import Bars
    from cuvee.data.imported import imported_data, time_warnings
    from cuvee.errors import CuveeError, OperatorError
    from cuvee.training.fit import fit_product

    settings, registry = options.open_settings(config, *(products or ()))
    names = [options.check_product(settings, p) for p in products or settings.products]
    manifests = []
    failed: dict[str, CuveeError] = {}
    for name in names:
        try:
            with Bars(hidden=as_json) as bars:
                manifest = fit_product(settings, registry, name, bars)
            for warning in time_warnings(settings, name, imported_data(settings, name)):
                warn(f"{name}: {warning}")
        except CuveeError as problem:
            failed[name] = problem
            continue
        manifests.append(manifest)
        gone = prune(ArtifactRoot.of(settings), name, settings.keep_snapshots)
        if not as_json:
            _show(manifest, gone)
    if as_json:
        print_json([summary(m) for m in manifests])
    if len(failed) == 1 == len(names):
        raise next(iter(failed.values()))
    if failed:
        each = "".join(f"\n  {name}: {problem}" for name, problem in failed.items())
        raise OperatorError(f"{len(failed)} of {len(names)} products could not be fitted, the others were:{each}")


def summary(manifest: Manifest) -> dict[str, object]:
    """A version as plain values."""
    plain = manifest.model_dump(mode="json", exclude={"models"})
    plain["models"] = {
        name: {**entry.model_dump(mode="json", exclude={"files", "calibration"}), "size_bytes": entry.size}
        for name, entry in manifest.models.items()
    }
    return plain


def _show(manifest: Manifest, gone: list[str]) -> None:
    """What was fitted, the time and memory it took, the published version, and which older ones are gone."""
    console = Console(highlight=False)
    numbers = ("time", "memory", "on disk")
    table = plain_table("recommender", "plugin", "from", *numbers, right=numbers)
    for name, entry in manifest.models.items():
        origin = Text(f"{entry.distribution} {entry.distribution_version}", "dim")
        # memory is sampled, so a small peak is not meaningful
        memory = "under 1 MB" if entry.peak_bytes < 1e6 else size(entry.peak_bytes)
        costs = (span(entry.fit_seconds), memory, size(entry.size))
        table.add_row(Text(name, "bold"), entry.plugin, origin, *costs)
    show_table(console, table)
    learnt_from = f"{manifest.n_users:,} users, {manifest.n_items:,} items, {manifest.n_events:,} events"
    published = Text.assemble((manifest.product, "bold"), ": published version ", (manifest.version, "bold green"))
    say(console, published.append(f", fitted on {learnt_from}"))
    if gone:
        say(console, Text(f"deleted, as keep_snapshots says: {', '.join(gone)}", "dim"))
