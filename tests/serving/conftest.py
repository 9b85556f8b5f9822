"""One server process for most tests: several products over one toy dataset, fitted by the real command."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cuvee.client import Client
from cuvee.data.store import Database
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.testing import Toy, two_tribes
from cuvee.testing.server import RunningServer, run_server

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))  # callers and faults that long runs share with tests
# the engine's suite runs without any plugin installed: these two come by path
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(HERE / "plugin"), str(HERE.parent / "toyplugin")]),
    "CUVEE_CONFIG": "",
}

RECOMMENDERS = """
[recommenders.popular]
plugin = "toy_popular"
[recommenders.pairs]
plugin = "toy_pairs"
[recommenders.newest]
plugin = "newest"
[recommenders.counted]
plugin = "counted"
[recommenders.async]
plugin = "async"
[recommenders.raises]
plugin = "raises"
[recommenders.garbage]
plugin = "garbage"
[recommenders.garbage_scores]
plugin = "garbage_scores"
[recommenders.exits]
plugin = "exits"
[recommenders.sleeps]
plugin = "sleeps"
[recommenders.sleeps_async]
plugin = "sleeps_async"
[recommenders.slow]
plugin = "sleeps"
seconds = 0.3
[recommenders.asleep]
plugin = "sleeps"
seconds = 60
[recommenders.slow_load]
plugin = "slow_load"
seconds = 2.0
[recommenders.bad_explainer]
plugin = "bad_explainer"
[recommenders.flaky]
plugin = "flaky"
trouble = "{trouble}"
"""

PRODUCTS = {
    "toy": """
        dataset = "toy"
        page_size = {{ default = 5, max = 30 }}
        history = 8
        sources = [{{ use = "pairs" }}, {{ use = "popular" }}, {{ use = "async" }}]
        [blend]
        segments = {{ cold = 0, warm = 1 }}
        [blend.weights]
        cold = {{ popular = 1.0 }}
        warm = {{ pairs = 0.7, popular = 0.2, async = 0.1 }}
        similar = {{ pairs = 1.0 }}
        [fallback]
        chain = ["popular"]
    """,
    "narrow": """
        dataset = "toy"
        sources = [{{ use = "pairs", candidates = 2 }}]
        [fallback]
        chain = ["bad_explainer", "popular"]
    """,
    "curious": """
        dataset = "toy"
        sources = [{{ use = "pairs" }}, {{ use = "popular" }}]
        [fallback]
        chain = ["popular"]
        [explore]
        share = 0.5
        fewer_than = 1000
        first = 2
    """,
    "ruled": """
        dataset = "toy"
        page_size = {{ default = 6, max = 200 }}
        sources = [{{ use = "pairs", candidates = 20 }}, {{ use = "popular", candidates = 20 }}]
        [blend.weights]
        cold = {{ popular = 1.0 }}
        [fallback]
        chain = ["popular"]
        [[rules]]
        use = "exclude_seen"
        [[rules]]
        use = "filter"
        where = "id != 'film-009'"
        [[rules]]
        use = "boost"
        name = "old"
        where = "year < 1980"
        by = 0.75
        [[rules]]
        use = "quota"
        attribute = "genres"
        at_most = 3
        window = 5
        [[rules]]
        use = "pin"
        items = ["film-100", "film-009", "nowhere"]
        place = 2
        on = ["recommend"]
    """,
    "fused": """
        dataset = "toy"
        sources = [{{ use = "pairs" }}, {{ use = "popular" }}]
        [blend]
        method = "rrf"
    """,
    "failing": """
        dataset = "toy"
        sources = [
          {{ use = "raises" }},
          {{ use = "garbage" }},
          {{ use = "sleeps", timeout = "100ms" }},
          {{ use = "sleeps_async", timeout = "100ms" }},
          {{ use = "garbage_scores" }},
          {{ use = "exits" }},
          {{ use = "pairs" }},
          {{ use = "popular" }},
        ]
    """,
    "sleeping": """
        dataset = "toy"
        sources = [{{ use = "sleeps" }}, {{ use = "popular" }}]
    """,
    "filled": """
        dataset = "toy"
        sources = [{{ use = "raises" }}, {{ use = "garbage" }}]
        [[rules]]
        use = "exclude_seen"
        [[rules]]
        use = "filter"
        where = "year >= 1960"
        [fallback]
        chain = ["raises", "popular"]
    """,
    "dead": """
        dataset = "toy"
        sources = [{{ use = "raises" }}, {{ use = "garbage" }}]
        [fallback]
        chain = ["exits"]
    """,
    "flaky": """
        dataset = "toy"
        sources = [{{ use = "flaky" }}, {{ use = "pairs" }}]
        [fallback]
        chain = ["popular"]
    """,
    "explosive": """
        dataset = "toy"
        sources = [{{ use = "popular" }}]
        rules = [{{ use = "explodes" }}]
    """,
    "news": """
        dataset = "toy"
        sources = [{{ use = "newest" }}]
        [[rules]]
        use = "filter"
        where = "year > 1900"
        [[rules]]
        use = "exclude_seen"
    """,
    "trending": """
        dataset = "toy"
        page_size = {{ default = 5, max = 200 }}
        sources = [{{ use = "counted" }}]
        rules = []
    """,
    "slow": """
        dataset = "toy"
        sources = [{{ use = "slow" }}]
    """,
}


PAGE_KEY = "0123456789abcdef0123456789abcdef"
SERVER = f"""
[server]
reflection = true
limits = {{ deadline = "2s" }}
pages = {{ key = "{PAGE_KEY}" }}
"""


def fitted(folder: Path, products: dict[str, str], server: str = "") -> Path:
    """A configuration over the toy, fitted by the command; gives its ``cuvee.toml``."""
    toy = two_tribes()
    (folder / "var/data").mkdir(parents=True)
    toy.data.save(folder / "var/data/toy")
    (folder / "products").mkdir()
    for name, text in products.items():
        (folder / f"products/{name}.toml").write_text(text.format())
    config = folder / "cuvee.toml"
    config.write_text(server + RECOMMENDERS.format(trouble=folder / "trouble"))
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(config), "--json"],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # items and users that came after the fit
    toy.data.with_catalog(toy.grown).save(folder / "var/data/toy")
    return config


@pytest.fixture(scope="session")
def toy() -> Toy:
    return two_tribes()


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("served"), PRODUCTS, SERVER)


@pytest.fixture(scope="session")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Client:
    return server.client


def stored(config: Path, url: str, name: str) -> Path:
    """The fitted configuration with three products alone, and a store: a file beside it."""
    folder = config.with_name("stored-products")
    folder.mkdir(exist_ok=True)
    for product in ("toy", "news", "trending"):
        text = config.with_name("products").joinpath(f"{product}.toml").read_text()
        (folder / f"{product}.toml").write_text(text + EVENTS)
    found = config.with_name(f"{name}.toml")
    found.write_text(f'products = "stored-products"\n[store]\nurl = "{url}"\n' + config.read_text())
    return found


EVENTS = """
[events]
weights = { view = 0.5, dismiss = -1.0 }
rating_liked_from = 3.5
exposures = 1.0
"""


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a database with tables."""
    if request.param == "sqlite":
        return migrated(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}")
    return with_tables(request.getfixturevalue("postgres").url, "serving")


def migrated(url: str) -> str:
    """Make the tables."""
    database = Database(located(url, HERE))
    migrate(database)
    database.close()
    return url


def with_tables(url: str, name: str) -> str:
    """A new database of a PostgreSQL server, its tables made; ``name`` is how its name begins."""
    import psycopg  # noqa: PLC0415 - the driver is an extra

    name = f"{name}_{uuid.uuid4().hex[:12]}"  # a fixture may be made anew for another file of tests
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return migrated(url.removesuffix("postgres") + name)


@pytest.fixture(scope="session")
def stored_config(config: Path, store_url: str) -> Path:
    return stored(config, store_url, "stored-" + store_url.partition(":")[0])


@pytest.fixture(scope="session")
def stored_server(stored_config: Path) -> Iterator[RunningServer]:
    """A server of one product over a store that its tests may write to."""
    with run_server(stored_config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="session")
def other(stored_config: Path, stored_server: RunningServer) -> Iterator[Client]:
    """A second process over the same store."""
    with run_server(stored_config, environment=ENVIRONMENT) as running:
        yield running.client


NEW = itertools.count()


@pytest.fixture
def new_id() -> str:
    """An id that no other test of any module has written about: they share a server."""
    return f"newly-met-{next(NEW)}"
