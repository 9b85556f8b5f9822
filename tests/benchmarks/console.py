"""How fast the console is in a real browser, and its pictures for docs/console.md.

Without arguments it fits and serves a product of 1,000 items and five toy sources, and measures::

    python tests/benchmarks/console.py

Over a server with `cuvee console`, with pictures where a folder is named::

    python tests/benchmarks/console.py http://127.0.0.1:8700/ movies 196 --pictures docs/console

Needs playwright and a Chromium. Times are of ``performance.now()`` in the page: the first list from the
click to the frame that shows it; a slider from its event to the start of the frame after the one that was drawn
(two requestAnimationFrame), so that an empty page has times of 17 to 33 ms, too: the line "nothing" says which.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cuvee.testing import run_server, two_tribes
from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
TURNS = 50
SOURCES = ("toy_pairs", "toy_popular", "toy_near", "toy_pairs", "toy_popular")
WEIGHTS = (0.4, 0.2, 0.2, 0.1, 0.1)
FIRST = """() => new Promise(done => {
  const began = performance.now();
  const button = document.querySelector("#ask button[type=submit]");
  new MutationObserver(() => {
    if (!button.disabled && document.querySelector("#b li .title"))
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - began)));
  }).observe(button, { attributes: true });
  button.click();
})"""
SLIDES = """async ([n, nothing]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const sliders = [...document.querySelectorAll("#sliders input:enabled")];
  const times = [];
  for (let turn = 0; turn < n; turn++) {
    await new Promise(done => setTimeout(done, 5 + (turn * 7) % 16)); // anywhere between two frames
    const slider = sliders[turn % sliders.length];
    const began = performance.now();
    slider.value = (turn * 0.37) % 1;
    if (!nothing) slider.dispatchEvent(new Event("input"));
    await frame();
    await frame();
    times.push(performance.now() - began);
  }
  return times;
}"""


def told(name: str, times: list[float]) -> None:
    """Print the median, the 95th of 100, and the slowest."""
    p95 = sorted(times)[min(int(0.95 * len(times)), len(times) - 1)]
    p50 = statistics.median(times)
    print(f"{name:<50} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   most {max(times):6.1f} ms   of {len(times)}")


def spent(cdp: Any) -> float:
    """Seconds of processor that the page's main thread has used for tasks: script, style and layout."""
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])


def slide(page: Any, cdp: Any, name: str, nothing: bool = False) -> None:
    """Time sliders, and the processor time of each."""
    before = spent(cdp)
    times = page.evaluate(SLIDES, [TURNS, nothing])
    told(name, times)
    print(f"{'':<50} processor {1000 * (spent(cdp) - before) / TURNS:.1f} ms each")


def measure(page: Any, product: str, user: str, only: str = "", places: Sequence[str] = ("20", "100", "500")) -> None:
    """Time lists and sliders."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable", {"timeDomain": "threadTicks"})
    firsts = []
    for _ in range(5):
        page.reload()
        ready(page, product, user, only)
        firsts.append(page.evaluate(FIRST))
    told("first list, from the click", firsts)
    told("page, to its load event", [page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")])
    print(page.inner_text("#facts"))
    slide(page, cdp, "nothing", nothing=True)
    for shown in places:
        page.select_option("#length", shown)
        slide(page, cdp, f"slider, {shown} places")
    page.check("#beside")
    slide(page, cdp, f"slider, two lists of {places[-1]} side by side")
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    slide(page, cdp, "the same, scrolled to the middle")
    page.evaluate("scrollTo(0, 0)")


@contextmanager
def world() -> Iterator[str]:
    """A console over a server of one product; gives its URL."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "toyplugin"), "CUVEE_CONFIG": ""}
    cuvee = [sys.executable, "-m", "cuvee.cli"]
    with tempfile.TemporaryDirectory(prefix="cuvee-console-") as name:
        folder = Path(name)
        (folder / "products").mkdir()
        two_tribes(users=400, items=1000).data.save(folder / "var/data/toy")
        uses = ", ".join(f'{{ use = "s{at}", candidates = 500 }}' for at in range(len(SOURCES)))
        weights = ", ".join(f"s{at} = {weight}" for at, weight in enumerate(WEIGHTS))
        (folder / "products/films.toml").write_text(
            f'dataset = "toy"\npage_size = {{ default = 20, max = 500 }}\nsources = [{uses}]\n'
            f'rules = [{{ use = "exclude_seen" }}]\n[blend.weights]\nwarm = {{ {weights} }}\ncold = {{ s1 = 1.0 }}\n'
            "[blend.segments]\ncold = 0\nwarm = 1\n"
        )
        config = folder / "cuvee.toml"
        config.write_text("".join(f'[recommenders.s{at}]\nplugin = "{one}"\n' for at, one in enumerate(SOURCES)))
        subprocess.run([*cuvee, "fit", "--config", config], env=environment, check=True, stdout=subprocess.DEVNULL)
        with run_server(config, environment=environment) as server:
            command = [*cuvee, "console", "--address", server.address, "--listen", "127.0.0.1:0"]
            with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as console:
                said = console.stdout.readline() if console.stdout else ""
                try:
                    yield next(word for word in said.split() if word.startswith("http://"))
                finally:
                    console.terminate()


def ready(page: Any, product: str, user: str, only: str = "") -> None:
    """Fill in the form."""
    page.wait_for_selector("#product option", state="attached")
    page.select_option("#product", product)
    page.fill("#user", user)
    page.evaluate("only => { document.getElementById('filter').value = only; }", only)


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
        ("understand", "dark", 1280, 900, "en"),
        ("care", "light", 1280, 1000, "en"),
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
        elif kind == "care":
            page.wait_for_selector("#toml")
            page.check("#find input[value=user]")
            page.fill("#id", user)
            page.click("#find button")
            page.wait_for_selector("#found .scroll")
        else:
            page.wait_for_selector("#cards table")
        file = folder / f"{name}.png"
        page.screenshot(path=file)
        Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)  # a third of the size
        context.close()


def main() -> None:
    """Measure, and draw where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("url", nargs="?")
    parser.add_argument("product", nargs="?")
    parser.add_argument("user", nargs="?")
    parser.add_argument("--pictures", type=Path, help="a folder for them")
    parser.add_argument("--only-pictures", action="store_true")
    asked = parser.parse_args()
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        sys.exit("there is no Chromium here: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        if asked.url is None:
            with world() as url:
                page.goto(url)
                measure(page, "films", "viewer-001", "id < 'film-030'", ("20",))
                measure(page, "films", "viewer-001", "id < 'film-115'", ("100",))
                measure(page, "films", "viewer-001")
        elif not asked.only_pictures:
            page.goto(asked.url)
            measure(page, asked.product, asked.user)
        if asked.url and asked.pictures:
            draw(browser, asked.url, asked.product, asked.user, asked.pictures)
        browser.close()


if __name__ == "__main__":
    main()
