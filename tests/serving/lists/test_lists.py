"""The answers that a well-meant request gets, through a real channel from a real process."""

from __future__ import annotations

import numpy as np
import pytest
from cuvee.client import Client, profile
from cuvee.testing import Toy
from cuvee.v1 import recommendation_pb2 as pb
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

LIVE, NOT_SERVING = pb.SourceStatus.STATUS_LIVE, pb.SourceStatus.STATUS_NOT_SERVING_QUERY


def ids(answer) -> list[str]:
    return [item.item_id for item in answer.items]


def statuses(answer) -> dict[str, int]:
    return {s.source: s.status for s in answer.sources}


def check_sums(answer) -> None:
    """Blended items first, by falling score; contributions add up to it; positions count."""
    blended = [item for item in answer.items if not item.HasField("fallback")]
    assert list(answer.items[: len(blended)]) == blended
    assert [item.position for item in answer.items] == list(range(len(answer.items)))
    scores = [item.score for item in blended]
    assert scores == sorted(scores, reverse=True)
    for item in blended:
        assert item.attributions
        assert sum(a.contribution for a in item.attributions) == pytest.approx(item.score, abs=1e-6)
        assert sum(a.weight for a in item.attributions) == pytest.approx(1, abs=1e-6)


def seen_by(toy: Toy, user: int) -> set[str]:
    return set(toy.grown.items.ids(np.unique(toy.data.events.row(user))))


def test_a_known_user_gets_a_blended_list_with_all_that_it_says_of_itself(client: Client, toy: Toy):
    answer = client.recommend("toy", "viewer-003")
    check_sums(answer)
    assert len(set(ids(answer))) == 5
    assert not set(ids(answer)) & seen_by(toy, 3)
    assert statuses(answer) == {"pairs": LIVE, "popular": LIVE, "async": LIVE}
    assert not answer.degraded
    assert answer.segment == "warm"
    assert answer.user_known
    assert answer.snapshot_version
    assert len(answer.config_revision) == 12
    assert answer.next_page_token, "there is more to show"
    assert not answer.unknown_item_ids
    assert all(item.title.startswith("The ") for item in answer.items)
    assert all(s.model_version == answer.snapshot_version for s in answer.sources)
    assert all(s.candidate_count > 0 for s in answer.sources)
    assert all(0 < s.latency.nanos < 10**9 for s in answer.sources)
    assert [a.source for a in answer.items[0].attributions] == ["pairs", "popular", "async"]
    assert answer.items[0].attributions[0].rank == 1


def test_every_answer_has_an_id_of_its_own(client: Client):
    assert len({client.recommend("toy", "viewer-003").recommendation_id for _ in range(5)}) == 5


def test_an_unknown_user_and_a_user_without_events_are_served_as_new(client: Client):
    stranger = client.recommend("toy", "nobody-knows-me")
    # the toy's users from 90 on have no events
    idle = client.recommend("toy", "viewer-092")
    for answer, known in ((stranger, False), (idle, True)):
        check_sums(answer)
        assert len(answer.items) == 5
        assert answer.segment == "cold"
        assert answer.user_known is known
        assert statuses(answer) == {"pairs": NOT_SERVING, "popular": LIVE, "async": NOT_SERVING}
        assert not answer.degraded
        assert [a.source for a in answer.items[0].attributions] == ["popular"]
    assert ids(stranger) == ids(idle)


@pytest.mark.parametrize(
    ("product", "call", "why"),
    [
        # in the cold segment popular alone has a weight, and pairs needs a history, too
        ("toy", "stranger", {"pairs": "weight 0 in this segment", "popular": "", "async": "weight 0 in this segment"}),
        ("toy", "session", {"pairs": "", "popular": "", "async": ""}),
        ("toy", "similar", {"pairs": "", "popular": "weight 0 in this segment", "async": "weight 0 in this segment"}),
        # no table of weights: pairs counts, and serves nobody without a history
        ("fused", "stranger", {"pairs": "", "popular": ""}),
    ],
)
def test_a_source_that_was_not_asked_says_so_where_its_weight_is_the_cause(
    product: str, call: str, why: dict[str, str], client: Client
):
    answers = {
        "stranger": lambda: client.recommend(product, "nobody-knows-me"),
        "session": lambda: client.recommend(product, context_item_ids=["film-001"]),
        "similar": lambda: client.similar_items(product, ["film-001"]),
    }
    assert {s.source: s.detail for s in answers[call]().sources} == why


def test_each_request_of_a_batch_is_told_of_its_own_weights(client: Client):
    requests = [pb.RecommendRequest(user_id="nobody-knows-me"), pb.RecommendRequest(user_id="viewer-003")]
    found = {one.index: one.response for one in client.batch_recommend("toy", requests)}
    details = [{s.source: s.detail for s in found[at].sources} for at in range(2)]
    assert details[0]["pairs"] == "weight 0 in this segment"
    assert details[1] == {"pairs": "", "popular": "", "async": ""}


def test_clicks_of_this_moment_change_the_answer(client: Client):
    answer = client.recommend("toy", context_item_ids=["film-001", "film-007", "film-013"])
    check_sums(answer)
    assert answer.segment == "warm"
    assert not answer.user_known
    assert all(int(i[-3:]) % 2 == 1 for i in ids(answer)), "odd films go with odd films"
    assert not {"film-001", "film-007", "film-013"} & set(ids(answer))


def test_unknown_items_are_data(client: Client):
    answer = client.recommend(
        "toy", context_item_ids=["nowhere", "film-001", "nowhere"], exclude_item_ids=["gone", "nowhere"]
    )
    assert list(answer.unknown_item_ids) == ["nowhere", "gone"]
    assert answer.segment == "warm"
    only_unknown = client.recommend("toy", context_item_ids=["nowhere"])
    assert only_unknown.segment == "cold"
    assert len(only_unknown.items) == 5


def test_a_list_longer_than_the_catalogue_ends_where_that_ends(client: Client, toy: Toy):
    answer = client.recommend("narrow", "viewer-003", page_size=10**9)
    assert len(answer.items) == 100
    short = client.recommend("narrow", "viewer-003", page_size=100, filter="year < 1955")
    assert 0 < len(short.items) < 30
    none = client.recommend("narrow", "viewer-003", filter="year < 1000")
    assert not none.items
    assert not none.degraded


def test_page_size_zero_takes_the_default_and_too_much_is_coerced(client: Client):
    assert len(client.recommend("toy", "viewer-003").items) == 5
    assert len(client.recommend("toy", "viewer-003", page_size=7).items) == 7
    assert len(client.recommend("toy", "viewer-003", page_size=500).items) == 30


def test_filter_and_exclusions_hold_for_blend_and_fallback(client: Client, toy: Toy):
    years = dict(zip(toy.grown.items.frame["id"], toy.grown.items.frame["year"], strict=True))
    for product in ("toy", "narrow"):
        first = ids(client.recommend(product, "viewer-003", page_size=30))
        answer = client.recommend(
            product, "viewer-003", page_size=30, filter="year >= 1990 AND year < 2010", exclude_item_ids=first[:3]
        )
        assert answer.items
        assert all(1990 <= years[i] < 2010 for i in ids(answer))
        assert not set(first[:3]) & set(ids(answer))
        assert not seen_by(toy, 3) & set(ids(answer))
    assert any(item.HasField("fallback") for item in answer.items)


def test_a_filter_on_lists_and_one_that_is_used_twice(client: Client, toy: Toy):
    genres = dict(zip(toy.grown.items.frame["id"], toy.grown.items.frame["genres"], strict=True))
    answers = [client.recommend("toy", "viewer-003", filter="'Western' IN genres") for _ in range(2)]
    assert ids(answers[0]) == ids(answers[1])
    assert all("Western" in genres[i] for i in ids(answers[0]))


def test_fallback_items_come_last_and_say_where_they_are_from(client: Client):
    answer = client.recommend("narrow", "viewer-003", page_size=6)
    check_sums(answer)
    assert [item.HasField("fallback") for item in answer.items] == [False] * 2 + [True] * 4
    for item in answer.items[2:]:
        assert (item.fallback.level, item.fallback.source) == (1, "bad_explainer")
        assert item.fallback.reason == pb.DEGRADED_REASON_EMPTY
        assert not item.reason, "its explain() raises, which costs the words alone"
        assert item.score > 0
    assert statuses(answer) == {"pairs": LIVE, "bad_explainer": LIVE}
    cold = client.recommend("narrow", "nobody", page_size=3)
    assert [item.fallback.reason for item in cold.items] == [pb.DEGRADED_REASON_COLD_USER] * 3
    full = client.recommend("narrow", "viewer-003", page_size=2)
    assert statuses(full) == {"pairs": LIVE}, "a chain that was not needed was not asked"


def test_reasons_come_from_who_contributed_most_of_those_that_can_explain(client: Client):
    answer = client.recommend("toy", "viewer-003")
    assert all(item.reason.startswith("liked ") for item in answer.items)


def test_the_basic_view_leaves_attributions_out(client: Client):
    full = client.recommend("toy", "viewer-003")
    basic = client.recommend("toy", "viewer-003", view=pb.ATTRIBUTION_VIEW_BASIC)
    assert ids(full) == ids(basic)
    assert all(item.reason and not item.attributions for item in basic.items)


def test_fusion_by_ranks_shows_no_calibrated_values(client: Client):
    answer = client.recommend("fused", "viewer-003")
    check_sums(answer)
    assert all(a.HasField("raw") and not a.HasField("calibrated") for a in answer.items[0].attributions)


def test_missing_opinions_are_absent_and_still_add_up(client: Client, toy: Toy):
    new = toy.grown.items.ids([toy.data.n_items])[0]
    answer = client.rank("toy", ["film-001", "film-002", new], "viewer-003")
    check_sums(answer)
    told = {item.item_id: [a.HasField("raw") for a in item.attributions] for item in answer.items}
    assert told == {"film-001": [True] * 3, "film-002": [True] * 3, new: [False] * 3}
    assert not any(a.HasField("calibrated") for i in answer.items if i.item_id == new for a in i.attributions)


def test_validate_only_checks_and_asks_nobody(client: Client):
    answer = client.recommend("dead", "viewer-003", context_item_ids=["nowhere"], validate_only=True)
    assert not answer.items
    assert not answer.sources
    assert not answer.recommendation_id
    assert list(answer.unknown_item_ids) == ["nowhere"]
    assert answer.user_known


def test_a_declared_profile_is_enough_and_unknown_columns_are_data(client: Client):
    declared = profile({"age": 30, "shoe_size": 44, "occupation": None}, {"genres": ["Noir"], "smell": ["sweet"]})
    answer = client.recommend("toy", profile=declared)
    assert len(answer.items) == 5
    assert answer.segment == "cold"


@pytest.mark.parametrize(
    ("attributes", "interests", "unknown"),
    [
        ({"age": 30}, {"genres": ["Noir"]}, []),
        ({"age": 30}, {"genre": ["Western"]}, ["interests.genre"]),
        ({"Age": 30, "shoe size": None}, {}, ["attributes.Age", "attributes.shoe size"]),
        # a column of the other side, and the ids, are no columns to declare
        ({"year": 1999, "id": "x"}, {"age": ["30"], "id": ["film-001"]}, [
            "attributes.id", "attributes.year", "interests.age", "interests.id",
        ]),
        # named even where no value came with it
        ({}, {"smell": []}, ["interests.smell"]),
    ],
)  # fmt: skip
def test_keys_of_a_profile_that_the_product_does_not_have_are_named(attributes, interests, unknown, client: Client):
    declared = profile(attributes, interests)
    assert list(client.recommend("toy", "viewer-003", profile=declared).unknown_profile_keys) == unknown
    assert list(client.rank("toy", ["film-001"], "viewer-003", profile=declared).unknown_profile_keys) == unknown
    checked = client.recommend("toy", "viewer-003", profile=declared, validate_only=True)
    assert list(checked.unknown_profile_keys) == unknown


@pytest.mark.parametrize(
    ("attributes", "interests", "unknown"),
    [
        ({"occupation": "artist"}, {"genres": ["Noir", "Drama"]}, []),
        ({"occupation": "artis"}, {}, ["attributes.occupation=artis"]),
        ({"occupation": "Artist"}, {"genres": ["Film-Noire", "Noir", "noir", "Film-Noire"]}, [
            "attributes.occupation=Artist", "interests.genres=Film-Noire", "interests.genres=noir",
        ]),
        # a single letter, a part of a label, an "=" and letters outside ASCII
        ({}, {"genres": ["N", "Noir, War", "a=b", "Komödie"]}, [
            "interests.genres=Komödie", "interests.genres=N", "interests.genres=Noir, War", "interests.genres=a=b",
        ]),
        # numbers and free texts may be new, an unknown column is named by its key, null and nothing are no values
        ({"age": 77, "shoe": "x"}, {"title": ["Nosferatu"], "year": ["1922"], "genre": ["Noir"]}, []),
        ({"occupation": None}, {"genres": []}, []),
    ],
)  # fmt: skip
def test_declared_values_that_nobody_has_are_named(attributes, interests, unknown, client: Client):
    declared = profile(attributes, interests)
    for user in ("viewer-003", ""):
        assert list(client.recommend("toy", user, profile=declared).unknown_profile_values) == unknown
        assert list(client.rank("toy", ["film-001"], user, profile=declared).unknown_profile_values) == unknown
    (one, other) = client.batch_recommend(
        "toy", [pb.RecommendRequest(user_id="x", profile=declared), pb.RecommendRequest(user_id="viewer-003")]
    )
    assert list(one.response.unknown_profile_values) == unknown
    assert list(other.response.unknown_profile_values) == []


def test_a_users_stored_profile_is_not_what_he_misspelt(client: Client):
    """Only the request's own profile is looked at."""
    assert not client.recommend("toy", "viewer-003").unknown_profile_values


def test_rank_gives_all_that_was_listed_and_nothing_else(client: Client, toy: Toy):
    seen = sorted(seen_by(toy, 3))[:3]
    listed = ["film-010", *seen, "nowhere", "film-004", "film-010", "film-009"]
    answer = client.rank("toy", listed, "viewer-003", context_item_ids=["gone"])
    check_sums(answer)
    assert sorted(ids(answer)) == sorted({*listed} - {"nowhere"})
    assert list(answer.unknown_item_ids) == ["nowhere", "gone"]
    assert all(a.rank == 0 for item in answer.items for a in item.attributions)
    assert answer.segment == "warm"
    nothing_known = client.rank("toy", ["nowhere"], "viewer-003")
    assert not nothing_known.items
    assert not nothing_known.degraded


def test_rank_keeps_the_callers_order_of_equals(client: Client, toy: Toy):
    # nobody has an opinion on items newer than the models of pairs and popular
    listed = [f"film-{i:03d}" for i in (119, 3, 77, 50)]
    both = client.rank("narrow", listed, "nobody")
    assert ids(both) == listed
    assert [item.score for item in both.items] == [0, 0, 0, 0]


def test_similar_items_leave_the_anchors_out(client: Client):
    answer = client.similar_items("toy", ["film-001", "film-013", "film-001"], page_size=10)
    check_sums(answer)
    assert len(answer.items) == 10
    assert not {"film-001", "film-013"} & set(ids(answer))
    assert answer.segment == "similar"
    assert statuses(answer) == {"pairs": LIVE, "popular": NOT_SERVING, "async": NOT_SERVING}
    assert all(int(i[-3:]) % 2 == 1 for i in ids(answer))
    narrowed = client.similar_items(
        "toy", ["film-001"], page_size=10, filter="year > 2000", exclude_item_ids=[ids(answer)[0], "gone"]
    )
    assert ids(answer)[0] not in ids(narrowed)
    assert list(narrowed.unknown_item_ids) == ["gone"]


def test_anchors_that_nobody_knows_are_answered_by_the_chain(client: Client):
    answer = client.similar_items("toy", ["nowhere"])
    assert len(answer.items) == 5
    assert {item.fallback.source for item in answer.items} == {"popular"}
    assert {item.fallback.reason for item in answer.items} == {pb.DEGRADED_REASON_COLD_ITEM}
    assert list(answer.unknown_item_ids) == ["nowhere"]
    assert not answer.degraded


def comparable(answer: pb.RecommendResponse) -> tuple[object, ...]:
    """What must be the same for every kind of call; reasons may be missing where time is short."""
    items = [
        (
            item.item_id,
            item.position,
            round(item.score, 5),
            item.fallback.level,
            item.fallback.reason,
            [(a.source, round(a.contribution, 5), round(a.weight, 5), a.rank) for a in item.attributions],
        )
        for item in answer.items
    ]
    sources = [(s.source, s.status, s.reason, s.candidate_count) for s in answer.sources]
    return items, sources, answer.segment, answer.user_known, list(answer.unknown_item_ids), answer.degraded


@pytest.mark.parametrize("product", ["toy", "narrow", "fused"])
def test_a_batch_gives_each_request_what_it_would_get_alone(client: Client, product: str):
    requests = []
    for i in range(150):
        request = pb.RecommendRequest(user_id=f"viewer-{i % 97:03d}", page_size=(3, 5, 9)[i % 3])
        if i % 4 == 0:
            request.filter = ("year > 1990", "year < 1990")[i % 8 // 4]
        if i % 5 == 0:
            request.context_item_ids.extend(["film-001", "nowhere", f"film-{i % 100:03d}"])
        if i % 7 == 0:
            request.exclude_item_ids.append("film-042")
        requests.append(request)
    found = {one.index: one for one in client.batch_recommend(product, requests)}
    assert sorted(found) == list(range(150))
    for at in range(0, 150, 3):
        alone = pb.RecommendRequest()
        alone.CopyFrom(requests[at])
        alone.product = product
        assert comparable(found[at].response) == comparable(client._stub.Recommend(alone, timeout=5)), at


def test_histories_from_elsewhere_are_used(client: Client):
    remote = client.recommend("toy", "remote-user")
    local = client.recommend("toy", context_item_ids=["film-002", "film-004"])
    assert ids(remote) == ids(local)
    assert remote.user_known
    assert not remote.degraded
    assert remote.segment == "warm"


@pytest.mark.parametrize("user", ["remote-broken", "remote-garbage", "remote-slow"])
def test_a_history_that_cannot_be_loaded_degrades_the_answer_and_no_more(client: Client, user: str):
    answer = client.recommend("toy", user)
    assert len(answer.items) == 5
    assert answer.degraded
    failed = answer.sources[-1]
    assert (failed.source, failed.status) == ("load_history", pb.SourceStatus.STATUS_DEGRADED)
    assert "/etc" not in str(answer)


def test_reflection_names_the_services(client: Client):
    services = ProtoReflectionDescriptorDatabase(client.channel).get_services()
    assert "cuvee.v1.RecommendationService" in services
    assert "grpc.health.v1.Health" in services
