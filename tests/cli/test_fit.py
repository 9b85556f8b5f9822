"""``cuvee fit`` and ``cuvee evaluate``: what they print, and what they leave behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


def test_fit_prints_what_each_recommender_took_and_publishes(run: Run, place: Path) -> None:
    done = run("fit", "toys", "--config", place / "cuvee.toml")
    assert done.code == 0
    assert done.err == ""
    head, popular, pairs, published = done.out.splitlines()
    assert head.split() == ["recommender", "plugin", "from", "time", "memory", "on", "disk"]
    assert popular.split()[:4] == ["popular", "toy_popular", "cuvee-toyplugin", "1.0.0"]
    assert pairs.split()[:2] == ["pairs", "toy_pairs"]
    (version,) = (p.name for p in (place / "artifacts" / "toys").iterdir())
    assert published == f"toys: published version {version}, fitted on 12 users, 10 items, 48 events"


def test_fit_takes_every_product_by_default_and_tells_it_as_json(run: Run, place: Path) -> None:
    done = run("fit", "--config", place / "cuvee.toml", "--json")
    assert done.code == 0
    (manifest,) = json.loads(done.out)
    assert (manifest["product"], manifest["n_users"], manifest["n_items"]) == ("toys", 12, 10)
    pairs = manifest["models"]["pairs"]
    assert pairs["plugin"] == "toy_pairs"
    assert pairs["size_bytes"] > 10 * 10 * 4


def test_fit_of_no_such_product(run: Run, place: Path) -> None:
    done = run("fit", "shoes", "--config", place / "cuvee.toml")
    assert done.code == 2
    assert done.err == "error: no product named 'shoes'; there are: toys\n"


def test_fit_before_the_import(run: Run, place: Path) -> None:
    (place / "data" / "toys").rename(place / "data" / "other")
    done = run("fit", "--config", place / "cuvee.toml")
    assert done.code == 2
    assert "run `cuvee import` first" in done.err


def test_a_fit_that_fails_publishes_nothing(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("fit", "--config", place / "cuvee.toml")
    before = sorted(p.name for p in (place / "artifacts" / "toys").iterdir())

    def broken(*_: object) -> None:
        raise RuntimeError("out of pairs")

    monkeypatch.setattr("toyplugin.ToyPairs.fit", broken)
    done = run("fit", "--config", place / "cuvee.toml")
    assert done.code == 2
    assert "pairs (toy_pairs) cannot be fitted: RuntimeError('out of pairs')" in done.err
    assert sorted(p.name for p in (place / "artifacts" / "toys").iterdir()) == before


@pytest.mark.parametrize("protocol", ["leave-last-out", "validation", "random-80-20"])
def test_evaluate_prints_one_row_per_recommender_and_one_for_the_blend(protocol: str, run: Run, place: Path) -> None:
    done = run("evaluate", "toys", "--protocol", protocol, "--k", 3, "--config", place / "cuvee.toml")
    assert done.code == 0, done.err
    title, head, *rows = done.out.splitlines()
    assert title.strip() == f"toys, {protocol}"
    assert head.split() == ["HR@3", "NDCG@3", "P@3", "Recall@3", "MRR@3", "coverage", "seconds"]
    assert [r.split()[0] for r in rows[:3]] == ["popular", "pairs", "blend"]
    notes = "\n".join(rows[3:])
    assert "test users, 10 items" in notes
    assert "seen items are left out" in notes
    assert "equal scores are ordered by the item's position" in notes


def test_evaluate_finds_the_known_answer(run: Run, place: Path) -> None:
    # one item of his kind is left to each user: pairs put it first, whatever popularity says
    done = run("evaluate", "toys", "--k", 2, "--config", place / "cuvee.toml", "--json")
    found = json.loads(done.out)
    rows = {r["name"]: r for r in found["rows"]}
    assert rows["pairs"]["hit_rate"] == 1.0
    assert rows["popular"]["hit_rate"] < 1.0
    assert (found["protocol"], found["k"], found["n_users"], found["seen_filtered"]) == ("leave-last-out", 2, 12, True)


def test_evaluate_on_a_sample_is_seeded(run: Run, place: Path) -> None:
    def figures(seed: int) -> list[tuple[float, ...]]:
        done = run("evaluate", "toys", "--users", 5, "--seed", seed, "--k", 2, "-c", place / "cuvee.toml", "--json")
        found = json.loads(done.out)
        assert found["n_users"] == 5
        return [(r["hit_rate"], r["ndcg"], r["coverage"]) for r in found["rows"]]

    assert figures(1) == figures(1)
    assert "5 test users (a sample of 12)" in run("evaluate", "toys", "--users", 5, "-c", place / "cuvee.toml").out


def test_evaluate_refuses_what_it_does_not_know(run: Run, place: Path) -> None:
    assert run("evaluate", "toys", "--protocol", "leave-first-out", "-c", place / "cuvee.toml").code == 2
    assert run("evaluate", "toys", "--k", 0, "-c", place / "cuvee.toml").code == 2
    assert run("evaluate", "shoes", "-c", place / "cuvee.toml").code == 2
