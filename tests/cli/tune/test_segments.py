"""The segments of ``cuvee tune`` and of ``cuvee evaluate`` are the same people, with the same figures."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuvee import Dataset

from ..conftest import Run

HALVES = Path(__file__).parents[2] / "halves"
OPERATORS = """\
data = "data"
artifacts = "artifacts"
[recommenders.rows]
plugin = "half"
knows = "rows"
[recommenders.few]            # has an opinion on its own candidates alone
plugin = "half"
knows = "columns"
sparse = true
[recommenders.noise]
plugin = "half"
before = 6
"""
SOURCES = "sources = [{ use = 'rows', candidates = 40 }, { use = 'few', candidates = 20 }, { use = 'noise' }]\n"
PRODUCTS = {
    "own segments": SOURCES,
    "finer segments": SOURCES + "[blend]\nsegments = { none = 0, one = 1, some = 2, more = 5, most = 9 }\n",
    "weights change at once": SOURCES + "[blend]\npassage = 'hard'\nsegments = { few = 0, many = 4 }\n",
    "short histories are answered from": "history = 6\n" + SOURCES,
    "what was seen competes": SOURCES + "rules = []\n",
}
Shop = Callable[[str], Path]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose users have histories of every length from 1 to 14."""
    monkeypatch.syspath_prepend(str(HALVES))
    halves = importlib.import_module("halves")
    whole = halves.world()
    events = whole.events
    place = np.arange(len(whole)) - np.repeat(events.offsets[:-1], events.lengths)
    kept = whole.where(place < 1 + whole.users % 14)

    def made(product: str) -> Path:
        (tmp_path / "data").mkdir()
        Dataset.save(kept, tmp_path / "data" / "shop")
        (tmp_path / "products").mkdir()
        (tmp_path / "products" / "shop.toml").write_text(product)
        (tmp_path / "cuvee.toml").write_text(OPERATORS)
        return tmp_path / "cuvee.toml"

    return made


def tuned(run: Run, config: Path, *options: object) -> dict[str, Any]:
    done = run("tune", "shop", "--no-compare", "--json", "--config", config, *options)
    assert done.code in (0, 3), done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def evaluated(run: Run, config: Path) -> dict[str, Any]:
    options = ("--protocol", "validation", "--no-ablation", "--json", "--config", config)
    (one,) = json.loads(run("evaluate", "shop", *options).out)["rounds"]
    found: dict[str, Any] = one
    return found


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_a_segment_is_the_same_people_and_a_member_has_the_same_figure(run: Run, shop: Shop, product: str) -> None:
    config = shop(product)
    tuning, evaluation = tuned(run, config, "--newcomers", 0), evaluated(run, config)
    people = {one["name"]: one["known"]["people"] for one in tuning["segments"] if one["known"]["people"]}
    assert people == {one["name"]: one["n_users"] for one in evaluation["segments"]}
    assert len(people) > 1
    assert sum(people.values()) == tuning["people"] == evaluation["n_users"], "each user is in one segment"
    rows = {row["name"]: row for row in evaluation["rows"]}
    for one in tuning["segments"]:
        assert one["new"]["people"] == 0
        for member, figure in one["known"]["members"].items():
            means = rows[member]["segments"][one["name"]]["means"]
            assert figure == pytest.approx(means["ndcg"]["mean"], abs=1e-9), (one["name"], member)
        if one["known"]["people"]:
            served = rows["blend"]["segments"][one["name"]]["means"]
            assert one["known"]["before"] == pytest.approx(served["ndcg"]["mean"], abs=1e-9)
    for member, figure in tuning["members"].items():
        assert figure == pytest.approx(rows[member]["figures"]["means"]["ndcg"]["mean"], abs=1e-9)


def test_withheld_people_have_a_table_of_their_own(run: Run, shop: Shop) -> None:
    config = shop(PRODUCTS["own segments"])
    found = tuned(run, config, "--newcomers", 40)
    done = run("tune", "shop", "--no-compare", "--newcomers", 40, "--config", config)
    assert found["withheld"] == 40
    head = r"^ *(known|new) users \(events(?: so far)?\).*?\n"
    tables = dict(re.findall(head + r"(.*?)\n *(?:\n|over)", done.out, re.S | re.M))
    for kind, table in tables.items():
        shown = dict(re.findall(r"^ *(\w+) \([\d+-]+\) +(\d+)", table, re.M))
        assert shown == {s["name"]: str(s[kind]["people"]) for s in found["segments"] if s[kind]["people"]}
    assert set(tables) == {"known", "new"}
    by_name = {one["name"]: one for one in found["segments"]}
    assert by_name["cold"]["new"]["people"] == 40
    # the withheld are nobody's known users, so these are fewer than those of `cuvee evaluate`
    evaluation = {one["name"]: one["n_users"] for one in evaluated(run, config)["segments"]}
    known = {name: one["known"]["people"] for name, one in by_name.items()}
    fewer = {name: n - known[name] for name, n in evaluation.items()}
    assert all(n >= 0 for n in fewer.values())
    assert 0 < sum(fewer.values()) <= 40
