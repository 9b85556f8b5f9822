"""How good a fresh product is, and a list of it, without a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal import options
from cuvee.cli.terminal.progress import Bars
from cuvee.cli.terminal.tables import plain_table, say, show_table
from cuvee.errors import CuveeError

if TYPE_CHECKING:
    from cuvee.evaluation.trials import Trial

__all__ = ["measure", "show_list"]

PEOPLE = 500
"""People by whom the sources are weighed, and others on whom the blend is measured."""
LENGTH = 10
HISTORY = 5
"""Events that the user of the first list should have."""


Weights = Mapping[str, Mapping[str, float]]
"""Segment -> source -> weight."""


def measure(config: Path, product: str, weigh: Callable[[Mapping[str, float], Weights], None]) -> None:
    """Learn the sources' weights on some people, and print what they and the blend find on others.

    Args:
        config: the configuration.
        product: its product, fitted.
        weigh: writes the weights. It is first given source -> NDCG of each source alone, and no weights; then the
            same with weights that were learnt from there.
    """
    from cuvee.data.dataset import Chronology
    from cuvee.evaluation.holding_out import Protocol
    from cuvee.evaluation.protocols import carry_out
    from cuvee.evaluation.results import Kind
    from cuvee.evaluation.run import evaluate
    from cuvee.training.fit import training_data

    console = Console(highlight=False)
    settings, registry = options.open_settings(config)
    data = training_data(settings, product)
    protocol = Protocol.RANDOM_80_20 if data.chronology is Chronology.NONE else Protocol.LEAVE_LAST_OUT
    console.print()
    try:
        trial = carry_out(protocol, data, LENGTH, 0, 2 * PEOPLE)
        asked = trial.rounds[0]
        halves = [asked.select(np.arange(start, len(asked), 2)) for start in (0, 1)]
        with Bars() as bars:
            trial = replace(trial, rounds=halves[:1])
            found = evaluate(settings, registry, product, trial, bars, ablation=False, clock=time.perf_counter)
            members = [row for row in found.rounds[0].rows if row.kind is Kind.MEMBER]
            merits = {row.name: row.figures.means["ndcg"].mean for row in members}
            weigh(merits, {})
            weigh(merits, _learnt(config, product, trial, bars))
            settings, registry = options.open_settings(config)
            trial = replace(trial, rounds=halves[1:])
            found = evaluate(settings, registry, product, trial, bars, ablation=False, clock=time.perf_counter)
    except CuveeError as problem:
        say(console, f"It cannot be measured on these data: {problem}")
        return
    first = found.rounds[0]
    numbers = (f"NDCG@{LENGTH}", f"HR@{LENGTH}")
    table = plain_table(f"{protocol}, {first.n_users:,} users", *numbers, right=numbers)
    for row in first.rows:
        means = row.figures.means
        name = Text(row.name, "bold" if row.kind is Kind.BLEND else "")
        table.add_row(name, f"{means['ndcg'].mean:.4f}", f"{means['hit_rate'].mean:.4f}")
    show_table(console, table)
    say(console, f"The weights were learnt on {PEOPLE} other people at most; `cuvee tune` learns from all.")
    say(console, Text(f"`cuvee evaluate {product}` says more: intervals, segments, what each source is worth.", "dim"))


def _learnt(config: Path, product: str, trial: Trial, bars: Bars) -> Weights:
    """What tuning says of the people of a trial's only round; nothing of segments whose weights it keeps."""
    from cuvee.evaluation.cases import Cases, Window
    from cuvee.starting.sources import LEARNT
    from cuvee.tuning.objective import Measure
    from cuvee.tuning.run import tune

    settings, registry = options.open_settings(config)
    asked = trial.rounds[0]
    cases = Cases(asked.people, asked.histories, asked.held_out, np.zeros(len(asked), np.bool_))
    window = Window(trial.protocol, trial.train, cases, 0)
    found = tune(settings, registry, product, window, Measure("ndcg", LENGTH), bars)
    return {one.name: one.weights for one in found.segments if one.name in LEARNT and one.weights}


def show_list(config: Path, product: str) -> str | None:
    """Print one user's history and list; gives the user's id, None where nobody has a history."""
    from cuvee.artifacts.snapshot import load_snapshot
    from cuvee.ranking.ask import Directly
    from cuvee.ranking.known_users import ask_about
    from cuvee.ranking.pipeline import make_lists

    console = Console(highlight=False)
    settings, registry = options.open_settings(config)
    snapshot = load_snapshot(settings, registry, product)
    try:
        lengths = snapshot.data.events.lengths
        if not lengths.any():
            return None
        able = np.flatnonzero(lengths >= min(HISTORY, int(lengths.max())))
        chosen = able[:1].astype(np.int32)
        user = snapshot.data.catalog.users.ids(chosen)[0]
        with Directly() as ask:
            answer = make_lists(snapshot.plan, ask_about(snapshot.data, chosen, LENGTH, snapshot.product.history), ask)
        items = snapshot.data.catalog.items
        history = snapshot.data.histories(chosen).items[-HISTORY:]
        console.print()
        names = ", ".join(_named(items, int(at)) for at in history)
        say(console, Text.assemble("A list for user ", (user, "bold"), f", whose newest events are with: {names}"))
        table = plain_table("", "score", "item", "most from", right=("", "score"))
        sources = [source.name for source in snapshot.plan.sources]
        for place, at in enumerate(answer.items()[0], 1):
            if at < 0:
                continue
            column = np.flatnonzero(answer.blended.items[0] == at)
            score, most = "", "fallback"
            if len(column):
                shares = answer.blended.contributions[:, 0, column[0]]
                score = f"{answer.blended.scores[0, column[0]]:.2f}"
                most = ", ".join(sources[s] for s in np.argsort(-shares, kind="stable")[:2] if shares[s] > 0)
            table.add_row(str(place), score, _named(items, int(at)), Text(most, "dim"))
        show_table(console, table)
        return str(user)
    finally:
        snapshot.close()


def _named(items: object, position: int) -> str:
    """An item's title, or its id where it has none."""
    from cuvee.data.catalog import Entities

    assert isinstance(items, Entities)  # noqa: S101 - for the type checker
    row = items.frame.row(position, named=True)
    return str(row.get("title") or row["id"])
