"""Which events of a history are sent to the model."""

import numpy as np
from cuvee import Histories
from cuvee_tfserving.sequences import sequences
from hypothesis import given
from hypothesis import strategies as st

rows = st.lists(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0.0, 0.5, 1.0])), max_size=9), max_size=5)


@given(rows, st.integers(1, 12), st.integers(1, 6))
def test_sequences_are_the_newest_liked_and_known_events(events, n_items, length):
    histories = Histories.build([[i for i, _ in row] for row in events], [[w for _, w in row] for row in events])
    found, ages, told = sequences(histories, n_items, length)
    slow = [[i + 1 for i, w in row if w > 0 and i < n_items][-length:] for row in events]
    assert told.tolist() == [b for b, row in enumerate(slow) if row]
    assert found.tolist() == [[0] * (length - len(row)) + row for row in slow if row]
    when = [[at for at, (i, w) in enumerate(row) if w > 0 and i < n_items][-length:] for row in events]
    wanted = [[0] * (length - len(row)) + [row[-1] - at for at in row] for row in when if row]
    assert ages.tolist() == wanted, "seconds before the newest of those that are sent"
    assert (found.dtype, ages.dtype) == (np.int32, np.float32)
    assert found.shape == (len(told), length)
