"""The objective and the search on small random blocks: exact places, and steps that never make it worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuvee.tuning.objective import Block, Measure, Objective
from cuvee.tuning.search import ascend, learn_weights, likeliest, normalised
from hypothesis import given, settings
from hypothesis import strategies as st

NDCG = Measure("ndcg", 3)


def block(seed: int, cases: int = 12, sources: int = 3, items: int = 9, *, levels: int = 0, first: int = 0) -> Block:
    """Cases between two segments. With ``levels`` of opinion many are equal; without (0) none."""
    drawn = np.random.default_rng(seed)
    share = drawn.choice([0.0, 0.3, 1.0], cases).astype(np.float32)
    absent = np.arange(items) >= drawn.integers(items // 2, items + 1, cases)[:, None]
    basis = drawn.random((sources, cases, items), np.float32)
    if levels:
        basis = np.floor(levels * basis)
    basis[:, absent] = 0
    right = (drawn.random((cases, items)) < 0.2) & ~absent
    right[:, 0] |= ~right.any(axis=1)
    rows, columns = np.nonzero(right)
    return Block(
        cases=first + np.arange(cases),
        shares=np.stack([share, 1 - share]),
        counts=np.stack([share, 1 - share]),
        live=np.ones((sources, cases), np.bool_),
        basis=basis,
        scores=None,
        absent=absent,
        proposed=np.broadcast_to(~absent, basis.shape),
        right=(rows, columns),
        n_relevant=right.sum(axis=1) + drawn.integers(0, 2, cases),
    )


@given(seed=st.integers(0, 10_000), levels=st.integers(1, 6))
def test_places_are_those_of_a_stable_order_by_falling_score(seed, levels):
    one = block(seed, levels=levels)
    scores = np.random.default_rng(seed).integers(0, levels, one.absent.shape).astype(np.float32)
    order = np.argsort(np.where(one.absent, np.inf, -scores), axis=1, kind="stable")
    expected = [order[row].tolist().index(column) for row, column in zip(*one.right, strict=True)]
    assert one.places(scores).tolist() == expected


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_steps_never_make_a_segment_worse_where_segments_do_not_touch(seed):
    one = block(seed)
    apart = replace(one, shares=np.round(one.shares), counts=np.round(one.counts))
    objective = Objective([apart], 12, NDCG)
    allowed = np.ones((3, 2), np.bool_)
    start = normalised(np.random.default_rng(seed).random((3, 2)), allowed)
    found = ascend(objective, [apart], start, allowed)
    np.testing.assert_allclose(found.sum(axis=0), 1)
    assert objective.values(found).sum() >= objective.values(start).sum() - 1e-9
    for segment in apart.shares:
        assert segment @ objective.values(found) >= segment @ objective.values(start) - 1e-9


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_steps_on_the_last_segment_count_what_the_others_contribute(seed):
    objective = Objective([block(seed)], 12, NDCG)
    only_last = np.array([[True, True], [False, True], [False, True]])
    start = normalised(np.random.default_rng(seed).random((3, 2)), only_last)
    found = ascend(objective, objective.blocks, start, only_last)
    share = objective.blocks[0].shares[1]
    assert share @ objective.values(found) >= share @ objective.values(start) - 1e-9


def test_what_is_not_allowed_stays_at_zero_and_what_is_silent_is_harmless():
    objective = Objective([block(1), block(2, first=12)], 24, NDCG)
    allowed = np.array([[True, True], [False, True], [True, False]])
    for found in (likeliest(objective.blocks, allowed), learn_weights(objective, objective.blocks, allowed)):
        assert (found[~allowed] == 0).all()
        np.testing.assert_allclose(found.sum(axis=0), 1)


def test_the_likeliest_weights_point_at_the_source_that_knows():
    one = block(3, cases=200)
    knows = one.basis.copy()
    knows[1] = 0
    knows[1][one.right] = 1
    found = likeliest([replace(one, basis=knows)], np.ones((3, 2), np.bool_))
    assert (found[1] > 0.8).all()


@pytest.mark.parametrize("metric", ["ndcg", "hit_rate", "recall", "mrr"])
def test_a_right_item_on_top_is_perfect_and_one_beyond_k_is_nothing(metric):
    measure = Measure(metric, 2)
    one = block(4, cases=2)
    single = replace(
        one, absent=np.zeros((2, 9), np.bool_), right=(np.array([0, 1]), np.array([5, 5])), n_relevant=np.array([1, 1])
    )
    scores = np.zeros((2, 9), np.float32)
    scores[0, 5] = 1
    scores[1, :4] = 1
    assert single.measured(scores, measure).tolist() == [1.0, 0.0]
