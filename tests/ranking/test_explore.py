"""Exploration as pure functions: what is drawn, and where it stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuvee import Catalog, Dataset, Entities, Histories, Profile, Queries, Ragged
from cuvee.ranking.explore import DAY, Drawn, Explorer, Method, place
from hypothesis import given
from hypothesis import strategies as st

METHODS: tuple[Method, ...] = ("epsilon", "thompson")


def dataset(n_items: int = 30) -> Dataset:
    """Item i < 20 has i events of as many users, one a day; the others have none."""
    pairs = [(u, i) for i in range(20) for u in range(i)]
    catalog = Catalog(Entities.of_ids([f"i{n}" for n in range(n_items)]), Entities.of_ids([f"u{n}" for n in range(20)]))
    times = [DAY * (100 + i) for _, i in pairs]
    return Dataset.build(catalog, [u for u, _ in pairs], [i for _, i in pairs], times)


def explorer(method: Method = "epsilon", share: float = 0.5, **more: object) -> Explorer:
    settings = {"fewer_than": 10, "first": 3, "seed": 0} | more
    return Explorer.of(dataset(), "v1", share=share, method=method, **settings)


def ask(b: int = 1, excluded: list[int] | None = None, history: tuple[int, ...] = (1, 2)) -> Queries:
    rows = [[*history, row] for row in range(b)]
    queries = Queries.build(Histories.build(rows), users=np.arange(b))
    return replace(queries, excluded=Ragged.of([excluded or []] * b))


def test_the_pool_is_what_little_is_known_of() -> None:
    assert explorer().pool.tolist() == [*range(10), *range(20, 30)]
    young = explorer(fewer_than=None, younger_than=2.5)
    # the last day is that of item 19; without events one is as young as can be
    assert young.pool.tolist() == [0, 17, 18, 19, *range(20, 30)]
    assert explorer(younger_than=2.5).pool.tolist() == [0, *range(20, 30)]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_question_draws_the_same_and_another_another(method: Method) -> None:
    queries = ask(64)
    one, two = explorer(method).draw(queries, 20), explorer(method).draw(queries, 20)
    np.testing.assert_array_equal(one.places, two.places)
    np.testing.assert_array_equal(one.items, two.items)
    assert len({tuple(row) for row in one.places.tolist()}) > 60
    for other in (explorer(method, seed=1), replace(explorer(method), snapshot="v2")):
        assert not np.array_equal(other.draw(queries, 20).places, one.places)
    profiled = replace(queries, profiles=[Profile(interests={"genres": ("Noir",)})] * 64)
    assert not np.array_equal(explorer(method).draw(profiled, 20).places, one.places)


@pytest.mark.parametrize("method", METHODS)
def test_a_row_is_drawn_as_it_is_alone(method: Method) -> None:
    queries = ask(8)
    together = explorer(method).draw(queries, 12)
    for row in range(8):
        alone = explorer(method).draw(queries.select([row]), 12)
        np.testing.assert_array_equal(alone.places[0], together.places[row])
        n = alone.items.shape[1]
        np.testing.assert_array_equal(alone.items[0], together.items[row, :n])


def test_the_share_is_kept_and_the_first_places_are_left_alone() -> None:
    places = explorer(share=0.2).draw(ask(500), 20).places
    assert not places[:, :2].any()
    assert 0.18 < places[:, 2:].mean() < 0.22
    assert not explorer(share=0).draw(ask(50), 20).places.any()


@pytest.mark.parametrize("method", METHODS)
def test_restrictions_hold(method: Method) -> None:
    queries = replace(ask(40, excluded=[21, 22, 3]), eligible=np.arange(30) % 2 == 1)
    drawn = explorer(method).draw(queries, 20).items
    assert set(drawn[drawn >= 0].tolist()) <= {1, 5, 7, 9, 23, 25, 27, 29}


def test_thompson_prefers_what_is_liked_by_many_of_those_who_could() -> None:
    catalog = Catalog(Entities.of_ids(["liked", "seen", "hit"]), Entities.of_ids([f"u{n}" for n in range(300)]))
    # 300 users choose the hit before and after; 30 the first item, one the second
    users = [*range(30), 0, *range(300), *range(300)]
    items = [*[0] * 30, 1, *[2] * 600]
    times = [*[1.0] * 31, *[0.0] * 300, *[2.0] * 300]
    data = Dataset.build(catalog, users, items, times)
    found = Explorer.of(data, "v", share=1.0, method="thompson", first=1, fewer_than=31)
    first = found.draw(Queries.build(Histories.build([[2]] * 200), users=np.arange(200)), 1).items[:, 0]
    assert (first == 0).mean() > 0.9
    even = replace(found, method="epsilon")
    first = even.draw(Queries.build(Histories.build([[2]] * 200), users=np.arange(200)), 1).items[:, 0]
    assert 0.35 < (first == 0).mean() < 0.65


@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_a_shorter_list_begins_the_longer_one(short: int, more: int, seed: int) -> None:
    queries, found = ask(3), explorer(seed=seed)
    items = np.tile(np.arange(30, dtype=np.int32), (3, 1))
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(30), (3, 1)), axis=1)
    proposed = np.broadcast_to(np.arange(30) % 3 > 0, (3, 30))
    one, by_one = place(items, order, proposed, found.draw(queries, short))
    two, by_two = place(items, order, proposed, found.draw(queries, short + more))
    np.testing.assert_array_equal(one, two[:, :short])
    np.testing.assert_array_equal(by_one, by_two[:, :short])


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 199), st.sampled_from(METHODS))
def test_lists_are_sound(n: int, k: int, seed: int, method: Method) -> None:
    """No item twice, only items of the two lists, blended ones in their order, marks on explored ones alone."""
    rng = np.random.default_rng(seed)
    items = rng.permutation(30)[:n].astype(np.int32)[None]
    order, proposed = rng.permutation(n)[None], rng.random((1, n)) < 0.6
    drawn = explorer(method, share=0.6, first=1, seed=seed).draw(ask(1), k)
    columns, explored = place(items, order, proposed, drawn)
    kept = columns[0][columns[0] >= 0].tolist()
    assert len(set(kept)) == len(kept)
    assert (columns[0][len(kept) :] == -1).all(), "padding only at the end"
    assert not (explored & (~drawn.places | (columns < 0))).any()
    by_score = [c for c, marked in zip(columns[0].tolist(), explored[0], strict=True) if c >= 0 and not marked]
    assert all(proposed[0, c] for c in by_score)
    ranked = [c for c in order[0].tolist() if proposed[0, c]]
    shown = {c for c, marked in zip(columns[0].tolist(), explored[0], strict=True) if marked}
    assert by_score == [c for c in ranked if c not in shown][: len(by_score)]
    assert set(items[0, sorted(shown)].tolist()) <= set(drawn.items[0].tolist())


def test_without_any_proposal_there_is_no_list_to_explore_in() -> None:
    drawn = Drawn(np.ones((1, 3), np.bool_), np.array([[5, 6]], np.int32))
    columns, explored = place(np.array([[5, 6]], np.int32), np.array([[0, 1]]), np.zeros((1, 2), np.bool_), drawn)
    assert (columns == -1).all()
    assert not explored.any()
