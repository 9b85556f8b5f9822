"""The toys are what they say: seeded, whole, and their right answers can be found."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from cuvee import Candidates, Role
from cuvee.testing import TOYS, Toy, two_tribes
from cuvee.testing.measure import precision, separation


@pytest.fixture(params=TOYS)
def toy(request: pytest.FixtureRequest) -> Toy:
    return TOYS[request.param]()


def test_a_toy_is_the_same_each_time(toy: Toy) -> None:
    again = TOYS[toy.name]()
    assert toy.grown.items.frame.equals(again.grown.items.frame)
    assert toy.grown.users.frame.equals(again.grown.users.frame)
    for array in ("offsets", "items", "weights", "times"):
        np.testing.assert_array_equal(getattr(toy.data.events, array), getattr(again.data.events, array))
    np.testing.assert_array_equal(toy.answers.items, again.answers.items)


def test_the_grown_catalogue_grows_at_its_end(toy: Toy) -> None:
    for grown, first in (
        (toy.grown.items, toy.data.catalog.items),
        (toy.grown.users, toy.data.catalog.users),
    ):
        assert len(grown) > len(first)
        assert grown.frame.head(len(first)).equals(first.frame)
        assert grown.frame.null_count().row(0) == (0,) * grown.frame.width


def test_every_kind_of_query_is_asked_and_has_answers_that_may_be_shown(toy: Toy) -> None:
    history, known = toy.queries.histories.lengths > 0, toy.queries.users >= 0
    assert (history & known).any()
    assert (history & ~known).any()
    assert (~history & ~known).any()
    assert (toy.answers.lengths > 0).all()
    for b in range(len(toy.queries)):
        assert not np.isin(toy.answers.row(b), toy.queries.excluded.row(b)).any()
        assert toy.queries.profiles[b] or history[b], "asks nothing"
    assert (np.diff(toy.queries.histories.times)[np.diff(toy.queries.histories.rows) == 0] >= 0).all()
    assert toy.queries.now > toy.queries.histories.times.max()


def test_popularity_finds_the_hits_of_two_tribes_and_nothing_on_the_others(toy: Toy) -> None:
    popular = np.asarray(toy.data.matrix().sum(axis=0), np.float32)
    found = separation(np.tile(popular, (len(toy.queries), 1)), toy.queries, toy.answers)
    assert found > 0.75 if toy.name == "two_tribes" else 0.35 < found < 0.6


def test_the_right_answers_are_all_right_and_chance_is_half(toy: Toy) -> None:
    ideal = np.zeros((len(toy.queries), toy.data.n_items), np.float32)
    ideal[toy.answers.rows, toy.answers.items] = 1
    assert separation(ideal, toy.queries, toy.answers) == 1
    assert separation(np.zeros_like(ideal), toy.queries, toy.answers) == 0.5
    assert separation(np.full_like(ideal, np.nan), toy.queries, toy.answers) == 0.5
    assert precision(Candidates.top(ideal.copy(), 1, toy.queries), toy.queries, toy.answers) == 1


def test_two_tribes_has_vectors_on_request() -> None:
    items = two_tribes(vectors=True).grown.items
    assert items.columns(Role.VECTOR) == ["poster"]
    assert items.frame["poster"].to_numpy().shape == (len(items), 8)
    assert two_tribes().grown.items.columns(Role.VECTOR) == []


def test_without_pytest_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import cuvee.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'cuvee[testing]'" in done.stderr
