"""``cuvee tune``: learn the weight of each source, and check that it improves the lists."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options

if TYPE_CHECKING:
    from cuvee.cli.tune.patch import Patch
    from cuvee.config import Settings
    from cuvee.data.dataset import Dataset
    from cuvee.evaluation.cases import Window
    from cuvee.product import Product
    from cuvee.registry import Registry
    from cuvee.tuning.new_items import NewItemsTuning
    from cuvee.tuning.results import Tuning

__all__ = ["REFUSED", "register"]

REFUSED = 3
"""Exit code where the blend is not better; nothing is proposed or applied."""


class Metric(enum.StrEnum):
    """The metric to optimise."""

    NDCG = "ndcg"
    HIT_RATE = "hit_rate"
    RECALL = "recall"
    MRR = "mrr"


class Over(enum.StrEnum):
    """The window that the cases come from."""

    VALIDATION = "validation"
    GLOBAL_TIME = "global-time"


class Missing(enum.StrEnum):
    """How a missing opinion is scored."""

    PRIOR = "prior"
    SKIP = "skip"
    ZERO = "zero"


def register(app: typer.Typer) -> None:
    """Add ``tune``."""
    app.command(
        epilog=options.examples(
            "cuvee tune movies                          learn, show, and write a patch and a plot",
            "cuvee tune movies --apply                  and put it into products/movies.toml",
            "cuvee tune movies --metric recall --k 20   for another metric than the product's own",
            "cuvee tune movies --calibrate auto         choose the calibrator, too",
            "cuvee tune movies --method learned         a ranker instead of weights",
            "cuvee tune movies --new-items              how high new items may stand, instead of weights",
        )
    )(tune)


def tune(
    product: options.Product,
    metric: Annotated[
        Metric | None,
        typer.Option(metavar="METRIC", help="ndcg, hit_rate, recall or mrr; by default [tune] metric of the product."),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", metavar="N", min=1, max=1000, help="Length of the lists; by default [tune] k."),
    ] = None,
    window: Annotated[
        Over | None,
        typer.Option(
            metavar="WINDOW",
            help="validation: each user's event before the last, the last left out. global-time: a stretch of time. "
            "By default [tune] window.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="weighted, rrf, learned or a plugin's blender; by default weighted, or learned where it is better by "
            "more than chance allows. A product that has another method, and --no-compare, keep the product's."
        ),
    ] = None,
    calibrate: Annotated[
        str | None, typer.Option(help="A calibrator, or auto to choose one; by default the product's.")
    ] = None,
    missing: Annotated[Missing | None, typer.Option(help="By default the product's.")] = None,
    newcomers: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            help="How many people, a fifth at most, are withheld from the models and serve as new users. With 0, short "
            "histories keep their weights.",
        ),
    ] = 1000,
    users: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Use a random sample of the other users.")
    ] = 6000,
    compare: Annotated[
        bool, typer.Option(help="Also try rrf, weighted and learned, and report the gain and cost of each.")
    ] = True,
    new_items: Annotated[
        bool,
        typer.Option(
            "--new-items",
            help="Learn blend.options.optimism instead: how high items without events may stand before the known ones "
            "lose half a per cent. Fits every recommender once more, without a tenth of the items.",
        ),
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Change products/<name>.toml; its other lines stay.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The patch; by default tuning/<name>.toml beside the folder of the data sets.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="The plot, a PNG; by default beside the patch.")] = None,
    refit: options.Refit = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the samples.")] = 0,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Learn the blend's weights on the past, and write them as a patch that a person can read.

    Each segment of users, by length of history, gets its own weights. They are measured on people
    from whom they were not learnt. A segment inside which newcomers would be better served by one
    member alone is split. Where the blend is not better than its best member by more than chance
    allows, or not better than the product is now, nothing is written and the exit code is 3. `similar`
    weights stay as they are.
    """
    import datetime

    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.cli.tune.new_items import patch_of_new_items, show_new_items
    from cuvee.cli.tune.patch import require_tune
    from cuvee.cli.tune.plots import save_png
    from cuvee.cli.tune.tables import patch_of
    from cuvee.training.fit import training_data
    from cuvee.tuning.new_items import tune_new_items
    from cuvee.tuning.objective import Measure
    from cuvee.tuning.run import tune as learn

    require_tune()
    settings, registry = options.open_settings(config, product)
    table = settings.products[options.check_product(settings, product)]
    _check(registry, method, calibrate)
    left_out = _left_out(registry, table)
    measure = Measure(metric.value if metric else table.tune.metric, k or table.tune.k)
    out = out or settings.data_dir.parent / "tuning" / f"{product}{'.new-items' if new_items else ''}.toml"
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    file = options.product_file(config, product)
    if new_items:
        data = training_data(settings, product)
        _warn_of_times(settings, product, data)
        with Bars(hidden=as_json) as bars:
            hoped = tune_new_items(
                settings, registry, product, data, measure, bars, users=users, seed=seed, refit=refit or ()
            )
        patch = patch_of_new_items(hoped, table, day, settings.revision)
        written = _write(patch, out, file, config, apply=apply)
        if as_json:
            print_json({**_plain(hoped, patch, written), "rules_left_out": left_out})
        else:
            show_new_items(hoped)
            _show_patch(patch, written, applied=apply)
        return
    asked = _window(settings, table, window.value if window else table.tune.window, newcomers, users, seed)
    with Bars(hidden=as_json) as bars:
        found = learn(
            settings,
            registry,
            product,
            asked,
            measure,
            bars,
            method=method,
            calibrate_by=calibrate,
            missing=missing.value if missing else None,
            compare=compare,
            refit=refit or (),
        )
    patch = patch_of(found, table, day, settings.revision)
    written = []
    if not found.refused:
        plot = plot or out.with_suffix(".png")
        save_png(found.curves, f"{product}: {measure} by the weight of each source, {day}", str(measure), plot)
        written = [*_write(patch, out, file, config, apply=apply), plot]
    if as_json:
        print_json({**_plain(found, patch, written), "refused": found.refused, "rules_left_out": left_out})
    else:
        _show(found, patch, written, applied=apply)
    if found.refused:
        raise typer.Exit(REFUSED)


def _check(registry: Registry, method: str | None, calibrate: str | None) -> None:
    """Refuse names that no plugin registers.

    Raises:
        InvalidArgument: names those that there are.
    """
    from cuvee.errors import NotFound
    from cuvee.tuning.run import AUTO

    if method is not None and method not in registry.blenders:
        raise NotFound("blender", method, sorted(registry.blenders))
    if calibrate is not None and calibrate != AUTO and calibrate not in registry.calibrators:
        raise NotFound("calibrator", calibrate, [*sorted(registry.calibrators), AUTO])


def _left_out(registry: Registry, product: Product) -> list[str]:
    """The product's rules that arrange lists behind the blend, by name; says that they have no part in this."""
    from cuvee.cli.terminal.failures import warn
    from cuvee.rules import Rule

    arranging = [use for use in product.rules if registry.rules[use.use].component.arrange is not Rule.arrange]
    names = [use.name or use.use for use in arranging]
    if names:
        warn(
            f"weights are learnt and measured without the rules that arrange lists ({', '.join(names)}); "
            f"`cuvee evaluate {product.name}` and `cuvee diff {product.name} --metric` measure lists as they are shown"
        )
    return names


def _warn_of_times(settings: Settings, product: str, data: Dataset) -> None:
    from cuvee.cli.terminal.failures import warn
    from cuvee.data.imported import time_warnings

    for warning in time_warnings(settings, product, data):
        warn(warning)


def _window(settings: Settings, product: Product, kind: str, newcomers: int, users: int | None, seed: int) -> Window:
    from cuvee.evaluation.cases import global_time_window, sampled, validation_window
    from cuvee.training.fit import training_data

    data = training_data(settings, product.name)
    _warn_of_times(settings, product.name, data)
    segments = list(product.blend.segments.items())
    if kind == Over.GLOBAL_TIME:
        found = global_time_window(data, segments, newcomers)
    else:
        found = validation_window(data, segments, newcomers, seed)
    return found if users is None else sampled(found, users, seed)


def _write(patch: Patch, out: Path, file: Path, config: Path, *, apply: bool) -> list[Path]:
    """Write a patch, the files beside it, and with ``apply`` the product's file; returns the written paths.

    Raises:
        ConfigError: the configuration cannot be loaded with it; the product's file is as before.
    """
    from cuvee.cli.tune.patch import patched, write_whole

    write_whole(out, patch.text())
    beside = {(file if apply else out).parent / name: text for name, text in patch.files.items()}
    for path, text in beside.items():
        write_whole(path, text)
    if apply:
        _apply(file, patched(file.read_text(encoding="utf-8"), patch, str(file)), config)
    return [out, *beside, *([file] if apply else [])]


def _apply(file: Path, text: str, config: Path) -> None:
    """Write a product's file, and put the old one back if the configuration cannot be loaded with it.

    Raises:
        ConfigError: with every mistake.
    """
    from cuvee.cli.tune.patch import write_whole
    from cuvee.errors import ConfigError

    before = file.read_text(encoding="utf-8")
    write_whole(file, text)
    try:
        options.open_settings(config, file.stem)
    except ConfigError:
        write_whole(file, before)
        raise


def _show(found: Tuning, patch: Patch, written: list[Path], *, applied: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from cuvee.cli.tune.plots import as_text
    from cuvee.cli.tune.tables import show_tuning

    console = Console(highlight=False, soft_wrap=True)
    for panel in found.curves:
        if panel.curves:
            print(as_text(panel, str(found.measure), min(console.width, 100), colours=console.is_terminal))  # noqa: T201 - escapes of its own
    show_tuning(found)
    if found.refused:
        told = Console(stderr=True, highlight=False, soft_wrap=True)
        told.print(Text.assemble(("refused: ", "bold red"), f"{found.refused}; nothing was written"))
        return
    _show_patch(patch, written, applied=applied)
    again = "" if applied else f"`cuvee tune {found.product} --apply` writes them into its file; "
    Console(highlight=False, soft_wrap=True).print(
        Text(f"Next: {again}`cuvee diff {found.product}` shows what changed files do to lists.", "dim")
    )


def _show_patch(patch: Patch, written: list[Path], *, applied: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(Text(patch.text().rstrip(), "cyan"))
    console.print()
    console.print(Text.assemble(("written: ", "bold green"), ", ".join(str(path) for path in written)))
    if applied:
        console.print(Text("`cuvee fit` is not needed; a running server takes the new weights up within seconds."))


def _plain(found: Tuning | NewItemsTuning, patch: Patch, written: list[Path]) -> dict[str, object]:
    """The result as plain values."""
    from dataclasses import asdict

    return {
        **asdict(found),
        "measure": str(found.measure),
        "patch": patch.text(),
        "written": [str(path) for path in written],
    }
