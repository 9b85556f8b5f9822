"""Whatever a plugin does, the others answer, the list is full, and the answer names the plugin that is left out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from reliability.asking import World
from reliability.callers import degraded_of
from reliability.place import ENVIRONMENT, POPULAR, fitted
from reliability.vitals import steady

sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))

import illplugin

sys.path.pop(0)  # what lies there is an installed plugin to all who look for some

SHOWN: Mapping[str, str] = {
    **dict.fromkeys(illplugin.CANDIDATES, "INVALID_OUTPUT"),
    **dict.fromkeys((how for how in illplugin.CANDIDATES if how.startswith(("raises", "recurses"))), "ERROR"),
    "raises_timeout": "TIMEOUT",
    **dict.fromkeys(illplugin.SCORES, "INVALID_OUTPUT"),
    "score_raises": "ERROR",
    "score_nan": "EMPTY",
    "score_changes_what_is_scored": "ERROR",
    "async_none": "INVALID_OUTPUT",
    **{f"async_{how}": "ERROR" for how in illplugin.ASYNC if how != "none"},
}
"""What a plugin does, and how the answer must call it."""
UNSEEN = [*illplugin.HARMLESS, *illplugin.EXPLAINS]
"""Behaviour that harms no answer: the plugin's opinions count, or the answer is unchanged."""
PRODUCT = """
sources = [{{ use = "{how}" }}, {{ use = "popular" }}]
[[rules]]
use = "exclude_seen"
[fallback]
chain = ["popular"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    kinds = [*SHOWN, *UNSEEN]
    tables = {how: f'plugin = "ill"\nhow = "{how}"' for how in kinds}
    tables |= {f"async_{how}": f'plugin = "ill_async"\nhow = "{how}"' for how in illplugin.ASYNC}
    products = {how: PRODUCT.format(how=how) for how in kinds}
    folder = tmp_path_factory.mktemp("ill") / "place"
    config = fitted(folder, products, {"popular": POPULAR, **tables}, head='[server.limits]\ndeadline = "5s"')
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.mark.parametrize("how", [*SHOWN, *UNSEEN])
def test_the_others_answer(server: RunningServer, how: str):
    world = World.of_toy()
    for user in ("viewer-003", "viewer-010", "a stranger"):
        answer = server.client.recommend(how, user, page_size=10, timeout=5)
        ids = [item.item_id for item in answer.items]
        assert len(ids) == len(set(ids)) == 10
        assert not world.seen.get(user, set()) & set(ids)
        told = dict(degraded_of(answer))
        if how in SHOWN:
            assert answer.degraded
            assert told in ({how: SHOWN[how]}, {how: "CIRCUIT_OPEN"}), told
        else:
            # a gigabyte takes its time on a busy machine
            assert told == {} or (how == "allocates" and told[how] in {"TIMEOUT", "CIRCUIT_OPEN", "OVERLOADED"})
        assert "secret" not in str(answer)
    assert server.process.poll() is None


def test_the_probe_tells_once_of_a_model_that_has_nothing_to_say(server: RunningServer):
    """A model of NaN answers every call without candidates."""
    told = [line["sources"] for line in server.events("sources propose nothing in the probe")]
    assert told == [["all_padding"]]


def test_what_one_plugin_leaks_and_allocates_is_all_that_is_lost(server: RunningServer):
    for _ in range(5):
        server.client.recommend("leaks", "viewer-003", timeout=5)
        server.client.recommend("allocates", "viewer-003", timeout=5)
    before = steady(server.process.pid)  # a call that was left behind at its deadline goes on for a while
    for how in ("none", "score_raises", "explain_long", "ten_times", "async_raises") * 20:
        server.client.recommend(how, "viewer-003", timeout=5)
    after = steady(server.process.pid)
    assert after.rss < before.rss + 30
    assert after.threads <= before.threads + 4
