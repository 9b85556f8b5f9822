"""``cuvee evaluate --html``: one file, whole, with every figure, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ..conftest import Run

VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """Titles, pictures and table cells of a page; fails on tags that do not close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pictures: list[tuple[str, str]] = []
        self.cells: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            given = dict(attrs)
            self.pictures.append((given["src"], given["alt"]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)
        if self.open and self.open[-1] in {"td", "span"}:
            self.cells.append(data.strip())


def report(run: Run, place: Path, protocol: str) -> Page:
    html = place / "report.html"
    done = run("evaluate", "toys", "--protocol", protocol, "--k", 3, "--html", html, "-c", place / "cuvee.toml")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"report: {html}"
    return Page(html.read_text(encoding="utf-8"))


def test_a_report_has_plots_and_every_row(run: Run, place: Path) -> None:
    page = report(run, place, "leave-last-out")
    assert page.titles[:3] == ["How good the lists are", "What each source brings", "Accuracy is not all"]
    assert {"popular", "pairs", "blend", "without popular", "without pairs"} <= set(page.cells)
    assert len(page.pictures) == 4
    for source, says in page.pictures:
        kind, _, data = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        drawn = ET.fromstring(base64.b64decode(data))
        assert drawn.tag.endswith("svg")
        assert says


def test_users_with_different_histories_are_shown_apart(run: Run, place: Path) -> None:
    assert "By how much history a user has" in report(run, place, "global-time").titles


def test_new_items_have_a_report_of_their_own(run: Run, place: Path) -> None:
    assert report(run, place, "cold-items").titles[0] == "New items, and what serving them costs"


def test_nothing_is_fetched_from_elsewhere(run: Run, place: Path) -> None:
    report(run, place, "leave-last-out")
    text = (place / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(.{5})', text) == ["data:"] * 4
    assert "url(" not in text
    assert "<script" not in text


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
    text = (place / "report.html").read_text(encoding="utf-8")
    for table in re.findall(r"<table>.*?</table>", text, re.DOTALL):
        heads = re.findall(r"<th>(.*?)</th>", table)
        assert len(heads) <= 9, heads
        for row in re.findall(r"<tr class.*?</tr>", table, re.DOTALL):
            assert re.findall(r'data-label="(.*?)"', row) == heads[1:]
    assert not re.search(r"minmax\(\d", text), "a column that may not be narrower than a telephone"
