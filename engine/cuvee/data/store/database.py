"""One database, of either kind: pools, time limits, transactions, and what its errors mean.

=========== ==================================== =============================================
            SQLite                               PostgreSQL
=========== ==================================== =============================================
durable     WAL, ``synchronous = FULL``          as the server is configured
writers     one at a time, in order of arrival   read committed, rows locked in a fixed order
time limit  waiting for another writer           ``statement_timeout``, ``connect_timeout``
=========== ==================================== =============================================
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from cuvee.data.store.turns import NotOnTime, Turns
from cuvee.errors import OperatorError, UnavailableError

__all__ = ["Database", "damaged", "located"]

log = structlog.get_logger(__name__)

T = TypeVar("T")
Met: TypeAlias = tuple[int, int]
"""Device and number of a file."""

MISTAKE = "SQLITE_ERROR"
"""SQLite's name for a wrong statement: the driver raises the same exception for it as for a full disk."""
MET = "cuvee_met"
"""The key under which a connection's info holds its file."""
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
"""Beginnings of SQLite's error names for a file that is no database, or is damaged."""
AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError, exc.InternalError)
"""The exceptions of a database that is down, restarting, full or too busy: try again later."""


def located(url: str, root: Path) -> URL:
    """The URL with its driver, a relative SQLite path starting at ``root``.

    Raises:
        OperatorError: it is neither SQLite's nor PostgreSQL's.
    """
    try:
        given = make_url(url)
    except (exc.ArgumentError, ValueError):  # of a port that is no number
        raise OperatorError("store.url is no database URL; give sqlite:///file.db or postgresql://host/name") from None
    kind = given.get_backend_name()
    if given.port is not None and not 0 < given.port < 65_536:
        raise OperatorError(f"store.url: {given.port} is no port; it is a number from 1 to 65535")
    if kind == "postgresql":
        return given.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not given.database or given.database == ":memory:":
        raise OperatorError(f"store.url: {kind} is not taken; give sqlite:///file.db or postgresql://host/name")
    return given.set(drivername="sqlite", database=str((root / given.database).resolve()))


class Database:
    """Connections to one database. Thread-safe; every call may block, so none belongs on an event loop."""

    def __init__(self, url: URL, *, pool: int = 8, timeout: float = 2.0) -> None:
        """At most ``pool`` connections; no statement or wait takes more than ``timeout`` seconds.

        Nothing is connected yet.

        Raises:
            OperatorError: the driver is not installed, or SQLite's folder cannot be made.
        """
        self.url = url
        self.sqlite = url.get_backend_name() == "sqlite"
        options: dict[str, Any] = {"hide_parameters": True, "pool_size": pool, "max_overflow": 0}
        options |= {"pool_timeout": timeout, "pool_recycle": 1800, "connect_args": _arguments(self.sqlite, timeout)}
        self._timeout = timeout
        self._turns: Turns | None = None
        self._file = _File(Path(url.database or "")) if self.sqlite else None
        if self._file is not None:
            file = self._file.path
            _make_folder(file)
            self._turns = Turns(file.with_name(f"{file.name}-queue"))
        try:
            self._writing = create_engine(url, **options)
            # reads are single statements: without BEGIN and ROLLBACK each takes one round trip
            self._reading = create_engine(url, isolation_level="AUTOCOMMIT", **options)
        except ModuleNotFoundError:
            raise OperatorError(
                "PostgreSQL needs its driver: pip install 'cuvee[postgres]', in a checkout '.[postgres]'"
            ) from None
        if self.sqlite:
            for engine in (self._writing, self._reading):
                event.listen(engine, "do_connect", self._before_connecting)
                event.listen(engine, "connect", self._prepare_sqlite)
            event.listen(self._writing, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))

    def write(self, work: Callable[[Connection], T], *, dry: bool = False) -> T:
        """Call in a transaction, and commit. When this returns, the written data survives a crash.

        With ``dry`` it is rolled back instead, and the result is that of a real write.

        A dead connection is replaced and the work is repeated from the start, so it must be idempotent.

        Raises:
            UnavailableError: the database cannot be reached, or is too busy; nothing was written,
                or at worst all of it was and the reply got lost. Or SQLite's file was removed or
                replaced, and what was written to the old one is lost.
        """
        try:
            with self._turns.turn(self._timeout) if self._turns else nullcontext():
                return self._tried(self._writing, work, begin=True, dry=dry)
        except NotOnTime:
            raise UnavailableError("too many others are writing to the store; try again") from None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Call with a connection outside any transaction: each statement sees everything committed before it.

        Raises:
            UnavailableError: the database cannot be reached, or is too busy.
        """
        return self._tried(self._reading, work, begin=False)

    def _tried(self, engine: Engine, work: Callable[[Connection], T], *, begin: bool, dry: bool = False) -> T:
        for again in (True, False):
            try:
                self._follow()
                with engine.begin() if begin else engine.connect() as connection:
                    met = connection.info.get(MET)
                    answer = work(connection)
                    if dry:
                        connection.rollback()
                self._check(met if begin and not dry else None)
                return answer  # noqa: TRY300 - what follows is about another try
            except exc.DBAPIError as problem:
                # the pool has dropped its other connections by now, so the next one is new
                if problem.connection_invalidated and again:
                    continue
                if damaged(problem) or (self.sqlite and _without_tables(problem)):
                    raise _away(problem) from problem
                if not isinstance(problem, AWAY) or _sqlite_name(problem) == MISTAKE:
                    _without_values(problem)
                    raise
                raise _away(problem) from problem
            except AWAY as problem:
                raise _away(problem) from problem
        raise AssertionError("unreachable")

    def _before_connecting(self, *_: object) -> None:
        if self._file is not None:
            self._file.meet()

    def _prepare_sqlite(self, connection: Any, record: Any) -> None:
        """Transactions are begun explicitly; committed data is on the disk, deleted data is overwritten."""
        connection.isolation_level = None
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if self._file is not None and mode == "wal":
            record.info[MET] = self._file.met

    def _follow(self) -> None:
        """Drop the connections to a SQLite file that was removed or replaced."""
        if self._file is not None and self._file.changed():
            self.close()

    def _check(self, met: Met | None) -> None:
        """Called after a commit: raises UnavailableError where it was written to a file that was removed."""
        if met is not None and self._file is not None and not self._file.kept(met):
            self.close()
            raise self._file.gone()

    def check(self) -> None:
        """Check that the database can be reached, with one short statement.

        Raises:
            UnavailableError: it cannot.
        """
        self.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM cuvee_heads").scalar())

    def wipe(self) -> None:
        """Remove deleted data from SQLite's write-ahead log, except what a reader still needs."""
        if self.sqlite:
            self.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    def close(self) -> None:
        """Close the idle connections."""
        self._writing.dispose()
        self._reading.dispose()


class _File:
    """SQLite's file: which one was opened first, and whether the path still leads to it.

    A process that has a file open does not notice its removal, and would go on writing to a lost file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        self.met: Met | None = None
        self._told = False

    def _now(self) -> Met | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_dev, found.st_ino)

    def meet(self) -> None:
        """Called before a connection is made: the present file is the one from now on; it is created the first time.

        Raises:
            UnavailableError: the file existed and was removed; no empty one is created in its place.
        """
        there = self._now()
        if there is None:
            if self.met is not None:
                raise self.gone()
            try:  # other users of this machine must not read the events
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError:
                return  # SQLite itself reports what is wrong
            there = self._now()
        self.met, self._told = there, False

    def changed(self) -> bool:
        """Whether the path has no file now, or another one than connections were made to."""
        return self.met is not None and self._now() != self.met

    def kept(self, met: Met) -> bool:
        """Whether a commit into a file, and into its log, is in the file that is there now."""
        return self._now() == met and self._log.exists()

    def gone(self) -> UnavailableError:
        """The error to raise; it is logged once."""
        if not self._told:
            hint = "put it back, or restart every process that uses it, which creates an empty one"
            log.error("the store's file was removed or replaced", file=str(self.path), hint=hint)
        self._told = True
        return UnavailableError("the store's file was removed or replaced; nothing is kept until it is back")


def _sqlite_name(problem: BaseException | None) -> str:
    """SQLite's name of an error; empty for PostgreSQL's."""
    return getattr(getattr(problem, "orig", None), "sqlite_errorname", None) or ""


def damaged(problem: BaseException | None) -> bool:
    """Whether the cause is a SQLite file that is damaged, or no database."""
    return _sqlite_name(problem).startswith(DAMAGED)


def _without_tables(problem: exc.DBAPIError) -> bool:
    """Whether the store's file was replaced by one without our tables."""
    return _sqlite_name(problem) == MISTAKE and str(problem.orig).startswith("no such table: cuvee_")


def _without_values(problem: exc.DBAPIError) -> None:
    """The first line of an error: PostgreSQL's later lines quote whole rows, and errors are logged."""
    for one in (problem, problem.orig):
        if one is not None:
            one.args = (str(one.args[0]).partition("\n")[0] if one.args else "",)


def _away(problem: exc.SQLAlchemyError) -> UnavailableError:
    cause = getattr(problem, "orig", None) or problem
    log.warning("store unavailable", problem=type(cause).__name__, detail=str(cause).partition("\n")[0])
    return UnavailableError("the store cannot be reached or is too busy; try again")


def _arguments(sqlite: bool, timeout: float) -> dict[str, Any]:
    """The arguments for the driver."""
    if sqlite:
        return {"timeout": timeout}
    milliseconds = math.ceil(1000 * timeout)
    return {
        "connect_timeout": max(2, math.ceil(timeout)),  # libpq takes less than 2 for 2
        "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
        "application_name": "cuvee",
    }


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OperatorError(f"store.url: the folder of {file} cannot be made: {problem}") from problem
