"""``cuvee recommend``, ``similar`` and ``rank`` against a server process; and what they say of errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Role
from cuvee.testing.server import run_server

from ..conftest import HERE, TOYPLUGIN, Done, Run, toy_data


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server over the toys, fitted by the command."""
    place = tmp_path_factory.mktemp("served")
    shutil.copytree(HERE / "good", place, dirs_exist_ok=True)
    (place / "data").mkdir()
    data = toy_data()
    kinds = data.catalog.items.frame.with_columns(kind=pl.Series(["even", "odd"] * 5))
    items = Entities.of(kinds, {**data.catalog.items.roles, "kind": Role.CATEGORY})
    Dataset(Catalog(items, data.catalog.users), data.events).save(place / "data" / "toys")
    environment = {"PYTHONPATH": str(TOYPLUGIN)}
    config = place / "cuvee.toml"
    fit = [sys.executable, "-m", "cuvee.cli", "fit", "--config", str(config)]
    subprocess.run(fit, env=environment, check=True, capture_output=True)
    with run_server(config, environment=environment) as server:
        yield server.address


@pytest.fixture
def ask(run: Run, address: str) -> Run:
    """Run a command that asks the server."""

    def ask(*arguments: object) -> Done:
        return run(*arguments, "--address", address)

    return ask


def test_a_known_user_gets_a_list_with_bars_and_sources(ask: Run) -> None:
    done = ask("recommend", "toys", "--user", "u0", "-n", 3)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split()[:4] == ["#", "id", "title", "score"]
    assert lines[1].split()[:4] == ["1", "i8", "Item", "8"]
    assert "P = popular" in done.out
    assert "A = pairs" in done.out
    assert "segment growing · user known" in done.out


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize(
    "question", [("recommend", "toys", "-u", "u0"), ("similar", "toys", "i1"), ("rank", "toys", "i1", "i77")]
)
def test_a_narrow_terminal_shows_the_same_words(
    question: tuple[str, ...], columns: int, ask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def words() -> set[str]:
        # numbers, bars and the answer's id differ
        return {w for w in ask(*question).out.split() if (w.islower() and w.isalpha()) or "…" in w}

    monkeypatch.setenv("COLUMNS", "400")
    wide = words()
    monkeypatch.setenv("COLUMNS", str(columns))
    assert words() - {"why"} == wide - {"why"}


def test_the_address_can_come_from_the_environment(run: Run, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUVEE_ADDRESS", address)
    assert run("recommend", "toys", "--user", "u0").code == 0


def test_a_session_and_an_unknown_item(ask: Run) -> None:
    done = ask("recommend", "toys", "--context", "i1", "--context", "i77", "--context", "i3", "--json")
    answer = json.loads(done.out)
    assert answer["unknown_item_ids"] == ["i77"]
    assert answer["user_known"] is False
    assert {i["item_id"] for i in answer["items"][:3]} == {"i5", "i7", "i9"}
    for item in answer["items"]:
        assert sum(a["contribution"] for a in item["attributions"]) == pytest.approx(item["score"], abs=1e-6)


def test_declared_attributes_and_interests_make_a_profile(ask: Run) -> None:
    done = ask("recommend", "toys", "-a", "age=24", "-a", "vip=true", "-i", "title=Item 3,Item 4", "-i", "title=Item 5")
    assert done.code == 0, done.err
    assert "segment cold · user not known" in done.out
    assert "not serving query" in done.out


@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--attribute", "age=24"), ["--attribute age: the product's users have no such column; it is ignored"]),
        (("--interest", "titel=Item 3"), ["--interest titel: the product's items have no such column; it is ignored"]),
        (("--interest", "title=Item 3"), []),
        (("--interest", "kind=evn"), ["--interest kind=evn: no item of the product has this value; it is ignored"]),
        (("--interest", "kind=even"), []),
    ],
)
def test_a_misspelt_name_is_warned_of(
    arguments: tuple[str, ...], said: list[str], as_json: tuple[str, ...], ask: Run
) -> None:
    for command in (("recommend", "toys"), ("rank", "toys", "i1")):
        done = ask(*command, "--user", "u0", *arguments, *as_json)
        assert done.code == 0
        assert done.err.splitlines() == [f"warning: {line}" for line in said]
        if as_json:
            json.loads(done.out)


def test_a_filter_and_exclusions_hold(ask: Run) -> None:
    done = ask("recommend", "toys", "-u", "u0", "--filter", "year >= 1995", "--exclude", "i9", "--json")
    assert {i["item_id"] for i in json.loads(done.out)["items"]} <= {"i5", "i7", "i8"}


def test_without_explanation_there_are_no_bars(ask: Run) -> None:
    done = ask("recommend", "toys", "-u", "u0", "--no-explain", "--json")
    assert all(not i["attributions"] for i in json.loads(done.out)["items"])
    assert ask("recommend", "toys", "-u", "u0", "--no-explain").code == 0


def test_similar_items(ask: Run) -> None:
    done = ask("similar", "toys", "i2", "i4", "-n", 3, "--json")
    ids = [i["item_id"] for i in json.loads(done.out)["items"]]
    assert set(ids) == {"i0", "i6", "i8"}


def test_rank_keeps_every_known_item(ask: Run) -> None:
    done = ask("rank", "toys", "--user", "u1", "i2", "i9", "i77", "--json")
    answer = json.loads(done.out)
    assert [i["item_id"] for i in answer["items"]] == ["i9", "i2"]
    assert answer["unknown_item_ids"] == ["i77"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recommend", "toys"), "the request is wrong: user_id: "),
        (("recommend", "shoes", "-u", "u0"), "not found: no product named 'shoes'"),
        (("recommend", "toys", "-u", "u0", "-n", -1), "the request is wrong: page_size: "),
        (("recommend", "toys", "-u", "u0", "--filter", "price < 5"), "the request is wrong: filter: "),
        (("recommend", "toys", "-u", "u0", "--filter", "year >"), "the request is wrong: filter: "),
        (("similar", "toys", *("i1",) * 21), "the request is wrong: item_ids: "),
    ],
)
def test_a_wrong_request_names_the_field(arguments: tuple[object, ...], said: str, ask: Run) -> None:
    done = ask(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(f"error: {said}"), done.err


@pytest.mark.parametrize("given", ["age", "=24", "age="])
def test_a_malformed_attribute_is_told_before_anything_is_sent(given: str, run: Run) -> None:
    done = run("recommend", "toys", "--attribute", given, "--address", "127.0.0.1:1")
    assert done.code == 2
    assert "is not column=value" in done.err


def test_no_server(run: Run) -> None:
    done = run("recommend", "toys", "--user", "u0", "--address", "127.0.0.1:1")
    assert done.code == 1
    assert done.err == (
        "error: no server answers at 127.0.0.1:1 (Connection refused); start one with `cuvee serve`, "
        "or name another with --address\n"
    )


def test_a_pipe_that_closes_early_is_no_error(address: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m cuvee.cli recommend toys --user u0 --address {address} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
