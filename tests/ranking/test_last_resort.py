"""The last resort after every fallback chain: a list is short only where nothing more may be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuvee.errors import DegradedReason
from cuvee.ranking.ask import Directly
from cuvee.ranking.pipeline import Answer, make_lists, score_listed
from cuvee.ranking.plan import Plan, Question
from cuvee.recommender import Ragged
from hypothesis import given
from hypothesis import strategies as st

from .conftest import Fixed, Raises, plan, question

N = 9
NOTHING = Fixed([np.nan] * N)


def run(made: Plan, asked: Question) -> Answer:
    return make_lists(made, asked, Directly())


def test_it_takes_what_may_be_shown_newest_first_and_stands_behind_the_chain() -> None:
    few = Fixed([np.nan] * 4 + [1.0] + [np.nan] * 4)
    chain = {"none": NOTHING, "two": Fixed([3.0, 2.0] + [np.nan] * 7)}
    answer = run(plan({"few": few}, fallback=chain, n=N), question([[8], []], k=6))
    assert answer.items().tolist() == [[4, 0, 1, 7, 6, 5], [4, 0, 1, 8, 7, 6]]
    assert [levels[levels > 0].tolist() for levels in answer.fallback.levels] == [[2, 2, 3, 3, 3]] * 2
    assert answer.fallback.reasons == [DegradedReason.EMPTY, DegradedReason.COLD_USER]
    assert not answer.degraded, "nobody failed: they had nothing to say"


@pytest.mark.parametrize(
    "chain", [None, {"none": NOTHING}, {"broken": Raises([0] * N)}], ids=["none", "mute", "broken"]
)
def test_it_is_there_whatever_the_chain_is(chain: dict[str, Fixed] | None) -> None:
    answer = run(plan({"none": NOTHING}, fallback=chain, n=N), question([[]], k=4))
    assert answer.items().tolist() == [[8, 7, 6, 5]]
    assert answer.fallback.levels[answer.fallback.items >= 0].tolist() == [1 + len(chain or {})] * 4
    assert np.isnan(answer.fallback.scores).all(), "it has no opinion"


def test_whoever_has_seen_everything_gets_nothing() -> None:
    answer = run(plan({"none": NOTHING}, n=N), question([list(range(N)), list(range(1, N))]))
    assert answer.items().tolist() == [[-1], [0]]


def test_only_the_chain_is_asked_where_nobody_knows_the_anchors() -> None:
    asked = replace(question([[]], k=3), only_fallback=DegradedReason.COLD_ITEM)
    answer = run(plan({"up": Fixed(range(N))}, n=N), asked)
    assert answer.items().tolist() == [[8, 7, 6]]
    assert answer.fallback.reasons == [DegradedReason.COLD_ITEM]


def test_nothing_is_added_to_a_list_that_the_caller_made() -> None:
    asked = replace(question([[]], k=3), listed=np.array([[1, 2]], np.int32))
    answer = score_listed(plan({"none": NOTHING}, n=N), asked, Directly())
    assert answer.items().tolist() == [[1, 2]]


def test_lists_of_the_blend_alone_are_left_short() -> None:
    made = plan({"few": Fixed([1.0] + [np.nan] * 8)}, fallback={"up": Fixed(range(N))}, n=N)
    assert run(made.without_filling(), question([[]], k=4)).items().tolist() == [[0]]


opinions = st.lists(st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32)), min_size=N, max_size=N)
items = st.lists(st.integers(0, N - 1), max_size=N + 2)


@given(
    of_source=opinions,
    of_chain=opinions,
    eligible=st.one_of(st.none(), st.lists(st.booleans(), min_size=N, max_size=N)),
    seen=st.lists(items, min_size=1, max_size=5),
    listed=items,
    k=st.integers(1, N + 3),
)
def test_each_list_is_full_or_holds_all_that_may_be_shown(
    of_source: list[float],
    of_chain: list[float],
    eligible: list[bool] | None,
    seen: list[list[int]],
    listed: list[int],
    k: int,
) -> None:
    mask = None if eligible is None else np.array(eligible)
    made = plan({"a": Fixed(of_source)}, fallback={"b": Fixed(of_chain)}, eligible=mask, n=N)
    excluded = [sorted(set(listed))] * len(seen)
    together = run(made, question(seen, k=k, excluded=Ragged.of(excluded)))
    for b, row in enumerate(together.items()):
        found = row[row >= 0].tolist()
        allowed = {i for i in range(N) if (eligible is None or eligible[i]) and i not in {*seen[b], *listed}}
        assert len(found) == len(set(found)) == min(k, len(allowed))
        assert set(found) <= allowed
        levels = together.fallback.levels[b]
        last = together.fallback.items[b][levels == 2].tolist()
        assert last == sorted(allowed - set(found[: len(found) - len(last)]), reverse=True)[: len(last)]
        alone = run(made, question([seen[b]], k=k, excluded=Ragged.of(excluded[:1])))
        assert alone.items()[0].tolist() == found, "whoever shares the batch"


@pytest.mark.parametrize("far", [0, 5_000, 99_990])
def test_of_a_large_catalogue_that_may_hardly_be_shown_it_finds_what_may(far: int) -> None:
    n = 100_000
    mask = np.zeros(n, np.bool_)
    mask[far : far + 10] = True
    made = plan({"none": Fixed([np.nan] * n)}, eligible=mask, n=n)
    assert run(made, question([[far + 9]], k=12)).items().tolist() == [list(range(far + 8, far - 1, -1))]
