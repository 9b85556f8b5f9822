"""``cuvee report --experiment``: what participants did, from a real store, in the terminal, as JSON and as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cuvee.bucketing import bucket
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow, EventType, ExperimentAnswerRow, now

from ...data.store.conftest import empty
from ..conftest import Run
from ..page import check_nothing_is_fetched, check_pictures, check_tables_fit, read

EXPERIMENT = """
[[experiments]]
name = "bolder"
[[experiments.variants]]
name = "control"
share = 0.5
[[experiments.variants]]
name = "bold"
share = 0.5
overrides.blend.weights.warm = { popular = 1.0, pairs = 0.0 }
"""
USERS = 600


def event(key: str, user: str, answer: str, item: str, kind: EventType) -> EventRow:
    return EventRow("toys", key, user, item, int(kind), 2.0, now(), now(), recommendation_id=answer)


@pytest.fixture(params=["sqlite", "postgres"])
def config(request: pytest.FixtureRequest, run: Run, place: Path) -> Path:
    """A product whose store has the answers and clicks of an experiment, ``bold`` being clicked more."""
    config = place / "cuvee.toml"
    url = "sqlite:///var/store.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").url
        empty(url)
    config.write_text(f'{config.read_text()}\n[store]\nurl = "{url}"\n')
    product = place / "products" / "toys.toml"
    product.write_text(product.read_text() + EXPERIMENT)
    assert run("store", "migrate", "--config", config).code == 0
    store = Store(Database(located(url, place)))
    random = np.random.default_rng(0)
    answers, events = [], []
    for n in range(USERS):
        user, time = f"user-{n}", now()
        bold = bucket("toys/bolder", user) >= 5_000
        label = "other/x,bolder/bold" if bold else "bolder/control"
        for at in range(2):
            key = f"answer-{n}-{at}"
            answers.append(ExperimentAnswerRow("toys", key, user, label, "warm" if n % 3 else "cold", 10, time))
            for item in range(random.binomial(10, 0.5 if bold else 0.2)):
                kind = EventType.PURCHASE if item == 3 else EventType.CLICK
                keys = [f"{key}-{item}", *([f"{key}-{item}-again"] if item == 0 else [])]  # one item, clicked twice
                events += [event(one, user, key, f"i{item}", kind) for one in keys]
            events.append(event(f"{key}-seen", user, key, "i9", EventType.VIEW))
    store.write_experiment_answers(answers)
    for first in range(0, len(events), 500):
        store.write_events(events[first : first + 500])
    store.close()
    return config


def test_the_report_of_an_experiment(config: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = run("report", "toys", "--experiment", "bolder", "--config", config, "--html", tmp_path / "r.html")
    assert done.code == 0, done.err
    assert "bold is better than control" in done.out
    assert "split as configured" in done.out
    assert max(map(len, done.out.replace(str(tmp_path), "").splitlines())) <= 80, done.out
    page = tmp_path / "r.html"
    check_nothing_is_fetched(page)
    check_pictures(read(page), 1)
    check_tables_fit(page)
    assert "bold is better than control" in page.read_text()

    found = json.loads(run("report", "toys", "--experiment", "bolder", "--config", config, "--json").out)
    assert found["verdict"] == "win"
    control, bold = found["variants"]
    assert control["users"] + bold["users"] == USERS
    assert (control["answers"], control["items"]) == (2 * control["users"], 20 * control["users"])
    assert control["metrics"]["click_through"]["value"] == pytest.approx(0.2, abs=0.02)
    assert bold["metrics"]["click_through"]["value"] == pytest.approx(0.5, abs=0.02)
    for lift in bold["lifts"].values():
        assert lift["always_low"] < lift["low"] < lift["lift"] < lift["high"] < lift["always_high"]
    assert bold["metrics"]["value"]["value"] == pytest.approx(4 * 0.83, abs=0.4), "two pieces of a purchase in each"
    assert {one["name"] for one in found["segments"]} == {"cold", "warm"}
    assert not found["split"]["mismatch"]


def test_an_experiment_that_is_none_is_refused(run: Run, place: Path):
    done = run("report", "toys", "--experiment", "nothing", "--config", place / "cuvee.toml")
    assert done.code != 0
    assert "no experiment named 'nothing'" in done.err
