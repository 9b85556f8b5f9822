"""A real server under too much: what is too large, too deep, too often or too many is refused soon, with its code."""

from __future__ import annotations

import asyncio
import gzip
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cuvee.client import Client
from cuvee.testing import RunningServer, run_server
from cuvee.v1 import events_pb2, events_pb2_grpc
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from ..conftest import ENVIRONMENT
from ..telemetry.conftest import address_of, scrape, until

RECOMMEND = "/cuvee.v1.RecommendationService/Recommend"
AT_ONCE = 0.1
"""Seconds, of the quickest of five."""
SOON = 1.0
"""Seconds: the promise is 100 ms; a busy machine has more."""
MORE = 16
"""Threads of pools that are bounded and grow with what is asked at the same time."""
PUBLISHED = 1.0
"""Seconds within which figures can be read."""
LIMITS = """
[server.metrics]
listen = "127.0.0.1:0"
[server.limits]
deadline = "5s"
clients = { nobody = { per_second = 1 } }
[server.limits.lanes]
reads = { in_flight = 4, waiting = 8 }
[server.limits.connections]
ping_interval = "1s"
"""


@pytest.fixture(scope="module")
def config(granting: Callable[[str, str], Path]) -> Path:
    return granting("refusing", LIMITS)


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """Without the client's retries."""
    with grpc.insecure_channel(server.address, [("grpc.enable_retries", 0)]) as found:
        grpc.channel_ready_future(found).result(20)
        yield found


def raw(channel: grpc.Channel, data: bytes, **more) -> grpc.RpcError:
    """The error that bytes get."""
    call = channel.unary_unary(RECOMMEND, None, None)
    with pytest.raises(grpc.RpcError) as failure:
        call(data, timeout=10, **more)
    return failure.value


def asking(**more) -> bytes:
    return pb.RecommendRequest(product="toy", user_id="viewer-001", **more).SerializeToString()


def rss(server: RunningServer) -> int:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


TOO_MUCH = {
    "a message of 4 MiB and a byte": (lambda: b"\x0a" + b"\x7f" * (4 * 2**20), {}, "RESOURCE_EXHAUSTED"),
    "20 KB of metadata": (asking, {"metadata": (("x-note", "y" * 20_000),)}, "RESOURCE_EXHAUSTED"),
    "1,000 headers": (asking, {"metadata": tuple((f"x-{n}", "1") for n in range(1000))}, "RESOURCE_EXHAUSTED"),
    "10,000 brackets": (lambda: asking(filter="(" * 10_000 + "1" + ")" * 10_000), {}, "INVALID_ARGUMENT"),
    "900 brackets": (lambda: asking(filter="(" * 900 + "year" + ")" * 900 + " > 1"), {}, "INVALID_ARGUMENT"),
    "400 times NOT": (lambda: asking(filter="NOT " * 400 + "year > 1"), {}, "INVALID_ARGUMENT"),
    "900 minus": (lambda: asking(filter="year > " + "- " * 900 + "1"), {}, "INVALID_ARGUMENT"),
    "1,001 exclusions": (lambda: asking(exclude_item_ids=["x"] * 1001), {}, "INVALID_ARGUMENT"),
    "a long id": (lambda: asking(context_item_ids=["x" * 257]), {}, "INVALID_ARGUMENT"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_large_or_too_deep_is_refused_soon(server: RunningServer, channel: grpc.Channel, name: str):
    make, more, code = TOO_MUCH[name]
    data = make()
    before = rss(server)
    took = []
    for _ in range(5):
        began = time.monotonic()
        failure = raw(channel, data, **more)
        took.append(time.monotonic() - began)
        assert failure.code().name == code
    grown = rss(server) - before
    print(f"\n{name}: {code} after {min(took) * 1e3:.1f} ms; peak memory +{grown / 1024:.0f} KiB, {len(data)} bytes")
    assert min(took) < AT_ONCE
    size = len(data) + sum(len(k) + len(v) for k, v in more.get("metadata", ()))
    assert grown < max(100 * size, 32 * 2**20)
    assert server.client.recommend("toy", "viewer-001").items


def test_a_compression_bomb_is_refused_at_the_limit(server: RunningServer, channel: grpc.Channel):
    before = rss(server)
    bomb = channel.unary_unary(RECOMMEND, None, None)
    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as failure:
        bomb(b"\0" * (64 * 2**20), timeout=20, compression=grpc.Compression.Gzip)
    took, grown = time.monotonic() - began, rss(server) - before
    print(f"\na bomb of 64 MiB: after {took * 1e3:.0f} ms, most of it to compress; peak memory +{grown / 1024:.0f} KiB")
    assert took < 10 * SOON
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(gzip.compress(b"\0" * (64 * 2**20), 1)) * 100 > grown


def test_ten_calls_fit_the_rate_of_a_product_and_the_rest_is_told_when(channel: grpc.Channel):
    stub = rpc.RecommendationServiceStub(channel)
    request = pb.RecommendRequest(product="rated", user_id="viewer-001")
    found: Counter[str] = Counter()
    refused: list[grpc.RpcError] = []
    for _ in range(20):
        try:
            stub.Recommend(request, timeout=5)
            found["OK"] += 1
        except grpc.RpcError as error:
            found[error.code().name] += 1
            refused.append(error)
    assert 5 <= found["OK"] <= 15
    assert found["RESOURCE_EXHAUSTED"] == 20 - found["OK"]
    details = rpc_status.from_call(refused[0]).details
    assert error_details_pb2.ErrorInfo.FromString(details[0].value).reason == "RATE_LIMITED"
    delay = error_details_pb2.RetryInfo.FromString(details[1].value).retry_delay
    assert 0 < delay.ToMilliseconds() <= 1000
    pushback = dict(refused[0].trailing_metadata())["grpc-retry-pushback-ms"]
    assert abs(int(pushback) - delay.ToMilliseconds()) <= 1
    with pytest.raises(grpc.RpcError) as failure:
        list(stub.BatchRecommend(pb.BatchRecommendRequest(product="rated", requests=[request] * 50), timeout=5))
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "each of its requests counts"


async def hammer(address: str, callers: int, over: asyncio.Event, results: Counter[str]) -> None:
    """So many callers of one connection, who ask again as soon as they are answered."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(address, options) as channel:
        stub = rpc.RecommendationServiceStub(channel)

        async def one() -> None:
            while not over.is_set():
                try:
                    await stub.Recommend(pb.RecommendRequest(product="slow", user_id="viewer-001"), timeout=5)
                    results["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    results[error.code().name] += 1
                    await asyncio.sleep(0.05)

        await asyncio.gather(*(one() for _ in range(callers)))


async def test_a_polite_client_is_served_beside_300_callers_and_health_beside_both(server: RunningServer):
    over, noisy, polite = asyncio.Event(), Counter[str](), Counter[str]()
    crowd = asyncio.ensure_future(hammer(server.address, 300, over, noisy))
    await asyncio.sleep(1)
    took = []
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(server.address, options) as channel:
        stub, health = rpc.RecommendationServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        events = events_pb2_grpc.EventServiceStub(channel)
        for number in range(9):
            await events.WriteEvents(events_pb2.WriteEventsRequest(events=[event("beside", number)]), timeout=5)
            began = time.monotonic()
            await health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            took.append(time.monotonic() - began)
            try:
                await stub.Recommend(pb.RecommendRequest(product="slow", user_id="viewer-002"), timeout=5)
                polite["OK"] += 1
            except grpc.aio.AioRpcError as error:
                polite[error.code().name] += 1
    over.set()
    await crowd
    assert polite["OK"] >= 8, (polite, noisy)
    assert noisy["RESOURCE_EXHAUSTED"] > noisy["OK"] > 0
    assert set(noisy) <= {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}, noisy
    assert noisy["DEADLINE_EXCEEDED"] <= noisy.total() / 20
    assert sorted(took)[4] < SOON
    answer = server.client.recommend("toy", "viewer-001", timeout=5)
    assert len(answer.items) == 5, "all is well again"


def test_a_storm_of_clients_with_our_policy_asks_hardly_more_often_than_without_it(server: RunningServer):
    def attempts() -> float:
        return scrape(address_of(server)).sum("cuvee_requests_total", rpc="Recommend")

    def one(_: int) -> str:
        try:
            client.recommend("slow", "viewer-001", timeout=5)
        except grpc.RpcError as error:
            return error.code().name
        return "OK"

    before, calls = attempts(), 400
    with Client(server.address) as client, ThreadPoolExecutor(60) as pool:
        found = Counter(pool.map(one, range(calls)))
    until(lambda: attempts() - before >= calls)  # figures are published every now and then
    time.sleep(2 * PUBLISHED)
    asked = attempts() - before
    print(f"\n{calls} calls, {dict(found)}: {asked:.0f} attempts")
    assert found["RESOURCE_EXHAUSTED"] > calls / 2
    assert calls <= asked <= 1.2 * calls


def event(user: str, number: int, **more) -> events_pb2.Event:
    return events_pb2.Event(product="toy", user_id=user, item_id="film-001", type=events_pb2.EVENT_TYPE_VIEW,
                            event_id=f"{user}-{number}", **more)  # fmt: skip


def test_a_user_has_so_many_events_and_others_have_theirs(server: RunningServer):
    def written(events: list[events_pb2.Event], **more) -> list[events_pb2.EventResult]:
        request = events_pb2.WriteEventsRequest(events=events, **more)
        return list(server.client.events.WriteEvents(request, timeout=10).results)

    dry = written([event("flood", n) for n in range(100)], validate_only=True)
    assert {one.outcome for one in dry} == {events_pb2.EventResult.OUTCOME_STORED}
    found = written([event("flood", n) for n in range(100)])
    stored = [one for one in found if one.outcome == events_pb2.EventResult.OUTCOME_STORED]
    assert 30 <= len(stored) <= 60
    refused = [one for one in found if one.outcome == events_pb2.EventResult.OUTCOME_REJECTED]
    assert {(one.problem.code, one.problem.reason) for one in refused} == {(8, "RATE_LIMITED")}
    assert written([event("other", 1)])[0].outcome == events_pb2.EventResult.OUTCOME_STORED
    heavy = written([event("third", n, value=value) for n, value in enumerate((10, 10.01, 1e6))])
    assert [one.problem.field for one in heavy] == ["", "value", "value"]


def test_cancelled_calls_and_past_deadlines_leave_nothing(config: Path):
    with run_server(config, environment=ENVIRONMENT) as server:
        pid = server.process.pid

        def open_files() -> int:
            return len(list(Path(f"/proc/{pid}/fd").iterdir()))

        def threads() -> int:
            return len(list(Path(f"/proc/{pid}/task").iterdir()))

        dice = random.Random(1)
        with Client(server.address) as client, grpc.insecure_channel(server.address) as channel:
            stub = rpc.RecommendationServiceStub(channel)

            def storm(n: int) -> None:
                calls = []
                for at in range(n):
                    slow = at % 20 == 0
                    request = pb.RecommendRequest(product="slow" if slow else "toy", user_id=f"viewer-{at % 90:03d}")
                    timeout = dice.choice([None, 0.001, -1.0, 5.0])
                    if at % 10 == 3:
                        batch = pb.BatchRecommendRequest(product="toy", requests=[request] * 8 if not slow else [])
                        calls.append(stub.BatchRecommend(batch, timeout=timeout))
                    else:
                        calls.append(stub.Recommend.future(request, timeout=timeout))
                    if len(calls) >= 50:
                        dice.shuffle(calls)
                        for call in calls:
                            call.cancel()
                        calls.clear()

            storm(800)
            time.sleep(1)
            client.recommend("toy", "viewer-001", timeout=5)
            before = open_files(), threads()
            storm(1500)
            until = time.monotonic() + 20
            while (open_files() > before[0] + 2 or threads() > before[1] + MORE) and time.monotonic() < until:
                time.sleep(0.1)
            assert open_files() <= before[0] + 2
            assert threads() <= before[1] + MORE
            time.sleep(1)
            client.recommend("toy", "viewer-001", timeout=5)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert server.events("stopping")[0]["in_flight"] == 0


async def test_it_ends_in_time_where_callers_go_on_asking(config: Path):
    with run_server(config, environment=ENVIRONMENT) as server:
        over, results = asyncio.Event(), Counter[str]()
        crowd = asyncio.ensure_future(hammer(server.address, 8, over, results))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        took = time.monotonic() - began
        over.set()
        await crowd
    assert took < 8, "docker kills after 10 s; it takes 2 or 3"
    assert results["OK"] > 0
    assert set(results) <= {"OK", "UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"}, results
