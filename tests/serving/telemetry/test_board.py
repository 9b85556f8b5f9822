"""The figures that workers leave in shared memory, and what is exported of them."""

import os

import pytest
from cuvee.serving.telemetry import board, exposition
from cuvee.serving.telemetry.board import Board, Slot
from cuvee.serving.telemetry.exposition import Exposition, packed
from cuvee.serving.telemetry.figures import Figures
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_the_newest_note_is_read(notes: list[bytes]):
    slot = Slot()
    assert slot.read() is None
    for note in notes:
        slot.write(note)
        found = slot.read()
        assert found is not None and found.payload == note and found.age >= 0


def test_a_writer_that_dies_in_between_leaves_the_note_before():
    slot = Slot()
    slot.write(b"first")
    slot.write(b"second")
    other = board.START + board.HALF  # where the next note would go
    slot._memory[other : other + 3] = b"thi"
    found = slot.read()
    assert found is not None and found.payload == b"second"
    slot._memory[other : other + 5] = b"first"
    slot._memory[board.START] ^= 1  # the newest is not what its head says
    found = slot.read()
    assert found is not None and found.payload == b"first"


def test_what_a_forked_process_wrote_outlives_it():
    slot = Slot()
    pid = os.fork()
    if pid == 0:
        slot.write(b"from the child")
        os._exit(0)
    os.waitpid(pid, 0)
    found = slot.read()
    assert found is not None and found.payload == b"from the child"


def test_too_much_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(board, "HALF", 10)
    slot = Slot()
    slot.write(b"12345")
    slot.write(b"x" * 11)
    found = slot.read()
    assert found is not None and found.payload == b"12345"


def values(shown: Exposition, name: str) -> dict[str, float]:
    return {s.labels["worker"]: s.value for f in shown.collect() for s in f.samples if s.name == name}


def test_of_a_worker_that_is_silent_the_counters_stay(monkeypatch: pytest.MonkeyPatch):
    told = Board(2)
    figures = Figures()
    figures.count("cuvee_lists_total", "movies", by=3)
    figures.watch("cuvee_queue_rows", lambda: {("movies",): 7})
    told.slots[0].write(packed(figures.samples()))
    shown = Exposition(told)
    assert values(shown, "cuvee_worker_up") == {"1": 1, "2": 0}
    assert values(shown, "cuvee_queue_rows") == {"1": 7}
    monkeypatch.setattr(exposition, "STALE", 0.0)
    assert values(shown, "cuvee_worker_up") == {"1": 0, "2": 0}
    assert values(shown, "cuvee_queue_rows") == {}
    assert values(shown, "cuvee_lists_total") == {"1": 3}
