from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from cuvee import Histories
from cuvee.testing.toys import two_tribes
from cuvee_tfserving.training.sequences import hold_out, lead, lessons, liked, token_rows, windows
from cuvee_tfserving.training.starting import cooccurrence_vectors
from cuvee_tfserving.training.validation import hit_rate, ndcg, rank_answers


def test_token_rows_are_padded_at_the_left_and_keep_the_newest() -> None:
    events = Histories.build([[4, 5, 6, 7], [], [9]])
    np.testing.assert_array_equal(token_rows(events, 3), [[6, 7, 8], [0, 0, 0], [0, 0, 10]])
    np.testing.assert_array_equal(token_rows(events, 3, n_items=7), [[5, 6, 7], [0, 0, 0], [0, 0, 0]])


def test_disliked_events_are_not_read() -> None:
    data = two_tribes().data
    assert (data.events.weights == 0).any()
    assert (liked(data).weights > 0).all()


def test_the_last_event_is_held_out_where_two_are_left() -> None:
    held = hold_out(Histories.build([[1, 2, 3], [4, 5], [6], []]), most=10, seed=0)
    np.testing.assert_array_equal(held.users, [0])
    np.testing.assert_array_equal(held.answers, [3])
    assert [held.train.row(u).tolist() for u in range(4)] == [[1, 2], [4, 5], [6], []]


def test_as_many_are_asked_as_wanted_and_all_are_held_out() -> None:
    held = hold_out(Histories.build([[u, u + 1, u + 2] for u in range(50)]), most=7, seed=3)
    again = hold_out(Histories.build([[u, u + 1, u + 2] for u in range(50)]), most=7, seed=3)
    assert len(held.users) == 7
    np.testing.assert_array_equal(held.users, again.users)
    assert len(held.train.items) == 100


@pytest.mark.parametrize("epoch", range(5))
def test_each_transition_stands_in_one_window_and_only_new_ones_in_two(epoch: int) -> None:
    rng = np.random.default_rng(epoch)
    lengths = [0, 1, 2, 5, 6, 7, 23, 40]
    rows = [(100 * u + np.arange(n)).tolist() for u, n in enumerate(lengths)]
    seen: Counter[tuple[int, int]] = Counter()
    for window in windows(Histories.build(rows), 6, 4, int(rng.integers(9)), epoch):
        assert window.shape == (4, 6)
        assert window.dtype == np.int32
        for row in window:
            assert (np.diff((row > 0).astype(int)) >= 0).all(), "padding stands at the left"
            seen.update((int(a), int(b)) for a, b in pairwise(row) if a)
    twice = {pair for pair, times in seen.items() if times == 2}
    new = {(a + 1, b + 1) for row in rows for a, b in zip(row[-6:], row[-5:], strict=False)}
    assert max(seen.values()) <= 2
    assert twice <= new
    assert set(seen) == {(a + 1, b + 1) for row in rows for a, b in pairwise(row)}


def test_windows_repeat_with_the_seed_and_differ_by_epoch() -> None:
    events = Histories.build([list(range(40)), list(range(30))])
    first, same, other = (list(windows(events, 6, 4, 1, epoch)) for epoch in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=False))


ROWS = [(100 * u + np.arange(n)).tolist() for u, n in enumerate([0, 1, 2, 9, 10, 11, 12, 19, 40, 77])]


def learnt(length: int, seed: int, epoch: int, look_ahead: float = 0.0) -> Iterator[tuple[list[int], int]]:
    """Every context with the item that the model should predict."""
    for inputs, ages, labels in lessons(Histories.build(ROWS), length, 4, seed, epoch, look_ahead):
        assert inputs.shape == ages.shape == labels.shape == (4, length)
        # events are a second apart, and ages are counted from the newest, which is the last label
        column = np.arange(length, 0, -1)
        np.testing.assert_array_equal(ages, np.where(inputs > 0, column, 0))
        assert inputs.dtype == labels.dtype == np.int32
        for row, column in np.argwhere(labels):
            context = inputs[row, : column + 1]
            yield (context[context > 0] - 1).tolist(), int(labels[row, column]) - 1


@pytest.mark.parametrize("epoch", range(4))
def test_every_transition_is_learnt_with_a_context_that_is_long_or_a_true_beginning(epoch: int) -> None:
    seen: Counter[tuple[int, int]] = Counter()
    for context, label in learnt(10, 3, epoch):
        assert label == context[-1] + 1
        assert context[0] % 100 == 0 or len(context) > lead(10) == 2
        seen[context[-1], label] += 1
    assert set(seen) == {pair for row in ROWS for pair in pairwise(row)}
    assert max(seen.values()) <= 2
    begun = [pair for row in ROWS for pair in list(pairwise(row))[:3]]
    assert all(seen[pair] for pair in begun), "whoever has a history is a newcomer once in an epoch"


def test_the_first_places_look_further_ahead_and_no_other() -> None:
    ahead: Counter[tuple[int, int]] = Counter()
    for epoch in range(40):
        for context, label in learnt(10, 3, epoch, look_ahead=0.5):
            ahead[len(context) if context[0] % 100 == 0 else 99, label - context[-1]] += 1
    assert {steps for place, steps in ahead if place == 99} == {1}
    first = {steps: times for (place, steps), times in ahead.items() if place == 1}
    assert set(first) == set(range(1, 11))
    assert 0.45 < first[1] / sum(first.values()) < 0.75, "half of them name the next, and of the others some"
    assert all(0 < first[steps] < first[1] / 2 for steps in range(2, 11))


def test_always_looking_ahead_the_next_ten_are_alike() -> None:
    events, ahead = Histories.build([list(range(19))]), Counter[int]()
    for epoch in range(1000):
        for _, _, labels in lessons(events, 20, 1, 3, epoch, look_ahead=1.0):
            ahead[int(labels[0, -18 + 4]) - 5] += 1  # after the fifth of 18
    assert set(ahead) == set(range(1, 11))
    assert max(ahead.values()) < 2 * min(ahead.values()), "100 times each, about"


def test_lessons_repeat_with_the_seed() -> None:
    assert list(learnt(10, 3, 1, 0.5)) == list(learnt(10, 3, 1, 0.5))
    assert list(learnt(10, 3, 1, 0.5)) != list(learnt(10, 3, 2, 0.5))


def test_cooccurrence_brings_neighbours_near() -> None:
    walks = [[(s + j) % 30 for j in range(8)] for s in range(30)]
    vectors = cooccurrence_vectors(Histories.build(walks), 32, 8)
    assert vectors.shape == (32, 8)
    assert not vectors[30:].any()
    unit = vectors[:30] / np.linalg.norm(vectors[:30], axis=1, keepdims=True)
    near = (unit * np.roll(unit, -1, axis=0)).sum(axis=1)
    far = (unit * np.roll(unit, -15, axis=0)).sum(axis=1)
    assert near.mean() > far.mean() + 0.5
    np.testing.assert_array_equal(vectors, cooccurrence_vectors(Histories.build(walks), 32, 8))


def test_cooccurrence_of_next_to_nothing_is_zeros() -> None:
    assert not cooccurrence_vectors(Histories.build([[0], []]), 2, 4).any()


def test_ranks_leave_the_history_out_and_break_ties_by_position() -> None:
    scores = np.asarray([[9.0, 5, 5, 1], [0, 0, 0, 0], [1, 2, 3, 4]], np.float32)
    histories = Histories.build([[0], [], [3]])
    ranks = rank_answers(lambda tokens, ages: scores, histories, np.asarray([2, 3, 0], np.int32), 2, batch=3)
    np.testing.assert_array_equal(ranks, [1, 3, 2])
    assert hit_rate(ranks, 2) == pytest.approx(1 / 3)
    assert ndcg(ranks, 3) == pytest.approx((1 / np.log2(3) + 1 / 2) / 3)
