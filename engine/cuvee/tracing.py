"""Spans of the request that is answered in this thread or task, where somebody traces it.

The engine's rooms say what they do by :func:`span`; where nothing is traced, that costs a tenth of a microsecond. Who
records spans, and how, is known to the server alone (:mod:`cuvee.serving.tracing.traces`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol

__all__ = ["Trace", "begin", "current", "inside", "span", "trace_headers"]

Value = str | int | float | bool | Sequence[str]
"""What an attribute may be. None of them may say who the user is: traces are kept by others."""


class Trace(Protocol):
    """A span that has not ended; spans may begin inside of it."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> AbstractContextManager[Trace | None]:
        """A span inside of this one, which is the current one in its block."""

    def shared(
        self, others: Sequence[Trace], name: str, attributes: Mapping[str, Value]
    ) -> AbstractContextManager[Trace | None]:
        """The same, for a block that works for other calls, too: it is linked with their spans, and they with it."""

    def note(self, name: str, value: Value) -> None:
        """Give it an attribute."""

    def failed(self, why: str) -> None:
        """Mark it as failed, with a word that is no caller's: a reason or the name of a kind of errors."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """See :func:`trace_headers`."""


_CURRENT: ContextVar[Trace | None] = ContextVar("cuvee_trace", default=None)
_NOTHING: AbstractContextManager[Trace | None] = nullcontext()


def current() -> Trace | None:
    """The span that goes on in this thread or task; None where nothing is traced."""
    return _CURRENT.get()


def begin(trace: Trace | None) -> None:
    """Have this span go on until the task ends."""
    _CURRENT.set(trace)


@contextmanager
def inside(trace: Trace | None) -> Iterator[None]:
    """Have this span go on in the block."""
    before = _CURRENT.set(trace)
    try:
        yield
    finally:
        _CURRENT.reset(before)


def span(name: str, **attributes: Value) -> AbstractContextManager[Trace | None]:
    """A block that is a span of its own, where the request is traced."""
    trace = _CURRENT.get()
    return _NOTHING if trace is None else trace.span(name, attributes)


def trace_headers() -> tuple[tuple[str, str], ...]:
    """The headers ``traceparent`` and ``tracestate`` of W3C's Trace Context, to be sent with a call to another process.

    For plugins that ask a server: as metadata of gRPC or headers of HTTP they make that server's spans part of the
    request's trace. Empty where the request is not traced. The keys are in lower case.
    """
    trace = _CURRENT.get()
    return () if trace is None else trace.headers()
