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
"""How SQLite calls a statement that is wrong: the driver raises for it what it raises for a full disk."""
MET = "cuvee_met"
"""Under which a connection knows its file."""
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
"""How SQLite's names for what is wrong begin where the file is none of its own, or no longer."""
AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError, exc.InternalError)
"""What the database raises when it is down, restarting, full or too busy: try again later."""


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
            # reads are single statements: without BEGIN and ROLLBACK around them they are one round trip
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
        """Call in a transaction, and commit. When this returns, what was written survives a crash.

        With ``dry`` it is rolled back instead: the answer is what it would have been.

        A connection that turns out to be dead is replaced, and the work is done again from its
        start; so it must be idempotent.

        Raises:
            UnavailableError: the database cannot be reached, or is too busy; nothing was written,
                or at worst all of it was and the answer got lost. Or SQLite's file was removed or
                replaced: what was written there is not kept.
        """
        try:
            with self._turns.turn(self._timeout) if self._turns else nullcontext():
                return self._tried(self._writing, work, begin=True, dry=dry)
        except NotOnTime:
            raise UnavailableError("too many others are writing to the store; try again") from None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Call with a connection outside any transaction: each statement sees what is committed by then.

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
                # the pool has dropped its other connections by now: the next one is new
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
        """Transactions are begun by us; what is committed is on the disk, what is deleted is overwritten."""
        connection.isolation_level = None
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if self._file is not None and mode == "wal":
            record.info[MET] = self._file.met

    def _follow(self) -> None:
        """Leave connections to a SQLite file that is no longer there."""
        if self._file is not None and self._file.changed():
            self.close()

    def _check(self, met: Met | None) -> None:
        """After a commit: raises UnavailableError where it went into files that are no longer there."""
        if met is not None and self._file is not None and not self._file.kept(met):
            self.close()
            raise self._file.gone()

    def check(self) -> None:
        """Find out whether the database can be asked, with one short statement.

        Raises:
            UnavailableError: it cannot.
        """
        self.read(lambda connection: connection.exec_driver_sql("SELECT count(*) FROM cuvee_heads").scalar())

    def wipe(self) -> None:
        """Leave nothing of what was deleted in SQLite's log, as far as no reader still needs it."""
        if self.sqlite:
            self.read(lambda connection: connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all())

    def close(self) -> None:
        """Close the idle connections."""
        self._writing.dispose()
        self._reading.dispose()


class _File:
    """SQLite's file: which one was met first, and whether it is still the one that the path leads to.

    Whoever has a file open does not notice that it was removed, and writes on into nothing.
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
        """Before a connection is made: the file there is the one from now on. The first time, it is made if need be.

        Raises:
            UnavailableError: it was there, and is gone; nobody makes an empty one in its place.
        """
        there = self._now()
        if there is None:
            if self.met is not None:
                raise self.gone()
            try:  # others on this machine are not to read what people did
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            except OSError:
                return  # SQLite says what is wrong
            there = self._now()
        self.met, self._told = there, False

    def changed(self) -> bool:
        """Whether another file is there now than the one that connections were made to, or none."""
        return self.met is not None and self._now() != self.met

    def kept(self, met: Met) -> bool:
        """Whether what was committed into a file is in the one that is there now, and its log, too."""
        return self._now() == met and self._log.exists()

    def gone(self) -> UnavailableError:
        """What is said of it; the log says it once."""
        if not self._told:
            hint = "put it back, or start all who use it anew, which begins an empty one"
            log.error("the store's file was removed or replaced", file=str(self.path), hint=hint)
        self._told = True
        return UnavailableError("the store's file was removed or replaced; nothing is kept until it is back")


def _sqlite_name(problem: BaseException | None) -> str:
    """What SQLite calls a problem; nothing for PostgreSQL's."""
    return getattr(getattr(problem, "orig", None), "sqlite_errorname", None) or ""


def damaged(problem: BaseException | None) -> bool:
    """Whether it comes of a SQLite file that is damaged, or no database at all."""
    return _sqlite_name(problem).startswith(DAMAGED)


def _without_tables(problem: exc.DBAPIError) -> bool:
    """Whether a file without our tables has come into the place of the store's."""
    return _sqlite_name(problem) == MISTAKE and str(problem.orig).startswith("no such table: cuvee_")


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
