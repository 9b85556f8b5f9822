"""Variants on a real server: who gets which, that lists are the variant's, that shares change live."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cuvee.client import failure_of
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import recommendation_pb2 as pb
from grpc_health.v1 import health_pb2

from ..conftest import ENVIRONMENT, fitted
from ..live.conftest import until

SERVER = '[server]\nlimits = { deadline = "30s" }\n[store]\nurl = ""\n'
FILM = """
dataset = "toy"
page_size = {{ default = 5, max = 30 }}
sources = [{{ use = "pairs" }}, {{ use = "popular" }}]
[blend]
segments = {{ cold = 0, warm = 1 }}
passage = "hard"
[blend.weights]
warm = {{ pairs = 0.5, popular = 0.5 }}
similar = {{ pairs = 1.0 }}

[[experiments]]
name = "taste"
share = 0.5
[[experiments.variants]]
name = "control"
share = 0.5
[[experiments.variants]]
name = "crowd"
share = 0.5
overrides.blend.weights.warm = {{ pairs = 0.0, popular = 1.0 }}
overrides.blend.weights.similar = {{ pairs = 0.5, popular = 0.5 }}
overrides.rules = [{{ use = "filter", where = "year > 1970" }}]

[[experiments]]
name = "length"
layer = "looks"
[[experiments.variants]]
name = "short"
share = 0.5
[[experiments.variants]]
name = "long"
share = 0.5
overrides.page_size.default = 8

[[shadows]]
name = "bold"
overrides.blend.weights.warm = {{ pairs = 1.0, popular = 0.0 }}
"""
HARM = """
dataset = "toy"
sources = [{{ use = "popular" }}]
[[shadows]]
name = "ill"
overrides.sources = [{{ use = "raises" }}, {{ use = "sleeps", timeout = "100ms" }}, {{ use = "popular" }}]
"""
VIEWERS = [f"viewer-{n:03}" for n in range(40)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted(tmp_path_factory.mktemp("varied"), {"film": FILM, "harm": HARM}, SERVER)


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
def film(config: Path) -> Iterator[Path]:
    """The product's file, written back after the test."""
    file = config.with_name("products") / "film.toml"
    before = file.read_text()
    yield file
    file.write_text(before)


def bucket(salt: str, user: str) -> int:
    """As docs/products.md says it, in words of its own."""
    return int(hashlib.sha256(f"{salt}:{user}".encode()).hexdigest()[:16], 16) % 10_000


def expected(user: str, share: float = 0.5) -> str:
    found = []
    if bucket("film/layer/default", user) < share * 10_000:
        found.append("taste/control" if bucket("film/taste", user) < 5_000 else "taste/crowd")
    found.append("length/short" if bucket("film/length", user) < 5_000 else "length/long")
    return ",".join(found)


def ask(server: RunningServer, user: str = "viewer-001", **more: object) -> pb.RecommendResponse:
    return server.client.recommend("film", user, timeout=30, **more)


def weights(answer: pb.RecommendResponse) -> dict[str, float]:
    return {a.source: round(a.weight, 3) for item in answer.items for a in item.attributions}


def ids(answer: pb.RecommendResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def one_in(label: str) -> str:
    """A viewer who is in a variant."""
    return next(user for user in VIEWERS if label in expected(user).split(","))


def test_each_list_is_that_of_the_users_variant(server: RunningServer):
    seen = set()
    for user in VIEWERS:
        answer = ask(server, user)
        assert answer.variant == expected(user)
        seen.add(answer.variant)
        crowd, long = "taste/crowd" in answer.variant, "length/long" in answer.variant
        assert weights(answer)["popular"] == (1.0 if crowd else 0.5)
        assert len(answer.items) == (8 if long else 5)
    assert len(seen) == 6, "every combination occurs"


def test_a_variants_rules_hold_in_its_lists_alone(server: RunningServer):
    years = {}
    for label in ("taste/crowd", "taste/control"):
        allowed = server.client.recommend("film", one_in(label), page_size=30, filter="year <= 1970", timeout=30)
        years[label] = bool(allowed.items)
    assert years == {"taste/crowd": False, "taste/control": True}


def test_one_batch_has_each_user_s_own_variant(server: RunningServer):
    requests = [pb.RecommendRequest(user_id=user) for user in VIEWERS]
    answers = {one.user_id: one.response for one in server.client.batch_recommend("film", requests, timeout=60)}
    for user in VIEWERS:
        assert answers[user].variant == expected(user)
        assert ids(answers[user]) == ids(ask(server, user))


def test_a_bucketing_id_keeps_the_variant_over_the_login(server: RunningServer):
    device = next(f"device-{n}" for n in range(99) if expected(f"device-{n}") != expected("viewer-001"))
    before = server.client.recommend("film", context_item_ids=["film-001"], bucketing_id=device, timeout=30)
    after = ask(server, "viewer-001", bucketing_id=device)
    assert before.variant == after.variant == expected(device) != ask(server).variant


def test_whoever_has_no_id_is_in_no_experiment(server: RunningServer):
    answer = server.client.recommend("film", context_item_ids=["film-001"], timeout=30)
    assert answer.variant == ""
    assert len(answer.items) == 5


def test_similar_items_and_rankings_are_the_variant_s(server: RunningServer):
    crowd = one_in("taste/crowd")
    similar = server.client.similar_items("film", ["film-001"], bucketing_id=crowd, timeout=30)
    plain = server.client.similar_items("film", ["film-001"], timeout=30)
    assert (similar.variant, plain.variant) == (expected(crowd), "")
    assert (weights(similar)["popular"], weights(plain).get("popular", 0.0)) == (0.5, 0.0)
    ranked = server.client.rank("film", ["film-001", "film-002"], crowd, timeout=30)
    assert ranked.variant == expected(crowd)
    assert weights(ranked)["popular"] == 1.0


def test_a_named_variant_answers_whoever_asks(server: RunningServer):
    for user in VIEWERS[:5]:
        answer = ask(server, user, variant="length/long,taste/crowd")
        assert answer.variant == "taste/crowd,length/long", "in the order of the file"
        assert (weights(answer)["popular"], len(answer.items)) == (1.0, 8)
        assert weights(ask(server, user, variant="~bold"))["pairs"] == 1.0
        assert ask(server, user, variant="taste/control").variant == "taste/control"


@pytest.mark.parametrize(
    "variant", ["taste", "taste/nobody", "nothing/crowd", "~crowd", "taste/crowd,taste/control", "taste/crowd,~bold",
                ",", "x" * 1001, "taste/crowd,", "length/long,length/long"],
)  # fmt: skip
def test_a_variant_that_is_none_is_refused_by_its_field(server: RunningServer, variant: str):
    with pytest.raises(grpc.RpcError) as problem:
        ask(server, variant=variant)
    told = failure_of(problem.value)
    assert (told.reason, told.field) == ("INVALID_ARGUMENT", "variant")


def test_all_pages_of_a_list_are_of_its_variant(server: RunningServer):
    for user in (one_in("taste/crowd"), one_in("taste/control")):
        first = ask(server, user, page_size=4)
        second = ask_page(server, user, first.next_page_token)
        assert first.variant == second.variant == expected(user)
        whole = ask(server, user, page_size=8)
        assert ids(first) + ids(second) == ids(whole)


def ask_page(server: RunningServer, user: str, token: str) -> pb.RecommendResponse:
    request = pb.RecommendRequest(product="film", user_id=user, page_size=4, page_token=token)
    stub = server.client.channel.unary_unary(
        "/cuvee.v1.RecommendationService/Recommend",
        request_serializer=pb.RecommendRequest.SerializeToString,
        response_deserializer=pb.RecommendResponse.FromString,
    )
    return stub(request, timeout=30)


def test_a_share_grows_live_and_a_page_of_before_is_refused_as_of_another_revision(server: RunningServer, film: Path):
    before = {user: ask(server, user).variant for user in VIEWERS}
    token = ask(server, VIEWERS[0], page_size=4).next_page_token
    revision = ask(server).config_revision
    film.write_text(film.read_text().replace("share = 0.5\n[[experiments.variants]]\nname = \"control\"",
                                             "share = 1.0\n[[experiments.variants]]\nname = \"control\""))  # fmt: skip
    until(lambda: ask(server).config_revision != revision)
    for user in VIEWERS:
        after = ask(server, user).variant
        assert after == expected(user, 1.0)
        assert before[user] in {after, after.partition(",")[2]}, "nobody is moved to another variant"
    with pytest.raises(grpc.RpcError) as problem:
        ask_page(server, VIEWERS[0], token)
    assert failure_of(problem.value).reason == "PAGE_GONE"


BROKEN = {
    "an override of no key": ("overrides.page_size.default = 8", "overrides.page_size.usual = 8"),
    "an override of the dataset": ("overrides.page_size.default = 8", 'overrides.dataset = "shop"'),
    "a source that is not there": ("overrides.page_size.default = 8", 'overrides.sources = [{ use = "pears" }]'),
    "a source that was not fitted": (
        "overrides.page_size.default = 8",
        'overrides.sources = [{ use = "newest" }, { use = "pairs" }, { use = "popular" }]',
    ),
    "a filter over no column": ("year > 1970", "colour = 'red'"),
    "shares beyond one": ('name = "short"\nshare = 0.5', 'name = "short"\nshare = 0.75'),
    "a shadow that is wrong": ("pairs = 1.0, popular = 0.0 }", "pairs = -1.0 }"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_variant_is_kept_out_and_the_last_good_answers(server: RunningServer, film: Path, kind: str):
    before = ask(server)
    good = film.read_text()
    assert BROKEN[kind][0] in good
    film.write_text(good.replace(*BROKEN[kind]))
    refused = health_pb2.HealthCheckResponse.NOT_SERVING
    until(lambda: server.client.health("server.config").status == refused)
    after = ask(server)
    assert (after.config_revision, after.variant, ids(after)) == (before.config_revision, before.variant, ids(before))
    film.write_text(good)
    until(lambda: server.client.health("server.config").status != refused)


def shadows(server: RunningServer, shadow: str) -> list[dict[str, object]]:
    return [line for line in server.events("shadow lists") if line["shadow"] == shadow]


def test_a_shadow_is_compared_with_what_was_shown_and_shown_to_nobody(server: RunningServer):
    def told() -> bool:
        for user in VIEWERS[:10]:
            assert weights(ask(server, user))["popular"] > 0, "the shadow gives it no weight"
        return any(line["lists"] for line in shadows(server, "bold"))

    until(told)
    last = next(line for line in reversed(shadows(server, "bold")) if line["lists"])
    assert 0 < float(str(last["overlap"])) < 1
    assert float(str(last["ms_p95"])) >= float(str(last["ms_p50"])) > 0


def test_a_shadow_that_fails_and_sleeps_harms_no_answer(server: RunningServer):
    def told() -> bool:
        for user in VIEWERS[:20]:
            answer = server.client.recommend("harm", user, timeout=30)
            assert not answer.degraded
            assert len(answer.items) == 20
        return any(line["degraded"] for line in shadows(server, "ill"))

    until(told)
    assert not server.client.recommend("harm", "viewer-000", timeout=30).degraded, "its circuits are its own"
