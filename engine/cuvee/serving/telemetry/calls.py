"""Whose call this is: its request id and its trace id, for the log, for the answer and for what is called in turn."""

from __future__ import annotations

import itertools
import os
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

__all__ = ["NOBODY", "REQUEST_ID", "Asked", "asked_in", "current", "marked"]

REQUEST_ID, TRACEPARENT = "x-request-id", "traceparent"
"""Keys of metadata; the second is W3C's."""
_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_NO_TRACE = "0" * 32
_PREFIX, _NUMBERS = os.urandom(4).hex(), itertools.count(1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One call."""

    request_id: str
    """The caller's own, where it is short and plain; else one that was made."""
    trace_id: str = ""
    """32 hex digits, where the caller sent a ``traceparent``."""


NOBODY = Asked("")
"""Where no call is answered."""
_CURRENT: ContextVar[Asked] = ContextVar("cuvee_asked", default=NOBODY)


def asked_in(context: Any) -> Asked:
    """The call that this context belongs to, from now on the current one of its task."""
    request_id = trace_id = ""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID and isinstance(value, str) and _ID.fullmatch(value):
            request_id = value
        elif key == TRACEPARENT and isinstance(value, str) and (found := _TRACE.fullmatch(value)):
            trace_id = found[1] if found[1] != _NO_TRACE else ""
    asked = Asked(request_id or f"{_PREFIX}-{os.getpid():x}-{next(_NUMBERS):x}", trace_id)
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
