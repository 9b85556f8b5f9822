"""Files without times: the order of rows is not used as an order in time, and every command says what that means."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from cuvee.data.dataset import Chronology, Dataset

from .conftest import Run

CHRONOLOGIES = {"time": Chronology.TIMES, "order": Chronology.ORDER, "": Chronology.NONE}


@pytest.fixture
def product(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy plugin's configuration with one recommender that needs an order of events and one that needs times."""
    order = property(lambda config: "pairs in order" if config.strength == 2 else None)
    times = property(lambda config: "half_life = 30 days" if config.strength == 1 else None)
    monkeypatch.setattr("toyplugin.ToyConfig.needs_order", order)
    monkeypatch.setattr("toyplugin.ToyConfig.needs_times", times)
    return place


def events(place: Path, column: str) -> Path:
    rows = [
        (f"u{u}", f"i{(u + 2 * step) % 10}", 1_700_000_000 + 60 * (4 * u + step))
        for u in range(12)
        for step in range(4)
    ]
    frame = pl.DataFrame(rows, schema=["user", "item", "when"], orient="row")
    (frame.rename({"when": column}) if column else frame.drop("when")).write_csv(place / "e.csv")
    return place / "e.csv"


def imported(run: Run, place: Path, column: str) -> str:
    maps = ["--map", f"{column}={column}"] if column == "order" else []
    done = run("import", events(place, column), "-d", "toys", "--data-dir", place / "data", "--replace", *maps)
    assert done.code == 0, done.err
    assert Dataset.load(place / "data" / "toys").chronology is CHRONOLOGIES[column]
    return done.out


ORDER = "pairs (pairs in order) means nothing here, as nothing tells which events came first"
TIMES = "popular (half_life = 30 days) means nothing here, as the events have no times"


@pytest.mark.parametrize(("column", "told"), [("time", []), ("order", [TIMES]), ("", [TIMES, ORDER])])
def test_import_check_fit_and_evaluate_tell(column: str, told: list[str], product: Path, run: Run) -> None:
    config = ("--config", product / "cuvee.toml")
    said = imported(run, product, column)
    assert ("warning: these events have no times" in said) is (column == "")
    assert ("warning: these events have an order and no times" in said) is (column == "order")
    for command in (("check", *config), ("fit", *config), ("check", *config), ("evaluate", "toys", *config)):
        done = run(*command)
        assert done.code == 0, done.err
        everything = " ".join((done.out + done.err).split())
        for warning in (ORDER, TIMES):
            assert (warning in everything) is (warning in told), (command, warning, everything)


def test_rows_in_another_order_give_the_same_figures(product: Path, run: Run) -> None:
    config = ("--config", product / "cuvee.toml")
    found = []
    for seed in range(3):
        file = events(product, "")
        pl.read_csv(file).sample(fraction=1, shuffle=True, seed=seed).write_csv(file)
        run("import", file, "-d", "toys", "--data-dir", product / "data", "--replace")
        done = run("evaluate", "toys", *config, "--json")
        data = Dataset.load(product / "data" / "toys")
        ids, people = data.catalog.items.frame["id"], data.catalog.users.frame["id"]
        order = {
            person: [ids[int(i)] for i in data.histories([at]).items] for at, person in enumerate(people.to_list())
        }
        found.append((order, [c for c in json.loads(done.out)["notes"] if "by chance" in c]))
    assert found[0] == found[1] == found[2]
    assert len(found[0][1]) == 1


@pytest.mark.parametrize("protocol", ["leave-last-out", "validation", "ncf", "random-80-20", "global-time"])
@pytest.mark.parametrize("column", list(CHRONOLOGIES))
def test_protocols(protocol: str, column: str, product: Path, run: Run) -> None:
    imported(run, product, column)
    done = run("evaluate", "toys", "--config", product / "cuvee.toml", "--protocol", protocol, "--json")
    if protocol == "global-time" and not column:
        assert done.code == 2
        assert "global-time needs times" in done.err
        assert "--protocol random-80-20" in done.err
        return
    if done.code:  # so few people
        assert "has nobody to evaluate here" in done.err
        return
    notes = " ".join(json.loads(done.out)["notes"])
    assert ("one by chance" in notes) is (not column and protocol != "random-80-20")
    assert ("later in that order" in notes) is (column == "order" and protocol != "random-80-20")


def test_tune_refuses_a_window_of_time(product: Path, run: Run) -> None:
    imported(run, product, "")
    done = run("tune", "toys", "--config", product / "cuvee.toml", "--window", "global-time")
    assert done.code == 2
    assert "imported without times; say --window validation" in done.err
    assert "warning: " + ORDER in done.err


BROKEN = {
    "cut off": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "something else": lambda file: file.write_bytes(b"not at all Arrow" * 100),
    "gone": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("name", ["events.arrow", "items.arrow", "users.arrow", "items.roles.json"])
@pytest.mark.parametrize("how", BROKEN)
def test_an_unreadable_dataset_harms_no_other_product(how: str, name: str, place: Path, run: Run) -> None:
    config = place / "cuvee.toml"
    (place / "products" / "ahead.toml").write_text((place / "products" / "toys.toml").read_text() + "\n")
    text = (place / "products" / "ahead.toml").read_text()
    (place / "products" / "ahead.toml").write_text('dataset = "ahead"\n' + text)
    Dataset.load(place / "data" / "toys").save(place / "data" / "ahead")
    BROKEN[how](place / "data" / "ahead" / name)
    done = run("fit", "--config", config)
    assert done.code == 2
    assert "toys: published version" in done.out
    assert "error: 1 of 2 products could not be fitted, the others were:\n  ahead: " in done.err
    assert "Traceback" not in done.err
    assert "cuvee import" in done.err or "--replace" in done.err
    done = run("check", "--config", config)
    assert done.code == 0
    assert "product ahead cannot be served yet" in done.err
    assert "product toys" not in done.err


def test_a_failed_write_leaves_what_was_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = place / "data" / "toys"
    data = Dataset.load(there)

    def unreadable(directory: Path) -> Dataset:
        raise ValueError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Dataset, "load", unreadable)
        with pytest.raises(ValueError, match="no"):
            data.save(there)
    assert len(Dataset.load(there)) == len(data)
