"""Ids and positions agree with a dict, for any ids and any growth of the catalogue."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from cuvee.data import ids as ids_module
from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.data.ids import IdIndex
from cuvee.ranking.known_users import profile_of
from cuvee.recommender import Profile
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
SOME = st.lists(TEXT, unique=True, max_size=30)


@given(first=SOME, more=SOME, asked=st.lists(TEXT, max_size=10))
def test_it_is_the_dict_of_ids_before_and_after_growth(first: list[str], more: list[str], asked: list[str]) -> None:
    entities = Entities.of_ids(first)
    for name in asked:
        entities.position(name)  # what is kept of earlier look-ups must not hide what comes later
    grown = [*first, *(name for name in more if name not in first)]
    follower = entities.followed(pl.DataFrame({"id": grown}, schema={"id": pl.String}), {})
    for names, found in ((first, entities), (grown, follower), (first, entities)):
        known = {name: at for at, name in enumerate(names)}
        wanted = [*asked, *names, *more]
        expected = [known.get(name, -1) for name in wanted]
        assert [found.position(name) for name in wanted] == expected
        assert found.positions(wanted).tolist() == expected
        assert found.positions(wanted).dtype == np.int32
        assert found.ids(np.arange(len(names))) == names
        assert len(found.index) == len(names)


@pytest.mark.parametrize("n", [3, 600, 6_000])
def test_few_and_many_are_looked_up_alike(n: int) -> None:
    entities = Entities.of_ids(f"item {i}" for i in range(2 * n))
    wanted = [f"item {i}" for i in range(n - 1, -1, -1)] + ["nowhere", "item 0"]
    expected = [*range(n - 1, -1, -1), -1, 0]
    assert entities.positions(wanted).tolist() == expected
    assert entities.ids(np.arange(n)[::-1]) == wanted[:n]


def test_ids_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids_module, "hash", lambda name: len(name) % 2, raising=False)
    names = ["a", "bb", "c", "dddd", "e"]
    column = pl.Series("id", names)
    index = IdIndex(column)
    assert [index.position(name, column) for name in [*names, "x", "yy"]] == [0, 1, 2, 3, 4, -1, -1]


def test_an_index_that_grows_a_lot_is_made_anew_and_still_right() -> None:
    first = Entities.of_ids(f"{i}" for i in range(10))
    n = ids_module.CHUNK + 20
    grown = first.followed(Entities.of_ids(f"{i}" for i in range(n)).frame, {})
    assert [grown.position(f"{i}") for i in (0, 9, 10, n - 1, n)] == [0, 9, 10, n - 1, -1]


def test_what_is_kept_of_look_ups_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids_module, "MOST_MET", 10)
    entities = Entities.of_ids(f"{i}" for i in range(100))
    assert entities.positions([f"{i % 100}" for i in range(300)]).tolist() == [i % 100 for i in range(300)]
    assert len(entities.index._met) <= 10


def test_a_row_and_a_profile_have_the_columns_names_whatever_the_order_of_roles() -> None:
    frame = pl.DataFrame({"id": ["u", "v"], "age": [24.0, None], "tags": [["a", "b"], []], "job": [None, "artist"]})
    users = Entities(frame, {"job": Role.CATEGORY, "age": Role.NUMBER, "tags": Role.CATEGORIES})
    assert users.row(0) == {"age": 24.0, "tags": ["a", "b"]}
    catalog = Catalog(Entities.of_ids(["i"]), users)
    assert profile_of(catalog, 0) == Profile({"age": 24.0, "tags": ("a", "b")})
    assert profile_of(catalog, 1) == Profile({"tags": (), "job": "artist"})
    assert profile_of(catalog, -1) == Profile()


def test_titles_of_some_rows() -> None:
    titled = Entities.of(pl.DataFrame({"id": ["a", "b", "c"], "title": ["Alder", None, "Cherry"]}))
    assert titled.titles_of(np.array([2, 1, 0])) == ["Cherry", "", "Alder"]
    assert Entities.of_ids(["a"]).titles_of([0, 0]) == ["", ""]
