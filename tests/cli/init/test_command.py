"""``cuvee init`` from files to a first list, and what it asks and refuses, as a person runs it."""

from __future__ import annotations

import datetime as dt
import random
import tomllib
from pathlib import Path

import pytest
from cuvee import Dataset

from ..conftest import Run

pytest.importorskip("cuvee_popular")
pytest.importorskip("cuvee_neighbors")


def write(folder: Path, header: str = "user,item,rating,time", time: str = "{seconds}", separator: str = ",") -> Path:
    """Events of 40 users with 30 items: each likes a third of them."""
    draw = random.Random(1)
    rows = []
    for user in range(40):
        for step, item in enumerate(draw.sample([n for n in range(30) if n % 3 == user % 3], 8)):
            seconds, rating = 1_700_000_000 + 3600 * (10 * user + step), draw.choice([1, 3, 4, 5])
            rows.append(f"{user:03d},b{item},{rating}," + time.format(seconds=seconds, day=1 + step, ms=1000 * seconds))
    file = folder / "plays.csv"
    file.write_text("\n".join([header, *rows]).replace(",", separator) + "\n")
    return file


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_from_files_to_a_list(run: Run, tmp_path: Path) -> None:
    write(tmp_path, separator="\t")
    shelves = ("Old, Long", "Old, Short", "Long, New", "New, Short")
    titles = "".join(f'b{n},Book {n},"{shelves[n % 4]}",Ann {n % 5}\n' for n in range(30))
    (tmp_path / "books.csv").write_text("code,name,shelves,author\n" + titles)
    done = run("init", "plays.csv", "books.csv", "--name", "shop", "--yes")
    assert done.code == 0, done.err
    for said in (
        "plays.csv holds interactions", "books.csv holds items", "From which rating on", "4 is taken",
        "Recommenders that suit these data", "written: cuvee.toml, products/shop.toml", "NDCG@10",
        "A list for user 000", "Book ", "cuvee tune shop --apply", "cuvee serve", "cuvee recommend shop --user 000",
    ):  # fmt: skip
        assert said in done.out
    data = Dataset.load(tmp_path / "var/data/shop")
    assert (data.n_users, data.n_items, len(data)) == (40, 30, 320)
    assert "000" in data.catalog.users.frame["id"].to_list()  # zeros stay
    roles = {name: str(role) for name, role in data.catalog.items.roles.items()}
    assert roles == {"title": "text", "shelves": "categories", "author": "category"}
    assert run("check").code == 0
    assert tomllib.loads((tmp_path / "products/shop.toml").read_text())["events"]["rating_liked_from"] == 4
    again = run("init", "plays.csv", "--name", "shop", "--yes")
    assert again.code == 2
    assert "cuvee.toml exists, and is left as it is" in again.err


def test_without_times_nothing_goes_by_an_order(run: Run, tmp_path: Path) -> None:
    write(tmp_path, header="user,item,rating,comment", time="nice")
    done = run("init", "plays.csv", "--yes")
    assert done.code == 0, done.err
    assert "left out: the events have neither times nor an order" in done.out
    assert "random-80-20" in done.out
    assert "means nothing here" not in done.err


def test_milliseconds_and_names_that_tell_nothing(run: Run, tmp_path: Path) -> None:
    write(tmp_path, header="who,what,rating,time", time="{ms}")
    refused = run("init", "plays.csv")
    assert refused.code == 2
    assert "Say --map user=" in refused.err
    assert not (tmp_path / "cuvee.toml").exists()
    done = run("init", "plays.csv", "--map", "user=who", "--map", "item=what", "--positive-from", "5")
    assert done.code == 0, done.err
    assert "milliseconds" in done.out
    assert Dataset.load(tmp_path / "var/data/plays").events.times.max() < 2e9


def test_a_date_that_may_be_two_must_be_said(run: Run, tmp_path: Path) -> None:
    write(tmp_path, header="user,item,rating,date", time="0{day}/05/2024")
    refused = run("init", "plays.csv", "--yes")
    assert refused.code == 2
    assert "--time-format" in refused.err
    done = run("init", "plays.csv", "--yes", "--time-format", "%d/%m/%Y")
    assert done.code == 0, done.err


def test_questions_on_a_terminal(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, header="who,what,rating,date", time="0{day}/05/2024")
    given = iter(["nonsense", "1", "what", "2", "all"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(given))
    done = run("init", "plays.csv")
    assert done.code == 0, done.err
    assert "one of 1 to" in done.out
    assert next(given, None) is None
    data = Dataset.load(tmp_path / "var/data/plays")
    assert (data.n_users, data.n_items) == (40, 30)
    assert (data.events.weights > 0).all()
    months = {dt.datetime.fromtimestamp(time, dt.UTC).month for time in data.events.times.tolist()}
    assert months == set(range(1, 9))  # it came first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.csv"], "nowhere.csv does not exist"),
        (["plays.csv", "--map", "who"], "is not like user=COLUMN"),
        (["plays.csv", "--map", "colour=who"], "is not like user=COLUMN"),
        (["plays.csv", "--name", "a b"], "is no name"),
        (["plays.csv", "--yes", "--positive-from", "3"], "no column of the interactions holds ratings"),
    ],
)
def test_wrong_first_steps_are_told(arguments: list[str], said: str, run: Run, tmp_path: Path) -> None:
    write(tmp_path, header="user,item,colour,time")
    done = run("init", *arguments)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "cuvee.toml").exists()
