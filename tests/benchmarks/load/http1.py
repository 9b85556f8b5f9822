"""HTTP/1.1 as a peer's server speaks it: the same face as :class:`load.wire.Connection`, one call at a time on it."""

from __future__ import annotations

import socket
import time

from load.wire import DEADLINE_EXCEEDED, OK, UNAVAILABLE, Answer

__all__ = ["HttpConnection"]


class HttpConnection:
    """A kept-alive connection. What is sent is the path to GET."""

    def __init__(self, address: str, path: str, deadline: float) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._path, self._deadline, self._host = path.encode(), deadline, address.encode()
        self._call: Answer | None = None
        self._given_up = False
        """Its answer is still to come, and nobody wants it."""
        self._next: tuple[bytes, Answer] | None = None
        self._out = b""
        self._in = b""
        self.lost = False

    def fileno(self) -> int:
        """For ``select``."""
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def send(self, body: bytes, due: float | None = None) -> None:
        """Begin a call, or have it begin when the connection is free."""
        call = Answer(time.perf_counter() if due is None else due)
        if self._call is not None or self._given_up:
            self._next = body, call
            return
        self._call = call
        self._out += b"GET " + self._path + body + b" HTTP/1.1\r\nHost: " + self._host + b"\r\n\r\n"

    def flush(self) -> None:
        """Send what there is."""
        while self._out:
            try:
                self._out = self._out[self._socket.send(self._out) :]
            except BlockingIOError:
                return
            except OSError:
                self.lost, self._out = True, b""

    def expired(self, now: float) -> list[Answer]:
        """Give up what is past the deadline."""
        found = []
        if self._call is not None and now - self._call.began > self._deadline:
            found.append(_ended(self._call, DEADLINE_EXCEEDED, now))
            self._call, self._given_up = None, True
        if self._next is not None and now - self._next[1].began > self._deadline:
            found.append(_ended(self._next[1], DEADLINE_EXCEEDED, now))
            self._next = None
        return found

    def receive(self) -> list[Answer]:
        """Read what has come."""
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return []
        now = time.perf_counter()
        if not data:
            self.lost = True
            return [_ended(self._call, UNAVAILABLE, now)] if self._call else []
        self._in += data
        head, end, rest = self._in.partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        if not end or at < 0:
            return []
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return []
        self._in = rest[length:]
        call, self._call, self._given_up = self._call, None, False
        found = []
        if call is not None:
            call.body = rest[:length]
            found.append(_ended(call, OK if head.startswith(b"HTTP/1.1 200") else UNAVAILABLE, now))
        if self._next is not None:
            (body, waiting), self._next = self._next, None
            self.send(body, waiting.began)
            self.flush()
        return found


def _ended(call: Answer, status: int, now: float) -> Answer:
    call.took, call.status = now - call.began, status
    return call
