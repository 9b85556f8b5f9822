"""The process: a gRPC server, threads that run models, and one that watches folders."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc

from cuvee_tfserving.model_server.batching import Batcher
from cuvee_tfserving.model_server.configuration import Model, read_models
from cuvee_tfserving.model_server.library import Library
from cuvee_tfserving.model_server.log import say
from cuvee_tfserving.model_server.refusals import Refused
from cuvee_tfserving.model_server.servable import Servable
from cuvee_tfserving.model_server.services import ModelService, PredictionService
from cuvee_tfserving.protos import add_ModelServiceServicer_to_server, add_PredictionServiceServicer_to_server

__all__ = ["CannotListen", "Options", "serve"]

CALLS = 64
"""How many calls may run or wait for their batch."""
WAITING = 1024
"""How many more calls may wait; beyond that, RESOURCE_EXHAUSTED at once."""
PARENT_EVERY = 1.0
"""Seconds between two checks that the parent still runs."""
GRACE = 10.0
"""Seconds for running calls when the server is told to end."""


class CannotListen(Exception):
    """The address is taken, or does not belong to this machine."""


@dataclass(frozen=True)
class Options:
    """How to serve."""

    listen: str
    """host:port; port 0 takes any."""
    poll: float
    """Seconds between two checks of the models' folders."""
    config_poll: float
    """Seconds between two checks of the configuration file; 0 reads it once."""
    max_batch_size: int
    """Rows of a batch that is made of several requests."""
    threads: int
    """Batches that are run at the same time."""
    parent: int | None = None
    """The parent process: the server ends when it ends. None: only when told to."""


def serve(models: Sequence[Model], config_file: Path | None, options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight.

    Listens at once and says NOT_FOUND while models are loading. SIGHUP reads ``config_file`` again.

    Raises:
        CannotListen: the address cannot be listened on.
    """
    ending, again = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    if hasattr(signal, "SIGHUP"):  # there is none on Windows
        signal.signal(signal.SIGHUP, lambda *_: again.set())
    library = Library(models, Servable.load)
    batcher = Batcher(options.threads, options.max_batch_size)
    server = grpc.server(
        ThreadPoolExecutor(CALLS, thread_name_prefix="call"),
        maximum_concurrent_rpcs=CALLS + WAITING,
        options=(
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ),
    )
    add_PredictionServiceServicer_to_server(PredictionService(library, batcher), server)
    add_ModelServiceServicer_to_server(ModelService(library), server)
    try:
        port = server.add_insecure_port(options.listen)
    except RuntimeError:
        raise CannotListen(
            f"cannot listen on {options.listen}: is another server there already? Stop it, or give another --port "
            "or --host"
        ) from None
    server.start()
    host = options.listen.rpartition(":")[0]
    say("listening", address=f"{host}:{port}", models=[m.name for m in models], process=os.getpid())

    reader = _Reader(config_file, library) if config_file is not None else None
    _watch(library.refresh, options.poll, ending)
    if reader is not None and options.config_poll > 0:
        _watch(reader.look, options.config_poll, ending)
    while not ending.wait(PARENT_EVERY):
        if again.is_set():
            again.clear()
            say(
                "SIGHUP",
                does="reads the configuration file again"
                if reader
                else f"nothing: folders are looked at every {options.poll:g} s anyway",
            )
            if reader is not None:
                reader.read()
        if options.parent is not None and os.getppid() != options.parent:
            break
    say("ending")
    ending.set()
    server.stop(GRACE).wait()
    batcher.close()


def _watch(look: Callable[[], None], every: float, ending: threading.Event) -> threading.Thread:
    def watch() -> None:
        while not ending.is_set():
            try:
                look()
            except Exception as problem:  # noqa: BLE001 - if the watch ended, no new version would be loaded
                say("watch failed", problem=repr(problem))
            ending.wait(every)

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    return thread


class _Reader:
    """Reads the configuration file again when it has changed; a bad one changes nothing."""

    def __init__(self, file: Path, library: Library) -> None:
        self._file = file
        self._library = library
        self._read = file.read_bytes()
        self._lock = threading.Lock()

    def look(self) -> None:
        """Read it if it has changed."""
        with self._lock:
            now = self._file.read_bytes()
            if now == self._read:
                return
            self._read = now
        self.read()

    def read(self) -> None:
        """Read it whether it has changed or not."""
        with self._lock:
            try:
                self._library.configure(read_models(self._file))
            except (OSError, ValueError, Refused) as problem:
                said = problem.message if isinstance(problem, Refused) else str(problem)
                say("configuration refused", problem=said)
            else:
                say("configuration read", file=str(self._file))
