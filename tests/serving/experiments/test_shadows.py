"""How a shadow's list is compared with the one that was shown, and that shadows are the first to go under load."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuvee.config import Limits
from cuvee.serving.lists.shadows import MOST, Shadows, compared
from cuvee.serving.telemetry.figures import Figures
from cuvee.v1 import recommendation_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("shown", "made", "overlap", "moved"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0, 0.0),
        ([1, 2, 3], [3, 2, 1], 1.0, 4 / 3),
        ([1, 2, 3, 4], [5, 6, 1, 7], 0.25, 2.0),
        ([1, 2], [3, 4], 0.0, math.nan),
        ([], [], 1.0, math.nan),
        ([1, 2], [], 0.0, math.nan),
        ([1], [1, 2, 3, 4], 0.25, 0.0),
    ],
)
def test_overlap_and_moves(shown: list[int], made: list[int], overlap: float, moved: float):
    assert compared(shown, made) == pytest.approx((overlap, moved), nan_ok=True)


@given(st.lists(st.integers(0, 30), unique=True), st.lists(st.integers(0, 30), unique=True))
def test_it_is_the_same_both_ways(shown: list[int], made: list[int]):
    assert compared(shown, made) == pytest.approx(compared(made, shown), nan_ok=True)


def answer() -> Any:
    product = SimpleNamespace(name="film", shadows=(SimpleNamespace(name="bold", share=1.0),))
    row = SimpleNamespace(preview=False, served=SimpleNamespace(snapshot=SimpleNamespace(product=product)))
    items = SimpleNamespace(items=lambda: np.array([[1, 2, -1]]))
    return SimpleNamespace(row=row, answer=items, b=0, recommendation_id="x")


class Never:
    """An edge that must not be asked."""

    def recommend(self, *_: object) -> None:
        raise AssertionError("a shadow was made")


def outcomes(figures: Figures) -> dict[str, float]:
    return {one.labels[2]: one.value for one in figures.samples() if one.name == "cuvee_shadow_lists_total"}


@pytest.mark.parametrize("notes", [1, MOST, MOST + 10])
async def test_where_calls_wait_all_shadows_are_shed(notes: int):
    figures, edge = Figures(), Never()
    shadows = Shadows(Limits(), None, edge, None, figures, lambda: 0.5, lambda _: 0)  # type: ignore[arg-type]
    for n in range(notes):
        shadows.note(pb.RecommendRequest(product="film", user_id=f"u{n}"), answer())
    while outcomes(figures).get("shed", 0) < notes:
        await asyncio.sleep(0.01)
    assert outcomes(figures) == {"shed": notes}
    shadows.close()


async def test_while_lists_wait_shadows_wait_and_the_queue_has_an_end():
    figures, edge = Figures(), Never()
    shadows = Shadows(Limits(), None, edge, None, figures, lambda: 0.0, lambda _: 1)  # type: ignore[arg-type]
    for n in range(MOST + 10):
        shadows.note(pb.RecommendRequest(product="film", user_id=f"u{n}"), answer())
    await asyncio.sleep(0.1)
    assert outcomes(figures) == {"shed": 10}
    shadows.close()


async def test_what_is_only_looked_at_and_further_pages_have_no_shadow():
    figures, edge = Figures(), Never()
    shadows = Shadows(Limits(), None, edge, None, figures, lambda: 0.5, lambda _: 0)  # type: ignore[arg-type]
    looked = answer()
    looked.row.preview = True
    shadows.note(pb.RecommendRequest(product="film", user_id="u"), looked)
    shadows.note(pb.RecommendRequest(product="film", user_id="u", page_token="next"), answer())
    await asyncio.sleep(0.05)
    assert outcomes(figures) == {}
    shadows.close()
