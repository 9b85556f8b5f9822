"""Tables have the columns that the code expects; a database that is unreachable, older or newer is reported as such."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cuvee.config import Settings
from cuvee.data.store import Database, Store, open_store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate, schema_of
from cuvee.data.store.tables import METADATA
from cuvee.errors import OperatorError, UnavailableError
from cuvee.testing.postgres import Postgres


def settings(url: str, root: Path) -> Settings:
    return Settings.model_validate({"root": root, "store": {"url": url}, "recommenders": {}, "products": {}})


def test_migrations_make_the_tables_that_the_code_uses(database: Database):
    assert schema_of(database) is None
    migrate(database)
    migrate(database)
    assert schema_of(database) is not None

    def compare(connection):
        options = {"version_table": "cuvee_schema", "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)

    assert database.read(compare) == []


def test_sqlite_is_migrated_when_opened_and_postgresql_when_told(url: str, tmp_path: Path, event):
    if url.startswith("sqlite"):
        store = open_store(settings(url, tmp_path))
    else:
        with pytest.raises(OperatorError, match="cuvee store migrate"):
            open_store(settings(url, tmp_path))
        database = Database(located(url, tmp_path))
        migrate(database)
        database.close()
        store = open_store(settings(url, tmp_path))
    assert store
    assert store.write_events([event("1")]) == [True]
    store.close()


def test_tables_of_a_newer_version_are_refused(url: str, tmp_path: Path, store: Store):
    store.database.write(lambda c: c.exec_driver_sql("UPDATE cuvee_schema SET version_num = '9999'"))
    with pytest.raises(OperatorError, match="9999"):
        open_store(settings(url, tmp_path))


def test_what_was_committed_is_there_for_who_comes_next(url: str, tmp_path: Path, store: Store, event):
    store.write_events([event("1")])
    other = Store(Database(located(url, tmp_path)))
    assert len(other.history("films", "ann")) == 1
    assert other.state("films", "ann") == store.state("films", "ann")
    other.close()


def test_a_database_that_cannot_be_one_of_ours_is_an_operators_mistake(tmp_path: Path):
    for url in ("mysql://host/name", "sqlite://", "no url", "sqlite:///:memory:"):
        with pytest.raises(OperatorError, match="store\\.url"):
            located(url, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be made"):
        open_store(settings(f"sqlite:///{tmp_path}/file/store.db", tmp_path))
    assert open_store(settings("", tmp_path)) is None


def test_a_relative_file_starts_at_the_configuration(tmp_path: Path):
    store = open_store(settings("sqlite:///deep/store.db", tmp_path))
    assert store
    store.close()
    assert (tmp_path / "deep/store.db").exists()


def test_a_password_is_not_shown(tmp_path: Path):
    shown = settings("postgresql://ann:secret@host/name", tmp_path).canonical()
    assert "secret" not in shown
    assert "postgresql://ann:***@host/name" in shown


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
def test_a_database_that_is_away_is_unavailable_and_is_found_again(url: str, postgres: Postgres, tmp_path: Path, event):
    database = Database(located(url, tmp_path), timeout=2.0)
    migrate(database)
    store = Store(database)
    store.write_events([event("1")])
    assert store.state("films", "ann").stamp
    postgres.stop()
    try:
        for call in (lambda: store.write_events([event("2")]), lambda: store.history("films", "ann")):
            with pytest.raises(UnavailableError):
                call()
        away = open_store(settings(url, tmp_path))
        assert away, "a server may start before its database"
    finally:
        postgres.start()
    assert store.write_events([event("2")]) == [True]
    assert len(away.history("films", "ann")) == 2
    # connections that a restart has killed are replaced without a word
    postgres.stop()
    postgres.start()
    assert len(store.history("films", "ann")) == 2
    assert store.write_events([event("3")]) == [True]
    store.close()
    away.close()
