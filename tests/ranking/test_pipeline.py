"""The way of a request, over recommenders whose opinions are written down."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cuvee.errors import DegradedReason, SourceFailure
from cuvee.ranking.ask import Directly, Status
from cuvee.ranking.blend import Blender, ReciprocalRankFusion, RrfOptions, WeightedOptions, WeightedSum
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from cuvee.ranking.facts import ItemFacts
from cuvee.ranking.learned import Learned, LearnedOptions, Reading, Readings
from cuvee.ranking.pipeline import Answer, make_lists, score_listed
from cuvee.ranking.plan import Plan, Question
from cuvee.recommender import Candidates, Queries, Ragged, Serves
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from .conftest import Fixed, Infinite, OutsideCatalogue, Raises, RaisesLater, WrongShape, plan, question

UP = Fixed([1, 2, 3, 4, 5, 6])
DOWN = Fixed([6, 5, 4, 3, 2, 1])


def run(made: Plan, asked: Question) -> Answer:
    return make_lists(made, asked, Directly())


def test_one_source_gives_its_own_order_less_what_was_seen() -> None:
    answer = run(plan({"up": UP}), question([[5, 3], []]))
    assert answer.items().tolist() == [[4, 2, 1, 0], [5, 4, 3, 2]]


def test_weights_of_the_segment_decide() -> None:
    made = plan({"up": UP, "down": DOWN}, weights={"cold": {"down": 1.0}, "warm": {"up": 0.9, "down": 0.1}})
    answer = run(made, question([[], [0]]))
    assert answer.items().tolist() == [[0, 1, 2, 3], [5, 4, 3, 2]]
    assert answer.segments.tolist() == [0, 1]
    np.testing.assert_allclose(answer.weights, [[0, 0.9], [1, 0.1]], rtol=1e-6)


opinions = arrays(np.float32, 6, elements=st.one_of(st.just(float("nan")), st.floats(-5, 5, width=32)))


READ = LearnedOptions(
    learnt=Readings(
        calibrate="zscore",
        sources={
            "a": Reading(unknown=-0.5, unproposed=0.25, popularity=0.3),
            "b": Reading(against=True, top=0.7),
            "c": Reading(age=-0.2),
        },
    )
)
BLENDERS = [
    *(WeightedSum(WeightedOptions(), policy) for policy in ("prior", "skip", "zero")),
    WeightedSum(WeightedOptions(optimism=2.0), "prior"),
    ReciprocalRankFusion(RrfOptions(), "prior"),
    Learned(READ, "prior"),
]


@pytest.mark.parametrize("blender", BLENDERS, ids=["prior", "skip", "zero", "hope", "rrf", "learned"])
@pytest.mark.parametrize("calibrator", [MinMax({}), ZScore({}), Rank({}), Quantile({})], ids=lambda c: type(c).__name__)
@settings(max_examples=20)
@given(first=opinions, second=opinions, third=opinions)
def test_contributions_add_up_to_the_score(
    blender: Blender, calibrator: Calibrator, first: Any, second: Any, third: Any
) -> None:
    made = plan({"a": Fixed(first), "b": Fixed(second), "c": Fixed(third)}, weights={"warm": {"a": 3, "b": 2, "c": 1}})
    facts = ItemFacts(
        np.linspace(-1, 1, 6, dtype=np.float32), np.linspace(2, -2, 6, dtype=np.float32), np.arange(6) % 2 == 0
    )
    made = replace(made, blender=blender, calibrators=dict.fromkeys("abc", calibrator), facts=facts)
    blended = run(made, question([[0], []], k=6)).blended
    there = blended.items >= 0
    np.testing.assert_allclose(blended.contributions.sum(axis=0)[there], blended.scores[there], atol=1e-6)
    assert np.isnan(blended.scores[~there]).all()
    for row in np.where(there, blended.scores, -np.inf):
        assert (row[:-1] >= row[1:]).all()  # best first (-inf equals -inf)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (Raises([0] * 6), DegradedReason.ERROR),
        (RaisesLater([1] * 6), DegradedReason.ERROR),
        (WrongShape([1] * 6), DegradedReason.INVALID_OUTPUT),
        (Infinite([1] * 6), DegradedReason.INVALID_OUTPUT),
        (OutsideCatalogue([1] * 6), DegradedReason.INVALID_OUTPUT),
        (None, DegradedReason.UNAVAILABLE),
    ],
)
def test_a_failing_source_degrades_the_answer_and_loses_nothing(broken: Any, reason: DegradedReason) -> None:
    answer = run(plan({"broken": broken, "up": UP}), question([[5]]))
    assert answer.items().tolist() == [[4, 3, 2, 1]]
    assert answer.degraded
    assert answer.reports[0].status is Status.DEGRADED
    assert answer.reports[0].reason is reason
    assert "swordfish" not in answer.reports[0].detail
    np.testing.assert_array_equal(answer.weights[:, 0], [0, 1])
    assert answer.reports[1].status is Status.LIVE


def test_optimism_lifts_an_item_without_events_that_only_some_sources_can_know() -> None:
    nan = float("nan")
    # 4 is missing to most because it is new, 5 because nobody near this user wanted it
    most, content = Fixed([3.0, 2.0, 1.0, 0.0, nan, nan]), Fixed([0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    made = plan({"most": most, "content": content}, weights={"warm": {"most": 0.9, "content": 0.1}})
    made = replace(made, calibrators=dict.fromkeys(("most", "content"), ZScore({})))
    alike = np.zeros(6, np.float32)
    made = replace(made, facts=ItemFacts(alike, alike, np.arange(6) == 4))
    before = run(made, question([[0]], k=6))
    hopeful = run(replace(made, blender=WeightedSum(WeightedOptions(optimism=1.5), "prior")), question([[0]], k=6))
    assert before.items()[0].tolist()[0] != 4
    assert hopeful.items()[0].tolist()[0] == 4
    others = [i for i in before.items()[0].tolist() if i != 4]
    assert [i for i in hopeful.items()[0].tolist() if i != 4] == others
    score = hopeful.blended.contributions[:, 0, 0]
    assert score.sum() == pytest.approx(float(hopeful.blended.scores[0, 0]), abs=1e-6)


def test_a_source_is_not_asked_about_queries_that_it_does_not_serve() -> None:
    made = plan({"session": Raises([0] * 6, serves=Serves.SESSION), "up": UP})
    answer = run(made, question([[]]))
    assert answer.reports[0].status is Status.NOT_SERVING
    assert not answer.degraded


def test_the_chain_fills_a_short_list_and_marks_level_and_reason() -> None:
    nan = np.nan
    made = plan(
        {"few": Fixed([nan, nan, nan, nan, 1, 2])},
        fallback={"sparse": Fixed([nan, nan, 9, nan, 5, nan]), "down": DOWN},
    )
    answer = run(made, question([[0], []], k=5))
    assert answer.items().tolist() == [[5, 4, 2, 1, 3], [5, 4, 2, 0, 1]]
    assert answer.fallback.levels[0][answer.fallback.levels[0] > 0].tolist() == [1, 2, 2]
    assert answer.fallback.reasons == [DegradedReason.EMPTY, DegradedReason.COLD_USER]


def test_rules_and_filters_hold_on_fallback() -> None:
    eligible = np.array([True, False, True, True, False, False])
    made = plan({"none": Fixed([np.nan] * 6)}, fallback={"down": DOWN}, eligible=eligible)
    asked = question([[0]], k=5, excluded=Ragged.of([[3]]))
    assert run(made, asked).items().tolist() == [[2]]


def test_a_failed_source_is_the_reason_of_the_fallback() -> None:
    answer = run(plan({"broken": Raises([0] * 6)}, fallback={"up": UP}), question([[0]]))
    assert answer.items().tolist() == [[5, 4, 3, 2]]
    assert answer.fallback.reasons == [DegradedReason.ERROR]
    assert answer.degraded


FAILURES = [
    r for r in DegradedReason if r not in (DegradedReason.COLD_USER, DegradedReason.COLD_ITEM, DegradedReason.EMPTY)
]


@pytest.mark.parametrize("reason", FAILURES, ids=str)
@pytest.mark.parametrize("history", [[], [0]], ids=["new user", "known history"])
def test_whatever_failed_a_source_is_told_on_every_item_that_stands_in_for_it(
    reason: DegradedReason, history: list[int]
) -> None:
    class Fails(Fixed):
        def candidates(self, queries: Queries, k: int) -> Candidates:
            raise SourceFailure(reason, "as told")

    eligible = np.array([True, False, True, True, False, False])
    made = plan({"fails": Fails([0] * 6)}, fallback={"none": Fixed([np.nan] * 6), "up": UP}, eligible=eligible)
    answer = run(made, question([history], excluded=Ragged.of([[3]])))
    assert answer.items().tolist() == [[2, 0] if not history else [2]]
    assert answer.fallback.reasons == [reason]
    assert set(answer.fallback.levels[answer.fallback.items >= 0].tolist()) == {2}


def test_everything_failing_leaves_the_list_to_the_last_resort_and_says_why() -> None:
    answer = run(plan({"broken": Raises([0] * 6)}, fallback={"broken": Raises([0] * 6)}), question([[0]]))
    assert answer.items().tolist() == [[5, 4, 3, 2]]
    assert answer.fallback.levels.tolist() == [[2, 2, 2, 2]]
    assert answer.fallback.reasons == [DegradedReason.ERROR]
    assert [r.reason for r in answer.reports] == [DegradedReason.ERROR] * 2


def test_k_above_the_catalogue_gives_the_catalogue() -> None:
    assert run(plan({"up": UP}), question([[]], k=1000)).items().shape == (1, 6)


def test_a_batch_equals_its_queries_alone() -> None:
    made = plan({"up": UP, "down": Fixed([1, 9, 1, 9, 1, 9])}, weights={"warm": {"up": 0.4, "down": 0.6}})
    histories = [[0], [], [1, 2], [5]]
    together = run(made, question(histories))
    for b, history in enumerate(histories):
        alone = run(made, question([history]))
        assert alone.items()[0].tolist() == [i for i in together.items()[b].tolist() if i >= 0]
        np.testing.assert_allclose(alone.blended.scores[0], together.blended.scores[b], rtol=1e-6)


def test_ranking_a_list_returns_all_of_it_seen_or_not() -> None:
    asked = question([[5]])
    listed = np.array([[3, 5, 0]], np.int32)
    answer = score_listed(plan({"up": UP}), Question(asked.queries, asked.seen, 3, listed=listed), Directly())
    assert answer.items().tolist() == [[5, 3, 0]]


def test_ranking_with_every_source_down_keeps_the_callers_order() -> None:
    asked = question([[5]])
    listed = np.array([[3, 5, 0]], np.int32)
    made = plan({"broken": RaisesLater([0] * 6)})
    answer = score_listed(made, Question(asked.queries, asked.seen, 3, listed=listed), Directly())
    assert answer.items().tolist() == [[3, 5, 0]]
    assert answer.degraded


def test_the_learnt_blender_goes_on_without_the_sources_that_fail() -> None:
    broken = Raises([0] * 6)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"a": broken, "b": UP, "c": DOWN}, [0, 1, 2, 3]),  # b counts against, so both prefer the first items
        ({"a": broken, "b": UP, "c": broken}, [5, 4, 3, 2]),  # with nobody to count against, it counts for
    ]
    for sources, expected in cases:
        answer = run(replace(plan(sources), blender=Learned(READ, "prior")), question([[]]))
        assert answer.degraded
        assert answer.items().tolist() == [expected]
        live = [made is not broken for made in sources.values()]
        np.testing.assert_allclose(answer.weights[:, 0], np.array(live) / sum(live), rtol=1e-6)


@pytest.mark.parametrize(("width", "many"), [(1.0, 10), (0.5, 5), (0.31, 4), (0.01, 4)])
def test_a_narrow_question_has_fewer_candidates_and_full_lists(width: float, many: int) -> None:
    """Of the ten that a source proposes; four are the list's own length."""
    made = plan({"up": Fixed(range(20)), "down": Fixed(range(20, 0, -1))}, n=20)
    asked = replace(question([[], [3]]), width=width)
    answer = run(made, asked)
    assert answer.proposed.tolist() == [[many, many]] * 2
    assert (answer.items() >= 0).sum(axis=1).tolist() == [4, 4]
