"""An HTML page as a reader sees it: its texts, its pictures, and whether it is complete."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

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


def read(file: Path) -> Page:
    """A page, read."""
    return Page(file.read_text(encoding="utf-8"))


def check_pictures(page: Page, n: int) -> None:
    """There are so many pictures, each complete and with a text for readers who cannot see it."""
    assert len(page.pictures) == n
    for source, says in page.pictures:
        kind, _, data = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ET.fromstring(base64.b64decode(data)).tag.endswith("svg")
        assert says


def check_nothing_is_fetched(file: Path) -> None:
    """Nothing comes from elsewhere."""
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r'(?:src|href)="(.{5})', text)) <= {"data:"}
    assert "url(" not in text
    assert "<script" not in text


def check_tables_fit(file: Path) -> None:
    """No table is wider than a page, and on a narrow one each figure is named."""
    text = file.read_text(encoding="utf-8")
    for table in re.findall(r"<table>.*?</table>", text, re.DOTALL):
        heads = re.findall(r"<th>(.*?)</th>", table)
        assert len(heads) <= 9, heads
        for row in re.findall(r"<tr class.*?</tr>", table, re.DOTALL):
            assert re.findall(r'data-label="(.*?)"', row) == heads[1:]
    assert not re.search(r"minmax\(\d", text), "a column that may not be narrower than a telephone"
