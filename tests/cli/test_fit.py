"""``cuvee fit``: what it prints, and what it leaves behind."""

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
    assert "run `cuvee import FILE --dataset" in done.err


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


def test_older_versions_are_deleted_but_those_in_use(run: Run, place: Path) -> None:
    """The newest stay, the one that answers, and the one that a roll-back would go to."""
    config = place / "cuvee.toml"
    config.write_text("keep_snapshots = 2\n" + config.read_text())

    def there() -> list[str]:
        folders = (place / "artifacts" / "toys").iterdir()
        return sorted(one.name for one in folders if one.is_dir())

    for _ in range(3):
        assert run("fit", "--config", config).code == 0
    kept = there()
    assert len(kept) == 2
    assert run("snapshots", "activate", "toys", kept[0], "--config", config).code == 0
    for _ in range(3):
        done = run("fit", "--config", config)
    assert kept[0] in there()
    assert len(there()) <= 4
    assert "deleted, as keep_snapshots says: " in done.out
