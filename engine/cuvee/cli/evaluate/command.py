"""``cuvee evaluate``: measure each recommender, and the blend, on held-out events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cuvee.cli.terminal import options
from cuvee.evaluation.holding_out import Protocol

if TYPE_CHECKING:
    pass

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add ``evaluate``."""
    app.command(
        epilog=options.examples(
            "cuvee evaluate movies                              each user's last event is held out",
            "cuvee evaluate movies --html report.html           and a report with plots",
            "cuvee evaluate movies --protocol global-time       what happened after a point of time",
            "cuvee evaluate movies --protocol cold-users        new users after 0, 1, 3, 5 events",
            "cuvee evaluate movies --users 500 --no-ablation    500 users: sooner, less exact",
            "cuvee evaluate movies --all-metrics                diversity, novelty, popularity, fallback, ...",
            "cuvee evaluate movies --protocol random-80-20 --json > figures.json",
        )
    )(evaluate)


def evaluate(
    product: options.Product,
    protocol: Annotated[
        Protocol,
        typer.Option(
            metavar="PROTOCOL",
            help="leave-last-out: each user's last event by time. validation: the one before it, the last left out "
            "altogether. global-time: the last tenth of all events, models and histories end before it. random-80-20: "
            "a fifth of each user's events. ncf: the last event against 99 random unseen items (all, if fewer). "
            " cold-users: a tenth "
            "of the users, unknown to the models, after 0, 1, 3, 5 events. cold-items: a tenth of the items, unknown "
            "to the models, and what serving them costs the others.",
        ),
    ] = Protocol.LEAVE_LAST_OUT,
    k: Annotated[int, typer.Option("--k", metavar="N", min=1, max=100, help="Length of the lists.")] = 10,
    users: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="List a random sample of the test users.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of samples, random protocols and intervals.")] = 0,
    ablation: Annotated[bool, typer.Option(help="List the blend without each of its sources, too.")] = True,
    every_metric: Annotated[bool, typer.Option("--all-metrics", help="Show every metric, not the few.")] = False,
    html: options.Html = None,
    refit: options.Refit = None,
    config: options.Config = options.DEFAULT_CONFIG,
    as_json: options.Json = False,
) -> None:
    """Fit on the past, list through the pipeline that serves, compare with what came next.

    Rows: each recommender alone, the blend as it is served, the blend without each source. Intervals
    are a bootstrap over users; the blend is compared with every row user by user.

    What is published stays as it is. Models are fitted on what is left of the data, and kept for the
    next time (and for `cuvee tune`) in the folder `fits` beside the datasets, 5 GB at most: data,
    settings or a plugin's version that have changed ask for a new fit by themselves.
    """
    import dataclasses
    import time

    from cuvee.cli.evaluate.html import write_report
    from cuvee.cli.evaluate.tables import notes_of, show_evaluation
    from cuvee.cli.html.page import require_reports
    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.imported import time_warnings
    from cuvee.evaluation.protocols import carry_out
    from cuvee.evaluation.run import evaluate as measure
    from cuvee.training.fit import training_data

    if html is not None:
        require_reports(html)
    settings, registry = options.open_settings(config, product)
    data = training_data(settings, options.check_product(settings, product))
    trial = carry_out(protocol, data, k, seed, users)
    trial = dataclasses.replace(trial, notes=(*trial.notes, *time_warnings(settings, product, data)))
    with Bars(hidden=as_json) as bars:
        found = measure(
            settings,
            registry,
            product,
            trial,
            bars,
            seed=seed,
            ablation=ablation,
            refit=refit or (),
            clock=time.perf_counter,
        )
    if html is not None:
        write_report(found, notes_of(found), html)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        show_evaluation(found, every_metric=every_metric)
        if html is not None:
            typer.echo(f"report: {html}")
