"""Requests become rows inside the run; what has to be waited for is waited for outside of runs."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cuvee.config import Limits
from cuvee.config.telemetry import Traces as TracesConfig
from cuvee.errors import InvalidArgument
from cuvee.serving.lists.drafts import Beside, Draft, Row
from cuvee.serving.lists.runs import Runs
from cuvee.serving.scheduling.core import Core
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.tracing.calls import asked_in
from cuvee.serving.tracing.traces import Traces


class Stub:
    """An edge whose drafts all fail, in the run or outside it, with an error that says where."""

    observes = False

    def __init__(self) -> None:
        self.near = True
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.beside = 0
        self.answer: Exception = InvalidArgument("here", "in the run")

    def quick(self, _draft: Any) -> bool:
        return self.near

    def rows(self, drafts: Any) -> list[Any]:
        self.batches.append(len(drafts))
        self.gate.wait(10)
        return [self.answer for _ in drafts]

    def give_up_on_store(self) -> None:
        self.near = False

    async def row(self, _draft: Any, _deadline: float) -> Any:
        self.beside += 1
        raise InvalidArgument("there", "beside the runs")


def draft() -> Draft:
    return Draft(None, "ann", "", ("a",), None)  # type: ignore[arg-type]


async def where(runs: Runs, seconds: float = 60.0) -> str:
    with pytest.raises(InvalidArgument) as told:
        await asyncio.wait_for(runs.ask(draft(), time.monotonic() + seconds), 30)
    return told.value.field


def made() -> tuple[Stub, Runs]:
    stub: Any = Stub()
    return stub, Runs("shop", Limits(), stub, stub, Core(), Figures(), lambda: 0.0)


async def test_drafts_that_come_together_are_made_together() -> None:
    stub, runs = made()
    assert set(await asyncio.gather(*(where(runs) for _ in range(8)))) == {"here"}
    assert sum(stub.batches) == 8
    assert len(stub.batches) < 8
    assert stub.beside == 0


async def test_what_must_be_waited_for_is_made_beside_the_runs() -> None:
    stub, runs = made()
    stub.answer = Beside()
    assert await where(runs) == "there"
    stub.near = False
    assert await where(runs) == "there"
    assert stub.batches == [1], "it is not tried in a run where that is known to be in vain"


async def test_a_store_that_hangs_in_a_run_keeps_neither_the_run_nor_the_core() -> None:
    stub, runs = made()
    stub.gate.clear()
    began = time.monotonic()
    assert set(await asyncio.gather(*(where(runs) for _ in range(3)))) == {"there"}
    assert time.monotonic() - began < 5
    assert not stub.near
    assert await where(runs) == "there"
    stub.gate.set()


async def test_a_row_that_a_run_makes_names_the_call_that_asked() -> None:
    class Context:
        @staticmethod
        def invocation_metadata() -> list[tuple[str, str]]:
            return [("x-request-id", "mine")]

    asked_in(Context(), "/cuvee.v1.RecommendationService/Recommend", Traces(TracesConfig(), Figures()))
    one = Draft(None, "ann", "", ("a",), lambda _found: Row(None, 5, None))  # type: ignore[arg-type]
    found: Any = None
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(one.row, found).result().asked.request_id == "mine"
