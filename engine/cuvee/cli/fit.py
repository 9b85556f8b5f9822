"""``cuvee fit``: learn the recommenders of products, and publish them as a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, check_product, examples, open_settings

if TYPE_CHECKING:
    from cuvee.training.artifacts import Manifest

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``fit``."""
    app.command(
        epilog=examples(
            "cuvee fit                  every product",
            "cuvee fit movies           one product",
            "cuvee fit movies --json    what was fitted, for programs",
        )
    )(fit)


def fit(
    products: Annotated[
        list[str] | None, typer.Argument(help="Products to fit; all of them by default.", metavar="PRODUCT")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Fit every recommender of a product and publish them as one version.

    Nothing is published unless all of them could be fitted. A running server keeps the version
    that it has until it is started again.
    """
    from cuvee.cli.progress import Bars
    from cuvee.cli.tables import print_json, show_manifest
    from cuvee.training.fit import fit_product

    settings, registry = open_settings(config)
    names = [check_product(settings, p) for p in products or settings.products]
    manifests = []
    for name in names:
        with Bars(hidden=as_json) as bars:
            manifest = fit_product(settings, registry, name, bars)
        manifests.append(manifest)
        if not as_json:
            show_manifest(manifest)
    if as_json:
        print_json([summary(m) for m in manifests])


def summary(manifest: Manifest) -> dict[str, object]:
    """A version as plain values: all that a person would ask of it."""
    plain = manifest.model_dump(mode="json", exclude={"models"})
    plain["models"] = {
        name: {**entry.model_dump(mode="json", exclude={"files", "calibration"}), "size_bytes": entry.size}
        for name, entry in manifest.models.items()
    }
    return plain
