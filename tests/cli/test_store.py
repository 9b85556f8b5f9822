"""``cuvee store migrate`` makes the tables once; ``cuvee fit`` learns from them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow, ItemRow

from .conftest import Run


def test_migrate_says_what_it_did(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + '\n[store]\nurl = "sqlite:///deep/events.db"\n')
    for expected in ("were of version none, now 0005", "are of version 0005 already"):
        done = run("store", "migrate", "--config", config)
        assert done.code == 0, done.err
        assert expected in done.out
    assert (place / "deep/events.db").exists()


def test_without_a_store_there_is_nothing_to_migrate(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + '\n[store]\nurl = ""\n')
    done = run("store", "migrate", "--config", config)
    assert done.code == 2
    assert "no store is configured" in done.err


def test_fit_learns_from_the_store_and_what_it_published_can_be_served(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    store = Store(Database(located("sqlite:///var/store.db", place)))
    assert run("store", "migrate", "--config", config).code == 0
    store.write_items("toys", [("robot", lambda _: ItemRow("robot", "Robot", {"year": 2020.0}))])
    known = {"product": "toys", "type": 1, "value": 1.0, "time": 2_000_000_000_000_000, "received": 1}
    store.write_events(
        [
            EventRow(event_id="1", owner="u0", item_id="robot", **known),
            EventRow(event_id="2", owner="newcomer", item_id="i3", **known),
            EventRow(event_id="3", owner="newcomer", item_id="nobody knows it", **known),
        ]
    )
    store.forget("toys", "u11", imported=True)
    done = run("fit", "toys", "--config", config)
    assert done.code == 0, done.err
    assert "fitted on 12 users, 11 items, 46 events" in done.out
    checked = run("check", "--config", config)
    assert checked.code == 0
    assert "warning" not in checked.err
    # what is imported anew afterwards does not move what was fitted
    more = place / "more.csv"
    more.write_text("user,item,time\nu99,i0,1\n")
    options = ("--dataset", "toys", "--data-dir", place / "data")
    assert run("import", more, *options).code == 0
    assert "warning" not in run("check", "--config", config).err
    store.close()


def test_prune_deletes_what_is_too_old(run: Run, place: Path) -> None:
    config, product = place / "cuvee.toml", place / "products/toys.toml"
    assert "toys: keeps its events for good" in run("store", "prune", "--config", config).out
    product.write_text(product.read_text() + "\n[events]\nretention_days = 30\n")
    assert run("store", "migrate", "--config", config).code == 0
    store = Store(Database(located("sqlite:///var/store.db", place)))
    known = {"product": "toys", "item_id": "i1", "type": 1, "value": 1.0, "received": 1}
    times = {"old": 1_000, "new": int(time.time() * 1e6)}
    store.write_events([EventRow(event_id=n, owner=n, time=at, **known) for n, at in times.items()])
    done = run("store", "prune", "--config", config)
    assert "toys: 1 events older than 30 days deleted" in done.out
    assert [len(store.history("toys", name)) for name in times] == [0, 1]
    assert "toys: 0 events" in run("store", "prune", "--config", config).out
    store.close()


def test_who_needs_no_database_loads_none() -> None:
    """The command's help and the client start fast; SQLAlchemy comes with what opens a store."""
    code = "import sys, cuvee.client, cuvee.cli; cuvee.cli.program(); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
