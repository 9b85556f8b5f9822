"""``/metrics`` on a port of its own: in a thread of the only process, or in a process beside several workers."""

from __future__ import annotations

import select
import signal
import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

from cuvee.errors import OperatorError
from cuvee.serving.telemetry.board import Board
from cuvee.serving.telemetry.exposition import Exposition
from cuvee.serving.workers.worker import BEAT_EVERY, Worker

__all__ = ["Export"]

log = structlog.get_logger(__name__)

SECONDS = 5.0
"""That a connection may take."""
MOST = 16
"""Connections at a time; more are closed at once."""


class _Quiet(WSGIRequestHandler):
    timeout = SECONDS

    def log_message(self, *args: Any) -> None:
        """A scrape is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._slots = threading.Semaphore(MOST)

    def server_bind(self) -> None:
        """Not here: the socket is bound already. Nor is the host's name looked up."""
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, where there is one left."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The slot is given back at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asks so that it cannot be read is no news either."""


def _only_metrics(app: Any) -> Any:
    def answer(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/metrics":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there is only /metrics here\n"]

    return answer


class Export:
    """The port, bound, and the workers' memory; made before any fork."""

    def __init__(self, listen: str, workers: int) -> None:
        """Bind, and make a slot for each worker.

        Raises:
            OperatorError: the address cannot be listened on.
        """
        self.board = Board(workers)
        host, _, port = listen.rpartition(":")
        try:
            family, _, _, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(where)
            self._socket.listen(MOST)
        except OSError as problem:
            raise OperatorError(
                f"cannot listen on {listen} for metrics ({problem.strerror or problem}): is another server there "
                "already? Stop it, or give another [server.metrics] listen"
            ) from None
        self.address = f"{host}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Answer from now on, in a thread that ends with the process."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Exposition(self.board))
        server = _Server(self._socket.getsockname()[:2], _Quiet, bind_and_activate=False)
        server.socket.close()
        server.socket = self._socket
        server.server_bind()
        server.set_app(_only_metrics(make_wsgi_app(registry)))
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        log.info("metrics listening", address=self.address)

    def run(self, worker: Worker) -> int:
        """Answer until SIGTERM, SIGINT or the supervisor's end; in a process that the supervisor made for this."""
        ended, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.start()
        worker.ready()
        while not select.select([ended.fileno(), worker.supervisor], [], [], BEAT_EVERY)[0]:
            worker.beat()
        return 0

    def close(self) -> None:
        """Let go of the port here; a process that was forked has its own hold of it."""
        self._socket.close()
