"""Rules that arrange, as a caller sees them."""

from __future__ import annotations

import pytest
from cuvee.testing import two_tribes
from cuvee.testing.server import RunningServer
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

FILMS = two_tribes().data.catalog.items.frame
GENRES = dict(zip(FILMS["id"].to_list(), FILMS["genres"].to_list(), strict=True))
YEARS = dict(zip(FILMS["id"].to_list(), FILMS["year"].to_list(), strict=True))

USERS = ["viewer-000", "viewer-007", "nobody-knows"]


def ask(server: RunningServer, user: str, size: int = 12, **changes: object) -> pb.RecommendResponse:
    return server.client.recommend("ruled", user, page_size=size, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("size", [1, 2, 12, 60])
def test_rules_hold_for_items_of_the_blend_and_of_the_fallback(server: RunningServer, user: str, size: int) -> None:
    items = ask(server, user, size).items
    ids = [item.item_id for item in items]
    assert len(set(ids)) == len(ids)
    assert [item.position for item in items] == list(range(len(items)))
    assert "film-009" not in ids
    assert size == 1 or ids[1] == "film-100"
    for start in range(len(ids)):
        genres = [genre for name in ids[start : start + 5] for genre in GENRES[name]]
        assert max((genres.count(genre) for genre in genres), default=0) <= 3


@pytest.mark.parametrize("user", USERS)
def test_shares_add_up_and_items_say_what_moved_them(server: RunningServer, user: str) -> None:
    answer = ask(server, user)
    for item in answer.items:
        effects = {effect.rule: effect for effect in item.rules}
        assert set(effects) <= {"old", "quota", "pin"}
        if item.HasField("fallback"):
            continue
        total = sum(a.contribution for a in item.attributions) + sum(e.contribution for e in item.rules)
        assert total == pytest.approx(item.score, abs=1e-5)
        assert ("old" in effects) == (YEARS[item.item_id] < 1980)
        if "old" in effects:
            assert effects["old"].contribution == pytest.approx(0.75)
            assert effects["old"].from_position >= 0
    assert "pin" in {effect.rule for effect in answer.items[1].rules}
    assert not any(effect.rule == "pin" for item in [answer.items[0], *answer.items[2:]] for effect in item.rules)


def test_what_each_rule_took_away_is_counted_when_asked(server: RunningServer) -> None:
    request = pb.RecommendRequest(product="ruled", user_id="viewer-000", page_size=10)
    assert not rpc.RecommendationServiceStub(server.client.channel).Recommend(request, timeout=10).rules
    request.count_removed = True
    counts = {
        c.rule: c.removed
        for c in rpc.RecommendationServiceStub(server.client.channel).Recommend(request, timeout=10).rules
    }
    assert list(counts) == ["exclude_seen", "filter", "old", "quota", "pin"]
    assert counts["filter"] == 1
    assert counts["exclude_seen"] == len(set(two_tribes().data.events.row(0).tolist()))
    assert counts["quota"] > 0
    assert counts["old"] == counts["pin"] == 0


def test_a_rule_holds_where_it_is_on(server: RunningServer) -> None:
    answer = server.client.similar_items("ruled", ["film-000"], page_size=6)
    assert answer.items
    assert not any(effect.rule == "pin" for item in answer.items for effect in item.rules)
    assert "film-009" not in {item.item_id for item in answer.items}


def test_a_pin_that_the_caller_excludes_leaves_its_place(server: RunningServer) -> None:
    request = pb.RecommendRequest(product="ruled", user_id="viewer-000", page_size=5, exclude_item_ids=["film-100"])
    items = rpc.RecommendationServiceStub(server.client.channel).Recommend(request, timeout=10).items
    assert len(items) == 5
    assert "film-100" not in {item.item_id for item in items}
