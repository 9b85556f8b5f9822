"""The learnt blender: exact attribution, what it learns, and what it does where a source is gone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cuvee.ranking.blend import Lesson, Opinions, WeightedSum, live_weights
from cuvee.ranking.learned import READINGS, Learned, LearnedOptions, Reading, Readings
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

P, B, M = 3, 2, 5
NAMES = ["a", "b", "c"]
calibrated = arrays(np.float32, (P, B, M), elements=st.one_of(st.just(float("nan")), st.floats(-9, 9, width=32)))
weights = arrays(np.float32, (P, B), elements=st.floats(0, 1, width=32))
ranks = arrays(np.int32, (P, B, M), elements=st.integers(0, 40))
facts = arrays(np.float32, (B, M), elements=st.floats(-3, 3, width=32))
present = arrays(np.bool_, (B, M))
coefficient = st.floats(-2, 2, width=32)
readings = st.builds(
    Reading, against=st.booleans(), **dict.fromkeys(READINGS, coefficient)
)  # fmt: skip


def learned(**sources: Reading) -> Learned:
    return Learned(LearnedOptions(learnt=Readings(calibrate="zscore", sources=sources)), "prior")


def asked(values: Any, weight: Any, there: Any, places: Any, popularity: Any, age: Any, new: Any) -> Opinions:
    live = (~np.isnan(values) & there).any(axis=2)
    return Opinions(NAMES, values, live_weights(weight, live), there, places, popularity, age, new)


opinions = st.builds(asked, calibrated, weights, present, ranks, facts, facts, present)


@given(read=st.lists(readings, min_size=P, max_size=P), of=opinions)
def test_contributions_are_finite_and_of_live_sources_alone(read: Any, of: Opinions) -> None:
    out = learned(**dict(zip(NAMES, read, strict=True))).contributions(of)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert (out[:, ~of.present] == 0).all()
    gone = ~(~np.isnan(of.calibrated) & of.present).any(axis=2)
    assert (out[gone] == 0).all()


@given(of=opinions)
def test_with_nothing_learnt_it_is_the_weighted_sum(of: Opinions) -> None:
    plain = WeightedSum(WeightedSum.Options(), "prior").contributions(of)
    np.testing.assert_allclose(learned().contributions(of), plain, atol=1e-6)


@given(read=st.lists(readings, min_size=P, max_size=P), of=opinions)
def test_a_contribution_is_the_weight_times_what_no_weight_changes(read: Any, of: Opinions) -> None:
    blender = learned(**dict(zip(NAMES, read, strict=True)))
    ones = replace(of, weights=np.ones((P, B), np.float32))
    expected = of.weights[:, :, None] * blender.contributions(ones)
    np.testing.assert_allclose(blender.contributions(of), expected, rtol=1e-5, atol=1e-5)


def test_each_coefficient_by_hand() -> None:
    nan = np.nan
    values = np.array([[[2.0, 0.0, nan]]], np.float32)
    of = Opinions(
        ["a"],
        values,
        np.ones((1, 1), np.float32),
        np.ones((1, 3), np.bool_),
        np.array([[[1, 10, 0]]], np.int32),
        np.array([[1.0, -1.0, 2.0]], np.float32),
        np.array([[0.0, 1.0, 3.0]], np.float32),
        np.zeros((1, 3), np.bool_),
    )

    def read(of: Opinions = of, /, **coefficients: float) -> Any:
        return learned(a=Reading(**coefficients)).contributions(of)[0, 0]

    np.testing.assert_allclose(read(), [2, 0, 1])  # what it does not know counts as its mean
    new = replace(of, untouched=np.array([[False, False, True]]))
    np.testing.assert_allclose(read(new, unknown=-3, unproposed=-0.5), [2, 0, 1])  # of which silence says nothing
    np.testing.assert_allclose(read(unknown=-3), [2, 0, -2])
    np.testing.assert_allclose(read(unproposed=-0.5), [2, 0, 0.5])
    np.testing.assert_allclose(read(top=1), [2 + 10 / 11, 0.5, 1], rtol=1e-6)
    np.testing.assert_allclose(read(popularity=0.5), [2 + 0.5, 0 + 0.5, 1])  # (value - mean) x popularity
    np.testing.assert_allclose(read(age=0.5), [2, -0.5, 1])
    # counting against needs somebody to count for
    np.testing.assert_allclose(learned(a=Reading(against=True)).contributions(of)[0, 0], [2, 0, 1])


def test_a_source_counts_against_beside_others_that_do_not() -> None:
    values = np.array([[[1.0, -1.0]], [[3.0, 0.0]]], np.float32)
    of = Opinions.bare(values, np.full((2, 1), 0.5, np.float32), np.ones((1, 2), np.bool_))
    blender = learned(**{"0": Reading(against=True)})
    np.testing.assert_allclose(blender.contributions(of), [[[-0.5, 0.5]], [[1.5, 0.0]]])


def taught(rng: Any, n: int = 300, m: int = 30) -> Lesson:
    """Right is what ``good`` says, unless ``taste`` says the same; ``noise`` says nothing at all.

    ``taste`` is part of what ``good`` says. ``shy`` has opinions on half of the items alone, the right ones never.
    """
    taste = rng.normal(size=(n, m))
    own = rng.normal(size=(n, m))
    right = np.argmax(own + 0.1 * rng.normal(size=(n, m)), axis=1)
    relevant = np.zeros((n, m), np.bool_)
    relevant[np.arange(n), right] = True
    shy = np.where(relevant | (rng.random((n, m)) < 0.5), np.nan, rng.normal(size=(n, m)))
    values = np.stack([own + taste, taste, rng.normal(size=(n, m)), shy]).astype(np.float32)
    flat = np.zeros((n, m), np.float32)
    of = Opinions(
        ["good", "taste", "noise", "shy"],
        values,
        np.ones((4, n), np.float32),
        np.ones((n, m), np.bool_),
        np.zeros(values.shape, np.int32),
        flat,
        flat,
        relevant & False,
    )
    return Lesson(of, np.ones((1, n), np.float32), relevant, np.ones(n))


def test_optimism_lifts_what_a_source_cannot_know_unless_it_counts_against() -> None:
    values = np.array([[[2.0, 0.0, np.nan]], [[1.0, 3.0, 5.0]]], np.float32)
    half, there = np.full((2, 1), 0.5, np.float32), np.ones((1, 3), np.bool_)
    of = replace(Opinions.bare(values, half, there), sources=["a", "b"], untouched=np.array([[False, False, True]]))

    def third(optimism: float, *, against: bool) -> float:
        read = Readings(calibrate="zscore", sources={"a": Reading(against=against), "b": Reading()})
        return float(Learned(LearnedOptions(learnt=read, optimism=optimism), "prior").contributions(of)[0, 0, 2])

    assert third(0, against=False) == pytest.approx(0.5 * 1)
    assert third(2, against=False) == pytest.approx(0.5 * (1 + 2 * 1))  # the deviation of 2 and 0 is 1
    assert third(2, against=True) == third(0, against=True) == pytest.approx(-0.5 * 1)


def test_it_learns_who_counts_against_and_what_no_opinion_means() -> None:
    lesson = taught(np.random.default_rng(0))
    options = LearnedOptions.model_validate(Learned.learn([lesson], "zscore"))
    assert options.learnt is not None
    assert options.learnt.calibrate == "zscore"
    found = options.learnt.sources
    assert [name for name, one in found.items() if one.against] == ["taste"]
    assert found["shy"].unknown > 0.5  # no opinion of it speaks for an item
    assert all(one.popularity == one.age == one.top == 0 for one in found.values())  # all items were alike


def test_what_it_learns_does_not_depend_on_how_many_candidates_there_are() -> None:
    lesson = taught(np.random.default_rng(0), m=400)  # the right one often stands far behind, by either source alone
    options = LearnedOptions.model_validate(Learned.learn([lesson], "zscore"))
    assert options.learnt is not None
    found = options.learnt.sources
    assert [name for name, one in found.items() if one.against] == ["taste"]
    assert found["shy"].unknown > 0.5


def test_it_learns_which_items_an_opinion_holds_for() -> None:
    rng = np.random.default_rng(1)
    lesson = taught(rng)
    n, m = lesson.relevant.shape
    popularity = rng.choice(np.array([-1.0, 1.0], np.float32), (n, m))
    own = rng.normal(size=(n, m)).astype(np.float32)
    right = np.argmax(own * (1 + popularity), axis=1)  # what it says of unpopular items means nothing
    relevant = np.zeros((n, m), np.bool_)
    relevant[np.arange(n), right] = True
    one = np.ones((1, n), np.float32)
    of = Opinions(
        ["it"], own[None], one, lesson.opinions.present, np.zeros((1, n, m), np.int32), popularity, 0 * own, own > 9
    )
    options = LearnedOptions.model_validate(Learned.learn([Lesson(of, one, relevant, np.ones(n))], "zscore"))
    assert options.learnt is not None
    assert options.learnt.sources["it"].popularity > 0.4
    assert abs(options.learnt.sources["it"].age) < 0.1


def test_learning_twice_learns_the_same_and_nothing_teaches_nothing() -> None:
    lesson = taught(np.random.default_rng(2), n=80)
    assert Learned.learn([lesson], "rank") == Learned.learn([lesson], "rank")
    assert Learned.learn([], "rank") == {"learnt": {"calibrate": "rank", "sources": {}}}
    wrong = Lesson(lesson.opinions, lesson.shares, np.zeros_like(lesson.relevant), lesson.importance)
    nothing = Learned.learn([wrong], "rank")["learnt"]["sources"]
    assert all(Reading.model_validate(one) == Reading() for one in nothing.values())


LEARNT = '{"calibrate": "zscore", "sources": {"a": {"unknown": -0.2}, "b": {"against": true}}}'


def validated(folder: Any, given: dict[str, Any], calibrate: str = "zscore", sources: Any = ("a", "b")) -> Any:
    context = {"root": folder, "calibrate": calibrate, "sources": sources}
    return LearnedOptions.model_validate(given, context=context)


def test_its_file_is_read_from_beside_the_products(tmp_path: Any) -> None:
    (tmp_path / "toy.learned.json").write_text(LEARNT)
    options = validated(tmp_path, {"model": "toy.learned.json"})
    assert options.learnt.sources["b"].against
    # what was read goes with the configuration: nothing is read again
    assert LearnedOptions.model_validate(options.model_dump(mode="json", exclude_unset=True)) == options


@pytest.mark.parametrize(
    ("given", "text", "context", "said"),
    [
        ({}, LEARNT, {}, "needs model"),
        ({"model": "other.json"}, LEARNT, {}, "cannot be read"),
        ({"model": "it.json"}, "{", {}, "is not what was learnt"),
        ({"model": "it.json"}, '{"calibrate": "zscore", "sources": {"a": {"top": "high"}}}', {}, "sources.a.top"),
        ({"model": "it.json"}, LEARNT, {"calibrate": "rank"}, "learnt from scores by 'zscore', not 'rank'"),
        ({"model": "it.json"}, LEARNT, {"sources": ["a", "z", "y"]}, "learnt without y, z"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Any, given: Any, text: str, context: Any, said: str) -> None:
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(ValidationError, match=said):
        validated(tmp_path, given, **context)
