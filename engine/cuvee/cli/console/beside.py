"""A console beside a server: started by ``cuvee serve --console``, in a process of its own, and ended with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from cuvee.cli.console.listening import bound, check_installed, place
from cuvee.errors import OperatorError

if TYPE_CHECKING:
    from cuvee.config import ServerConfig

__all__ = ["Beside", "console_beside"]

log = structlog.get_logger("cuvee.cli.console")

OPTION = "--console-listen"
ENDS = 5.0
"""Seconds that it gets to end."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # nosec B104


class Beside:
    """A console whose address is bound already, and that is to be started when the server's is known."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """host:port of the pages."""
        host, port = self._listening.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self, address: str, metrics: str = "", admin: str = "") -> None:
        """Begin to answer about the server that listens on ``address``; ``metrics`` is host:port of its figures."""
        command = [sys.executable, "-m", "cuvee.cli", "console", "--address", reachable(address)]
        command += ["--beside", str(self._listening.fileno())]
        command += ["--metrics", f"http://{reachable(metrics)}/metrics"] if metrics else []
        command += ["--admin-address", reachable(admin)] if admin else []
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own command
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[self._listening.fileno()]
        )
        log.info("console listening", address=self.address, url=f"http://{self.address}/")

    def end(self) -> None:
        """End it."""
        self._listening.close()
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(ENDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def reachable(listen: str) -> str:
    """An address to ask at, of one that is listened on."""
    if listen.startswith("unix"):
        return listen
    host, _, port = listen.rpartition(":")
    found = EVERYWHERE.get(host.strip("[]"), host.strip("[]"))
    return f"[{found}]:{port}" if ":" in found else f"{found}:{port}"


@contextmanager
def console_beside(listen: str, config: ServerConfig) -> Iterator[Beside]:
    """Bind the address of the pages, and end them with the block.

    Raises:
        InvalidArgument: other machines reach the address, or it is none.
        OperatorError: the port is taken, or the server speaks TLS.
        PluginError: the extra is not installed.
    """
    check_installed()
    if config.tls is not None:
        raise OperatorError(
            "a server with [server.tls] is asked by a name and with credentials that --console does not know; start "
            "the console by itself: cuvee console --address NAME:PORT --ca ca.pem --token-file token"
        )
    host, port = place(listen, insecure=False, option=OPTION)
    made = Beside(bound(host, port, OPTION))
    try:
        yield made
    finally:
        made.end()
