"""Items that exist fill a list: imported, fitted and served by the commands, asked over gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.config import load_settings
from cuvee.registry import Registry
from cuvee.testing.agreement import compare
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

from ..conftest import ENVIRONMENT, HERE

BARE = """id,title,genre
i0,Lamp,home
i1,Desk,home
i2,Sofa,home
i3,Book,read
i4,Pen,read
i5,Cup,kitchen
b0,,
b1,,
b2,,newgenre
b3,,newgenre
"""
# everybody liked four of the six items that are not bare
LIKES = "user,item,time\n" + "".join(
    f"u{user},i{(user + step) % 6},{1_700_000_000 + 100 * user + step}\n" for user in range(6) for step in range(4)
)
# nobody likes anything: no rating is above 0
DISLIKES = "user,item,time,rating\n" + "".join(
    f"u{user},i{(user + step) % 6},{1_700_000_000 + 100 * user + step},{-step}\n"
    for user in range(8)
    for step in range(4)
)
PRODUCT = """
dataset = "{dataset}"
page_size = {{ default = 5, max = 100 }}
sources = [{{ use = "liked" }}]
{more}
"""
CHAIN = "[fallback]\nchain = ['liked']"
PRODUCTS = {
    "bare": ("bare", CHAIN),
    "chainless": ("bare", ""),
    "ruled": ("bare", CHAIN + "\n[[rules]]\nuse = 'exclude_seen'\n[[rules]]\nuse = 'filter'\nwhere = \"id <> 'b3'\""),
    "disliked": ("disliked", CHAIN),
}
NEWEST = ["b3", "b2", "b1", "b0"]
KNOWN = {f"i{n}" for n in range(6)}


def cuvee(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cuvee.cli", *map(str, arguments)],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration's file, everything imported and fitted."""
    folder = tmp_path_factory.mktemp("full")
    (folder / "products").mkdir()
    for name, (dataset, more) in PRODUCTS.items():
        (folder / f"products/{name}.toml").write_text(PRODUCT.format(dataset=dataset, more=more))
    config = folder / "cuvee.toml"
    config.write_text(f"[recommenders.liked]\nplugin = 'liked'\n[store]\nurl = 'sqlite:///{folder / 'store.db'}'\n")
    for name, text in {"items": BARE, "likes": LIKES, "dislikes": DISLIKES}.items():
        (folder / f"{name}.csv").write_text(text)
    at = ("--items", folder / "items.csv", "--config", config)
    cuvee("import", folder / "likes.csv", *at, "--dataset", "bare")
    explicit = ("--feedback", "explicit", "--positive-from", "1")
    cuvee("import", folder / "dislikes.csv", *at, "--dataset", "disliked", *explicit)
    cuvee("fit", "--config", config)
    return config


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[RunningServer]:
    with run_server(place, environment=ENVIRONMENT) as running:
        yield running


def listed(answer: pb.RecommendResponse | pb.SimilarItemsResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def from_catalogue(answer: pb.RecommendResponse | pb.SimilarItemsResponse) -> list[str]:
    """The items of the last resort, which come last, and are marked as the proto says."""
    marked = [item.HasField("fallback") and item.fallback.source == "catalogue" for item in answer.items]
    assert marked == sorted(marked)
    told = [source.candidate_count for source in answer.sources if source.source == "catalogue"]
    assert told == ([sum(marked)] if any(marked) else [])
    return [item.item_id for item, last in zip(answer.items, marked, strict=True) if last]


@pytest.mark.parametrize(("product", "level"), [("bare", 2), ("chainless", 1)])
@pytest.mark.parametrize("user", ["nobody", "u0"])
def test_a_filter_that_only_bare_items_match(server: RunningServer, product: str, level: int, user: str) -> None:
    answer = server.client.recommend(product, user, filter="genre = 'newgenre'")
    assert listed(answer) == from_catalogue(answer) == ["b3", "b2"]
    for item in answer.items:
        assert item.fallback.level == level
        cold = user == "nobody"
        assert item.fallback.reason == (pb.DEGRADED_REASON_COLD_USER if cold else pb.DEGRADED_REASON_EMPTY)
        assert (item.score, item.reason) == (0, "")
    assert not answer.degraded


@pytest.mark.parametrize("product", ["bare", "chainless"])
@pytest.mark.parametrize("size", [1, 7, 10, 100])
def test_a_long_list_has_all_there_is(server: RunningServer, product: str, size: int) -> None:
    answer = server.client.recommend(product, "nobody", page_size=size)
    assert len(answer.items) == min(size, 10)
    assert len(set(listed(answer))) == len(answer.items)
    assert listed(answer)[6:] == from_catalogue(answer) == NEWEST[: max(0, size - 6)]
    assert [item.position for item in answer.items] == list(range(len(answer.items)))


@pytest.mark.parametrize("product", ["bare", "chainless"])
def test_who_has_seen_all_else_gets_what_is_left(server: RunningServer, product: str) -> None:
    answer = server.client.recommend(product, context_item_ids=sorted(KNOWN), page_size=100)
    assert listed(answer) == from_catalogue(answer) == NEWEST
    more = server.client.recommend(product, context_item_ids=[*KNOWN, "b3", "b1"], exclude_item_ids=["b0"])
    assert listed(more) == from_catalogue(more) == ["b2"]
    everything = server.client.recommend(product, context_item_ids=[*KNOWN, *NEWEST])
    assert not everything.items, "what was seen is not shown, by the product's rule"
    assert not everything.degraded


@pytest.mark.parametrize("user", ["u0", "u7", "nobody"])
def test_where_nobody_likes_anything_lists_are_full(server: RunningServer, user: str) -> None:
    answer = server.client.recommend("disliked", user, page_size=100)
    seen = {f"i{(int(user[1:]) + step) % 6}" for step in range(4)} if user != "nobody" else set()
    assert set(listed(answer)) == (KNOWN | set(NEWEST)) - seen
    assert from_catalogue(answer)[:4] == NEWEST
    assert not answer.degraded


def test_rules_filters_and_exclusions_hold_in_the_last_resort(server: RunningServer) -> None:
    answer = server.client.recommend("ruled", "nobody", page_size=100)
    assert from_catalogue(answer) == ["b2", "b1", "b0"]
    fewer = server.client.recommend("ruled", "nobody", page_size=100, filter="title IS NULL", exclude_item_ids=["b1"])
    assert listed(fewer) == ["b2", "b0"]


def test_similar_items_are_filled_alike(server: RunningServer) -> None:
    answer = server.client.similar_items("bare", ["b0"], page_size=100)
    assert "b0" not in listed(answer)
    assert from_catalogue(answer) == ["b3", "b2", "b1"]
    unknown = server.client.similar_items("chainless", ["nowhere"], page_size=3)
    assert listed(unknown) == from_catalogue(unknown) == NEWEST[:3]
    assert {item.fallback.reason for item in unknown.items} == {pb.DEGRADED_REASON_COLD_ITEM}


def test_a_batch_gives_each_what_he_gets_alone(server: RunningServer) -> None:
    users = ["nobody", *(f"u{n}" for n in range(6))]
    requests = [pb.RecommendRequest(user_id=user, page_size=9) for user in users]
    results = {r.index: r.response for r in server.client.batch_recommend("bare", requests)}
    for at, user in enumerate(users):
        alone = server.client.recommend("bare", user, page_size=9)
        assert listed(results[at]) == listed(alone)
        assert from_catalogue(results[at]) == from_catalogue(alone)


@pytest.mark.parametrize("product", PRODUCTS)
def test_offline_lists_are_filled_alike(
    place: Path, server: RunningServer, product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE / "plugin"))
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))
    registry = Registry.load()
    snapshot = load_snapshot(load_settings(place, registry), registry, product)
    found = compare(server.client, snapshot, np.arange(snapshot.data.n_users, dtype=np.int32), 10)
    assert (found.examples, found.ties, found.degraded) == ([], 0, 0)


def test_an_item_that_came_a_moment_ago_stands_first_of_them_until_it_is_hidden(server: RunningServer) -> None:
    def upsert(**attributes: bool) -> None:
        item = catalog_pb2.Item(item_id="fresh")
        for name, flag in attributes.items():
            item.attributes[name].flag = flag
        server.client.catalog.UpsertItem(catalog_pb2.UpsertItemRequest(product="chainless", item=item), timeout=10)

    upsert()
    until = time.monotonic() + 20
    while (answer := server.client.recommend("chainless", "nobody", page_size=100)) and len(answer.items) < 11:
        assert time.monotonic() < until, "the new item never came into a list"
        time.sleep(0.05)
    assert from_catalogue(answer) == ["fresh", *NEWEST]
    upsert(available=False)
    assert from_catalogue(server.client.recommend("chainless", "nobody", page_size=100)) == NEWEST


def test_an_event_takes_an_item_out_of_the_very_next_list(server: RunningServer) -> None:
    event = events_pb2.Event(
        product="bare", user_id="sees b3", item_id="b3", type=events_pb2.EVENT_TYPE_VIEW, event_id="saw-b3"
    )
    server.client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=10)
    answer = server.client.recommend("bare", "sees b3", page_size=100)
    assert from_catalogue(answer) == NEWEST[1:]
