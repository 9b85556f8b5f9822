"""A receiver of traces by OTLP over gRPC, with the official service and messages, that keeps what it gets.

Needs the extra ``traces``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "attributes_of", "collecting"]


@dataclass
class Collector(rpc.TraceServiceServicer):
    """What was received."""

    address: str = ""
    """host:port where it listens."""
    received: list[pb.ExportTraceServiceRequest] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    """Of each request."""

    def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802
        """Keep it."""
        self.metadata.append(dict(context.invocation_metadata()))
        self.received.append(request)
        return pb.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        """All that were received."""
        return [
            span
            for request in list(self.received)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def of(self, trace_id: str) -> list[Span]:
        """The spans of one trace; 32 hex digits."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]

    def resources(self) -> list[dict[str, str]]:
        """The attributes of who has sent them."""
        return [
            {one.key: one.value.string_value for one in resource.resource.attributes}
            for request in list(self.received)
            for resource in request.resource_spans
        ]


def attributes_of(span: Span) -> dict[str, Any]:
    """A span's attributes; lists are messages."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes}


@contextmanager
def collecting(credentials: grpc.ServerCredentials | None = None) -> Iterator[Collector]:
    """Receive on a free port, until the end of the block."""
    server = grpc.server(ThreadPoolExecutor(4))
    collector = Collector()
    rpc.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]
    here = "127.0.0.1:0"
    port = server.add_secure_port(here, credentials) if credentials else server.add_insecure_port(here)
    collector.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()
