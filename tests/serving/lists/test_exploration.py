"""Exploration, seen from outside: marked, repeatable, within every restriction, and exactly attributed."""

from __future__ import annotations

import pytest
from cuvee.client import Client
from cuvee.testing.toys import Toy
from cuvee.v1 import recommendation_pb2 as pb


def ids(answer: pb.RecommendResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def check_sums(answer: pb.RecommendResponse) -> None:
    """Contributions add up to the score of every item, and those that are here by score fall."""
    for item in answer.items:
        assert sum(a.contribution for a in item.attributions) == pytest.approx(item.score, abs=1e-6)
    by_score = [item.score for item in answer.items if not item.exploration]
    assert by_score == sorted(by_score, reverse=True)


def marked(answer: pb.RecommendResponse) -> list[bool]:
    return [item.exploration for item in answer.items]


def test_some_places_are_for_exploration_and_say_so(client: Client) -> None:
    answers = [client.recommend("curious", f"viewer-{n:03}", page_size=10) for n in range(20)]
    for answer in answers:
        check_sums(answer)
        assert len(set(ids(answer))) == 10
        assert not marked(answer)[0], "the first place is left alone"
        assert not any(item.exploration and item.HasField("fallback") for item in answer.items)
    share = sum(sum(marked(answer)) for answer in answers) / (9 * len(answers))
    assert 0.3 < share < 0.7
    assert len({tuple(marked(answer)) for answer in answers}) > 10
    # the others stand as they would without
    for n, answer in enumerate(answers):
        plain = ids(client.recommend("toy", f"viewer-{n:03}", page_size=30))
        assert {i for i, new in zip(ids(answer), marked(answer), strict=True) if not new} <= set(plain)


def test_the_same_request_gets_the_same_list_and_another_click_another(client: Client) -> None:
    one, two = (client.recommend("curious", "viewer-003", page_size=10) for _ in range(2))
    assert (ids(one), marked(one)) == (ids(two), marked(two))
    clicks = [["film-001"], ["film-001", "film-003"], ["film-001", "film-005"], ["film-001", "film-007"]]
    assert len({tuple(marked(client.recommend("curious", context_item_ids=c, page_size=10))) for c in clicks}) > 1


def test_a_longer_page_begins_with_the_shorter_one(client: Client) -> None:
    short, long = (client.recommend("curious", "viewer-005", page_size=n) for n in (5, 20))
    assert ids(long)[:5] == ids(short)
    assert marked(long)[:5] == marked(short)


def test_filters_and_exclusions_hold(client: Client, toy: Toy) -> None:
    years = dict(zip(toy.grown.items.frame["id"], toy.grown.items.frame["year"], strict=True))
    before = [
        i for i, new in zip(*(f(client.recommend("curious", "viewer-003")) for f in (ids, marked)), strict=True) if new
    ]
    for n in range(10):
        answer = client.recommend(
            "curious", f"viewer-{n:03}", page_size=10, filter="year >= 1990", exclude_item_ids=before
        )
        assert all(years[i] >= 1990 for i in ids(answer))
        assert not set(before) & set(ids(answer))


def test_only_recommend_explores(client: Client) -> None:
    listed = client.rank("curious", ["film-001", "film-002", "film-010"], "viewer-003")
    alike = client.similar_items("curious", ["film-001"], page_size=10)
    assert not any(item.exploration for answer in (listed, alike) for item in answer.items)
