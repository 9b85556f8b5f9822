"""``cuvee evaluate``: how good each recommender is on held-out events, and the blend."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    ProductArgument,
    check_product,
    examples,
    open_settings,
)

if TYPE_CHECKING:
    from cuvee.data.dataset import Dataset
    from cuvee.training.splits import Split

__all__ = ["Protocol", "register"]


class Protocol(enum.StrEnum):
    """How events are held out."""

    LEAVE_LAST_OUT = "leave-last-out"
    VALIDATION = "validation"
    RANDOM_80_20 = "random-80-20"


def register(app: typer.Typer) -> None:
    """Add ``evaluate``."""
    app.command(
        epilog=examples(
            "cuvee evaluate movies                              each user's last event is held out",
            "cuvee evaluate movies --protocol validation        the one before it: to tune on",
            "cuvee evaluate movies --users 500 --seed 1         500 users: sooner, less exact",
            "cuvee evaluate movies --protocol random-80-20 --json",
        )
    )(evaluate)


def evaluate(
    product: ProductArgument,
    protocol: Annotated[
        Protocol,
        typer.Option(
            help="leave-last-out: each user's last event by time. validation: the one before it, the last left out "
            "altogether. random-80-20: a fifth of all events."
        ),
    ] = Protocol.LEAVE_LAST_OUT,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Length of the lists.")] = 10,
    users: Annotated[int | None, typer.Option(min=1, help="List a random sample of so many test users.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample, and of random-80-20.")] = 0,
    refit: Annotated[
        list[str] | None,
        typer.Option(metavar="RECOMMENDER", help="Learn this one anew, although its fit was kept. Repeatable."),
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Fit on the past, list through the pipeline that serves, compare with what came next.

    Every item that the user has not seen competes. What is published stays as it is. Models are
    fitted on what is left of the data, and kept for the next time (and for `cuvee tune`) in the
    folder `fits` beside the datasets, 5 GB at most: data, settings or a plugin's version that have
    changed ask for a new fit by themselves.
    """
    import time
    from dataclasses import asdict

    from cuvee.cli.progress import Bars
    from cuvee.cli.tables import print_json, show_evaluation
    from cuvee.data.dataset import Dataset
    from cuvee.training.evaluate import evaluate as measure

    settings, registry = open_settings(config)
    table = settings.products[check_product(settings, product)]
    split = _split(Dataset.load(settings.data_dir / table.dataset), protocol, seed)
    n_known = len(split.users)
    split = _sample(split, users, seed)
    # published tables of this protocol take the ideal over all held-out items
    over_all = protocol is Protocol.RANDOM_80_20
    with Bars(hidden=as_json) as bars:
        found = measure(
            settings,
            registry,
            product,
            split,
            protocol.value,
            bars,
            k=k,
            ideal_over_all=over_all,
            refit=refit or (),
            clock=time.perf_counter,
        )
    seen_filtered = any(rule.use == "exclude_seen" for rule in table.rules)
    if as_json:
        print_json({**asdict(found), "seed": seed, "seen_filtered": seen_filtered, "ideal_over_all": over_all})
    else:
        show_evaluation(found, n_known=n_known, seen_filtered=seen_filtered, ideal_over_all=over_all)


def _split(data: Dataset, protocol: Protocol, seed: int) -> Split:
    from cuvee.training.splits import leave_last_out, random_share

    if protocol is Protocol.RANDOM_80_20:
        return random_share(data, seed=seed)
    return leave_last_out(data, back=1 if protocol is Protocol.VALIDATION else 0)


def _sample(split: Split, n: int | None, seed: int) -> Split:
    """The split with at most n of its test users, drawn at random."""
    import numpy as np

    from cuvee.training.splits import Split

    if n is None or n >= len(split.users):
        return split
    drawn = np.sort(np.random.default_rng(seed).choice(len(split.users), n, replace=False))
    return Split(split.train, split.users[drawn], split.held_out.select(drawn))
