"""A TCP proxy whose connections can be refused, held, slowed, dropped and half closed, for tests of what lies behind.

After the ideas of Toxiproxy, in threads of the test's own process.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

__all__ = ["Fault", "TcpProxy"]

Fault = Literal["refused", "hanging", "slow", "half-open", "dropped"]
"""``refused``: nobody listens, and connections are reset. ``hanging``: connections are taken and nothing passes.
``slow``: every piece waits. ``half-open``: what is asked passes, what is answered does not, and the other side's
end is not passed on. ``dropped``: every connection ends in the middle of an answer."""


@dataclass(eq=False)
class _Pair:
    near: socket.socket
    far: socket.socket

    def reset(self) -> None:
        for one in (self.near, self.far):
            with suppress(OSError):
                # without waiting for what is unsent: the other side sees a reset
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()


class TcpProxy:
    """Passes connections on to ``host:port``; a context manager."""

    def __init__(self, target: str, slow: float = 0.4) -> None:
        """``slow``: seconds that each piece waits while the fault is ``slow``."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._slow = slow
        self._fault: Fault | None = None
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._over = False
        self._socket = self._listening(0)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def address(self) -> str:
        """Where it listens: host:port."""
        return f"127.0.0.1:{self.port}"

    @staticmethod
    def _listening(port: int) -> socket.socket:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        one.listen(128)
        one.settimeout(0.05)
        return one

    @contextmanager
    def fault(self, what: Fault) -> Iterator[None]:
        """Have one fault inside of this block, for connections that are open and for new ones."""
        self._fault = what
        if what == "refused":
            self._socket.close()
            self._reset()
        try:
            yield
        finally:
            if what == "refused":
                self._socket = self._listening(self.port)
            self._fault = None
            if what in {"hanging", "half-open"}:
                self._reset()  # what was held back is lost

    def _reset(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            pair.reset()

    def _accept(self) -> None:
        while not self._over:
            if self._fault == "refused":
                time.sleep(0.01)
                continue
            try:
                near, _ = self._socket.accept()
                near.settimeout(None)
            except OSError:
                time.sleep(0.005)
                continue
            try:
                far = socket.create_connection(self._target, 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            pair = _Pair(near, far)
            with self._lock:
                self._pairs.add(pair)
            for source, sink, back in ((near, far, False), (far, near, True)):
                threading.Thread(target=self._pump, args=(pair, source, sink, back), daemon=True).start()

    def _pump(self, pair: _Pair, source: socket.socket, sink: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while self._held(back) and not self._over:
                    time.sleep(0.01)
                if self._fault == "slow":
                    time.sleep(self._slow)
                if self._fault == "dropped" and back:
                    sink.sendall(data[: len(data) // 2])
                    break
                sink.sendall(data)
        while self._held(back) and not self._over and pair in self._pairs:
            time.sleep(0.01)
        pair.reset()
        with self._lock:
            self._pairs.discard(pair)

    def _held(self, back: bool) -> bool:
        return self._fault == "hanging" or (self._fault == "half-open" and back)

    def close(self) -> None:
        """End all connections."""
        self._over = True
        with suppress(OSError):
            self._socket.close()
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
