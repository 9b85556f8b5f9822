"""``cuvee evaluate --html``: one file, whole, with every figure, nothing fetched from elsewhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from ..conftest import Run
from ..page import Page, check_nothing_is_fetched, check_pictures, check_tables_fit, read


def report(run: Run, place: Path, protocol: str) -> Page:
    html = place / "report.html"
    done = run("evaluate", "toys", "--protocol", protocol, "--k", 3, "--html", html, "-c", place / "cuvee.toml")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"report: {html}"
    return read(html)


def test_a_report_has_plots_and_every_row(run: Run, place: Path) -> None:
    page = report(run, place, "leave-last-out")
    assert page.titles[:3] == ["How good the lists are", "What each source brings", "Accuracy is not all"]
    assert {"popular", "pairs", "blend", "without popular", "without pairs"} <= set(page.cells)
    check_pictures(page, 4)


def test_users_with_different_histories_are_shown_apart(run: Run, place: Path) -> None:
    assert "By how much history a user has" in report(run, place, "global-time").titles


def test_new_items_have_a_report_of_their_own(run: Run, place: Path) -> None:
    assert report(run, place, "cold-items").titles[0] == "New items, and what serving them costs"


def test_nothing_is_fetched_from_elsewhere(run: Run, place: Path) -> None:
    report(run, place, "leave-last-out")
    check_nothing_is_fetched(place / "report.html")


def test_without_the_libraries_it_says_how_to_get_them(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "matplotlib" else there(name, *a))
    done = run("evaluate", "toys", "--html", place / "report.html", "-c", place / "cuvee.toml")
    assert done.code == 2
    assert (
        done.err
        == "error: --html needs matplotlib; install with: pip install 'cuvee[reports]', in a checkout '.[reports]'\n"
    )


def test_a_place_where_it_cannot_be_written_is_refused_before_anything_is_computed(run: Run, place: Path) -> None:
    done = run("evaluate", "toys", "--html", place / "nowhere" / "report.html", "-c", place / "cuvee.toml")
    assert done.code == 2
    assert "does not exist; create it first" in done.err
    assert not (place / "fits").exists()
    assert "name a file in it" in run("evaluate", "toys", "--html", place, "-c", place / "cuvee.toml").err


@pytest.mark.parametrize("protocol", ["leave-last-out", "global-time", "cold-items"])
def test_no_table_is_wider_than_a_page_and_each_figure_is_named_on_a_narrow_one(
    protocol: str, run: Run, place: Path
) -> None:
    report(run, place, protocol)
    check_tables_fit(place / "report.html")
