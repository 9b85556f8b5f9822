"""The store's file is taken away and put back under a running server."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from cuvee.client import failure_of
from cuvee.testing import run_server
from cuvee.v1 import events_pb2 as pb
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

from ..catalog_calls import soon
from ..conftest import ENVIRONMENT, migrated, stored

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ("cuvee.v1.EventService", "cuvee.v1.CatalogService")


def test_without_its_file_writes_fail_loudly_lists_go_on_and_all_comes_back(config: Path, tmp_path: Path):
    there, aside = tmp_path / "there", tmp_path / "aside"
    there.mkdir()
    aside.mkdir()
    url = migrated(f"sqlite:///{there / 'store.db'}")
    with run_server(stored(config, url, "stored-lost"), environment=ENVIRONMENT) as server:
        client = server.client

        def write(event_id: str) -> None:
            event = pb.Event(product="toy", user_id="lost", item_id="film-001", type=1, event_id=event_id)
            with grpc.insecure_channel(server.address) as channel:  # without the client's retries
                call = channel.unary_unary(
                    "/cuvee.v1.EventService/WriteEvents",
                    pb.WriteEventsRequest.SerializeToString,
                    pb.WriteEventsResponse.FromString,
                )
                call(pb.WriteEventsRequest(events=[event]), timeout=10)

        def all_are(status: int) -> bool:
            return all(client.health(name).status == status for name in SERVICES)

        soon(lambda: all_are(SERVING), 30)
        write("1")
        for path in sorted(there.iterdir()):
            path.rename(aside / path.name)
        for n in range(2):
            with pytest.raises(grpc.RpcError) as problem:
                write(f"lost {n}")
            failure = failure_of(problem.value)
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
            assert str(there) not in failure.message
            details = rpc_status.from_call(problem.value).details
            assert any(d.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for d in details)
        soon(lambda: all_are(NOT_SERVING), 30)
        answer = client.recommend("toy", "lost")
        assert answer.items
        assert answer.degraded
        assert client.health("cuvee.v1.RecommendationService").status == SERVING
        assert len(server.events("the store's file was removed or replaced")) == 1
        for path in sorted(aside.iterdir()):
            path.rename(there / path.name)
        soon(lambda: all_are(SERVING), 30)
        write("2")
        assert not client.recommend("toy", "lost").degraded
        assert "internal error" not in server.log
