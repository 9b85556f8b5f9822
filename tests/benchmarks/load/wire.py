"""gRPC's wire, just enough of it to ask: HTTP/2 frames over one socket.

A client of gRPC for Python costs more of a processor for a call than the server that answers it, so on
two cores it would measure itself. Here a request's headers are bytes that were put together once, and
of an answer only what ends it is read. Responses are asked for without header compression's table
(SETTINGS_HEADER_TABLE_SIZE = 0), so that `grpc-status` stands in the trailers as text.

RFC 9113 (frames), RFC 7541 (header fields), and gRPC's "PROTOCOL-HTTP2".
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

__all__ = ["OK", "RESOURCE_EXHAUSTED", "Answer", "Connection", "Speaks"]

OK = 0
CANCELLED = 1
DEADLINE_EXCEEDED = 4
RESOURCE_EXHAUSTED = 8
UNAVAILABLE = 14

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM = ACK = 1
END_HEADERS = 4
WIDE_OPEN = 2**31 - 1
FIRST_WINDOW = 65_535
LARGEST_FRAME = 16_384


@dataclass(slots=True)
class Answer:
    """How one call ended."""

    began: float
    """When it was sent, or when it was due: seconds of ``time.perf_counter``."""
    took: float = 0.0
    status: int = OK
    body: bytes = b""
    """The message, without gRPC's five bytes in front."""


class Speaks(Protocol):
    """A connection that callers can ask on."""

    lost: bool

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for the socket."""

    def fileno(self) -> int:
        """For ``select``."""

    def send(self, body: bytes, due: float | None = None) -> None:
        """Begin a call."""

    def flush(self) -> None:
        """Put what was begun on the wire."""

    def receive(self) -> list[Answer]:
        """The calls that ended."""

    def expired(self, now: float) -> list[Answer]:
        """The calls that were given up."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def text(value: str) -> bytes:
    """A string literal shorter than 127 bytes, not Huffman-coded."""
    data = value.encode()
    if len(data) > 126:
        raise ValueError(f"{value!r} is too long for this small client")
    return bytes((len(data),)) + data


class Connection:
    """One connection; calls run beside each other on it. Sockets do not block, and the caller polls.

    A message of ours may have 65,530 bytes, as a stream's own window is not looked at.
    """

    def __init__(self, address: str, path: str, deadline: float) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._deadline = deadline
        self._headers = (
            b"\x83\x86"  # :method POST, :scheme http
            + (b"\x04" + text(path))
            + (b"\x01" + text(address))
            + (b"\x00" + text("te") + text("trailers"))
            + (b"\x0f\x10" + text("application/grpc"))
            + (b"\x00" + text("grpc-timeout") + text(f"{round(deadline * 1000)}m"))
        )
        self._out = bytearray(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._out += frame(SETTINGS, 0, 0, struct.pack(">HIHIHI", 1, 0, 2, 0, 4, WIDE_OPEN))
        self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WIDE_OPEN - FIRST_WINDOW))
        self._received_since_update = 0
        self._window = FIRST_WINDOW
        """Bytes of messages that the server takes now."""
        self._waiting: deque[tuple[bytes, Answer]] = deque()
        self._in = b""
        self._stream = -1
        self._calls: dict[int, Answer] = {}
        self.lost = False
        """The server has closed the connection, or is about to: no more calls here."""
        self.flush()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def send(self, body: bytes, due: float | None = None) -> None:
        """Begin a call; ``flush`` puts it on the wire. Its time counts from ``due`` where that is given."""
        if len(body) + 5 > FIRST_WINDOW:
            raise ValueError(f"{len(body)} bytes are too many for this small client")
        call = Answer(time.perf_counter() if due is None else due)
        if self._waiting or self._window < len(body) + 5:
            self._waiting.append((body, call))
        else:
            self._put(body, call)

    def _put(self, body: bytes, call: Answer) -> None:
        self._stream += 2
        self._window -= len(body) + 5
        self._calls[self._stream] = call
        self._out += frame(HEADERS, END_HEADERS, self._stream, self._headers)
        message = b"\0" + struct.pack(">I", len(body)) + body
        for at in range(0, len(message), LARGEST_FRAME):
            last = at + LARGEST_FRAME >= len(message)
            self._out += frame(DATA, END_STREAM * last, self._stream, message[at : at + LARGEST_FRAME])

    def flush(self) -> None:
        """Send what there is, as far as the socket takes it."""
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self.lost = True
                self._out.clear()
                return
            del self._out[:sent]

    def expired(self, now: float) -> list[Answer]:
        """Give up the calls that are past the deadline, as a client of gRPC does."""
        found = []
        for stream, call in list(self._calls.items()):
            if now - call.began <= self._deadline:
                break  # in the order in which they were begun
            self._out += frame(RST_STREAM, 0, stream, struct.pack(">I", 8))
            del self._calls[stream]
            found.append(self._ended(call, DEADLINE_EXCEEDED, now))
        while self._waiting and now - self._waiting[0][1].began > self._deadline:
            found.append(self._ended(self._waiting.popleft()[1], DEADLINE_EXCEEDED, now))
        return found

    def receive(self) -> list[Answer]:
        """Read what has come; the calls that ended."""
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        now = time.perf_counter()
        if not data:
            return self._all_lost(now)
        buffer = self._in + data if self._in else data
        found: list[Answer] = []
        at, end = 0, len(buffer)
        while end - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if end - at < 9 + length:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            payload = buffer[at + 9 : at + 9 + length]
            at += 9 + length
            if kind == DATA:
                self._received_since_update += length
                call = self._calls.get(stream)
                if call is not None:
                    call.body += payload
            elif kind == HEADERS and flags & END_STREAM:
                call = self._calls.pop(stream, None)
                if call is not None:
                    found.append(self._ended(call, _status(payload), now))
            elif kind == RST_STREAM:
                call = self._calls.pop(stream, None)
                if call is not None:
                    found.append(self._ended(call, CANCELLED, now))
            elif kind not in (HEADERS, CONTINUATION):
                self._control(kind, flags, stream, payload)
        self._in = buffer[at:]
        if self._received_since_update > 2**29:
            self._out += frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received_since_update))
            self._received_since_update = 0
        return found

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._out += frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self._out += frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.lost = True
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            while self._waiting and self._window >= len(self._waiting[0][0]) + 5:
                self._put(*self._waiting.popleft())

    def _all_lost(self, now: float) -> list[Answer]:
        self.lost = True
        calls = [*self._calls.values(), *(call for _, call in self._waiting)]
        self._calls.clear()
        self._waiting.clear()
        return [self._ended(call, UNAVAILABLE, now) for call in calls]

    @staticmethod
    def _ended(call: Answer, status: int, now: float) -> Answer:
        call.took, call.status = now - call.began, status
        call.body = call.body[5:]
        return call


def _status(trailers: bytes) -> int:
    """The number behind ``grpc-status``.

    Raises:
        RuntimeError: it is compressed in a way that this client does not read.
    """
    at = trailers.find(b"grpc-status")
    if at < 0:
        raise RuntimeError(f"no grpc-status in these trailers: {trailers!r}")
    length = trailers[at + 11]
    text = trailers[at + 12 : at + 12 + length]
    if length > 2 or not text.isdigit():
        raise RuntimeError(f"a grpc-status that this client does not read: {trailers!r}")
    return int(text)
