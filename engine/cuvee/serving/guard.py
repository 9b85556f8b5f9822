"""Wraps every call: callers are checked, ids replaced by pseudonyms, errors become statuses, deadlines are enforced.

The one place where exceptions are turned into statuses; gRPC itself would send their text to the caller.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, cast

import grpc
import grpc.aio
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_status import rpc_status

from cuvee import tracing
from cuvee.config.limits import Limits
from cuvee.errors import DeadlineExceeded, InvalidArgument, Overloaded, RateLimited, UnavailableError
from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.access.caller import Caller
from cuvee.serving.access.gate import Door, Gate
from cuvee.serving.admission.desk import Desk, Window
from cuvee.serving.admission.lanes import LANES
from cuvee.serving.broken_text import mended
from cuvee.serving.clocks import Clocks
from cuvee.serving.pseudonymised import pseudonymise
from cuvee.serving.status import code_of, status_of
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.telemetry.rpcs import Rpc
from cuvee.serving.tracing.calls import asked_in, current
from cuvee.serving.tracing.traces import Traces

__all__ = ["Guard", "Malformed", "deadline_of", "incident_of", "outcome_of"]

log = structlog.get_logger(__name__)

WRITING = ("/cuvee.v1.EventService/", "/cuvee.v1.CatalogService/")
ADMIN = "/cuvee.v1.AdminService/"
STEERING = 600.0
"""Seconds that a call of AdminService may take: models are loaded in it."""
PUSHBACK = "grpc-retry-pushback-ms"
REFUSING = 1.0
"""Seconds for which a server that stops tells callers so; then it closes their connections."""
QUIET = 0.1
"""Seconds without a new call after which a server that refuses them may stop."""
Context = grpc.aio.ServicerContext[Any, Any]
Begin = Callable[["_Call", Any, Caller], Awaitable[AsyncIterator[Any]]]
"""Lets a stream in, and gives its answers."""


def deadline_of(context: Context, longest: float) -> float:
    """When the call must be answered (monotonic): the caller's deadline, at most ``longest`` from now."""
    left = context.time_remaining()
    return time.monotonic() + (longest if left is None else min(left, longest))


def incident_of(problem: BaseException, method: str) -> str:
    """Log an error that is a fault of the server; returns the incident id that the log and the answer share."""
    if code_of(problem)[0] != code_pb2.INTERNAL:
        return ""
    incident = uuid.uuid4().hex[:12]
    log.error("internal error", method=method, incident=incident, exc_info=problem)
    return incident


class Malformed:
    """Stands for a message that could not be parsed; gRPC itself would answer UNKNOWN."""

    @staticmethod
    def problem() -> InvalidArgument:
        """What the caller is told."""
        return InvalidArgument("request", "cannot be read as a message of this rpc; was it made from another proto?")


def _reader(read: Callable[[bytes], Any] | None, method: str, pseudonyms: Pseudonyms) -> Callable[[bytes], Any] | None:
    if read is None:
        return None
    pool = descriptor_pool.Default()

    def mended_one(data: bytes) -> Any:
        """A request with invalid UTF-8: a write is repaired, so that its fields can be checked one by one."""
        if not method.startswith(WRITING):
            return Malformed()
        better = mended(pool.FindMethodByName(method[1:].replace("/", ".")).input_type, data)
        return Malformed() if better is None else read(better)

    def forgiving(data: bytes) -> Any:
        try:
            message = read(data)
        except DecodeError:
            message = mended_one(data)
            if isinstance(message, Malformed):
                return message
        if pseudonyms:
            pseudonymise(message, pseudonyms)
        return message

    return forgiving


def _writer(write: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """Messages that are on the wire already go as they are."""
    return write and (lambda message: message if type(message) is bytes else write(message))


class Guard:
    """Wraps handlers when their services are added; those of health and reflection are added without it.

    A gRPC interceptor could do the same, and costs each call a fifth of all that an empty call costs.
    """

    def __init__(
        self, limits: Limits, pseudonyms: Pseudonyms, figures: Figures, desk: Desk, gate: Gate, traces: Traces
    ) -> None:
        """``desk`` lets calls in while there is room, ``gate`` those who may ask."""
        self._figures = figures
        figures.watch("cuvee_requests_in_flight", lambda: {(): self._going})
        self._longest = limits.deadline
        self._longest_stream = limits.answer_stream
        self._desk = desk
        self._pseudonyms = pseudonyms
        self._gate = gate
        self.traces = traces
        self._going = 0
        self.clocks = Clocks()
        self.leaving = asyncio.Event()
        """Set when the server is to stop: calls without an end of their own, such as streams, then end."""
        self._last_call = 0.0

    @property
    def in_flight(self) -> int:
        """Calls that were accepted and have no answer yet."""
        return self._going

    async def drain(self, seconds: float) -> None:
        """Refuse new calls until no more arrive or :data:`REFUSING` is over, and wait for running ones, up to a time.

        gRPC's own stop cancels calls that it has received but not yet passed to a handler. So callers first
        get an answer that tells them to try another server; those who go on asking here are not waited for.
        """
        self.leaving.set()
        now = self._last_call = time.monotonic()
        until, refused_until = now + seconds, now + REFUSING
        while now < until and (self._going or now < min(self._last_call + QUIET, refused_until)):
            await asyncio.sleep(0.01)
            now = time.monotonic()

    def enter(self, request: Any, context: Context, door: Door) -> Caller:
        """The checks that every call must pass; one that has passed them has to :meth:`leave`."""
        if self.leaving.is_set():
            self._last_call = time.monotonic()
            raise UnavailableError("this server is shutting down; ask another one, or try again")
        caller = door.caller(context)
        if isinstance(request, Malformed):
            raise Malformed.problem()
        self._going += 1
        return caller

    def leave(self) -> None:
        """A call has ended."""
        self._going -= 1

    def around(self, server: grpc.aio.Server) -> grpc.aio.Server:
        """Where services are added whose handlers are to be guarded."""
        return cast("grpc.aio.Server", _Guarded(self, server))

    def wrapped(self, handler: grpc.RpcMethodHandler[Any, Any], method: str) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of ``/package.Service/Method`` behind this guard.

        Methods without an ``async`` handler answer UNIMPLEMENTED to callers who may call them.
        """
        read = _reader(handler.request_deserializer, method, self._pseudonyms)
        write = _writer(handler.response_serializer)
        if handler.unary_unary and inspect.iscoroutinefunction(handler.unary_unary):
            wrapped = self._unary(handler.unary_unary, method)
            return grpc.unary_unary_rpc_method_handler(wrapped, read, write)
        if handler.unary_stream and inspect.isasyncgenfunction(handler.unary_stream):
            return grpc.unary_stream_rpc_method_handler(self._answers(handler.unary_stream, method), read, write)
        if handler.stream_stream and inspect.isasyncgenfunction(handler.stream_stream):
            # single messages may be malformed: the handler is told so and continues
            return grpc.stream_stream_rpc_method_handler(self._both_ways(handler.stream_stream, method), read, write)
        return grpc.unary_unary_rpc_method_handler(self._unary(_not_offered, method), read, write)

    def _unary(self, answer: Callable[[Any, Any], Awaitable[Any]], method: str) -> Any:
        door, window = self._gate.door(method), self._desk.window(method)
        rpc = Rpc(self._figures, method)
        longest = max(self._longest, STEERING) if method.startswith(ADMIN) else self._longest
        if LANES.get(method) == "bulk":
            longest = max(longest, self._longest_stream)

        async def guarded(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            call = _Call(self, method, door, window, rpc, context, longest)
            try:
                caller = call.enter(request)
                door.check(caller, request)
                await call.let_in(request, caller, call.clock.deadline)
                found = await answer(request, context)
                call.check_time()
            except (Exception, asyncio.CancelledError) as problem:
                await call.fail(problem)
                raise
            else:
                rpc.answered(began)
                return found
            finally:
                call.end(request)

        return guarded

    def _answers(self, answer: Callable[[Any, Any], AsyncIterator[Any]], method: str) -> Any:
        """One request, many answers. A caller who reads slowly ends with its time."""
        door, window = self._gate.door(method), self._desk.window(method)

        async def begin(call: _Call, request: Any, caller: Caller) -> AsyncIterator[Any]:
            door.check(caller, request)
            await call.let_in(request, caller, call.clock.deadline)
            return answer(request, call.context)

        return self._stream(begin, method, door, window, self._longest_stream)

    def _both_ways(self, answer: Callable[[Any, Any], AsyncIterator[Any]], method: str) -> Any:
        """Many requests, many answers. It lasts as long as its caller wants."""
        door, window = self._gate.door(method), self._desk.window(method)

        async def begin(call: _Call, requests: Any, caller: Caller) -> AsyncIterator[Any]:
            await call.let_in(None, caller, deadline_of(call.context, self._longest))
            return answer(door.each(requests, caller, call.context, Malformed), call.context)

        return self._stream(begin, method, door, window, math.inf)

    def _stream(self, begin: Begin, method: str, door: Door, window: Window, longest: float) -> Any:
        rpc = Rpc(self._figures, method)

        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            call = _Call(self, method, door, window, rpc, context, longest)
            try:
                answers = await begin(call, request, call.enter(request))
                async for one in answers:
                    yield one
                rpc.ended()
            except (Exception, asyncio.CancelledError, GeneratorExit) as problem:
                await call.fail(problem)
                raise
            finally:
                call.end(request)

        return guarded


class _Call:
    """One call on its way: its time, its place in a lane, and how it ends."""

    __slots__ = (
        "_asked", "_asking", "_door", "_entered", "_guard", "_inside", "_method", "_problem", "_rpc", "_window",
        "clock", "context",
    )  # fmt: skip

    def __init__(
        self, guard: Guard, method: str, door: Door, window: Window, rpc: Rpc, context: Context, longest: float
    ) -> None:
        """``longest``: seconds that it may take, whatever its caller allows."""
        self._asked = asked_in(context, method, guard.traces)
        context.set_trailing_metadata(self._asked.metadata)
        self.context = context
        self.clock = guard.clocks.start(deadline_of(context, longest))
        self._asking = door.asking(context)
        self._guard, self._method, self._door, self._window, self._rpc = guard, method, door, window, rpc
        self._inside = False
        self._entered: float | None = None
        self._problem: BaseException | None = None

    def enter(self, request: Any) -> Caller:
        """Who makes the call, after the checks that every call must pass; what they raise."""
        self.check_time()
        caller = self._guard.enter(request, self.context, self._door)
        self._inside = True
        return caller

    async def let_in(self, request: Any, caller: Caller, deadline: float) -> None:
        """Wait for a place in the lane; raises Overloaded where there is none in time."""
        with tracing.span("admission"):
            self._entered = await self._window.enter(request, caller, self.context, deadline)

    def check_time(self) -> None:
        """Raises DeadlineExceeded where the time is over, though the event loop has not come to say so."""
        if self.clock.over:
            raise _late()

    async def fail(self, problem: BaseException) -> None:
        """End the call with the status of what was raised; returns where that is to be raised on as it is."""
        self._problem = problem
        if isinstance(problem, grpc.aio.AbortError):
            return
        if isinstance(problem, asyncio.CancelledError | GeneratorExit):
            # a generator is closed when its call is over: there is nobody to tell
            if isinstance(problem, GeneratorExit) or not self.clock.rang:
                self._rpc.left()
                return
            self._problem = problem = _late()
        self._rpc.failed(problem)
        await _abort(self.context, problem, self._method)

    def end(self, request: Any) -> None:
        """Give back what the call held, and note it where its kind is audited."""
        if self._entered is not None:
            self._window.leave(self._entered)
        self._window.told(self._problem, self.clock.deadline)
        self._guard.clocks.stop(self.clock)
        if self._inside:
            self._guard.leave()
        if self._asking is not None:
            self._door.note(self._asking, request, outcome_of(self._problem), self._asked)
        if self._asked.span is not None:
            self._asked.span.end(outcome_of(self._problem))


async def _not_offered(_request: Any, context: Context) -> NoReturn:
    """Stands for a method that was not built yet."""
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server does not offer that")
    raise AssertionError("abort raises")


def outcome_of(problem: BaseException | None) -> str:
    """The name of the gRPC code that a call ends with."""
    if problem is None:
        return "OK"
    if isinstance(problem, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    if isinstance(problem, grpc.aio.AbortError):
        return "UNIMPLEMENTED"  # servicers raise errors of the tree; they abort for nothing else
    return str(code_pb2.Code.Name(code_of(problem)[0]))


class _Guarded:
    """Stands for a server while services are added to it."""

    def __init__(self, guard: Guard, server: grpc.aio.Server) -> None:
        self._guard = guard
        self._server = server

    def add_generic_rpc_handlers(self, _handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """The same handlers come by name as well."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Add a service's handlers, each behind the guard.

        Those for lists as registered methods, which have a queue each in gRPC's core: the others' calls share one and
        never wait behind them. Not all are, since gRPC's loop waits for a call of each of these anew whenever a call
        arrives. Health has methods of its own, too.
        """
        wrapped = {name: self._guard.wrapped(one, f"/{service}/{name}") for name, one in handlers.items()}
        lists = {name: one for name, one in wrapped.items() if LANES.get(f"/{service}/{name}") == "reads"}
        others = {name: one for name, one in wrapped.items() if name not in lists}
        self._server.add_registered_method_handlers(service, lists)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, others),))


def _late() -> DeadlineExceeded:
    return DeadlineExceeded("no answer within the deadline; allow more time or ask for less")


async def _abort(context: Context, problem: BaseException, method: str) -> NoReturn:
    if isinstance(problem, Overloaded):
        milliseconds = math.ceil(1000 * problem.retry_after)
        code, message, metadata = _refusal(str(problem), milliseconds, isinstance(problem, RateLimited))
    else:
        status = rpc_status.to_status(status_of(problem, incident_of(problem, method)))
        code, message, metadata = status.code, status.details, status.trailing_metadata
    await context.abort(code, message, (*metadata, *current().metadata))


@lru_cache(maxsize=4096)
def _refusal(message: str, milliseconds: int, limited: bool) -> tuple[grpc.StatusCode, str, tuple[Any, ...]]:
    """The status of a refusal, which is made often where there is no time for it.

    gRPC's clients read when to retry from ``grpc-retry-pushback-ms``, people's code from RetryInfo.
    """
    problem = (RateLimited if limited else Overloaded)(message, milliseconds / 1000)
    status = rpc_status.to_status(status_of(problem))
    return status.code, status.details, (*status.trailing_metadata, (PUSHBACK, str(milliseconds)))
