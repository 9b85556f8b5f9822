"""Each test gets an empty database of its own, once SQLite's and once PostgreSQL's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.data.store.rows import EventRow


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    server = request.getfixturevalue("postgres")
    empty(server.url)
    return server.url


def empty(url: str) -> None:
    import psycopg  # noqa: PLC0415 - the driver is an extra

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


@pytest.fixture
def database(url: str, tmp_path: Path) -> Iterator[Database]:
    """Without tables."""
    found = Database(located(url, tmp_path), pool=8, timeout=10.0)
    yield found
    found.close()


@pytest.fixture
def store(database: Database) -> Store:
    migrate(database)
    return Store(database)


def made(event_id: str, owner: str = "ann", **changes: Any) -> EventRow:
    return EventRow(
        **{
            "product": "films",
            "event_id": event_id,
            "owner": owner,
            "item_id": f"film-{event_id}",
            "type": 1,
            "value": 1.0,
            "time": 1_000,
            "received": 2_000,
            **changes,
        }
    )


@pytest.fixture
def event() -> Callable[..., EventRow]:
    """An event from its id on, everything else being unimportant: ``event("1", "bob", time=5)``."""
    return made


@pytest.fixture
def every_event(store: Store) -> Callable[..., list[EventRow]]:
    """All that a user has, page by page."""

    def read(owner: str = "ann", product: str = "films") -> list[EventRow]:
        found: list[EventRow] = []
        while page := store.events_of(product, owner, found[-1] if found else None):
            found += page
        return found

    return read
