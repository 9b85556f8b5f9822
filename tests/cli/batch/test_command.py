"""`cuvee batch`: parts, going on after an interruption, refusals, whose lists. What lists hold: tests/serving/batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cuvee.batch.carrying_out import Wanted, carry_out
from cuvee.batch.job import Job
from cuvee.batch.run import here
from cuvee.batch.users import everyone
from cuvee.batch.worker import Done
from cuvee.cli.terminal.options import open_settings
from cuvee.data.store import Database, Store
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.data.store.rows import EventRow, UserRow
from cuvee.testing.postgres import Postgres

from ..conftest import Run, toy_data


@pytest.fixture
def fitted(place: Path, run: Run) -> Path:
    config = place / "cuvee.toml"
    assert run("fit", "--config", config).code == 0
    return config


def lists(target: Path) -> pl.DataFrame:
    return pl.read_parquet(target / "lists" / "*.parquet").sort("user_id", "position")


def parts(target: Path) -> dict[str, int]:
    return {one.name: one.stat().st_mtime_ns for one in sorted(target.glob("lists/*.parquet"))}


def test_a_part_for_each_chunk_of_users(fitted: Path, run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out"
    done = run("batch", "toys", target, "--config", fitted, "--chunk", "5", "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["parts"], said["users"], said["rows"]) == (3, 12, 60)
    assert list(parts(target)) == ["00000.parquet", "00001.parquet", "00002.parquet"]
    found = lists(target)
    assert found.columns == ["user_id", "position", "item_id", "score", "recommender", "kind"]
    assert found["user_id"].n_unique() == 12
    assert found.group_by("user_id").agg(pl.col("position"))["position"].to_list() == [[0, 1, 2, 3, 4]] * 12
    # one schema over all parts: a folder of them is an Arrow dataset
    assert len(pl.scan_parquet(target / "lists").collect()) == 60
    state = json.loads((target / "batch.json").read_text())
    assert state["complete"]
    assert state["version"] == said["version"]
    assert not (target / "users").exists()


def test_several_processes_make_the_same_lists(fitted: Path, run: Run, tmp_path: Path, toyplugin: None) -> None:
    options = ("--config", fitted, "--chunk", "5")
    assert run("batch", "toys", tmp_path / "one", *options).code == 0
    assert run("batch", "toys", tmp_path / "two", *options, "--workers", "2").code == 0
    assert lists(tmp_path / "one").equals(lists(tmp_path / "two"))


@pytest.fixture
def toyplugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that this one starts have the plugin, too."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "toyplugin"))


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_an_interrupted_run_goes_on(after: int, fitted: Path, run: Run, tmp_path: Path) -> None:
    def interrupted(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
        yield from here(job, numbers[:after])
        raise Interrupted

    target = tmp_path / "out"
    settings, _ = open_settings(fitted)
    with pytest.raises(Interrupted):
        carry_out(settings, fitted, Wanted("toys", str(target), chunk=4), lambda *_: None, interrupted)
    before = parts(target)
    assert len(before) == after
    (target / "lists").mkdir(exist_ok=True)
    (target / "lists" / ".00002.parquet.123").write_bytes(b"PAR1 half of it")  # as a killed process leaves it
    # a newer version in between: the batch stays with its own
    assert run("fit", "--config", fitted).code == 0
    done = run("batch", "toys", target, "--config", fitted, "--chunk", "4", "--json")
    assert done.code == 0
    said = json.loads(done.out)
    assert (said["parts"], said["parts_before"]) == (3 - after, after)
    assert said["version"] == json.loads((target / "batch.json").read_text())["version"]
    assert {name: parts(target)[name] for name in before} == before
    whole = tmp_path / "whole"
    assert run("batch", "toys", whole, "--config", fitted, "--version", said["version"]).code == 0
    assert lists(target).equals(lists(whole))


@pytest.fixture
def begun(fitted: Path, tmp_path: Path) -> Path:
    """A batch of which one part is there."""

    def interrupted(job: Job, numbers: Sequence[int]) -> Iterator[Done]:
        yield from here(job, numbers[:1])
        raise Interrupted

    settings, _ = open_settings(fitted)
    with pytest.raises(Interrupted):
        what = Wanted("toys", str(tmp_path / "out"), page_size=3, chunk=5, filter="year > 1900")
        carry_out(settings, fitted, what, lambda *_: None, interrupted)
    return tmp_path / "out"


SAME: dict[str, Any] = {"--page-size": 3, "--chunk": 5, "--filter": "year > 1900"}


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"--page-size": 4}, "page size 3, not 4"),
        ({"--chunk": 6}, "chunk 5, not 6"),
        ({"--filter": "year > 1901"}, 'filter "year > 1900", not "year > 1901"'),
        ({"--where": "id != 'u1'"}, 'users "all", not "where id'),
        ({"--attributions": None}, "attributions false, not true"),
        ({"--version": "20200101T000000000Z"}, "no version '20200101T000000000Z'"),
    ],
)
def test_another_run_into_the_same_folder_is_refused(
    other: dict[str, Any], told: str, begun: Path, fitted: Path, run: Run
) -> None:
    options = [str(part) for pair in (SAME | other).items() for part in pair if part is not None]
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    done = run("batch", "toys", begun, "--config", fitted, *options)
    assert done.code == 2
    assert told in done.err
    assert {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()} == before


def _changed(target: Path, config: Path) -> None:
    product = config.parent / "products/toys.toml"
    product.write_text(product.read_text().replace("pairs = 0.9", "pairs = 0.8"))


def _whole(target: Path, config: Path) -> None:
    state = json.loads((target / "batch.json").read_text())
    (target / "batch.json").write_text(json.dumps({**state, "complete": True}))


def _damaged(target: Path, config: Path) -> None:
    (target / "batch.json").write_text('{"asked": {}')


def _foreign(target: Path, config: Path) -> None:
    (target / "batch.json").unlink()


def _no_version(target: Path, config: Path) -> None:
    for version in (config.parent / "artifacts/toys").iterdir():
        version.rename(version.with_name("20200101T000000000Z"))


def _no_users(target: Path, config: Path) -> None:
    for one in (target / "users").iterdir():
        one.unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_changed, "revision"),
        (_whole, "holds the whole batch already; choose another folder"),
        (_damaged, "batch.json is damaged"),
        (_foreign, "is not empty, and holds no batch; choose another folder"),
        (_no_version, "20200101T000000000Z"),
        (_no_users, "is missing; delete the folder, and begin anew"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_has_changed_meanwhile_is_refused(spoil: Any, told: str, begun: Path, fitted: Path, run: Run) -> None:
    spoil(begun, fitted)
    done = run("batch", "toys", begun, "--config", fitted, *(str(part) for pair in SAME.items() for part in pair))
    assert done.code != 0
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--page-size", "21"], "page_size: 21 is more than 20"),
        (["--filter", "year >"], "filter: "),
        (["--filter", "colour = 'red'"], "there is no column 'colour'"),
        (["--where", "shoe = 3"], "where: there is no column 'shoe'"),
        (["--where", "id = 'u1'", "--users", "ids.txt"], "exclude each other"),
        (["--users", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["--version", "20200101T000000000Z"], "no version"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    options: list[str], told: str, fitted: Path, run: Run, tmp_path: Path
) -> None:
    done = run("batch", "toys", tmp_path / "out", "--config", fitted, *options)
    assert done.code == 2
    assert told in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_protocol_and_an_unknown_product(fitted: Path, run: Run, tmp_path: Path) -> None:
    assert "nosuch://" in run("batch", "toys", "nosuch://bucket/x", "--config", fitted).err
    done = run("batch", "films", tmp_path / "out", "--config", fitted)
    assert done.code == 2
    assert "there are: toys" in done.err


FILES: dict[str, bytes] = {
    "ids.txt": b"u3\n\n  u1 \nu3\nstranger\n",
    "windows.txt": b"\xef\xbb\xbfu3\r\nu1\r\nstranger\r\n",
    "ids.csv": b"name,user_id\nx,u3\ny,u1\nz,stranger\n",
    "users.csv": b"user\nu3\nu1\nstranger\n",
}


@pytest.mark.parametrize("name", [*FILES, "ids.parquet"])
def test_the_users_of_a_file(name: str, fitted: Path, run: Run, tmp_path: Path) -> None:
    file = tmp_path / name
    if name == "ids.parquet":
        pl.DataFrame({"id": ["u3", None, "u1", "stranger"]}).write_parquet(file)
    else:
        file.write_bytes(FILES[name])
    assert run("batch", "toys", tmp_path / "out", "--config", fitted, "--users", file).code == 0
    found = pl.read_parquet(tmp_path / "out/lists/00000.parquet")
    assert found["user_id"].unique(maintain_order=True).to_list() == ["u3", "u1", "stranger"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ids.csv", b"shoe\n3\n", "has no column user_id, user or id; there are: shoe"),
        ("ids.txt", b"\n \n", "holds no ids"),
        ("ids.txt", b"x" * 600, "is no user's id"),
        ("ids.txt", b"\xff\xfe\xfa", "cannot be read"),
        ("ids.parquet", b"user_id\n1", "cannot be read"),
    ],
)
def test_files_that_hold_no_users(name: str, content: bytes, told: str, fitted: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    done = run("batch", "toys", tmp_path / "out", "--config", fitted, "--users", tmp_path / name)
    assert done.code == 2
    assert told in done.err


def test_ids_are_hashed_where_the_configuration_says_so(fitted: Path, run: Run, tmp_path: Path) -> None:
    hashed = fitted.read_text() + f'\n[privacy]\nuser_ids = "hashed"\nkey = "{"k" * 32}"\n'
    fitted.write_text(hashed)
    (tmp_path / "ids.txt").write_text("u1\n")
    done = run("batch", "toys", tmp_path / "out", "--config", fitted, "--users", tmp_path / "ids.txt")
    # the dataset was imported with plain ids: it is refused as a server refuses it
    assert done.code == 2
    assert "kept in another way" in done.err


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        import psycopg  # noqa: PLC0415 - the driver is an extra

        server: Postgres = request.getfixturevalue("postgres")
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS batch_users")
            connection.execute("CREATE DATABASE batch_users")
        url = server.url.removesuffix("postgres") + "batch_users"
    database = Database(located(url, tmp_path))
    migrate(database)
    yield Store(database)
    database.close()


def test_everyone_is_whoever_listusers_shows(store: Store) -> None:
    users = toy_data().catalog.users.upsert(pl.DataFrame({"id": [f"u{n}" for n in range(12)], "age": range(20, 32)}))

    def profiled(user_id: str, age: float) -> None:
        store.write_users("toys", [(user_id, lambda _: UserRow(user_id, {"age": age}))])

    def acted(user_id: str) -> None:
        event = EventRow("toys", f"e-{user_id}", user_id, "i1", 1, 1.0, 1_000_000, 1_000_000)
        store.write_events([event])

    profiled("u1", 99.0)  # imported with 21
    profiled("new", 98.0)
    acted("eventful")
    acted("u2")
    acted("u3")
    store.forget("toys", "u3", imported=True)
    store.forget("toys", "u4", imported=True)
    acted("u4")  # and came back
    everybody = {f"u{n}" for n in range(12)} - {"u3"} | {"new", "eventful"}
    assert everyone(users, store, "toys").to_list() == sorted(everybody)
    assert everyone(users, store, "toys", "age >= 30").to_list() == ["new", "u1", "u10", "u11"]
    assert everyone(users, store, "toys", "age < 23").to_list() == ["u0", "u2"]
    assert everyone(users, store, "toys", "age IS NULL").to_list() == ["eventful", "u4"]
    assert everyone(users, None, "toys", "age < 23").to_list() == ["u0", "u1", "u2"]
