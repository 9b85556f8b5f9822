"""Reloads over a store: what was written stays known, whatever configuration and fit answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, recommendation_pb2

from ..catalog_calls import item, upsert
from ..conftest import ENVIRONMENT, fitted
from ..steered import FILM, fit, revision
from .conftest import until

NEWEST = """
dataset = "toy"
page_size = {{ default = 5, max = 200 }}
sources = [{{ use = "newest" }}]
rules = []
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, store_url: str) -> Path:
    server = f'[server]\nlimits = {{ deadline = "30s" }}\n[store]\nurl = "{store_url}"\n'
    return fitted(tmp_path_factory.mktemp("stored-and-reloaded"), {"reloaded": NEWEST, "film": FILM}, server)


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


def shown(server: RunningServer, size: int = 200) -> recommendation_pb2.RecommendResponse:
    return server.client.recommend("reloaded", "viewer-001", page_size=size, timeout=30)


def ids(server: RunningServer) -> list[str]:
    return [one.item_id for one in shown(server).items]


def test_what_was_written_is_known_under_each_configuration_and_fit(server: RunningServer, config: Path):
    file = config.with_name("products") / "reloaded.toml"
    text, before = file.read_text(), revision(server, "reloaded")
    hidden = item("film-003", "Hidden", available=False)
    upsert(server.client, hidden, product="reloaded")
    upsert(server.client, item("lighthouse", "The Lighthouse"), product="reloaded")
    until(lambda: "lighthouse" in ids(server) and "film-003" not in ids(server))

    # another configuration over the same models, while the catalogue has grown
    file.write_text(text.replace("default = 5", "default = 6"))
    until(lambda: revision(server, "reloaded") != before)
    assert "film-003" not in ids(server)
    assert "lighthouse" in ids(server)
    assert len(shown(server, 0).items) == 6

    # an item that comes after it grows the catalogue under the new configuration
    upsert(server.client, item("island", "The Island"), product="reloaded")
    until(lambda: "island" in ids(server))
    assert len(shown(server, 0).items) == 6

    # a new fit, in which all of them are
    version = shown(server).snapshot_version
    fit(config, "reloaded")
    until(lambda: shown(server).snapshot_version > version)
    assert "film-003" not in ids(server)
    assert {"lighthouse", "island"} <= set(ids(server))
    upsert(server.client, item("film-003", "Shown again", available=True), product="reloaded")
    assert "film-003" in ids(server)

    file.write_text(text)
    until(lambda: revision(server, "reloaded") == before)
    assert {"lighthouse", "island", "film-003"} <= set(ids(server))


def test_a_rule_that_comes_and_goes_hides_no_more_than_it_says(server: RunningServer, config: Path):
    file = config.with_name("products") / "reloaded.toml"
    text, before = file.read_text(), revision(server, "reloaded")
    everything = set(ids(server))
    file.write_text(text.replace("rules = []", 'rules = [{ use = "filter", where = "year < 1990" }]'))
    until(lambda: revision(server, "reloaded") != before)
    few = set(ids(server))
    assert few < everything
    file.write_text(text)
    until(lambda: revision(server, "reloaded") == before)
    assert set(ids(server)) == everything


def test_other_weights_of_events_are_used_for_stored_ones(server: RunningServer, config: Path):
    """The whole product is loaded anew for that: histories are placed, and models updated, by these weights."""
    file = config.with_name("products") / "film.toml"
    text, before = file.read_text(), revision(server)
    file.write_text(text + "\n[events]\nweights = { view = 0.5 }\n")
    until(lambda: revision(server) != before)
    assert server.events("product changed")[-1]["how"] == "loaded"
    file.write_text(text)
    until(lambda: revision(server) == before)
    found = server.client.catalog.ListItems(catalog_pb2.ListItemsRequest(product="film"), timeout=30)
    assert found.items
