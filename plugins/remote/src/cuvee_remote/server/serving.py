"""A gRPC server for one recommender class."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cuvee import OperatorError
from cuvee.recommender import Recommender
from cuvee.v1.recommender_pb2_grpc import add_RecommenderServiceServicer_to_server
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from cuvee_remote.server.models import Models
from cuvee_remote.server.service import Service

__all__ = ["Serving", "serve"]

OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)
WAITING = 64
"""Calls that may be in progress or wait for a thread; more are RESOURCE_EXHAUSTED."""


@dataclass(frozen=True)
class Serving:
    """A server that runs in threads of this process."""

    address: str
    server: grpc.Server

    def wait(self) -> None:
        """Until it is stopped."""
        self.server.wait_for_termination()

    def stop(self, grace: float = 1.0) -> None:
        """Take no more calls, give those in progress so many seconds, and end."""
        self.server.stop(grace).wait()


def serve(
    recommender: type[Recommender[Any]],
    folder: Path,
    address: str = "127.0.0.1:50071",
    *,
    threads: int = 4,
    keep: int = 10,
    columns: bool = True,
) -> Serving:
    """Serve a recommender class to the plugin ``remote`` of Cuvée, and return at once.

    Args:
        recommender: the class; its settings come with each fit, from ``options`` in ``cuvee.toml``.
        folder: where its models are kept.
        address: host:port to listen on, port 0 for a free one, or ``unix:PATH``. Nothing is encrypted, and whoever can
            connect may ask: let only Cuvée reach it.
        threads: calls that are answered at the same time.
        keep: models that are kept, the newest.
        columns: whether the class reads columns of items and users. Without them a catalogue that has grown is sent as
            what is new, instead of as a whole.

    Raises:
        OperatorError: the address is taken.
    """
    server = grpc.server(ThreadPoolExecutor(threads), options=OPTIONS, maximum_concurrent_rpcs=WAITING)
    service = Service(recommender, Models(recommender, folder, keep), columns=columns)
    add_RecommenderServiceServicer_to_server(service, server)
    states = health.HealthServicer()
    states.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as problem:
        raise OperatorError(f"cannot listen on {address}: {problem}; choose another with --listen") from problem
    server.start()
    local = address.startswith("unix:")
    return Serving(address if local else f"{address.rpartition(':')[0]}:{port}", server)
