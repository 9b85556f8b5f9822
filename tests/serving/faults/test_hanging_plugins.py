"""A plugin that hangs, keeps the interpreter's lock, or ends its process: others answer, then it is left alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cuvee.testing.server import RunningServer, run_server
from reliability.callers import Call, Callers
from reliability.place import ENVIRONMENT, POPULAR, fitted

PRODUCTS = ("sleeps", "spins", "keeps_the_lock", "regular_expression", "ends_the_process", "crashes", "async")
PRODUCT = 'sources = [{{ use = "{how}" }}, {{ use = "popular" }}]'
HEALTHY = "well"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hanging") / "place"
    tables = {how: f'plugin = "ill"\nhow = "{how}"\ntrouble = "{folder / how}"' for how in PRODUCTS if how != "async"}
    tables["async"] = f'plugin = "ill_async"\nhow = "sleeps"\ntrouble = "{folder / "async"}"'
    products = {how: PRODUCT.format(how=how) for how in PRODUCTS}
    products[HEALTHY] = 'sources = [{ use = "popular" }]'
    return fitted(folder, products, {"popular": POPULAR, **tables}, head='[store]\nurl = ""')


@contextmanager
def trouble(place: Path, how: str) -> Iterator[None]:
    (place.parent / how).touch()
    try:
        yield
    finally:
        (place.parent / how).unlink()


@pytest.fixture(scope="module")
def one(place: Path) -> Iterator[RunningServer]:
    with run_server(place, environment=ENVIRONMENT) as running:
        yield running


@pytest.fixture(scope="module")
def two(place: Path) -> Iterator[RunningServer]:
    with run_server(place, environment=ENVIRONMENT, options=["--workers", "2"], wait_until="workers ready") as running:
        yield running


def left_out(how: str, reason: str = "") -> object:
    """Whether an answer is full, and says that the source is left out."""

    def true(call: Call) -> bool:
        return (
            call.product == how
            and call.items == 5
            and call.said_degraded
            and any(source == how and reason in {"", why} for source, why in call.degraded)
        )

    return true


@pytest.mark.parametrize("how", ["sleeps", "spins"])
def test_in_one_process_the_others_answer_beside_one_that_sleeps_or_computes_for_ever(
    place: Path, one: RunningServer, viewers: list[str], how: str
):
    with trouble(place, how):
        began = time.monotonic()
        with Callers(one.address, [how, HEALTHY], viewers, callers=4, timeout=1.0, pause=0.01) as callers:
            callers.first(left_out(how), began)
            time.sleep(1.0)
            open_ = time.monotonic()
            time.sleep(1.5)
        assert one.process.poll() is None
    after = callers.since(open_)
    assert {call.code for call in after} == {"OK"}, callers.summary(open_)
    assert all(call.items == 5 for call in after)
    assert all(not call.said_degraded for call in after if call.product == HEALTHY)
    assert all(call.said_degraded for call in after if call.product == how)


@pytest.mark.parametrize("how", ["keeps_the_lock", "regular_expression", "ends_the_process", "crashes", "async"])
def test_what_no_thread_survives_is_found_out_and_left_alone(
    place: Path, two: RunningServer, viewers: list[str], how: str
):
    with trouble(place, how):
        began = time.monotonic()
        with Callers(two.address, [how, HEALTHY], viewers, callers=6, timeout=1.0, pause=0.02) as callers:
            callers.first(left_out(how, "CIRCUIT_OPEN"), began, 60)
            deadline = time.monotonic() + 30
            while len(two.events("worker ready")) < 2 + len(two.events("worker ended, and is replaced")):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(0.5)  # longer than a client's pause between two attempts to connect
            well = time.monotonic()
            time.sleep(2.0)
    told = [line for line in two.events("source is left alone") if line["source"] == how]
    assert told
    assert {line["product"] for line in told} == {how}
    after = callers.since(well)
    assert {call.code for call in after} == {"OK"}, callers.summary(well)
    assert all(call.items == 5 for call in after)
    assert all(call.said_degraded == (call.product == how) for call in after), "the others are whole"
    print(f"\n{how}: {callers.summary(began)}; {len(told)} workers lost, well after {well - began:.1f} s")
