"""What events count: by type, and with dislikes that take likes back."""

from __future__ import annotations

import numpy as np
import pytest
from cuvee.data.store.rows import EventType
from cuvee.data.store.weights import settled, weights_of
from cuvee.product import EventsConfig
from hypothesis import given
from hypothesis import strategies as st

T = EventType


@pytest.mark.parametrize(
    ("kind", "value", "weight"),
    [
        (T.VIEW, 1.0, 0.5),
        (T.VIEW, 0.2, 0.1),
        (T.VIEW, 0.0, 0.0),
        (T.CLICK, 1.0, 1.0),
        (T.FAVOURITE, 1.0, 2.0),
        (T.PURCHASE, 12.0, 1.0),
        (T.RATING, 3.5, 3.0),
        (T.RATING, 3.4, 0.0),
        (T.RATING, -7.0, 0.0),
        (T.DISMISS, 1.0, -1.5),
        (T.DISMISS, 0.5, -0.75),
    ],
)
def test_each_type_weighs_as_configured(kind: EventType, value: float, weight: float):
    config = EventsConfig(weights={"view": 0.5, "favourite": 2, "rating": 3, "dismiss": -1.5}, rating_liked_from=3.5)
    assert weights_of(config, [kind], [value]).tolist() == pytest.approx([weight])


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ([], []),
        ([(1, 1.0), (2, 1.0)], [1.0, 1.0]),
        ([(1, 1.0), (2, 1.0), (1, -1.0)], [0.0, 1.0, 0.0]),
        ([(1, 3.0), (1, 1.0), (1, -2.0)], [2.0, 0.0, 0.0]),
        ([(1, 1.0), (1, -5.0), (1, 1.0)], [0.0, 0.0, 1.0]),
        ([(1, -1.0), (1, 1.0)], [0.0, 1.0]),
        ([(1, 1.0), (1, -0.5), (1, -0.25)], [0.25, 0.0, 0.0]),
        ([(1, 1.0), (1, -0.5), (1, 1.0), (1, -1.25)], [0.25, 0.0, 0.0, 0.0]),
    ],
)
def test_a_dislike_takes_back_what_was_said_before(events: list[tuple[int, float]], left: list[float]):
    items, weights = np.array([i for i, _ in events], np.int32), np.array([w for _, w in events], np.float32)
    assert settled(items, weights).tolist() == left


EVENT = st.tuples(st.integers(0, 3), st.integers(-8, 8).map(lambda w: w / 4))


@given(st.lists(EVENT, max_size=30))
def test_what_is_left_is_never_negative_and_no_more_than_was_said(events: list[tuple[int, float]]):
    items, weights = np.array([i for i, _ in events], np.int32), np.array([w for _, w in events], np.float32)
    left = settled(items, weights)
    assert (left >= 0).all()
    assert (left <= np.maximum(weights, 0)).all()
    for item in range(4):
        mine = items == item
        # the sum is that of a counter that likes raise and dislikes lower, though never below 0
        counter = 0.0
        for weight in weights[mine]:
            counter = max(counter + float(weight), 0.0)
        assert left[mine].sum() == pytest.approx(counter)
