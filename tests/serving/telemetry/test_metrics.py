"""``/metrics`` of a real server: what happened is what is exported, of one process and of several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from cuvee.client import Client
from cuvee.serving.telemetry.named import NAMED
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import events_pb2 as pb

from ..conftest import ENVIRONMENT, migrated
from .conftest import Scraped, address_of, chosen, scrape, until

METRICS = '[server.metrics]\nlisten = "127.0.0.1:0"\n'


@pytest.fixture(scope="module")
def watched_config(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some products over a store, and figures."""
    url = migrated(f"sqlite:///{tmp_path_factory.mktemp('watched') / 'store.db'}")
    names = ("toy", "failing", "dead", "filled", "curious", "trending")
    return chosen(config, "watched", *names, more=f'[store]\nurl = "{url}"\n{METRICS}')


@pytest.fixture(scope="module")
def watched(watched_config: Path) -> Iterator[RunningServer]:
    with run_server(watched_config, environment=ENVIRONMENT) as running:
        yield running


def after(server: RunningServer, name: str, least: float, **labels: str) -> Scraped:
    """The first scrape that has so much of it: figures are a second old at most."""
    found = scrape(address_of(server))

    def there() -> bool:
        nonlocal found
        found = scrape(address_of(server))
        return found.sum(name, **labels) >= least

    until(there)
    return found


def test_lists_are_counted_by_what_they_show(watched: RunningServer):
    answers = [watched.client.recommend("toy", f"user-{n}", page_size=4) for n in range(20)]
    answers += [watched.client.recommend("curious", "user-1", page_size=4)]
    found = after(watched, "cuvee_lists_total", 21)
    assert found.sum("cuvee_lists_total", product="toy") == 20
    assert found.sum("cuvee_requests_total", rpc="Recommend", code="OK") >= 21
    assert found.sum("cuvee_request_duration_seconds_count", rpc="Recommend") >= 21
    assert found.sum("cuvee_batch_rows_sum", product="toy") == 20
    assert found.sum("cuvee_queue_wait_seconds_count", product="toy") == 20, "asked one by one, each is a run"
    shown = [item for answer in answers[:20] for item in answer.items]
    assert found.sum("cuvee_items_shown_total", product="toy") == len(shown)
    best = [max(i.attributions, key=lambda a: a.contribution).source for i in shown if not i.HasField("fallback")]
    for source in ("pairs", "popular", "async"):
        blended = found.sum("cuvee_items_shown_total", product="toy", source=source, place="blend")
        assert blended == best.count(source)
    filled = [item.fallback for item in shown if item.HasField("fallback")]
    assert found.sum("cuvee_fallback_items_total", product="toy") == len(filled)
    explored = sum(item.exploration for item in answers[20].items)
    assert found.sum("cuvee_items_shown_total", product="curious", place="explored") == explored
    assert found.sum("cuvee_lists_degraded_total", product="toy") == 0


def test_degraded_sources_are_counted_by_reason_and_open_circuits_are_seen(watched: RunningServer):
    for _ in range(12):
        answer = watched.client.recommend("failing", "user-1")
        assert answer.degraded
    found = after(watched, "cuvee_lists_degraded_total", 12, product="failing")
    assert found.sum("cuvee_source_degraded_total", product="failing", source="raises", reason="ERROR") >= 5
    assert found.sum("cuvee_source_degraded_total", product="failing", source="garbage", reason="INVALID_OUTPUT") >= 5
    assert found.sum("cuvee_source_degraded_total", product="failing", source="sleeps", reason="TIMEOUT") >= 5
    assert found.sum("cuvee_circuit_open", product="failing", source="raises") == 1
    assert found.sum("cuvee_circuit_open", product="failing", source="popular") == 0
    assert found.sum("cuvee_opinions_missing_total", product="failing", source="raises") > 0
    assert found.sum("cuvee_opinions_missing_total", product="failing", source="popular") == 0


def test_a_product_of_which_no_source_answers_is_not_serving_and_says_why(watched: RunningServer):
    client = watched.client
    assert client.health("dead").status == 1

    def down() -> bool:
        client.recommend("dead", "user-1")
        return client.health("dead").status == 2

    until(down)
    found = after(watched, "cuvee_not_serving", 1, service="dead", reason="NO_SOURCE")
    assert found.sum("cuvee_serving", service="dead") == 0
    assert found.sum("cuvee_serving", service="toy") == found.sum("cuvee_serving", service="server") == 1
    assert watched.events("product not serving")[-1]["product"] == "dead"
    assert client.health("").status == client.health("toy").status == 1
    # nobody asks, so nobody knows: callers who look at health come back and find out
    until(lambda: client.health("dead").status == 1)


def test_the_store_and_what_is_written_are_seen(watched: RunningServer):
    events = [pb.Event(product="toy", user_id="w", item_id="item-1", type=pb.EVENT_TYPE_CLICK, event_id="e1")] * 2
    watched.client.events.WriteEvents(pb.WriteEventsRequest(events=events), timeout=5)
    found = after(watched, "cuvee_events_written_total", 1, product="toy")
    assert found.sum("cuvee_events_written_total") == 1  # sent twice, stored once
    assert found.sum("cuvee_store_up") == 1
    assert found.sum("cuvee_store_duration_seconds_count", operation="write_events") >= 1
    assert found.sum("cuvee_store_duration_seconds_count", operation="read_users") >= 1
    for service in ("cuvee.v1.EventService", "cuvee.v1.CatalogService", "cuvee.v1.RecommendationService"):
        assert found.sum("cuvee_serving", service=service) == 1


def test_refusals_are_counted_by_reason(watched: RunningServer):
    with pytest.raises(grpc.RpcError):
        watched.client.recommend("no such product", "user-1")
    with pytest.raises(grpc.RpcError):
        watched.client.recommend("toy", "user-1", page_size=-3)
    found = after(watched, "cuvee_requests_failed_total", 1, reason="INVALID_ARGUMENT")
    assert found.sum("cuvee_requests_failed_total", rpc="Recommend", reason="NOT_FOUND") == 1
    assert found.sum("cuvee_requests_total", rpc="Recommend", code="NOT_FOUND") == 1


def test_models_say_what_they_are(watched: RunningServer):
    found = scrape(address_of(watched))
    answer = watched.client.recommend("toy", "user-1")
    [(labels, value)] = found.of("cuvee_snapshot_info", product="toy")
    assert (value, labels["version"], labels["revision"]) == (1, answer.snapshot_version, answer.config_revision)
    assert {labels["source"] for labels, _ in found.of("cuvee_model_info", product="toy")} == {
        "pairs", "popular", "async",
    }  # fmt: skip
    assert found.sum("cuvee_snapshot_created_timestamp_seconds", product="toy") > 1.6e9
    assert found.sum("cuvee_catalogue_items", product="toy") > 0
    assert found.sum("cuvee_build_info") == 1
    assert found.sum("cuvee_process_resident_memory_bytes") > 1e7
    assert found.sum("cuvee_process_open_fds") > 3
    assert found.sum("cuvee_process_threads") > 1


def test_everything_exported_is_declared_and_labels_hold_no_ids(watched: RunningServer):
    watched.client.recommend("toy", "a-user-whose-id-is-secret", context_item_ids=["item-3"])
    found = scrape(address_of(watched))
    assert {family.name for family in found.families} <= {name.removesuffix("_total") for name in NAMED}
    assert "a-user-whose-id-is-secret" not in found.text
    assert "item-3" not in found.text
    for family in found.families:
        assert family.documentation


@pytest.mark.parametrize("path", ["/", "/metrics/../x", "/debug", "/Metrics"])
def test_there_is_nothing_else_on_that_port(watched: RunningServer, path: str):
    with pytest.raises(urllib.error.HTTPError) as refused:
        scrape(address_of(watched), path)
    assert refused.value.code == 404
    refused.value.close()


@pytest.mark.parametrize(
    "sent", [b"", b"\x00" * 3000, b"GET /metrics HTTP/9.9\r\n\r\n", b"G" * 70_000, b"PRI * HTTP/2.0\r\n"]
)
def test_whoever_says_nonsense_on_that_port_hinders_nobody(watched: RunningServer, sent: bytes):
    host, _, port = address_of(watched).rpartition(":")
    before = watched.log
    with ExitStack() as idle:
        for _ in range(12):
            one = idle.enter_context(socket.create_connection((host, int(port))))
            one.sendall(sent)
        assert scrape(address_of(watched)).sum("cuvee_build_info") == 1
    assert watched.log == before


def test_a_taken_port_is_said_at_once(watched_config: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        config = watched_config.with_name("taken.toml")
        config.write_text(
            watched_config.read_text().replace(
                '[server.metrics]\nlisten = "127.0.0.1:0"', f'[server.metrics]\nlisten = "{taken}"'
            )
        )
        done = subprocess.run(
            [sys.executable, "-m", "cuvee.cli", "serve", "--config", str(config), "--workers", "2"],
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert f"cannot listen on {taken} for metrics" in done.stderr
        assert "[server.metrics] listen" in done.stderr


def test_every_worker_is_seen_and_a_killed_one_begins_again(watched_config: Path):
    with run_server(
        watched_config, environment=ENVIRONMENT, options=["--workers", "2"], wait_until="workers ready"
    ) as running:
        address = address_of(running)
        until(lambda: scrape(address).sum("cuvee_worker_up") == 2)
        for _ in range(30):  # a connection stays with its worker
            with Client(str(running.events("workers ready")[0]["address"])) as client:
                client.recommend("toy", "user-1")
        until(lambda: scrape(address).sum("cuvee_lists_total", product="toy") == 30)
        by = {labels["worker"]: value for labels, value in scrape(address).of("cuvee_lists_total", product="toy")}
        assert set(by) == {"1", "2"}
        started = {str(line["worker"]): line["pid"] for line in running.events("worker started")}
        os.kill(int(str(started["2"])), signal.SIGKILL)
        until(lambda: len(running.events("worker ready")) >= 4)  # the exporter is one of them
        until(lambda: scrape(address).sum("cuvee_lists_total", product="toy", worker="2") == 0)
        assert scrape(address).sum("cuvee_lists_total", product="toy", worker="1") == by["1"]
        # the process that exports dies, and so loses nothing
        os.kill(int(str(started["0"])), signal.SIGKILL)
        until(lambda: len(running.events("worker ready")) >= 5)
        assert scrape(address).sum("cuvee_lists_total", product="toy", worker="1") == by["1"]
