"""Figures: what any thread counts is what is exported, and their number is bounded."""

import re
import threading

import pytest
from cuvee.serving.telemetry.figures import MOST_SERIES, Figures
from cuvee.serving.telemetry.named import NAMED
from hypothesis import given
from hypothesis import strategies as st


def found(figures: Figures, name: str) -> dict[tuple[str, ...], float]:
    return {sample.labels: sample.value for sample in figures.samples() if sample.name == name}


def test_threads_lose_nothing():
    figures = Figures()

    def work() -> None:
        for _ in range(5000):
            figures.count("cuvee_shed_total", "reads", "LATE")
            figures.observe("cuvee_queue_wait_seconds", 0.5, "movies")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found(figures, "cuvee_shed_total") == {("reads", "LATE"): 20_000}
    assert found(figures, "cuvee_queue_wait_seconds") == {("movies",): 10_000}


@given(st.lists(st.floats(0, 100)))
def test_each_observation_is_in_the_first_bucket_that_holds_it(values):
    figures = Figures()
    histogram = figures.histogram("cuvee_batch_rows", "movies")
    for value in values:
        histogram.add(value)
    bounds = (*NAMED["cuvee_batch_rows"].bounds, float("inf"))
    below = [sum(value <= bound for value in values) for bound in bounds]
    [sample] = [one for one in figures.samples() if one.name == "cuvee_batch_rows"]
    assert [sum(sample.buckets[: at + 1]) for at in range(len(bounds))] == below


@pytest.mark.parametrize(
    ("name", "labels", "error"),
    [
        ("cuvee_unheard_of_total", (), KeyError),
        ("cuvee_queue_wait_seconds", ("movies",), KeyError),  # a histogram
        ("cuvee_shed_total", ("reads",), ValueError),
    ],
)
def test_what_is_not_declared_is_refused(name, labels, error):
    with pytest.raises(error):
        Figures().count(name, *labels)


def test_series_are_bounded_whatever_labels_come():
    figures = Figures()
    for at in range(MOST_SERIES + 30):
        figures.count("cuvee_shed_total", f"lane {at}", "LATE")
    assert len(found(figures, "cuvee_shed_total")) == MOST_SERIES
    assert found(figures, "cuvee_series_left_out_total") == {("cuvee_shed_total",): 30}


def test_what_cannot_be_read_takes_nothing_else_along():
    figures = Figures()

    def broken() -> dict[tuple[str, ...], float]:
        raise RuntimeError

    figures.watch("cuvee_queue_rows", broken)
    figures.watch("cuvee_queue_rows", lambda: {("movies",): 3})
    assert found(figures, "cuvee_queue_rows") == {("movies",): 3}


@pytest.mark.parametrize("name", NAMED)
def test_names_follow_prometheus(name):
    named = NAMED[name]
    assert re.fullmatch(r"cuvee(_[a-z]+)+", name)
    assert name.endswith("_total") == (named.kind == "counter")
    assert named.text.endswith(".") or named.text.endswith(").")
    assert list(named.bounds) == sorted(set(named.bounds)) and bool(named.bounds) == (named.kind == "histogram")
    assert not {"user", "item", "user_id", "item_id", "id", "le"} & set(named.labels)
