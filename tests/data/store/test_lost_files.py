"""A SQLite file that is removed, replaced, damaged or none: told, and nothing is acknowledged that is not kept."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cuvee.config import Settings
from cuvee.data.store import Store, open_store
from cuvee.data.store.database import located
from cuvee.data.store.rows import EventRow
from cuvee.errors import OperatorError, UnavailableError
from pydantic import ValidationError

Event = Callable[..., EventRow]


def opened(folder: Path, url: str = "sqlite:///store.db") -> Store:
    store = {"url": url, "timeout": "2s"}
    found = open_store(Settings.model_validate({"root": folder, "store": store, "recommenders": {}, "products": {}}))
    assert found is not None
    return found


def all_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("store.db*") if p.name != "store.db-queue")


def removed(folder: Path) -> None:
    for path in all_files(folder):
        path.unlink()


def only_the_database_removed(folder: Path) -> None:
    (folder / "store.db").unlink()


def only_the_log_removed(folder: Path) -> None:
    (folder / "store.db-wal").unlink()


def moved_away(folder: Path) -> None:
    (folder / "store.db").rename(folder / "elsewhere.db")


def replaced_by_nothing(folder: Path) -> None:
    removed(folder)
    (folder / "store.db").touch()


def replaced_by_another(folder: Path) -> None:
    opened(folder, "sqlite:///other.db").close()
    (folder / "other.db").replace(folder / "store.db")


@pytest.mark.parametrize(
    "how", [removed, only_the_database_removed, only_the_log_removed, moved_away, replaced_by_nothing]
)
def test_nothing_is_acknowledged_that_went_into_a_file_that_is_gone(tmp_path: Path, event: Event, how):
    store = opened(tmp_path)
    store.write_events([event("1")])
    how(tmp_path)
    with pytest.raises(UnavailableError):
        store.write_events([event("2")])
    if how is not only_the_log_removed:
        for _ in range(2):
            with pytest.raises(UnavailableError):
                store.history("films", "ann")
            with pytest.raises(UnavailableError):
                store.write_events([event("3")])
    if how in {removed, only_the_database_removed, moved_away}:
        assert not (tmp_path / "store.db").exists(), "nobody makes an empty one in its place"
    store.close()


def test_every_acknowledged_event_is_there_whenever_the_file_is_replaced(tmp_path: Path, event: Event):
    store = opened(tmp_path)
    store.write_events([event("1")])
    replaced_by_another(tmp_path)
    store.write_events([event("2")])
    store.close()
    again = opened(tmp_path)
    assert "2" in [e.event_id for e in again.events_of("films", "ann")]
    again.close()


def test_it_goes_on_by_itself_when_the_file_is_back(tmp_path: Path, event: Event):
    store = opened(tmp_path)
    store.write_events([event("1")])
    (tmp_path / "aside").mkdir()
    for path in all_files(tmp_path):
        path.rename(tmp_path / "aside" / path.name)
    with pytest.raises(UnavailableError, match="until it is back"):
        store.write_events([event("2")])
    for path in (tmp_path / "aside").iterdir():
        path.rename(tmp_path / path.name)
    store.write_events([event("3")])
    assert [e.event_id for e in store.events_of("films", "ann")] == ["1", "3"]
    for path in all_files(tmp_path):  # and of a copy, as a backup is
        shutil.copy(path, tmp_path / "aside" / path.name)
    removed(tmp_path)
    with pytest.raises(UnavailableError):
        store.history("films", "ann")
    for path in (tmp_path / "aside").iterdir():
        shutil.copy(path, tmp_path / path.name)
    assert len(store.history("films", "ann")) == 2
    store.write_events([event("4")])
    store.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def zeros(path: Path) -> None:
    path.write_bytes(bytes(8192))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * 4096 + 17])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(100, 4096 * 4, 3):
        data[at] ^= 0xFF
    path.write_bytes(data)


DAMAGES = [garbage, zeros, cut, flipped]


def filled(folder: Path, event: Event) -> None:
    store = opened(folder)
    store.write_events([event(str(n), f"user {n}") for n in range(500)])
    store.database.wipe()  # all of it from the log into the file
    store.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_at_start_with_what_to_do(tmp_path: Path, event: Event, damage):
    filled(tmp_path, event)
    damage(tmp_path / "store.db")
    with pytest.raises(OperatorError, match=r"store.db is damaged, or no store.*restore a copy of it"):
        opened(tmp_path)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_damaged_while_it_is_used_is_away(tmp_path: Path, event: Event, damage):
    filled(tmp_path, event)
    store = opened(tmp_path)
    store.write_events([event("more", "user 1")])
    damage(tmp_path / "store.db")
    (tmp_path / "store.db-wal").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            for n in range(500):
                store.history("films", f"user {n}")
                store.write_events([event(f"more {n}", f"user {n}")])
    store.close()


@pytest.mark.parametrize("mask", [0o022, 0o000, 0o077])
def test_nobody_else_on_the_machine_may_read_it(tmp_path: Path, event: Event, mask: int):
    before = os.umask(mask)
    try:
        store = opened(tmp_path, "sqlite:///var/store.db")
        store.write_events([event("1")])
        found = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "var").iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert set(found) >= {"store.db", "store.db-wal", "store.db-shm", "store.db-queue"}
    assert set(found.values()) == {0o600}, found


@pytest.mark.parametrize("port", ["99999", "0", "54a2", "-1", "5432.0"])
def test_a_port_that_cannot_be_one_is_told(tmp_path: Path, port: str):
    url = f"postgresql://somebody@localhost:{port}/x"
    with pytest.raises(ValidationError, match="its port must be a number from 1 to 65535"):
        opened(tmp_path, url)
    with pytest.raises(OperatorError, match=r"store\.url"):
        located(url, tmp_path)
