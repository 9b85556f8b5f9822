"""The deep recommender in three acts, under traffic: its server is killed, comes back, gets a new model."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

from cuvee.cli.ask.calling import Server, ask
from cuvee.cli.ask.render import show_answer
from cuvee.cli.terminal.tables import plain_table, show_table
from cuvee.v1 import recommendation_pb2 as pb

from deploy.demo.narration import console, heading, run, say
from deploy.demo.place import CONFIG, PRODUCT, Place
from deploy.demo.processes import model_server
from deploy.demo.questions import STAR_WARS
from deploy.demo.traffic import Seen, Traffic, deep_of, in_words, reasons, traffic

__all__ = ["outage_and_swap"]

CALM = 1.0
"""Seconds of traffic between two events, so that each has something to show."""
PATIENCE = 30.0
"""Seconds that a recovery or a swap may take before the demo calls it a failure."""


def outage_and_swap(place: Place, models: subprocess.Popen[bytes], running: ExitStack) -> bool:
    """All three acts; whether no request was lost."""
    marks: list[tuple[str, float]] = [("the model server runs", time.monotonic())]
    with traffic(place) as going:
        time.sleep(CALM)
        heading("The model server is killed (SIGKILL), while requests go on")
        models.kill()
        models.wait()
        marks.append(("it is dead", time.monotonic()))
        _until(lambda: any(one.reason for one in going.since(marks[-1][1])))
        say("The others answer in its place: the list is full, marked degraded, and says why.")
        _show(place)
        time.sleep(CALM)

        heading("It is started again")
        running.enter_context(model_server(place))
        marks.append(("it is back", time.monotonic()))
        _until(lambda: not in_words(deep_of(_asked(place))))
        say(f"In the blend again {time.monotonic() - marks[-1][1]:.1f} s later, and nobody told the server.")
        _show(place)
        time.sleep(CALM)

        heading("A second version of the model: everything is fitted again, the new film with it")
        say("The requests go on meanwhile. The model server loads the new version beside the old one, warms it up, and")
        say("swaps; Cuvée's server sees it in the answers, and takes the item vectors that belong to it.")
        before = deep_of(_asked(place)).model_version
        marks.append(("a new model is trained and swapped in", time.monotonic()))
        run("fit", PRODUCT, "--config", CONFIG, environment=place.environment)
        _until(lambda: deep_of(_asked(place)).model_version != before)
        _show(place)
        time.sleep(CALM)
    return _account(going, marks)


def _asked(place: Place) -> pb.RecommendResponse:
    return ask(Server(place.address), lambda c: c.recommend(PRODUCT, context_item_ids=STAR_WARS, page_size=5))


def _show(place: Place) -> None:
    show_answer(_asked(place), console)


def _until(true: Callable[[], bool]) -> None:
    """Wait for it.

    Raises:
        TimeoutError: it does not come true.
    """
    until = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {PATIENCE:.0f} s")
        time.sleep(0.1)


def _account(going: Traffic, marks: list[tuple[str, float]]) -> bool:
    """What the callers saw between one event and the next, and over all."""
    heading("What those saw who asked all the while")
    right = ("requests", "OK", "full list", "slowest")
    table = plain_table("while", *right, "deep model", "without it, and why", right=right)
    ends = [moment for _, moment in marks[1:]] + [float("inf")]
    for (what, begins), end in zip(marks, ends, strict=True):
        part = [one for one in going.seen if begins <= one.at < end]
        table.add_row(
            what,
            str(len(part)),
            str(sum(not one.error for one in part)),
            str(sum(one.whole for one in part)),
            f"{1e3 * max((one.took for one in part), default=0):.0f} ms",
            _versions(part),
            reasons(part),
        )
    show_table(console, table)
    lost = sum(not one.whole for one in going.seen)
    if lost:
        errors = ", ".join(sorted({one.error or "short list" for one in going.seen if not one.whole}))
        console.print(f"{lost} of {len(going.seen)} requests were lost: {errors}", style="bold red")
    else:
        say(f"All {len(going.seen)} requests were answered with a full list; none was lost.")
    return not lost


def _versions(seen: list[Seen]) -> str:
    """The model's versions that took part, in order: ``1``, ``1, then 2``."""
    return ", then ".join(dict.fromkeys(one.version for one in seen if not one.reason and not one.error))
