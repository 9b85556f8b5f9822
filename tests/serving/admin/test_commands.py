"""The commands that compare and steer: against files, and against a running server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cuvee.cli import main
from cuvee.testing import two_tribes
from cuvee.testing.server import RunningServer, run_server

from ..conftest import ENVIRONMENT, fitted
from ..live.conftest import until
from ..steered import FILM, SERVER, SHOP, fit, revision


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = fitted(tmp_path_factory.mktemp("commanded"), {"film": FILM, "shop": SHOP}, SERVER)
    fit(config, "film")
    return config


@pytest.fixture(scope="module")
def server(config: Path) -> Iterator[RunningServer]:
    with run_server(config, environment=ENVIRONMENT) as running:
        yield running


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cuvee(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in this process; its exit code and what it said."""
    for folder in ENVIRONMENT["PYTHONPATH"].split(os.pathsep):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("COLUMNS", "160")
    for name in [n for n in os.environ if n.startswith("CUVEE_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(one) for one in arguments])
        said = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else int(code is not None), said.out, said.err

    return run


def told(cuvee: Run, *arguments: object) -> Any:
    code, out, err = cuvee(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def version(server: RunningServer) -> str:
    return server.client.recommend("film", "viewer-001", timeout=30).snapshot_version


def test_a_diff_tells_keys_lists_examples_and_the_metric(cuvee: Run, config: Path, tmp_path: Path):
    other = tmp_path / "other.toml"
    text = (config.with_name("products") / "film.toml").read_text()
    other.write_text(text.replace("pairs = 0.5", "pairs = 0.0"))
    found = told(cuvee, "diff", "film", "--config", config, "--against", other, "--users", 40, "--k", 5, "--metric")
    (change,) = found["changes"]
    assert change == {"path": "products/film.toml.blend.weights.warm.pairs", "before": 0.0, "after": 0.5}
    lists = found["lists"]
    names = ["known users", "new users, segment cold", "new users, segment warm"]
    assert [(one["name"], one["users"]) for one in lists["groups"]] == [(name, 40) for name in names]
    known, cold, _ = lists["groups"]
    assert known["overlap"]["low"] <= known["overlap"]["mean"] <= known["overlap"]["high"] < 1
    assert known["same"] < 1
    assert cold["same"] == 1, "the weights of users without events are the same"
    for example in lists["examples"]:
        assert example["before"] != example["after"]
    metric = found["metric"]
    assert metric["name"] == "ndcg@5"
    assert metric["difference"]["low"] <= metric["first"] - metric["second"] <= metric["difference"]["high"]

    code, out, _ = cuvee("diff", "film", "--config", config, "--against", other, "--users", 40)
    assert code == 0
    assert "blend.weights.warm.pairs" in out
    assert "items in both" in out


def test_a_diff_with_a_server_finds_what_it_serves(cuvee: Run, server: RunningServer, config: Path, tmp_path: Path):
    same = told(cuvee, "diff", "film", "--config", config, "--address", server.address, "--users", 20)
    assert same["changes"] == []
    assert same["before"] == same["after"] == revision(server)
    assert {(one["same"], one["overlap"]["mean"]) for one in same["lists"]["groups"]} == {(1.0, 1.0)}
    assert same["lists"]["examples"] == []

    # a copy of the configuration, changed: what it would do is compared with what the server does
    copied = tmp_path / "copied"
    (copied / "products").mkdir(parents=True)
    (copied / "var").symlink_to(config.parent / "var")
    (copied / "cuvee.toml").write_text(config.read_text())
    text = (config.with_name("products") / "film.toml").read_text()
    (copied / "products/film.toml").write_text(text.replace("popular = 1.0", "pairs = 1.0, popular = 0.5"))
    assert told(cuvee, "diff", "film", "--config", copied / "cuvee.toml", "--against", config.parent)["changes"]
    (copied / "products/film.toml").write_text(text.replace('{ use = "pairs" }', '{ use = "newest" }'))
    code, out, err = cuvee("diff", "film", "--config", copied / "cuvee.toml", "--address", server.address)
    assert code == 2, out  # the weights are of a source that is not there any more
    assert "is not one of the product's sources" in err


REQUESTS = """
{"user_id": "viewer-001"}
{"product": "film", "userId": "viewer-002", "contextItemIds": ["film-003"], "pageSize": 3}
{"product": "shop", "user_id": "viewer-003"}

{"context_item_ids": ["film-001", "film-005"], "filter": "year > 1950"}
{"profile": {"interests": {"genres": {"values": ["Noir"]}}}, "exclude_item_ids": ["film-000"]}
"""


def test_a_diff_over_logged_requests(cuvee: Run, server: RunningServer, config: Path, tmp_path: Path):
    other, asked = tmp_path / "other.toml", tmp_path / "asked.jsonl"
    text = (config.with_name("products") / "film.toml").read_text()
    other.write_text(text.replace("pairs = 0.5", "pairs = 0.0"))
    asked.write_text(REQUESTS)
    how = ("diff", "film", "--config", config, "--requests", asked, "--k", 6)
    found = told(cuvee, *how, "--against", other)["lists"]
    (group,) = found["groups"]
    assert (group["name"], group["users"]) == ("requests", 4), "the shop's is passed over"
    assert group["same"] < 1
    # what it says of the configuration here is what the server answers
    for example in found["examples"]:
        if example["request"] == 0:
            served = server.client.recommend("film", "viewer-001", page_size=6, timeout=30)
            assert [item.item_id for item in served.items] == example["after"]
    filtered = [one for one in found["examples"] if one["request"] == 2]
    years = {row["id"]: row["year"] for row in two_tribes().grown.items.frame.to_dicts()}
    assert all(years[item] > 1950 for one in filtered for item in one["before"] + one["after"])
    same = told(cuvee, *how, "--address", server.address)["lists"]
    assert (same["groups"][0]["same"], same["examples"]) == (1.0, [])
    assert "requests" in cuvee(*how, "--against", other)[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no request"),
        ('{"product": "shop", "user_id": "a"}', "holds no request"),
        ('{"user_id": "a"}\nnothing', "line 2"),
        ('{"user": "a"}', "line 1"),
        ('["a"]', "line 1"),
        ('{"user_id": 5}', "line 1"),
        ("{}", "request 1"),
        ('{"user_id": "a", "filter": "colour = 1"}', "colour"),
        (None, "cannot be read"),
    ],
)
def test_what_is_wrong_with_logged_requests_is_said(
    cuvee: Run, config: Path, tmp_path: Path, text: str | None, says: str
):
    asked = tmp_path / "asked.jsonl"
    if text is not None:
        asked.write_text(text)
    code, _, err = cuvee("diff", "film", "--config", config, "--against", config.parent, "--requests", asked)
    assert (code, says in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("diff", "nothing", "--against", "here"), "no product named 'nothing'"),
        (("diff", "film", "--against", "nowhere"), "nowhere is not there"),
        (("diff", "film", "--address", "127.0.0.1:1"), "127.0.0.1:1"),
        (("snapshots", "activate", "film", "yesterday"), "yesterday"),
        (("snapshots", "list", "nothing"), "no product named 'nothing'"),
        (("config", "apply", "film", "nowhere"), "nowhere cannot be read"),
        (("config", "show", "film", "--address", "127.0.0.1:1"), "127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_said(cuvee: Run, config: Path, arguments: tuple[str, ...], says: str):
    given = arguments if arguments[0] == "config" else (*arguments, "--config", config)
    code, _, err = cuvee(*given)
    assert code in {1, 2}
    assert says in err


@pytest.mark.parametrize("by_server", [True, False])
def test_snapshots_are_listed_rolled_back_and_released(
    cuvee: Run, server: RunningServer, config: Path, by_server: bool
):
    where = ("--address", server.address) if by_server else ("--config", config)
    listed = told(cuvee, "snapshots", "list", "film", *where)
    newest, before = (one["version"] for one in listed["snapshots"][:2])
    assert not listed["held"]
    assert [one["state"] for one in listed["snapshots"][:2]] == ["active", "available"]
    assert cuvee("snapshots", "rollback", "film", "--validate-only", *where)[0] == 0
    assert version(server) == newest
    code, out, err = cuvee("snapshots", "rollback", "film", *where)
    assert (code, before in out) == (0, True), err
    until(lambda: version(server) == before)
    assert told(cuvee, "snapshots", "list", "film", *where)["held"]
    assert cuvee("snapshots", "activate", "film", "newest", *where)[0] == 0
    until(lambda: version(server) == newest)
    assert cuvee("snapshots", "activate", "film", before, *where)[0] == 0
    until(lambda: version(server) == before)
    assert cuvee("snapshots", "prune", "film", "--keep", 1, *where)[1].strip().endswith("0 deleted")
    assert cuvee("snapshots", "activate", "film", "newest", *where)[0] == 0
    until(lambda: version(server) == newest)


def test_a_file_is_shown_applied_and_taken_back(cuvee: Run, server: RunningServer, config: Path, tmp_path: Path):
    where = ("--address", server.address)
    before, file = revision(server), config.with_name("products") / "film.toml"
    assert cuvee("config", "show", "film", *where)[1] == file.read_text()
    assert "[recommenders.pairs]" in cuvee("config", "show", "film", "--effective", *where)[1]
    etag = told(cuvee, "config", "show", "film", *where)["etag"]
    mine = tmp_path / "mine.toml"
    mine.write_text(file.read_text().replace("pairs = 0.5", "pairs = 6.5"))
    assert cuvee("config", "apply", "film", mine, "--validate-only", *where)[0] == 0
    assert revision(server) == before
    assert cuvee("config", "apply", "film", mine, "--etag", etag, *where)[0] == 0
    assert revision(server) != before
    code, _, err = cuvee("config", "apply", "film", mine, "--etag", etag, *where)
    assert (code, "has changed" in err) == (2, True)
    assert cuvee("config", "rollback", "film", *where)[0] == 0
    assert revision(server) == before
    mine.write_text("colour = 1")
    code, _, err = cuvee("config", "apply", "film", mine, *where)
    assert (code, "colour" in err) == (2, True)
    assert revision(server) == before


def lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_operations_are_started_watched_listed_and_cancelled(cuvee: Run, server: RunningServer):
    where = ("--address", server.address)
    code, out, err = cuvee("operations", "start", "fit", "shop", "--watch", "--json", *where)
    assert code == 0, err
    seen = lines(out)
    assert {one["operation"] for one in seen} == {seen[0]["operation"]}
    assert seen[-1]["state"] == "succeeded"
    assert (seen[-1]["product"], seen[-1]["kind"]) == ("shop", "fit")
    assert all(0 <= one["step_progress"] <= 1 for one in seen)

    second = told(cuvee, "operations", "start", "fit", "film", *where)["operation"]
    code, out, _ = cuvee("operations", "cancel", second, *where)
    assert (code, out.strip()) == (0, f"{second}: cancelled")
    code, _, _ = cuvee("operations", "watch", second, *where)
    assert code == 1

    listed = told(cuvee, "operations", "list", *where)
    assert [(one["operation"], one["state"]) for one in listed[:2]] == [
        (second, "cancelled"), (seen[0]["operation"], "succeeded"),
    ]  # fmt: skip
    assert [one["operation"] for one in told(cuvee, "operations", "list", "shop", *where)] == [seen[0]["operation"]]
    code, out, _ = cuvee("operations", "list", *where)
    assert (code, second in out, "cancelled" in out) == (0, True, True)


def test_an_operation_that_fails_is_an_error_with_what_it_said(cuvee: Run, server: RunningServer, config: Path):
    where, file = ("--address", server.address), config.with_name("products") / "shop.toml"
    text = file.read_text()
    file.write_text("colour = 1")
    try:
        code, _, err = cuvee("operations", "start", "fit", "shop", "--watch", *where)
    finally:
        file.write_text(text)
    assert (code, "colour" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("start", "fit", "nothing"), "nothing"),
        (("start", "fit", "shop", "--apply"), "tune"),
        (("start", "paint", "shop"), "paint"),
        (("watch", "20200101T000000000000-00000000"), "20200101T000000000000-00000000"),
        (("cancel", "../../etc"), "../../etc"),
        (("list", "nothing"), "nothing"),
    ],
)
def test_what_is_wrong_with_an_operation_is_said(
    cuvee: Run, server: RunningServer, arguments: tuple[str, ...], says: str
):
    code, _, err = cuvee("operations", *arguments, "--address", server.address)
    assert (code, says in err) == (2, True), err
