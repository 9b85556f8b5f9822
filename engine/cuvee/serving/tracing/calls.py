"""Whose call this is: its request id and its trace id, for the log, for the answer and for what is called in turn."""

from __future__ import annotations

import itertools
import os
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from cuvee import tracing
from cuvee.serving.tracing.traces import PARENT, Traces

if TYPE_CHECKING:
    from cuvee.serving.tracing.spans import CallSpan

__all__ = ["NOBODY", "REQUEST_ID", "Asked", "asked_in", "current", "marked"]

REQUEST_ID, TRACE_ID = "x-request-id", "x-trace-id"
"""Keys of metadata; of the second only in answers."""
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""W3C's."""
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_PREFIX, _NUMBERS = os.urandom(4).hex(), itertools.count(1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call."""

    request_id: str
    """The caller's own, where it is short and plain; else one that was made."""
    trace_id: str = ""
    """32 hex digits, where the caller sent a ``traceparent`` or the call is traced."""
    span: CallSpan | None = None
    """Where it is traced."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the answer's trailing metadata says of it."""
        named = ((REQUEST_ID, self.request_id),)
        return (*named, (TRACE_ID, self.trace_id)) if self.trace_id else named


NOBODY = Asked("")
"""Where no call is answered."""
_CURRENT: ContextVar[Asked] = ContextVar("cuvee_asked", default=NOBODY)


def asked_in(context: Any, method: str, traces: Traces) -> Asked:
    """The call that this context belongs to, from now on the current one of its task; ``/package.Service/Method``."""
    request_id = trace_id = state = ""
    parent: re.Match[str] | None = None
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _ID.fullmatch(value):
            request_id = value
        elif key == TRACEPARENT and isinstance(value, str) and (found := PARENT.fullmatch(value)):
            parent, trace_id = found, found[1]
        elif key == TRACESTATE and isinstance(value, str):
            state = value
    request_id = request_id or f"{_PREFIX}-{os.getpid():x}-{next(_NUMBERS):x}"
    span = traces.call(method, parent, state, request_id)
    if span is not None:
        trace_id = span.trace_id
        tracing.begin(span)
    asked = Asked(request_id, trace_id, span)
    _CURRENT.set(asked)
    return asked


def current() -> Asked:
    """The call that is answered here; in threads there is none."""
    return _CURRENT.get()


def marked(_logger: object, _name: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor of structlog: lines about a call name it."""
    asked = _CURRENT.get()
    if asked.request_id:
        line.setdefault("request_id", asked.request_id)
        if asked.trace_id:
            line.setdefault("trace_id", asked.trace_id)
    return line
