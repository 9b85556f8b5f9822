"""What the tests do with a page, and read from it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Waits for the frame after the next: what was asked for is drawn."""
READ = """list => [...document.querySelectorAll(`#${list} .items > li`)].map(row => ({
  id: row.querySelector(".id").textContent,
  title: row.querySelector(".title").textContent,
  reason: row.querySelector(".reason")?.textContent ?? "",
  ranks: row.querySelector(".ranks")?.textContent ?? "",
  score: row.querySelector(".score").textContent,
  rules: row.querySelector(".rules").textContent,
  shares: row.querySelector(".bar:not([hidden])")?.getAttribute("aria-label") ?? "",
  moved: row.querySelector(".move .hidden")?.textContent ?? "",
}))"""


@contextmanager
def opened(browser: Any, url: str, *, ready: bool = True, **context: Any) -> Iterator[Any]:
    """A page in a context of its own; no script of it may fail, and nothing may break its policy."""
    made = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **context})
    page = made.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(url)
    if ready:
        page.wait_for_selector("#product option", state="attached")
    yield page
    made.close()
    assert problems == []


def press(page: Any, product: str, user: str) -> None:
    """Fill in who it is for, and ask."""
    page.select_option("#product", product)
    page.fill("#user", user)
    page.click("#ask button[type=submit]")


def ask(page: Any, product: str, user: str) -> None:
    """Ask, and wait for the list."""
    with page.expect_response("**/api/list"):
        press(page, product, user)
    page.wait_for_selector("#ask button:enabled")


def weigh(page: Any, weights: Mapping[str, float]) -> None:
    """Move sliders."""
    for source, weight in weights.items():
        page.locator(f"#sliders input[data-source={source}]").evaluate(
            "(slider, weight) => { slider.value = weight; slider.dispatchEvent(new Event('input')); }", weight
        )
    page.evaluate(DRAWN)


def number(text: str) -> float:
    """A figure as the page writes it."""
    return float(text.replace("\u2212", "-").replace("+", "").replace(",", ""))


def rows(page: Any, name: str) -> list[dict[str, Any]]:
    """The rows of list a or b."""
    # rows outside of the window are written when the browser is idle
    page.wait_for_selector(f"#{name} .items:not([data-writing])")
    found = page.evaluate(READ, name)
    for row in found:
        row["score"] = number(row["score"])
        parts = (part.rsplit(" ", 1) for part in row["shares"].split(", ") if part != "0")
        row["shares"] = {source: number(value) for source, value in parts}
        row["ranks"] = {s: int(n) for s, n in re.findall(r"(\w+) (\d+)(?: ·|$)", row["ranks"].partition(": ")[2])}
        way = re.match(r"(up|down) (\d+)", row["moved"])
        row["moved"] = (1 if way[1] == "up" else -1) * int(way[2]) if way else 0
    return found


def wait_until(look: Callable[[], Any], wanted: Any, seconds: float = 30.0) -> None:
    """Look until it is what is wanted."""
    until = time.monotonic() + seconds
    while (found := look()) != wanted:
        assert time.monotonic() < until, found
        time.sleep(0.05)
