"""``cuvee evaluate``: what it prints, for people and for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities

from ..conftest import Run


def figures(run: Run, place: Path, *options: object) -> dict[str, Any]:
    done = run("evaluate", "toys", "-c", place / "cuvee.toml", "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def rows_of(found: dict[str, Any], at: int = 0) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found["rounds"][at]["rows"]}


@pytest.mark.parametrize("protocol", ["leave-last-out", "validation", "random-80-20", "ncf"])
def test_one_row_per_recommender_one_for_the_blend_and_one_without_each(
    protocol: str, run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = run("evaluate", "toys", "--protocol", protocol, "--k", 3, "--config", place / "cuvee.toml")
    assert done.code == 0, done.err
    title, _, head, *rows = done.out.splitlines()
    assert title.startswith(f"toys, {protocol}: 12 users, 10 items,")
    assert head.split()[:3] == ["NDCG@3", "HR@3", "MRR@3"]  # of one right item, recall is HR
    assert [r.split()[0] for r in rows[:3]] == ["popular", "pairs", "blend"]
    assert [r.split()[:2] for r in rows[3:5]] == [["without", "popular"], ["without", "pairs"]]
    said = " ".join(" ".join(rows[5:]).split())
    assert "all users its best member, pairs" in said
    assert "95 % intervals by bootstrap over users" in said
    assert ("seen items are left out" in said) == (protocol != "ncf")
    assert max(map(len, done.out.splitlines())) <= 100


def test_the_known_answer(run: Run, place: Path) -> None:
    # one item of his kind is left to each user: pairs put it first, whatever popularity says
    found = figures(run, place, "--k", 2)
    rows = rows_of(found)
    assert rows["pairs"]["figures"]["means"]["hit_rate"]["mean"] == 1.0
    assert rows["popular"]["figures"]["means"]["hit_rate"]["mean"] < 1.0
    assert (found["protocol"], found["n_users"], found["seen_filtered"]) == ("leave-last-out", 12, True)
    (one,) = found["rounds"]
    assert (one["k"], one["primary"], one["best_member"]) == (2, "ndcg", "pairs")
    assert {"ndcg", "hit_rate", "recall", "precision", "mrr", "map", "coverage", "novelty", "popularity"} <= set(
        rows["blend"]["figures"]["means"]
    )


def test_leaving_out_the_better_source_costs_what_it_brought(run: Run, place: Path) -> None:
    rows = rows_of(figures(run, place, "--k", 2))
    # the other one's list is all that is left then
    for left_out, left in (("without pairs", "popular"), ("without popular", "pairs")):
        assert rows[left_out]["figures"]["means"]["ndcg"] == rows[left]["figures"]["means"]["ndcg"]
    assert "without pairs" not in rows_of(figures(run, place, "--no-ablation"))


def test_a_sample_is_seeded(run: Run, place: Path) -> None:
    def means(seed: int) -> list[Any]:
        found = figures(run, place, "--users", 5, "--seed", seed, "--k", 2)
        assert (found["n_users"], found["n_known"]) == (5, 12)
        return [row["figures"] for row in found["rounds"][0]["rows"]]

    assert means(1) == means(1)
    assert "5 users (a sample of 12)" in run("evaluate", "toys", "--users", 5, "-c", place / "cuvee.toml").out


def test_fits_are_kept_until_they_are_to_be_learnt_anew(run: Run, place: Path) -> None:
    assert figures(run, place)["reused"] == {"popular": False, "pairs": False}
    assert figures(run, place)["reused"] == {"popular": True, "pairs": True}
    assert figures(run, place, "--refit", "pairs")["reused"] == {"popular": True, "pairs": False}
    done = run("evaluate", "toys", "--refit", "paris", "-c", place / "cuvee.toml")
    assert (done.code, done.err) == (2, "error: no recommender named 'paris'; there are: pairs, popular\n")


def test_new_users_are_asked_about_after_each_number_of_events(run: Run, place: Path) -> None:
    done = run("evaluate", "toys", "--protocol", "cold-users", "-c", place / "cuvee.toml")
    assert done.code == 2
    assert "cold-users has nobody to evaluate here" in done.err  # four events each, and six are needed


def test_knowing_more_of_a_new_user_helps_the_blend_and_popularity_is_the_floor(run: Run, place: Path) -> None:
    # two tribes of thirty, each with its own twelve items: what one likes tells the tribe
    rng = np.random.default_rng(0)
    pairs = [(u, 12 * (u % 2) + i) for u in range(60) for i in rng.permutation(12)[:9]]
    catalog = Catalog(Entities.of_ids(f"i{n}" for n in range(24)), Entities.of_ids(f"u{n}" for n in range(60)))
    users, items = np.array(pairs).T
    Dataset.build(catalog, users, items).save(place / "data" / "toys")
    found = figures(run, place, "--protocol", "cold-users", "--k", 5)
    assert [r["name"] for r in found["rounds"]] == ["no events", "1 event", "3 events", "5 events"]
    assert found["n_users"] == 6  # a tenth

    def ndcg(row: str) -> list[float]:
        return [rows_of(found, at)[row]["figures"]["means"]["ndcg"]["mean"] for at in range(4)]

    assert ndcg("blend")[0] == ndcg("popular")[0]
    assert ndcg("pairs")[0] == 0
    assert ndcg("blend")[3] > 1.2 * ndcg("blend")[0]
    assert max(ndcg("popular, ever")) == min(ndcg("popular, ever"))  # the same task, whatever is known
    assert all(rows_of(found, at)["blend"]["figures"]["means"]["empty"]["mean"] == 0 for at in range(4))
    table = run("evaluate", "toys", "--protocol", "cold-users", "-c", place / "cuvee.toml").out
    assert table.splitlines()[2].split() == ["no", "events", "1", "event", "3", "events", "5", "events"]


def test_new_items_are_not_known_to_the_models_but_served(run: Run, place: Path) -> None:
    found = figures(run, place, "--protocol", "cold-items")
    assert [r["name"] for r in found["rounds"]] == [
        "new items, among the new",
        "new items, among all",
        "known items, new ones not served",
        "known items, new ones served",
    ]
    among = rows_of(found)
    assert among["random"]["figures"]["means"]["recall"]["mean"] == 1.0  # one new item, and nothing beside it
    assert among["pairs"]["figures"]["means"]["recall"]["mean"] == 0.0  # nobody ever paired it
    (served,) = found["comparisons"]
    assert served["found"]["difference"]["mean"] == 0.0


def test_the_global_time_split_has_recent_popularity_beside(run: Run, place: Path) -> None:
    found = figures(run, place, "--protocol", "global-time")
    assert {"popular, last 7 days", "popular, ever"} < set(rows_of(found))


@pytest.mark.parametrize(("protocol", "apart"), [("leave-last-out", False), ("global-time", True)])
def test_where_segments_are_shown_it_is_told_of_whom_they_speak(
    protocol: str, apart: bool, run: Run, place: Path
) -> None:
    (one,) = figures(run, place, "--protocol", protocol)["rounds"]
    assert (len(one["segments"]) > 1) == apart
    assert sum(s["n_users"] for s in one["segments"]) == one["rows"][0]["figures"]["n_users"], "each user is in one"
    html = place / "report.html"
    done = run("evaluate", "toys", "--protocol", protocol, "--html", html, "-c", place / "cuvee.toml")
    note = "segments: each user is in one, by the number of liked events in the history that the list is made from"
    assert " ".join(done.out.split()).count(note) == apart
    assert html.read_text(encoding="utf-8").count(f"<li>{note}</li>") == apart


def test_all_metrics_are_shown_on_demand(run: Run, place: Path) -> None:
    few = run("evaluate", "toys", "-c", place / "cuvee.toml").out
    everything = run("evaluate", "toys", "--all-metrics", "-c", place / "cuvee.toml").out
    for label in ("P@10", "MAP@10", "novelty", "popularity", "Gini", "fallback", "empty", "seconds"):
        assert label in everything
        assert label not in few


def test_json_has_null_where_there_is_no_value(run: Run, place: Path) -> None:
    coverage = rows_of(figures(run, place))["blend"]["figures"]["means"]["coverage"]
    assert coverage["low"] is None
    assert not math.isnan(coverage["mean"])


def test_what_it_does_not_know_is_refused(run: Run, place: Path) -> None:
    assert run("evaluate", "toys", "--protocol", "leave-first-out", "-c", place / "cuvee.toml").code == 2
    assert run("evaluate", "toys", "--k", 0, "-c", place / "cuvee.toml").code == 2
    assert run("evaluate", "shoes", "-c", place / "cuvee.toml").code == 2
