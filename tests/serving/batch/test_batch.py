"""What `cuvee batch` writes is what BatchRecommend answers, with the store's events, items and deletions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from cuvee.cli import main
from cuvee.client import Client
from cuvee.testing import Toy
from cuvee.testing.agreement import Agreement
from cuvee.testing.server import RunningServer, run_server
from cuvee.v1 import catalog_pb2, events_pb2
from cuvee.v1 import recommendation_pb2 as pb

from ..conftest import ENVIRONMENT, migrated, stored

HERE = Path(__file__).parents[1]
Batch = Callable[..., pl.DataFrame]


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Batch:
    """Run ``cuvee batch PRODUCT ...`` of a configuration, and read what it wrote."""
    monkeypatch.syspath_prepend(str(HERE / "plugin"))
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))

    def run(config: Path, product: str, *options: str) -> pl.DataFrame:
        target = tmp_path / f"lists-{time.monotonic_ns()}"
        with pytest.raises(SystemExit) as ended:
            main(["batch", product, str(target), "--config", str(config), "--attributions", *options])
        assert ended.value.code == 0, capsys.readouterr().err
        return pl.read_parquet(target / "lists" / "*.parquet")

    return run


def answers(client: Client, product: str, users: list[str], **fields: object) -> pl.DataFrame:
    """What BatchRecommend says to the same users, in the same columns."""
    requests = [pb.RecommendRequest(user_id=user, **fields) for user in users]
    results = list(client.batch_recommend(product, requests, timeout=60))
    assert not [one.problem for one in results if one.HasField("problem")]
    rows = [(one.user_id, item.position, item.item_id, item.score, kind(item)) for one in results for item in
            one.response.items]  # fmt: skip
    return pl.DataFrame(rows, schema=["user_id", "position", "item_id", "score", "kind"], orient="row")


def kind(item: pb.RecommendedItem) -> str:
    return "fallback" if item.HasField("fallback") else "exploration" if item.exploration else "blend"


def same(written: pl.DataFrame, asked: pl.DataFrame) -> None:
    """The same lists; items of equal scores may stand in any order, as in any two batches."""
    found = Agreement()
    frames = [frame.sort("user_id", "position").fill_null(0.0) for frame in (written, asked)]
    assert (
        frames[0]
        .select("user_id", "position", "kind")
        .equals(frames[1].select("user_id", pl.col("position").cast(pl.Int32), "kind"))
    )
    ours, theirs = ({user[0]: rows for user, rows in frame.group_by("user_id")} for frame in frames)
    for user, rows in ours.items():
        found.add(user, *(list(zip(one["item_id"], one["score"], strict=True)) for one in (rows, theirs[user])))
    assert found.examples == []
    assert found.differing == 0


@pytest.fixture
def own_config(config: Path, tmp_path: Path) -> Path:
    """With a store of its own: what is deleted here is deleted for no other test."""
    return stored(config, migrated(f"sqlite:///{tmp_path / 'store.db'}"), "stored-batch")


@pytest.fixture
def own_server(own_config: Path) -> Iterator[RunningServer]:
    with run_server(own_config, environment=ENVIRONMENT) as running:
        yield running


@pytest.mark.parametrize("product", ["toy", "narrow", "ruled", "fused", "news"])
def test_the_files_hold_what_the_server_answers(
    product: str, batch: Batch, config: Path, server: RunningServer, toy: Toy
) -> None:
    written = batch(config, product, "--page-size", "10", "--chunk", "40")
    users = toy.grown.users.frame["id"].to_list()
    assert written["user_id"].unique().sort().to_list() == sorted(users)
    same(written, answers(server.client, product, users, page_size=10))


@pytest.mark.parametrize("product", ["toy", "narrow", "ruled"])
def test_attributions_and_rules_add_up_to_the_score(product: str, batch: Batch, config: Path) -> None:
    written = batch(config, product, "--page-size", "10")
    blended = written.filter(pl.col("kind") != "fallback")
    shares = blended["attributions"].struct.unnest().fill_null(0.0).sum_horizontal() + blended["rules"]
    assert (shares - blended["score"]).abs().max() < 1e-5  # type: ignore[operator]
    assert written.filter(pl.col("kind") == "fallback")["attributions"].null_count() == len(written) - len(blended)
    assert (product == "ruled") == bool((written["rules"] != 0).any())


def test_a_filter_and_a_condition_on_users(batch: Batch, config: Path, server: RunningServer, toy: Toy) -> None:
    written = batch(config, "toy", "--filter", "year < 1980", "--where", "age > 40", "--page-size", "10")
    old = toy.grown.users.frame.filter(pl.col("age") > 40)["id"].to_list()
    same(written, answers(server.client, "toy", old, page_size=10, filter="year < 1980"))


def test_exploration_is_marked(batch: Batch, config: Path) -> None:
    assert set(batch(config, "curious", "--page-size", "10")["kind"]) >= {"blend", "exploration"}


def test_a_failing_source_ends_the_command(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(HERE / "plugin"))
    monkeypatch.syspath_prepend(str(HERE.parent / "toyplugin"))
    with pytest.raises(SystemExit) as ended:
        main(["batch", "filled", str(tmp_path / "lists"), "--config", str(config)])
    assert ended.value.code == 2
    assert "raises failed" in capsys.readouterr().err
    assert not list(tmp_path.glob("lists/lists/*.parquet"))


def test_what_is_stored_counts(
    batch: Batch, own_config: Path, own_server: RunningServer, toy: Toy, tmp_path: Path
) -> None:
    client = own_server.client
    imported = toy.grown.users.frame["id"].to_list()
    new, gone = f"new-{time.monotonic_ns()}", imported[7]
    first = toy.grown.items.frame["id"][5]
    client.events.WriteEvents(
        events_pb2.WriteEventsRequest(
            events=[
                events_pb2.Event(product="toy", user_id=user, item_id=first, type=events_pb2.EVENT_TYPE_PURCHASE)
                for user in (new, imported[3])
            ]
        ),
        timeout=10,
    )
    hidden = toy.grown.items.frame["id"][11]
    client.catalog.DeleteItem(catalog_pb2.DeleteItemRequest(product="toy", item_id=hidden), timeout=10)
    client.catalog.DeleteUser(catalog_pb2.DeleteUserRequest(product="toy", user_id=gone), timeout=10)

    written = batch(own_config, "toy", "--page-size", "10")
    there = set(written["user_id"])
    assert new in there
    assert gone not in there
    assert hidden not in set(written["item_id"])
    some = [new, imported[3], *imported[20:30]]
    same(written.filter(pl.col("user_id").is_in(some)), answers(client, "toy", some, page_size=10))

    ids = tmp_path / "ids.txt"
    ids.write_text(f"{new}\n{gone}\nnobody-at-all\n{new}\n")
    written = batch(own_config, "toy", "--users", str(ids), "--page-size", "10")
    # who was deleted is left out; who is unknown gets what an unknown user gets
    assert set(written["user_id"]) == {new, "nobody-at-all"}
    same(written, answers(client, "toy", [new, "nobody-at-all"], page_size=10))
