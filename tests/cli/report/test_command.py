"""``cuvee report``: rates with their intervals, or why there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cuvee.cli.report.rates import wilson
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow, ExposureRow, now

from ..conftest import Run


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1000, 0.0002, 0.0056), (0, 0, 0, 1)],
)
def test_intervals_are_those_of_the_books(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_report_tells_what_came_of_what_was_shown(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    nothing = run("report", "toys", "--config", config)
    assert nothing.code == 0
    assert "nothing that was shown in the last 30 days was kept; set [events] exposures" in nothing.out
    assert not (place / "var").exists(), "who only reads makes no store"
    assert run("store", "migrate", "--config", config).code == 0
    store = Store(Database(located("sqlite:///var/store.db", place)))
    store.write_exposures(
        [
            ExposureRow(
                "toys", f"answer-{n}", 0, "i1", now(), "pairs" if n % 2 else "popular", "warm", "blend", "", "v"
            )
            for n in range(40)
        ]
    )
    known = {"product": "toys", "owner": "u", "item_id": "i1", "value": 1.0, "time": now(), "received": now()}
    store.write_events(
        [EventRow(event_id=str(n), type=2, recommendation_id=f"answer-{n}", **known) for n in range(1, 11, 2)]
    )
    store.close()
    done = run("report", "toys", "--config", config)
    head, pairs, popular = done.out.splitlines()
    assert head.split()[:2] == ["source", "answers"]
    assert "25.0% [11.2, 46.9]" in pairs
    assert popular.split()[:4] == ["popular", "20", "20", "0"]
    (warm,) = json.loads(run("report", "toys", "--by", "segment", "--json", "--config", config).out)
    assert (warm["segment"], warm["shown"], warm["clicked"]) == ("warm", 40, 5)
    assert warm["click_through"]["rate"] == 0.125
    places = run("report", "toys", "--by", "position", "--html", place / "report.html", "--config", config)
    assert [line.split()[0] for line in places.out.splitlines()[:2]] == ["place", "1"], "people count from 1"
    assert "1 is the top" in (place / "report.html").read_text(encoding="utf-8")
    (first,) = json.loads(run("report", "toys", "--by", "position", "--json", "--config", config).out)
    assert first["position"] == "0", "programs find the position of the API"
    assert run("report", "shoes", "--config", config).code == 2
