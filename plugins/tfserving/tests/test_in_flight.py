"""However many ask, a model server that hangs has only so many calls of ours to hold.

A Cuvée server in a process of its own, and in the place of the model server one that counts the
calls that are open. The callers are in a hurry, so the circuit stays closed: a timeout that a
caller's haste explains is not held against the source, and each run asks again.
"""

import asyncio
import threading
import time
from collections import Counter
from contextlib import contextmanager

import grpc
import pytest
from cuvee.client import Client
from cuvee.testing import run_server, two_tribes
from cuvee.testing.collector import collecting
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc

THREADS, CALLERS = 4, 24
HASTE = 1.5
"""Seconds that a caller gives; half of it is granted to the source, and that is less than its timeout."""

CUVEE = """
[server.limits]
threads = {threads}
deadline = "4s"
[recommenders.popular]
plugin = "popular"
[recommenders.deep]
plugin = "tfserving"
address = "127.0.0.1:{port}"
train = false
max_history = 8
"""

PRODUCT = """
dataset = "toy"
sources = [{ use = "deep", timeout = "1s" }, { use = "popular" }]
[fallback]
chain = ["popular"]
"""


class Hanging(grpc.GenericRpcHandler):
    """Takes every Predict and answers none; knows how many are open."""

    def __init__(self):
        self.open = self.most = self.taken = self.cancelled = 0
        self.metadata = {}

    def service(self, handler_call_details):
        if handler_call_details.method != "/tensorflow.serving.PredictionService/Predict":
            return None
        return grpc.unary_unary_rpc_method_handler(self._hang)

    async def _hang(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        self.taken += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1


@contextmanager
def hanging(port):
    """The server, on an event loop of its own."""
    calls, loop = Hanging(), asyncio.new_event_loop()
    ready, over = threading.Event(), asyncio.Event()

    async def serve():
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((calls,))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        ready.set()
        await over.wait()
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield calls
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def fitted(made, publish, free_port, cuvee_command, tmp_path_factory):
    """A fitted product whose model server is not there yet, and its port."""
    folder, port = tmp_path_factory.mktemp("in-flight"), free_port()
    publish(made["toy"], folder / "models", 1)
    (folder / "cuvee.toml").write_text(CUVEE.format(threads=THREADS, port=port))
    (folder / "products").mkdir()
    (folder / "products/toy.toml").write_text(PRODUCT)
    (folder / "var/data").mkdir(parents=True)
    two_tribes().data.save(folder / "var/data/toy")
    cuvee_command("fit", "--config", folder / "cuvee.toml")
    return folder, port


def ask(address, user, until, said):
    with Client(address) as client:
        while time.monotonic() < until:
            began = time.monotonic()
            answer = client.recommend("toy", user, page_size=5, timeout=HASTE)
            deep = next(s for s in answer.sources if s.source == "deep")
            reason = pb.DegradedReason.Name(deep.reason).removeprefix("DEGRADED_REASON_")
            said.append((reason, answer.degraded, len(answer.items), time.monotonic() - began))


def test_a_call_of_the_model_server_belongs_to_the_request_s_trace(fitted):
    folder, port = fitted
    user = two_tribes().data.catalog.users.ids([0])[0]
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    with collecting() as collector, hanging(port) as calls:
        traced = CUVEE.format(threads=THREADS, port=port)
        traced += f'[server.traces]\nendpoint = "http://{collector.address}"\n'
        (folder / "traced.toml").write_text(traced)
        with run_server(folder / "traced.toml") as running:
            stub = rpc.RecommendationServiceStub(running.client.channel)
            metadata = [("traceparent", f"00-{trace}-00f067aa0ba902b7-01"), ("tracestate", "shop=7")]
            request = pb.RecommendRequest(product="toy", user_id=user)
            assert stub.Recommend(request, timeout=10, metadata=metadata).degraded
        # the server has sent its spans before it ended
        spans = {span.name: span for span in collector.of(trace)}
    asked = spans["deep candidates"]
    assert asked.status.code == asked.status.STATUS_CODE_ERROR
    assert calls.metadata["traceparent"] == f"00-{trace}-{asked.span_id.hex()}-01"
    assert calls.metadata["tracestate"] == "shop=7"


def test_a_caller_that_has_gone_cancels_the_call(fitted):
    """Long before the source's time is over; and so does a deadline that passes."""
    folder, port = fitted
    user = two_tribes().data.catalog.users.ids([0])[0]
    with hanging(port) as calls, run_server(folder / "cuvee.toml") as running:
        with grpc.insecure_channel(running.address) as channel:
            stub = rpc.RecommendationServiceStub(channel)

            def until(what, seconds=5.0):
                began = time.monotonic()
                while not what():
                    assert time.monotonic() - began < seconds
                    time.sleep(0.002)
                return time.monotonic() - began

            request = pb.RecommendRequest(product="toy", user_id=user)
            for n in range(3):
                taken, cancelled = calls.taken, calls.cancelled
                call = stub.Recommend.future(request, timeout=4.0)
                until(lambda taken=taken: calls.taken > taken)
                call.cancel()
                took = until(lambda cancelled=cancelled: calls.cancelled > cancelled)
                print(f"\ngone {n}: the call was cancelled after {took * 1e3:.0f} ms")
                assert took < 0.5, "its second was not waited for"
            cancelled = calls.cancelled
            answer = stub.Recommend(request, timeout=HASTE)
            assert answer.degraded
            until(lambda: calls.cancelled > cancelled)
        assert calls.open == 0


def test_calls_in_flight_stay_bounded(fitted):
    folder, port = fitted
    said = []
    with hanging(port) as calls, run_server(folder / "cuvee.toml") as running:
        users = two_tribes().data.catalog.users.ids(range(CALLERS))
        until = time.monotonic() + 4.0
        threads = [threading.Thread(target=ask, args=(running.address, user, until, said)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.5)
        left = calls.open
    print(f"\n{len(said)} answers {dict(Counter(s[0] for s in said))}; {calls.taken} calls, {calls.most} at a time")
    assert {(degraded, items) for _, degraded, items, _ in said} == {(True, 5)}
    assert {reason for reason, *_ in said} <= {"TIMEOUT", "OVERLOADED"}
    assert calls.taken > 2 * THREADS
    assert calls.most <= THREADS
    assert left == 0, "each call that was given up was cancelled"
