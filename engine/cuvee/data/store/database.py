"""One database, of either kind: pools, time limits, transactions, and what its errors mean.

=========== ==================================== =============================================
            SQLite                               PostgreSQL
=========== ==================================== =============================================
durable     WAL, ``synchronous = FULL``          as the server is configured
writers     one at a time, ``BEGIN IMMEDIATE``   read committed, rows locked in a fixed order
time limit  waiting for another writer           ``statement_timeout``, ``connect_timeout``
=========== ==================================== =============================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from cuvee.errors import OperatorError, UnavailableError

__all__ = ["Database", "located"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

MISTAKE = "SQLITE_ERROR"
"""How SQLite calls a statement that is wrong: the driver raises for it what it raises for a full disk."""
AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError, exc.InternalError)
"""What the database raises when it is down, restarting, full or too busy: try again later."""


def located(url: str, root: Path) -> URL:
    """The URL with its driver, a relative SQLite path starting at ``root``.

    Raises:
        OperatorError: it is neither SQLite's nor PostgreSQL's.
    """
    try:
        given = make_url(url)
    except exc.ArgumentError:
        raise OperatorError("store.url is no database URL; give sqlite:///file.db or postgresql://host/name") from None
    kind = given.get_backend_name()
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
        if self.sqlite:
            _make_folder(Path(url.database or ""))
        try:
            self._writing = create_engine(url, **options)
            # reads are single statements: without BEGIN and ROLLBACK around them they are one round trip
            self._reading = create_engine(url, isolation_level="AUTOCOMMIT", **options)
        except ModuleNotFoundError:
            raise OperatorError(
                "PostgreSQL needs its driver: pip install 'cuvee[postgres]', in a checkout '.[postgres]'"
            ) from None
        if self.sqlite:
            for engine in (self._writing, self._reading):
                event.listen(engine, "connect", _prepare_sqlite)
            event.listen(self._writing, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))

    def write(self, work: Callable[[Connection], T], *, dry: bool = False) -> T:
        """Call in a transaction, and commit. When this returns, what was written survives a crash.

        With ``dry`` it is rolled back instead: the answer is what it would have been.

        A connection that turns out to be dead is replaced, and the work is done again from its
        start; so it must be idempotent.

        Raises:
            UnavailableError: the database cannot be reached, or is too busy; nothing was written,
                or at worst all of it was and the answer got lost.
        """
        return self._tried(self._writing, work, begin=True, dry=dry)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Call with a connection outside any transaction: each statement sees what is committed by then.

        Raises:
            UnavailableError: the database cannot be reached, or is too busy.
        """
        return self._tried(self._reading, work, begin=False)

    def _tried(self, engine: Engine, work: Callable[[Connection], T], *, begin: bool, dry: bool = False) -> T:
        for again in (True, False):
            try:
                with engine.begin() if begin else engine.connect() as connection:
                    answer = work(connection)
                    if dry:
                        connection.rollback()
                    return answer
            except exc.DBAPIError as problem:
                # the pool has dropped its other connections by now: the next one is new
                if problem.connection_invalidated and again:
                    continue
                if not isinstance(problem, AWAY) or getattr(problem.orig, "sqlite_errorname", "") == MISTAKE:
                    _without_values(problem)
                    raise
                raise _away(problem) from problem
            except AWAY as problem:
                raise _away(problem) from problem
        raise AssertionError("unreachable")

    def wipe(self) -> None:
        """Leave nothing of what was deleted in SQLite's log, as far as no reader still needs it."""
        if self.sqlite:
            self.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    def close(self) -> None:
        """Close the idle connections."""
        self._writing.dispose()
        self._reading.dispose()


def _without_values(problem: exc.DBAPIError) -> None:
    """Keep what went wrong: behind the first line PostgreSQL tells of whole rows, and errors are logged."""
    for one in (problem, problem.orig):
        if one is not None:
            one.args = (str(one.args[0]).partition("\n")[0] if one.args else "",)


def _away(problem: exc.SQLAlchemyError) -> UnavailableError:
    cause = getattr(problem, "orig", None) or problem
    log.warning("store unavailable", problem=type(cause).__name__, detail=str(cause).partition("\n")[0])
    return UnavailableError("the store cannot be reached or is too busy; try again")


def _arguments(sqlite: bool, timeout: float) -> dict[str, Any]:
    """What the driver is told."""
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


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Transactions are begun by us; what is committed is on the disk, what is deleted is overwritten."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")
