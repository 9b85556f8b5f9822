"""Spans by OpenTelemetry; imported only where a collector is configured, since it is an extra."""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import grpc
import structlog
from opentelemetry import context as otel
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)

from cuvee import tracing
from cuvee.config.telemetry import Traces
from cuvee.serving.telemetry.figures import Figures
from cuvee.tracing import Trace, Value

__all__ = ["CallSpan", "Spans"]

log = structlog.get_logger(__name__)

SECONDS = 3.0
"""That a collector may take to receive a batch of spans, and that a server waits for it when it stops."""
EVERY = 1.0
"""Seconds between batches."""
LONGEST_STATE = 512
"""Characters of a ``tracestate`` that are passed on; a longer one is dropped."""
FAULTS = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS", "UNIMPLEMENTED"})
"""The codes that are the server's fault, as OpenTelemetry's conventions have it."""


class _Span:
    """One span that has not ended, in which others may begin."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def context(self) -> SpanContext:
        """Its ids."""
        return self._span.get_span_context()

    def headers(self) -> tuple[tuple[str, str], ...]:
        """As :func:`cuvee.tracing.trace_headers`."""
        ids = self.context
        parent = ("traceparent", f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}")
        state = ids.trace_state.to_header()
        return (parent, ("tracestate", state)) if state else (parent,)

    def note(self, name: str, value: Value) -> None:
        """As :meth:`cuvee.tracing.Trace.note`."""
        self._span.set_attribute(name, value)

    def failed(self, why: str) -> None:
        """As :meth:`cuvee.tracing.Trace.failed`."""
        self._span.set_status(Status(StatusCode.ERROR, why))

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[Trace | None]:
        """As :meth:`cuvee.tracing.Trace.span`."""
        return self._within(name, attributes, ())

    @contextmanager
    def shared(self, others: Sequence[Trace], name: str, attributes: Mapping[str, Value]) -> Iterator[Trace | None]:
        """As :meth:`cuvee.tracing.Trace.shared`."""
        calls = [one for one in others if isinstance(one, _Span)]
        with self._within(name, attributes, [Link(one.context) for one in calls]) as made:
            for one in calls:
                if one._span.is_recording():
                    one._span.add_link(made.context)
            yield made

    @contextmanager
    def _within(self, name: str, attributes: Mapping[str, Value], links: Sequence[Link]) -> Iterator[_Span]:
        parent = set_span_in_context(self._span, otel.Context())
        span = self._tracer.start_span(name, parent, attributes=dict(attributes), links=links)
        made = _Span(self._tracer, span)
        # plugins that are instrumented by OpenTelemetry find the span where they look for it
        token = otel.attach(set_span_in_context(span, otel.Context()))
        try:
            with tracing.inside(made):
                yield made
        except BaseException as problem:
            made.failed(type(problem).__name__)  # never its text, which may say who asked for what
            raise
        finally:
            otel.detach(token)
            span.end()


class CallSpan(_Span):
    """The span of one call."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return f"{self.context.trace_id:032x}"

    def end(self, code: str) -> None:
        """The call has ended with a code of gRPC, by its name."""
        self.note("rpc.response.status_code", code)
        if code in FAULTS:
            self.failed(code)
        self._span.end()


class Spans:
    """Makes the spans of calls, and sends them in batches, from a thread of its own."""

    def __init__(self, config: Traces, figures: Figures, version: str) -> None:
        """Nothing is connected yet.

        Raises:
            OSError: the certificate cannot be read.
        """
        _log_here()
        secure = config.endpoint.startswith("https")
        authority = config.certificate.read_bytes() if config.certificate is not None else None
        exporter = OTLPSpanExporter(
            config.endpoint,
            insecure=not secure,
            credentials=grpc.ssl_channel_credentials(authority) if secure else None,
            timeout=SECONDS,
        )
        resource = Resource.create(
            {
                "service.name": config.service,
                "service.version": version,
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        self._provider = TracerProvider(resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False)
        processor = BatchSpanProcessor(_Counted(exporter, figures), schedule_delay_millis=1000 * EVERY)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("cuvee", version)

    def call(self, method: str, parent: re.Match[str] | None, state: str, attributes: Mapping[str, Value]) -> CallSpan:
        """The span of a call that begins now.

        Args:
            method: ``package.Service/Method``.
            parent: the caller's ``traceparent``: trace id, span id and flags, if he sent one.
            state: his ``tracestate``.
            attributes: of the span.
        """
        around = otel.Context()
        if parent is not None:
            kept = TraceState.from_header([state]) if state and len(state) <= LONGEST_STATE else TraceState()
            flags = TraceFlags(int(parent[3], 16) | TraceFlags.SAMPLED)
            ids = SpanContext(
                int(parent[1], 16), int(parent[2], 16), is_remote=True, trace_flags=flags, trace_state=kept
            )
            around = set_span_in_context(NonRecordingSpan(ids), around)
        span = self._tracer.start_span(method, around, SpanKind.SERVER, dict(attributes))
        return CallSpan(self._tracer, span)

    def close(self) -> None:
        """Send what has ended, within :data:`SECONDS`."""
        # in a thread: the exporter tries again and again while the collector is away, whatever time it was given
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(SECONDS)


class _Counted(SpanExporter):
    """Counts what was sent and what was lost."""

    def __init__(self, sends: SpanExporter, figures: Figures) -> None:
        self._sends = sends
        self._figures = figures

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the sender, which retries what is worth it."""
        result = self._sends.export(spans)
        outcome = "sent" if result is SpanExportResult.SUCCESS else "lost"
        self._figures.count("cuvee_spans_total", outcome, by=len(spans))
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._sends.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing waits here."""
        return self._sends.force_flush(timeout_millis)


class _ToOurs(logging.Handler):
    """What OpenTelemetry logs goes into the server's log, in its form and limits."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        log.warning("traces", name=record.name, problem=record.getMessage()[:500])


def _log_here() -> None:
    theirs = logging.getLogger("opentelemetry")
    theirs.propagate = False
    theirs.handlers = [_ToOurs(logging.WARNING)]
