"""One server with products of every kind of blend, one console over it, and one real Chromium for all tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from cuvee.client import Client
from cuvee.data.store import Database
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.testing import two_tribes
from cuvee.testing.server import RunningServer, run_server

for needed in ("starlette", "uvicorn", "jinja2"):
    pytest.importorskip(needed, reason="needs the extra: pip install 'cuvee[console]'")

HERE = Path(__file__).parent
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(HERE / "plugin"), str(HERE.parent / "toyplugin")]),
    "CUVEE_CONFIG": "",
    "CUVEE_TOKEN": "not-to-be-shown",
}
WEIGHTS = {"pairs": 0.5, "popular": 0.3, "gaps": 0.2}
OTHER = {"pairs": 0.11, "popular": 0.2, "gaps": 0.93}
LEARNT = {
    "calibrate": "zscore",
    "sources": {
        "pairs": {"top": 0.8, "unknown": 0.2, "popularity": 0.1},
        "popular": {"against": True, "unproposed": 0.3, "age": -0.2},
        "gaps": {"unknown": -0.4, "top": 0.1},
    },
}
BLENDS = {
    "weighted": 'method = "weighted"',
    "zero": 'missing = "zero"\ncalibrate = "minmax"',
    "skip": 'missing = "skip"',
    "ranks": 'method = "rrf"',
    "learned": 'method = "learned"\noptions = { model = "learnt.json" }',
}
"""Every way to blend, of which there is a product with WEIGHTS and one with OTHER."""
PRODUCT = """
dataset = "toy"
page_size = {{ default = 5, max = 500 }}
sources = [{{ use = "pairs" }}, {{ use = "popular" }}, {{ use = "gaps" }}]
rules = [{{ use = "exclude_seen" }}]
[blend]
{blend}
segments = {{ cold = 0, warm = 1 }}
[blend.weights]
cold = {{ popular = 1.0 }}
warm = {{ {weights} }}
"""
RULES = """rules = [
  { use = "exclude_seen" },
  { use = "boost", name = "newer", where = "year >= 1990", by = 0.4 },
  { use = "pin", items = ["film-011"], place = 2 },
]"""
ILL = """
dataset = "toy"
sources = [{ use = "ill" }, { use = "popular" }]
"""


def product(blend: str, weights: dict[str, float]) -> str:
    return PRODUCT.format(blend=blend, weights=", ".join(f"{name} = {value}" for name, value in weights.items()))


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cuvee.toml, products, data and their models; whoever changes any of it takes a copy."""
    folder = tmp_path_factory.mktemp("console")
    (folder / "var/data").mkdir(parents=True)
    two_tribes().data.save(folder / "var/data/toy")
    (folder / "products").mkdir()
    for name, blend in BLENDS.items():
        (folder / f"products/{name}.toml").write_text(product(blend, WEIGHTS))
        (folder / f"products/{name}-other.toml").write_text(product(blend, OTHER))
    (folder / "products/ill.toml").write_text(ILL)
    ruled = product(BLENDS["weighted"], WEIGHTS).replace('rules = [{ use = "exclude_seen" }]', RULES)
    (folder / "products/ruled.toml").write_text(ruled)
    (folder / "products/learnt.json").write_text(json.dumps(LEARNT))
    plugins = {"pairs": "toy_pairs", "popular": "toy_popular", "gaps": "gaps", "ill": "ill"}
    config = folder / "cuvee.toml"
    config.write_text(
        '[server]\nlimits = { deadline = "10s" }\nmetrics = { listen = "127.0.0.1:0" }\n'
        '[store]\nurl = "sqlite:///store.db"\n'
        + "".join(f'[recommenders.{name}]\nplugin = "{plugin}"\n' for name, plugin in plugins.items())
    )
    database = Database(located("sqlite:///store.db", folder))
    migrate(database)
    database.close()
    fit(config)
    return folder


def fit(config: Path, *products: str) -> None:
    command = [sys.executable, "-m", "cuvee.cli", "fit", *products, "--config", str(config), "--json"]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def server(fitted: Path) -> Iterator[RunningServer]:
    with run_server(fitted / "cuvee.toml", environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Client:
    return server.client


@contextmanager
def run_console(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The real command on a free port; gives the URL of its first page."""
    command = [sys.executable, "-m", "cuvee.cli", "console", "--listen", "127.0.0.1:0", *options]
    variables = {**os.environ, **ENVIRONMENT, **(environment or {})}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "http://" in said, said
            yield next(word for word in said.split() if word.startswith("http://"))
        finally:
            process.terminate()


REPORTS = [HERE / f"{name}.json" for name in ("report", "tuning", "experiment", "shown")]
"""What `cuvee evaluate` wrote of MovieLens 100k, `tune` of toy data, and what `report` would write, with `--json`."""


@pytest.fixture(scope="session")
def url(server: RunningServer) -> Iterator[str]:
    figures = server.events("metrics listening")[0]["address"]
    reports = [part for file in REPORTS for part in ("--report", str(file))]
    with run_console("--address", server.address, "--metrics", f"http://{figures}/metrics", *reports) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A Chromium for the tests of one module: while Playwright runs, its event loop keeps others from running."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
