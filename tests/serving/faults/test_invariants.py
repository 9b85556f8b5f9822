"""What holds of every list, whoever asks for it and however it came about. 5,000: tests/benchmarks/faults.py."""

from __future__ import annotations

import math
import random

from cuvee.client import Client
from cuvee.testing.server import RunningServer
from cuvee.v1 import recommendation_pb2 as pb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reliability.asking import World, ask, broken, random_request, same


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**63))
def test_every_list_is_as_it_was_asked_for_and_the_same_when_asked_again(
    ruled_server: RunningServer, world: World, seed: int
):
    asked = random_request(random.Random(seed), world)
    answer = ask(ruled_server.client, asked)
    assert broken(asked, answer) == [], asked.request
    assert same(answer, ask(ruled_server.client, asked)), asked.request


def batch(client: Client, product: str, requests: list[pb.RecommendRequest]) -> list[pb.BatchRecommendResponse]:
    return sorted(client.batch_recommend(product, requests), key=lambda one: one.index)


def test_in_a_batch_each_list_is_the_one_that_comes_alone(ruled_server: RunningServer, world: World):
    rng = random.Random(11)
    asked = [
        one for one in (random_request(rng, world) for _ in range(200)) if isinstance(one.request, pb.RecommendRequest)
    ]
    for product in world.products:
        mine = [one for one in asked if one.request.product == product]
        found = batch(ruled_server.client, product, [one.request for one in mine])
        assert [one.index for one in found] == list(range(len(mine)))
        for one, result in zip(mine, found, strict=True):
            assert broken(one, result.response) == [], one.request
            alone = ask(ruled_server.client, one)
            assert [i.item_id for i in result.response.items] == [i.item_id for i in alone.items]


def test_what_is_looked_for_is_found():
    """A list that breaks every promise is reported for each of them."""
    world = World.of_toy()
    asked = random_request(random.Random(1), world)
    assert isinstance(asked.request, pb.RecommendRequest)
    items = [pb.RecommendedItem(item_id="nowhere", score=score, position=1) for score in (1.0, 2.0, math.nan)]
    items[2].fallback.level = 1
    items[1].attributions.add(contribution=5.0)
    told = broken(asked, pb.RecommendResponse(items=items * 20))
    for part in (
        "at most",
        "twice",
        "must not be shown",
        "positions",
        "not finite",
        "in order",
        "before what",
        "add up",
    ):
        assert any(part in line for line in told), part
