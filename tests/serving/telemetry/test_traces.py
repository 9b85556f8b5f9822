"""Traces of a real server, as a receiver of OTLP gets them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
import trustme
from cuvee.client import Client, profile
from cuvee.testing.collector import Collector, attributes_of, collecting
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import admin_pb2, admin_pb2_grpc, events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from cuvee.v1 import recommendation_pb2_grpc as rpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus

from ..conftest import ENVIRONMENT
from .conftest import address_of, chosen, scrape, until

RECOMMEND = "cuvee.v1.RecommendationService/Recommend"
PARENT = "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = "01", "00"


def trace_of(number: int) -> str:
    return f"{number:032x}"


def traced(endpoint: str, *, sample: float = 0.0, more: str = "") -> str:
    listen = '[server.metrics]\nlisten = "127.0.0.1:0"\n'
    return f'{listen}[server.traces]\nendpoint = "{endpoint}"\nsample = {sample}\n{more}'


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def own(config: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that traces what its caller wants traced, with a store."""
    file = tmp_path_factory.mktemp("traced") / "audit.jsonl"
    store = f'[store]\nurl = "sqlite:///{file.with_name("store.db")}"\n[server.audit]\nfile = "{file}"\n'
    few = chosen(
        config, "traced", "toy", "failing", "explosive", "filled", "sleeping",
        more=store + traced(f"http://{collector.address}"),
    )  # fmt: skip
    with run_server(few, environment={**ENVIRONMENT, "AUDIT": str(file)}) as running:
        yield running


def call(
    server: RunningServer | Client, number: int, product: str = "toy", flags: str = SAMPLED, **more: str
) -> dict[str, str]:
    """Trailing metadata of one call within a caller's trace."""
    client = server if isinstance(server, Client) else server.client
    request = pb.RecommendRequest(product=product, user_id="viewer-001", profile=profile({}, {"boom": ["boom"]}))
    sent = (("traceparent", f"00-{trace_of(number)}-{PARENT}-{flags}"), ("x-request-id", f"traced-{number}"))
    stub = rpc.RecommendationServiceStub(client.channel)
    try:
        _, made = stub.Recommend.with_call(request, timeout=20, metadata=(*sent, *more.items()))
    except grpc.RpcError as problem:
        made = problem  # type: ignore[assignment]
    return dict(made.trailing_metadata())


def spans_of(collector: Collector, number: int, name: str = RECOMMEND) -> dict[str, Span]:
    """The spans of a trace by their names, when the call's own is there, which ends last."""
    until(lambda: name in {span.name for span in collector.of(trace_of(number))})
    return {span.name: span for span in collector.of(trace_of(number))}


def test_a_call_is_a_trace_from_its_callers_span_to_every_step(own: RunningServer, collector: Collector) -> None:
    answered = call(own, 1, tracestate="vendor=1")
    spans = spans_of(collector, 1)
    assert answered["x-request-id"] == "traced-1" and answered["x-trace-id"] == trace_of(1)
    top = spans[RECOMMEND]
    assert top.parent_span_id.hex() == PARENT and top.kind == Span.SPAN_KIND_SERVER and top.trace_state == "vendor=1"
    assert attributes_of(top) == {
        "rpc.system.name": "grpc",
        "rpc.method": RECOMMEND,
        "cuvee.request_id": "traced-1",
        "rpc.response.status_code": "OK",
    }
    sources = {f"{name} {what}" for name in ("pairs", "popular", "async") for what in ("candidates", "score")}
    steps = {"rules", "union", "calibrate", "blend", "arrange", "explain", "answer"}
    assert sources | steps | {RECOMMEND, "admission", "run"} <= spans.keys()
    assert {"question", "store read_users"} & spans.keys()
    by_id = {span.span_id: span for span in spans.values()}
    for span in spans.values():
        if span is top:
            continue
        parent = by_id[span.parent_span_id]
        assert parent.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= parent.end_time_unix_nano
        assert span.status.code != SpanStatus.STATUS_CODE_ERROR
    assert {by_id[spans[name].parent_span_id].name for name in ("run", "admission")} == {RECOMMEND}
    assert {by_id[spans[name].parent_span_id].name for name in steps} == {"run"}
    assert attributes_of(spans["pairs score"])["cuvee.source"] == "pairs"
    told = collector.resources()[0]
    assert told["service.name"] == "cuvee" and told["service.instance.id"]


def test_no_span_says_who_asked(own: RunningServer, collector: Collector) -> None:
    call(own, 2, "explosive")
    spans_of(collector, 2)
    everything = b"".join(request.SerializeToString() for request in collector.received)
    assert b"viewer-001" not in everything and b"boom-" not in everything


def test_the_callers_that_share_a_run_are_linked_with_it(own: RunningServer, collector: Collector) -> None:
    def shared() -> bool:
        """Whether a run of several calls was seen; how many meet in one is chance."""
        numbers = range(1000 + 100 * shared.tries, 1000 + 100 * shared.tries + 32)  # type: ignore[attr-defined]
        shared.tries += 1  # type: ignore[attr-defined]
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda number: call(own, number, "sleeping" if number % 8 == 0 else "toy"), numbers))
        for number in numbers:
            spans_of(collector, number)
        return any(span.links for span in collector.spans if span.name == "run")

    shared.tries = 0  # type: ignore[attr-defined]
    until(shared, 60)
    runs = {span.span_id: span for span in collector.spans if span.name == "run"}
    calls = {span.span_id: span for span in collector.spans if span.name == RECOMMEND}
    linked = [run for run in runs.values() if run.links]
    for run in linked:
        assert attributes_of(run)["cuvee.rows"] > len(run.links)
        for link in run.links:
            other = calls[link.span_id]
            assert run.span_id in {back.span_id for back in other.links}
            assert link.trace_id == other.trace_id != run.trace_id


@pytest.mark.parametrize(
    ("number", "product", "code", "name"),
    [(10, "explosive", "INTERNAL", "rules"), (11, "no-such", "NOT_FOUND", RECOMMEND), (12, "failing", "OK", RECOMMEND)],
)
def test_what_failed_is_seen(
    own: RunningServer, collector: Collector, number: int, product: str, code: str, name: str
) -> None:
    call(own, number, product)
    spans = spans_of(collector, number)
    assert attributes_of(spans[RECOMMEND])["rpc.response.status_code"] == code
    failed = {span.name for span in spans.values() if span.status.code == SpanStatus.STATUS_CODE_ERROR}
    if code == "INTERNAL":
        assert {RECOMMEND, "run", "rules"} <= failed
        [line] = [line for line in own.events("internal error") if line.get("request_id") == f"traced-{number}"]
        assert line["trace_id"] == trace_of(number)
    elif code == "OK":  # the sources that failed, and not the call
        told = attributes_of(spans["run"])["cuvee.degraded"].values
        sources = {one.string_value.partition(" ")[0] for one in told}
        assert {"raises", "garbage", "sleeps", "sleeps_async", "garbage_scores", "exits"} == sources
        assert RECOMMEND not in failed
        lines = [line for line in own.events("source degraded") if f"traced-{number}" in line["request_ids"]]
        assert lines and all(line["trace_ids"] == [trace_of(number)] for line in lines)
    else:
        assert RECOMMEND not in failed, "the caller's fault is no error of the server"


def test_writes_and_streams_reach_the_store(own: RunningServer, collector: Collector) -> None:
    event = events_pb2.Event(product="toy", user_id="u", item_id="item-00", type=events_pb2.EVENT_TYPE_VIEW)
    metadata = [("traceparent", f"00-{trace_of(20)}-{PARENT}-01")]
    own.client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=20, metadata=metadata)
    spans = spans_of(collector, 20, "cuvee.v1.EventService/WriteEvents")
    assert spans["store write_events"].parent_span_id == spans["cuvee.v1.EventService/WriteEvents"].span_id
    metadata = [("traceparent", f"00-{trace_of(21)}-{PARENT}-01")]
    batch = pb.BatchRecommendRequest(product="toy", requests=[pb.RecommendRequest(user_id="viewer-001")] * 3)
    stub = rpc.RecommendationServiceStub(own.client.channel)
    assert len(list(stub.BatchRecommend(batch, timeout=20, metadata=metadata))) == 3
    spans = spans_of(collector, 21, "cuvee.v1.RecommendationService/BatchRecommend")
    assert attributes_of(spans["run"])["cuvee.rows"] == 3 and "pairs candidates" in spans


@pytest.mark.parametrize("flags", [NOT_SAMPLED, "02"])
def test_who_is_not_sampled_is_not_traced(own: RunningServer, collector: Collector, flags: str) -> None:
    answered = call(own, 30, flags=flags)
    call(own, 31)
    spans_of(collector, 31)
    assert answered["x-trace-id"] == trace_of(30), "the log may still be searched for it"
    assert collector.of(trace_of(30)) == []


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{trace_of(40)}-{'0' * 16}-01", f"ff-{trace_of(40)}-{PARENT}-01",
     f"00-{trace_of(40)}-{PARENT}", f"00-{trace_of(40).upper()[:-1]}A-{PARENT}-01", "x" * 2000],
)  # fmt: skip
def test_a_broken_traceparent_begins_no_trace(own: RunningServer, collector: Collector, given: str) -> None:
    stub = rpc.RecommendationServiceStub(own.client.channel)
    request = pb.RecommendRequest(product="toy", user_id="viewer-001")
    _, made = stub.Recommend.with_call(request, timeout=20, metadata=[("traceparent", given)])
    assert "x-trace-id" not in dict(made.trailing_metadata())


def test_the_audit_log_names_the_request_and_its_trace(own: RunningServer) -> None:
    """With the id that the answer names, also where the caller gave none."""
    stub = admin_pb2_grpc.AdminServiceStub(own.client.channel)
    made = None
    metadata = [("traceparent", f"00-{trace_of(50)}-{PARENT}-01")]
    with suppress(grpc.RpcError):
        _, made = stub.ListProducts.with_call(admin_pb2.ListProductsRequest(), timeout=20, metadata=metadata)
    future = stub.ListProducts.future(admin_pb2.ListProductsRequest(), timeout=20, metadata=metadata)
    named = dict((made or future).trailing_metadata())
    file = audit_file(own)
    until(lambda: named["x-request-id"] in file.read_text())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    [line] = [line for line in lines if line["request_id"] == named["x-request-id"]]
    assert line["trace_id"] == trace_of(50)


def audit_file(server: RunningServer) -> Path:
    """Where the module's server writes its audit log."""
    environment = Path(f"/proc/{server.process.pid}/environ").read_text()
    return Path(next(one[6:] for one in environment.split("\0") if one.startswith("AUDIT=")))


def test_sampling_is_the_servers_where_no_caller_decides(config: Path, tmp_path: Path, collector: Collector) -> None:
    """With TLS, credentials from the environment, and a caller who is not followed."""
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    issued = authority.issue_cert("127.0.0.1")
    chain = b"".join(one.bytes() for one in issued.cert_chain_pems)
    credentials = grpc.ssl_server_credentials([(issued.private_key_pem.bytes(), chain)])
    more = f'certificate = "{tmp_path / "ca.pem"}"\nfollow_caller = false\nservice = "shop"\n'
    secret = "a-secret-of-the-collector"
    environment = {**ENVIRONMENT, "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{secret}"}
    with collecting(credentials=credentials) as own:
        given = chosen(config, "all-traced", "toy", more=traced(f"https://{own.address}", sample=1.0, more=more))
        with run_server(given, environment=environment) as server:
            answered = call(server, 60, flags=NOT_SAMPLED)
            assert answered["x-trace-id"] == trace_of(60)
            assert spans_of(own, 60)[RECOMMEND].parent_span_id.hex() == PARENT
            stub = rpc.RecommendationServiceStub(server.client.channel)
            _, made = stub.Recommend.with_call(pb.RecommendRequest(product="toy", user_id="u"), timeout=20)
            begun = dict(made.trailing_metadata())["x-trace-id"]
            server.process.terminate()
            server.process.wait(30)
            assert RECOMMEND in {span.name for span in own.of(begun)}, "what has ended is sent before the server ends"
            assert secret not in server.log
        assert own.metadata[0]["authorization"] == f"Bearer {secret}"
        assert own.resources()[0]["service.name"] == "shop"


def test_a_collector_that_is_away_costs_spans_alone(config: Path) -> None:
    with collecting() as gone:
        address = gone.address
    given = chosen(config, "untraced", "toy", more=traced(f"http://{address}", sample=1.0))
    with run_server(given, environment=ENVIRONMENT) as server:
        metrics = address_of(server)
        for number in range(60):
            assert call(server, 70 + number)["x-request-id"]
        until(lambda: scrape(metrics).sum("cuvee_spans_total", outcome="lost") > 0, 60)
        assert server.events("traces"), "it is said, in the log's form"
        assert len(server.events("traces")) < 100
        for line in server.log.splitlines():
            json.loads(line)
        server.process.terminate()
        assert server.process.wait(30) == 0


def test_several_workers_have_traces_of_their_own(config: Path, collector: Collector) -> None:
    given = chosen(config, "workers-traced", "toy", more=traced(f"http://{collector.address}"))
    with run_server(given, environment=ENVIRONMENT, options=["--workers", "2"]) as server:
        instances: set[str] = set()
        for number in range(500, 540):
            with Client(server.address) as client:
                call(client, number)
        until(lambda: all(collector.of(trace_of(number)) for number in range(500, 540)))
        instances = {told["service.instance.id"] for told in collector.resources()}
        assert str(os.getpid()) not in {one.rpartition("-")[2] for one in instances}
        assert len({one.rpartition("-")[2] for one in instances}) >= 2
