"""``cuvee import``: turn files into a dataset, or store them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cuvee.cli.terminal import options
from cuvee.errors import InvalidArgument

if TYPE_CHECKING:
    from cuvee.config import Settings
    from cuvee.data.catalog import Role
    from cuvee.data.files.raw import ReadOptions

__all__ = ["import_data", "register"]

FILES, COLUMNS, CLEANING, PLACE = "Files", "Columns", "Cleaning", "Place"
"""The panels of ``cuvee import --help``."""
STORED = {
    "path",
    "items",
    "users",
    "product",
    "config",
    "mapping",
    "time_unit",
    "time_format",
    "kind",
    "strict",
    "as_json",
}
"""The parameters that ``--product`` takes."""


def register(app: typer.Typer) -> None:
    """Add ``import``."""
    app.command(
        "import",
        epilog=options.examples(
            "cuvee import ~/ml-latest-small --dataset movies",
            "cuvee import ml-100k --dataset movies --feedback explicit --positive-from 4",
            "cuvee import plays.parquet --dataset music --map user=uid --map item=track --map time=at",
            "cuvee import sales.csv --dataset shop --items goods.csv --map items.item=sku --role tags=categories",
            "cuvee import plays.parquet --product movies --type view    into the store, beside a running server",
            "cuvee import --dataset movies --items new.csv    add or update items; models keep their positions",
        ),
    )(import_data)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """``["user=uid"]`` as a mapping."""
    pairs: dict[str, str] = {}
    for one in given:
        ours, equals, theirs = one.partition("=")
        if not (ours and equals and theirs):
            raise InvalidArgument(option, f"{one!r} is not of the form NAME=VALUE, such as {option} user=user_id")
        if ours in pairs:
            raise InvalidArgument(option, f"{ours!r} is given twice")
        pairs[ours] = theirs
    return pairs


def _roles(given: Sequence[str]) -> dict[str, Role]:
    from cuvee.data.catalog import Role

    roles = {}
    for name, role in _pairs("--role", given).items():
        if role not in list(Role):
            raise InvalidArgument("--role", f"{role!r} of {name!r} is no role; there are: {', '.join(Role)}")
        roles[name] = Role(role)
    return roles


def _settings(config: Path | None) -> Settings | None:
    """The named configuration, or that of the working directory; None where there is none."""
    if config is None and not options.DEFAULT_CONFIG.exists():
        return None
    settings, _ = options.open_settings(config or options.DEFAULT_CONFIG)
    return settings


def _into_store(
    context: typer.Context,
    config: Path | None,
    product: str,
    files: tuple[Path | None, Path | None, Path | None],
    reading: ReadOptions,
    kind: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    from cuvee.cli.importing.store_files import import_into_store
    from cuvee.data.files.raw import Part
    from cuvee.data.store.rows import EventType

    for option, value in context.params.items():
        given = context.get_parameter_source(option)
        if option not in STORED and given is not None and given.name == "COMMANDLINE" and value is not None:
            raise InvalidArgument(f"--{option.replace('_', '-')}", "is for a --dataset; leave it out with --product")
    settings, _ = options.open_settings(config or options.DEFAULT_CONFIG)
    import_into_store(
        settings,
        product,
        {part: file for part, file in zip(Part, files, strict=True) if file is not None},
        reading,
        EventType[kind.upper()] if kind else None,
        strict=strict,
        as_json=as_json,
    )


def import_data(
    context: typer.Context,
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Interactions, a folder with all, or a set that `cuvee dataset` has fetched. May be left out beside "
            "--items or --users."
        ),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option("--dataset", "-d", help="The dataset to import into.", rich_help_panel=PLACE)
    ] = None,
    product: Annotated[
        str | None,
        typer.Option(
            "--product",
            "-p",
            help="The product into whose store Parquet files are written, as events, instead of a dataset.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="CUVEE_DATA_DIR",
            help="Where datasets lie. By default where the configuration says, or var/data without one.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="CUVEE_CONFIG",
            help="The configuration, whose `privacy` says how ids of users are kept. By default cuvee.toml, if there "
            "is one here.",
            rich_help_panel=PLACE,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace an existing dataset. By default, it is added to.", rich_help_panel=PLACE
        ),
    ] = False,
    items: Annotated[Path | None, typer.Option(help="A file of items.", rich_help_panel=FILES)] = None,
    users: Annotated[Path | None, typer.Option(help="A file of users.", rich_help_panel=FILES)] = None,
    form: Annotated[
        str,
        typer.Option(
            "--format", help="How PATH is read: auto, movielens, parquet, csv, or a plugin's.", rich_help_panel=FILES
        ),
    ] = "auto",
    separator: Annotated[
        str | None, typer.Option(help="Between the fields of a CSV file. \\t is a tab.", rich_help_panel=FILES)
    ] = None,
    list_separator: Annotated[
        str, typer.Option(help="Between the labels inside one field.", rich_help_panel=FILES)
    ] = "|",
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Of a CSV file, if it is neither UTF-8 nor marked as UTF-16 or UTF-32.", rich_help_panel=FILES
        ),
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS",
            help="Which column is what. Ours: user, item, time, value, weight, order (what came first, where times "
            "are alike or there are none); for items and users any name, such as title; items.item is the id in the "
            "items file where it differs, items.title a column of it alone. With --product: user, session, item, "
            "type, time, value, "
            "event_id, recommendation_id, position. Usual names are found without.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=ROLE",
            help="What a column of items or users means: text, category, categories, number, flag, vector, other. "
            "Guessed where not given.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        typer.Option(
            help="What numbers in the time column count since 1970. By default seconds, but for dates like 20310530 "
            "and days as Excel counts them, which are told.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="How times are written, such as '%d/%m/%Y %H:%M' (%Y year, %m month, %d day, %H hour, %M minute, "
            "%S second, %z zone), or excel. By default ISO 8601 and other usual forms are understood, with any zone, "
            "and without one as UTC.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    decimal: Annotated[
        Literal[".", ","] | None,
        typer.Option(
            help="The decimal mark of numbers in a CSV file. By default detected.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    kind: Annotated[
        Literal["view", "click", "favourite", "purchase", "rating", "dismiss"] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Of every event, where there is no column of types: view, click, favourite, purchase, rating or "
            "dismiss. For --product.",
            rich_help_panel=COLUMNS,
        ),
    ] = None,
    feedback: Annotated[
        Literal["auto", "implicit", "explicit"],
        typer.Option(
            help="implicit: each event is a yes. explicit: its value tells, see --positive-from. "
            "auto: explicit where --positive-from is given.",
            rich_help_panel=CLEANING,
        ),
    ] = "auto",
    positive_from: Annotated[
        float | None,
        typer.Option(help="The least value that means liked; less is seen, not liked.", rich_help_panel=CLEANING),
    ] = None,
    repeats: Annotated[
        Literal["keep", "last"],
        typer.Option(help="Keep all of a user's events with one item, or the last.", rich_help_panel=CLEANING),
    ] = "keep",
    unknown: Annotated[
        Literal["add", "drop"],
        typer.Option(help="What becomes of items and users that no file describes.", rich_help_panel=CLEANING),
    ] = "add",
    min_user_events: Annotated[
        int, typer.Option(min=0, help="Leave out events of users with fewer.", rich_help_panel=CLEANING)
    ] = 0,
    min_item_events: Annotated[
        int, typer.Option(min=0, help="Leave out events of items with fewer.", rich_help_panel=CLEANING)
    ] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be used.", rich_help_panel=CLEANING)
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Turn files into a dataset, or store them, and report what was dropped and why.

    A dataset that is there is added to: known items and users are updated,
    new ones come last, so that fitted models stay valid; the same event
    read twice counts once. An event more than five minutes in the future is
    dropped. Without a time or an order nothing is taken for one, and what
    that means is told. With --product Parquet files, or a folder that
    `cuvee export` wrote, go into the store, where running servers find them;
    interrupted, the same command goes on where it was.
    """
    from cuvee.cli.importing.dataset_files import import_into_dataset
    from cuvee.data.files.cleaning import CleanOptions, Feedback, Repeats, Unknown
    from cuvee.data.files.raw import ReadOptions, TimeUnit
    from cuvee.pseudonyms import Pseudonyms

    if path is None and items is None and users is None:
        raise InvalidArgument("PATH", "nothing to import; give a path, or --items, or --users")
    if (name is None) == (product is None):
        raise InvalidArgument("--dataset", "say --dataset NAME, or --product NAME for its store")
    if time_unit is not None and time_format is not None:
        raise InvalidArgument(
            "--time-format", "says how times are written, --time-unit what they count; give one of them"
        )
    columns = _pairs("--map", mapping or ())
    if product is not None:
        reading = ReadOptions(
            columns=columns, time_unit=TimeUnit(time_unit) if time_unit else None, time_format=time_format
        )
        _into_store(context, config, product, (path, items, users), reading, kind, strict, as_json)
        return
    if name is None or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InvalidArgument("--dataset", f"{name!r} is no name: letters, digits, '-', '_' and '.', as in movies")
    reading = ReadOptions(
        columns=columns,
        roles=_roles(role or ()),
        separator=separator.replace("\\t", "\t") if separator else None,
        list_separator=list_separator,
        time_unit=TimeUnit(time_unit) if time_unit else None,
        time_format=time_format,
        decimal=decimal,
        encoding=encoding,
    )
    cleaning = CleanOptions(
        feedback=Feedback(feedback),
        positive_from=positive_from,
        repeats=Repeats(repeats),
        unknown=Unknown(unknown),
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        strict=strict,
    )
    settings = _settings(config)
    folder = (data_dir or (settings.data_dir if settings else Path("var/data"))) / name
    pseudonyms = settings.privacy.pseudonyms if settings else Pseudonyms()
    import_into_dataset(folder, (path, items, users), form, reading, cleaning, pseudonyms, replace, as_json)
