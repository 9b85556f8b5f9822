"""How fast the console is in a real browser, and its pictures for docs/console.md.

Start a server over a product with ``page_size.max = 500`` and `cuvee console` over it, then::

    python tests/benchmarks/console.py http://127.0.0.1:8700/ movies 196 --pictures docs/console

Needs playwright and a Chromium. Times are of ``performance.now()`` in the page: the first list from the
click to the rows laid out; a slider from its event to the rows laid out.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

FIRST = """() => new Promise(done => {
  const began = performance.now();
  const button = document.querySelector("#ask button[type=submit]");
  new MutationObserver(() => {
    if (!button.disabled && document.querySelector("#b li")) {
      document.body.offsetHeight;
      done(performance.now() - began);
    }
  }).observe(button, { attributes: true });
  button.click();
})"""
SLIDES = """n => {
  const sliders = [...document.querySelectorAll("#sliders input:enabled")];
  return Array.from({ length: n }, (_, turn) => {
    const slider = sliders[turn % sliders.length];
    const began = performance.now();
    slider.value = (turn * 0.37) % 1;
    slider.dispatchEvent(new Event("input"));
    document.body.offsetHeight;
    return performance.now() - began;
  });
}"""


def told(name: str, times: list[float]) -> None:
    """Print the median and the slowest."""
    print(f"{name:<40} median {statistics.median(times):7.1f} ms   most {max(times):7.1f} ms   of {len(times)}")


def measure(page: Any, product: str, user: str) -> None:
    """Time lists and sliders."""
    firsts = []
    for _ in range(5):
        page.reload()
        ready(page, product, user)
        firsts.append(page.evaluate(FIRST))
    told("first list, from the click", firsts)
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    told("page loaded, from the address", [loaded])
    print(page.inner_text("#facts"))
    for places in ("20", "100", "500"):
        page.select_option("#length", places)
        told(f"slider, {places} places shown", page.evaluate(SLIDES, 60))
    page.check("#beside")
    page.select_option("#length", "20")
    told("slider, two lists of 20 side by side", page.evaluate(SLIDES, 60))


def ready(page: Any, product: str, user: str) -> None:
    """Fill in the form."""
    page.wait_for_selector("#product option", state="attached")
    page.select_option("#product", product)
    page.fill("#user", user)


def listed(page: Any, product: str, user: str) -> None:
    """Ask, and raise the first weight."""
    ready(page, product, user)
    page.evaluate(FIRST)
    slider = page.locator("#sliders input:enabled").first
    slider.evaluate("s => { s.value = 0.9; s.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(600)


def draw(browser: Any, url: str, product: str, user: str, folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, scheme, width, height, language in (
        ("try", "light", 1280, 860, "en"),
        ("try-side-by-side", "dark", 1920, 900, "en"),
        ("try-narrow", "light", 360, 780, "en"),
        ("try-chinese", "light", 1280, 700, "zh"),
        ("watch", "light", 1280, 960, "en"),
        ("understand", "dark", 1280, 560, "en"),
    ):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
        page = context.new_page()
        kind = name.partition("-")[0]
        page.goto(f"{url}{'' if kind == 'try' else kind}?lang={language}")
        if kind == "try":
            listed(page, product, user)
            if name == "try-side-by-side":
                page.check("#beside")
                page.evaluate("scrollTo(0, 0)")
            if width < 500:
                page.locator("#weights").scroll_into_view_if_needed()
        else:
            page.wait_for_selector("#cards table")
        file = folder / f"{name}.png"
        page.screenshot(path=file)
        Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)  # a third of the size
        context.close()


def main() -> None:
    """Measure, and draw where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url")
    parser.add_argument("product")
    parser.add_argument("user")
    parser.add_argument("--pictures", type=Path, help="a folder for them")
    asked = parser.parse_args()
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("there is no Chromium here: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(asked.url)
        measure(page, asked.product, asked.user)
        if asked.pictures:
            draw(browser, asked.url, asked.product, asked.user, asked.pictures)
        browser.close()


if __name__ == "__main__":
    main()
