"""Opening a store: its tables are brought up to date (SQLite) or checked (PostgreSQL)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, select, text

from cuvee.data.store.database import Database, damaged, located
from cuvee.data.store.store import Store
from cuvee.data.store.tables import USERS
from cuvee.errors import OperatorError, UnavailableError

if TYPE_CHECKING:
    from cuvee.config import Settings

__all__ = ["existing_store", "migrate", "open_database", "open_store", "schema_of"]

log = structlog.get_logger(__name__)

LOCK = 0x6375_7665_65
"""The advisory lock held in PostgreSQL while tables are changed, so that two processes never do so at once."""


def _config(connection: Connection | None = None) -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    found.set_main_option("path_separator", "os")
    found.attributes["connection"] = connection
    return found


def newest() -> str:
    """The version of the tables that this program works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def schema_of(database: Database) -> str | None:
    """The version of the tables that are there; None where there are none.

    Raises:
        OperatorError: a SQLite file is damaged, or no database.
        UnavailableError: the database cannot be reached.
    """

    def look(connection: Connection) -> str | None:
        return MigrationContext.configure(connection, opts={"version_table": "cuvee_schema"}).get_current_revision()

    try:
        return database.read(look)
    except UnavailableError as problem:
        _refuse_damaged(database, problem)
        raise


def _refuse_damaged(database: Database, problem: UnavailableError) -> None:
    """Raises OperatorError where a SQLite file is damaged: unlike a busy database, it will not recover by itself."""
    if damaged(problem.__cause__):
        raise OperatorError(
            f"{database.url.database} is damaged, or no store: {getattr(problem.__cause__, 'orig', '')}; "
            "restore a copy of it, or move it away so that an empty one is created"
        ) from None


def migrate(database: Database) -> None:
    """Bring the tables up to date, in one transaction; does nothing where they are.

    Raises:
        OperatorError: a newer program has changed them.
        UnavailableError: the database cannot be reached.
    """

    def upgrade(connection: Connection) -> None:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            # a version that rewrites a large table may take long
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        command.upgrade(_config(connection), "head")

    try:
        database.write(upgrade)
    except CommandError as problem:
        raise OperatorError(f"the store was made by a newer version of cuvee ({problem}); update this one") from None


def open_database(settings: Settings) -> Database:
    """The configured database, whatever its tables.

    Raises:
        OperatorError: none is configured, or it cannot be one of ours.
    """
    if not settings.store.url:
        raise OperatorError('no store is configured; set [store] url = "sqlite:///var/store.db" in cuvee.toml')
    url = located(settings.store.url, settings.root)
    return Database(url, pool=settings.store.pool, timeout=settings.store.timeout)


def open_store(settings: Settings) -> Store | None:
    """The configured store, ready; None where ``store.url`` is empty.

    A database that cannot be reached now is no error: it may come back, and until then every call
    raises :class:`cuvee.errors.UnavailableError`.

    Raises:
        OperatorError: it cannot be one of ours, its tables are of another version, or its ids are not
            kept as ``[privacy]`` says.
    """
    if not settings.store.url:
        return None
    database = open_database(settings)
    try:
        _make_ready(database)
        _check_ids(database, settings)
    except UnavailableError as problem:
        try:
            _refuse_damaged(database, problem)
        except OperatorError:
            database.close()
            raise
        log.warning("the store is not there yet; recommendations go on without it")
    except BaseException:
        database.close()
        raise
    return Store(database)


def existing_store(settings: Settings) -> Store | None:
    """The configured store, for reading only; None where there is none, or nothing was ever written.

    Raises:
        OperatorError: it cannot be one of ours, or its tables are of another version.
    """
    if settings.store.url:
        url = located(settings.store.url, settings.root)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return None
    return open_store(settings)


def _check_ids(database: Database, settings: Settings) -> None:
    """Check one stored user's id: all ids are kept in the same way."""
    pseudonyms = settings.privacy.pseudonyms
    found = database.read(lambda connection: connection.execute(select(USERS.c.user_id).limit(1)).scalar())
    if found is not None and not pseudonyms.kept_so(found):
        raise OperatorError(pseudonyms.otherwise(database.url.render_as_string(hide_password=True)))


def _make_ready(database: Database) -> None:
    there = schema_of(database)
    if there == newest():
        return
    if not database.sqlite:
        raise OperatorError(
            f"the store's tables are of version {there or 'none'}, not {newest()}; run `cuvee store migrate`"
        )
    migrate(database)
