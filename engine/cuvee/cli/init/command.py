"""``cuvee init``: look at files, import them, write a configuration, fit, and show a first list."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options
from cuvee.errors import DataError, InvalidArgument, OperatorError

if TYPE_CHECKING:
    from cuvee.starting.plan import Plan
    from cuvee.starting.sources import Choice

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``init``."""
    app.command(
        epilog=options.examples(
            "cuvee init plays.csv",
            "cuvee init ratings.csv books.csv users.csv --name books",
            "cuvee init sales.parquet goods.csv --yes                take what is likely, ask nothing",
            "cuvee init log.csv --map user=who --map item=what       where names tell nothing",
        )
    )(init)


def init(
    files: Annotated[
        list[Path],
        typer.Argument(help="CSV or Parquet: interactions, and items and users, in any order.", metavar="FILES..."),
    ],
    *,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Of the product; by default that of the first file.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where cuvee.toml, products and var are written.")] = Path(),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take what is likely; ask nothing.")] = False,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="OURS=THEIRS", help="Which column is what: user, item, time, value, order. Repeatable."
        ),
    ] = None,
    positive_from: Annotated[
        float | None, typer.Option(help="The least rating that means liked. By default in the scale's upper part.")
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="How times are written, as in `cuvee import`.")
    ] = None,
) -> None:
    """Start with your own files: from CSV or Parquet to a first list.

    Says what each column is taken for, and why; asks where it is unsure;
    imports the files, writes a configuration that suits them, fits it,
    measures it on held-out events, and shows a list and how to go on.
    """
    from cuvee.cli.fit import fit
    from cuvee.cli.importing.dataset_files import import_into_dataset
    from cuvee.cli.init import told
    from cuvee.cli.init.asking import answered
    from cuvee.cli.init.first_list import measure, show_list
    from cuvee.data.dataset import Dataset
    from cuvee.data.files.cleaning import CleanOptions
    from cuvee.data.files.raw import Part
    from cuvee.pseudonyms import Pseudonyms
    from cuvee.starting.plan import looked_at
    from cuvee.starting.sources import Facts, suitable
    from cuvee.starting.writing import config_text, product_text

    product = _name(name, files[0])
    config = folder / "cuvee.toml"
    if config.exists():
        raise OperatorError(
            f"{config} exists, and is left as it is: `cuvee import` adds data to it; to begin anew, say --folder NEW"
        )
    data_folder = folder / "var" / "data" / product
    if data_folder.exists():
        raise OperatorError(f"{data_folder} holds a dataset, and is left as it is; say another --name, or --folder")
    mapped = _mapped(mapping or ())
    told.looking(len(files))
    plan = looked_at(files, mapped, time_format)
    told.show_plan(plan)
    plan = answered(_with_ratings(plan, positive_from), ask=not yes and sys.stdin.isatty(), yes=yes)
    import_into_dataset(
        data_folder,
        (plan.files[Part.INTERACTIONS], plan.files.get(Part.ITEMS), plan.files.get(Part.USERS)),
        "auto",
        plan.reading(),
        CleanOptions(positive_from=plan.positive_from),
        Pseudonyms(),
        replace=True,
        as_json=False,
    )
    facts = Facts.of(Dataset.load(data_folder))
    registry = options.open_registry()
    choice = suitable(facts, registry.recommenders)
    told.show_choice(choice)
    own = folder / "products" / f"{product}.toml"
    own.parent.mkdir(parents=True, exist_ok=True)

    def write(chosen: Choice) -> None:
        own.write_text(product_text(product, chosen, facts, plan.positive_from), encoding="utf-8")

    write(choice)
    config.write_text(config_text(choice, facts), encoding="utf-8")
    told.written(config, own)
    fit([product], config)
    measure(config, product, lambda merits, weights: write(choice.by_merit(merits).learnt(weights)))
    user = show_list(config, product)
    told.show_next(config, product, user)


def _name(name: str | None, first: Path) -> str:
    plain = name or re.sub(r"[^A-Za-z0-9._-]+", "-", first.name.split(".")[0]).strip("-._") or "mine"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", plain):
        raise InvalidArgument("--name", f"{plain!r} is no name: letters, digits, '-', '_' and '.', as in movies")
    return plain


def _mapped(given: list[str] | tuple[()]) -> dict[str, str]:
    mapped = {}
    for one in given:
        ours, equals, theirs = one.partition("=")
        if not (equals and theirs) or ours not in {"user", "item", "time", "value", "weight", "order"}:
            raise InvalidArgument("--map", f"{one!r} is not like user=COLUMN, or item, time, value, weight or order")
        mapped[ours] = theirs
    return mapped


def _with_ratings(plan: Plan, positive_from: float | None) -> Plan:
    """The plan with the answer that ``--positive-from`` gives."""
    from dataclasses import replace

    if positive_from is None:
        return plan
    questions = tuple(one for one in plan.questions if one.about != "positive_from")
    if questions == plan.questions and not plan.meanings.get(next(iter(plan.files))):
        return replace(plan, positive_from=positive_from)
    if questions == plan.questions:
        raise DataError("--positive-from: no column of the interactions holds ratings; say --map value=COLUMN")
    return replace(plan, positive_from=positive_from, questions=questions)
