"""``cuvee report --html``: one file with what the table says and plots, nothing fetched from elsewhere."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.exposures import GROUPS
from cuvee.data.store.rows import EventRow, EventType, ExposureRow, now

from ...data.store.conftest import empty
from ..conftest import Run
from ..page import check_nothing_is_fetched, check_pictures, check_tables_fit, read

N_LISTS, LENGTH = 30, 4


@pytest.fixture(params=["sqlite", "postgres"])
def shown(request: pytest.FixtureRequest, run: Run, place: Path) -> Path:
    """The configuration of a product whose store has lists, clicks and purchases."""
    config = place / "cuvee.toml"
    url = "sqlite:///var/store.db"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").url
        empty(url)
    config.write_text(f'{config.read_text()}\n[store]\nurl = "{url}"\n')
    assert run("store", "migrate", "--config", config).code == 0
    store = Store(Database(located(url, place)))
    sources, variants = ("popular", "pairs", "a<b>&$x$"), ("", "b")
    store.write_exposures(
        [
            ExposureRow(
                "toys",
                f"answer-{n}",
                at,
                f"i{at}",
                now(),
                sources[(n + at) % 3],
                "warm",
                "blend",
                variants[n % 2],
                "v1",
            )
            for n in range(N_LISTS)
            for at in range(LENGTH)
        ]
    )
    known = {"product": "toys", "owner": "u", "value": 1.0, "time": now(), "received": now()}
    taken = {0: EventType.CLICK, 1: EventType.PURCHASE, 3: EventType.VIEW}
    store.write_events(
        [
            EventRow(event_id=f"{n}-{at}", type=int(kind), item_id=f"i{at}", recommendation_id=f"answer-{n}", **known)
            for n in range(0, N_LISTS, 5)
            for at, kind in taken.items()
        ]
    )
    store.close()
    return config


@pytest.mark.parametrize("by", GROUPS)
def test_the_page_says_what_the_table_says_and_draws_it(by: str, run: Run, place: Path, shown: Path) -> None:
    html = place / "report.html"
    printed = run("report", "toys", "--by", by, "--config", shown)
    done = run("report", "toys", "--by", by, "--html", html, "--config", shown)
    assert done.code == 0, done.err
    assert done.out == f"{printed.out}report: {html}\n"
    page = read(html)
    what = "place" if by == "position" else by
    assert page.titles == [f"Taken up, by {what}", "All figures", "What the figures say", "How it was measured"]
    check_pictures(page, 2)
    check_nothing_is_fetched(html)
    check_tables_fit(html)
    cells = " ".join(" ".join(page.cells).split())
    for row in printed.out.splitlines()[1:]:
        assert " ".join(row.split()) in cells
    assert "95 % interval 5.8% to 16.7%, 12 of 120 items clicked" in cells


def test_names_are_text_and_no_markup(run: Run, place: Path, shown: Path) -> None:
    html = place / "report.html"
    assert run("report", "toys", "--html", html, "--config", shown).code == 0
    assert "a<b>&$x$" in read(html).cells
    assert "<b>&" not in html.read_text(encoding="utf-8")


def test_with_json_the_page_is_written_too(run: Run, place: Path, shown: Path) -> None:
    html = place / "report.html"
    done = run("report", "toys", "--json", "--html", html, "--config", shown)
    assert len(json.loads(done.out)) == 3
    check_pictures(read(html), 2)


def test_where_nothing_was_kept_the_page_says_why(run: Run, place: Path) -> None:
    html = place / "report.html"
    done = run("report", "toys", "--html", html, "--config", place / "cuvee.toml")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"report: {html}"
    page = read(html)
    assert page.titles == ["What the figures say", "How it was measured"]
    said = "nothing that was shown in the last 30 days was kept; set [events] exposures above 0 in products/toys.toml"
    assert said in html.read_text(encoding="utf-8")
    check_pictures(page, 0)


def test_without_the_libraries_it_says_how_to_get_them(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "jinja2" else there(name, *a))
    done = run("report", "toys", "--html", place / "report.html", "--config", place / "cuvee.toml")
    assert (done.code, done.err.partition(";")[0]) == (2, "error: --html needs jinja2")


@pytest.mark.parametrize(("where", "said"), [("nowhere/report.html", "create it first"), (".", "name a file in it")])
def test_a_place_where_it_cannot_be_written_is_refused(where: str, said: str, run: Run, place: Path) -> None:
    done = run("report", "toys", "--html", place / where, "--config", place / "cuvee.toml")
    assert done.code == 2
    assert said in done.err
