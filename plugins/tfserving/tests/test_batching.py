"""Waiting requests run in one batch, and a wrong request fails alone. No TensorFlow."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest
from cuvee_tfserving.model_server.batching import Batcher, Work
from cuvee_tfserving.model_server.refusals import Refused, invalid


class Doubling:
    """Doubles what it gets; refuses 13; can be held up."""

    def __init__(self, batchable=True):
        self.runs = []
        self.go = threading.Event()
        self.go.set()
        self._batchable = batchable

    def batchable(self, signature):
        return self._batchable

    def run(self, signature, inputs):
        self.go.wait(5)
        self.runs.append(len(inputs["x"]))
        if 13 in inputs["x"]:
            raise invalid("unlucky")
        return {"y": 2 * inputs["x"]}


@pytest.fixture
def batcher():
    made = Batcher(threads=1, most=8)
    yield made
    made.close()


def work(servable, *rows, seconds=5.0):
    return Work(servable, "s", {"x": np.array(rows)}, time.monotonic() + seconds)


def held(batcher, servable):
    """Keep the only thread busy, so that what follows waits."""
    servable.go.clear()
    first = batcher.submit(work(servable, 0))
    until = time.monotonic() + 5
    while not first.running() and time.monotonic() < until:
        time.sleep(0.001)
    return first


def test_what_waits_is_one_run(batcher):
    servable = Doubling()
    held(batcher, servable)
    waiting = [batcher.submit(work(servable, n, n + 1)) for n in (1, 5)]
    servable.go.set()
    assert [f.result(5)["y"].tolist() for f in waiting] == [[2, 4], [10, 12]]
    assert servable.runs == [1, 4]


def test_one_mistake_is_its_makers_alone(batcher):
    servable = Doubling()
    held(batcher, servable)
    good, bad, other = (batcher.submit(work(servable, n)) for n in (1, 13, 2))
    servable.go.set()
    assert good.result(5)["y"].tolist() == [2]
    assert other.result(5)["y"].tolist() == [4]
    with pytest.raises(Refused, match="unlucky"):
        bad.result(5)


def test_batches_are_bounded_but_one_request_may_be_large(batcher):
    servable = Doubling()
    held(batcher, servable)
    waiting = [batcher.submit(work(servable, *range(20, 25))) for _ in range(3)]
    large = batcher.submit(work(servable, *range(20, 40)))
    servable.go.set()
    for future in (*waiting, large):
        future.result(5)
    assert sorted(servable.runs) == [1, 5, 5, 5, 20]


def test_what_differs_is_not_mixed(batcher):
    one, two = Doubling(), Doubling()
    held(batcher, one)
    whole = batcher.submit(work(one, 1))
    broken = batcher.submit(Work(one, "s", {"x": np.array([0.5])}, time.monotonic() + 5))
    other = batcher.submit(work(two, 3))
    one.go.set()
    assert [f.result(5)["y"].tolist() for f in (whole, broken, other)] == [[2], [1.0], [6]]
    assert one.runs == [1, 1, 1]
    assert two.runs == [1]


def test_signatures_with_a_fixed_first_dimension_are_not_batched(batcher):
    servable = Doubling(batchable=False)
    held(batcher, servable)
    waiting = [batcher.submit(work(servable, 1)) for _ in range(3)]
    servable.go.set()
    for future in waiting:
        future.result(5)
    assert servable.runs == [1, 1, 1, 1]


def test_nobody_works_for_the_late_or_the_gone(batcher):
    servable = Doubling()
    held(batcher, servable)
    late = batcher.submit(work(servable, 1, seconds=0.0))
    gone = batcher.submit(work(servable, 2))
    gone.cancel()
    there = batcher.submit(work(servable, 3))
    servable.go.set()
    assert there.result(5)["y"].tolist() == [6]
    with pytest.raises(Refused, match="too late"):
        late.result(5)
    with pytest.raises(CancelledError):
        gone.result(5)
    assert servable.runs == [1, 1]
