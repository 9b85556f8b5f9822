"""Tuning finds the best weights of made-up data where they are known, and claims no gain where there is none."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import cuvee
import numpy as np
import pytest
from cuvee import builtins
from cuvee.artifacts.snapshot import compile_plan
from cuvee.config import Instance, Settings
from cuvee.evaluation import metrics
from cuvee.evaluation.cases import validation_window
from cuvee.product import BlendConfig, Product, SourceUse
from cuvee.ranking.ask import Directly
from cuvee.ranking.pipeline import make_lists
from cuvee.registry import Plugin, Registry
from cuvee.tuning.bench import Bench, Recipe
from cuvee.tuning.crossfit import deal, of_people, weighted_mean
from cuvee.tuning.objective import Measure
from cuvee.tuning.opinions import gather_opinions, question_of
from cuvee.tuning.results import Tuning
from cuvee.tuning.run import tune

sys.path.append(str(Path(__file__).parents[1] / "halves"))
import halves

WORLD = halves.world()
NDCG = Measure("ndcg", 10)
REGISTRY = Registry.of([Plugin("engine", "cuvee", "1", builtins), Plugin("halves", "halves", "1", halves)])


def told(name):
    return lambda done, total, note="": None


def settings(root: Path, sources: dict[str, dict], **blend) -> Settings:
    instances = {n: Instance(name=n, plugin="half", config=halves.HalfConfig(**c)) for n, c in sources.items()}
    product = Product(
        name="shop",
        dataset="shop",
        sources=tuple(SourceUse(use=n, candidates=60) for n in sources),
        blend=BlendConfig(**blend),
    )
    return Settings(root=root, recommenders=instances, products={"shop": product})


def tuned(root: Path, sources: dict[str, dict], *, measure=NDCG, blend=None, newcomers=1000, **options) -> Tuning:
    made = settings(root, sources, **(blend or {}))
    window = validation_window(WORLD, list(made.products["shop"].blend.segments.items()), newcomers)
    return tune(made, REGISTRY, "shop", window, measure, told, **options)


HALVES = {"rows": {"knows": "rows"}, "columns": {"knows": "columns"}, "noise": {}}


@pytest.fixture(scope="module")
def complementary(tmp_path_factory) -> Tuning:
    return tuned(tmp_path_factory.mktemp("halves"), HALVES)


def test_complementary_sources_both_count_and_noise_does_not(complementary):
    for segment in complementary.segments:
        assert 0.35 < segment.weights["rows"] < 0.65
        assert 0.35 < segment.weights["columns"] < 0.65
        assert segment.weights.get("noise", 0) < 0.1
        assert sum(segment.weights.values()) == pytest.approx(1, abs=0.002)


def test_a_blend_that_beats_both_is_proposed_with_its_interval(complementary):
    assert complementary.refused == ""
    assert complementary.after > 1.5 * max(complementary.members.values())
    assert complementary.against_best.difference.low > 0
    for segment in complementary.segments:
        assert segment.judged.against_best.uplift.low > 0
        assert not segment.alone


def test_equal_weights_were_already_good_but_for_the_noise(complementary):
    assert complementary.before < complementary.after
    assert complementary.against_before.difference.low > 0


def test_each_segment_is_learnt_from_cases_of_its_own(complementary):
    by_name = {s.name: s for s in complementary.segments}
    assert complementary.withheld == halves.USERS // 5
    assert {n: s.least for n, s in by_name.items()} == {"cold": 0, "new": 1, "growing": 3, "warm": 10}
    assert by_name["cold"].judged.people == by_name["cold"].new.people == halves.USERS // 5
    # of those with long histories there are enough as they are
    assert by_name["warm"].judged.people == by_name["warm"].judged.cases == halves.USERS - halves.USERS // 5
    assert by_name["warm"].new.people == 0


def test_curves_have_their_best_value_near_the_learnt_weights(complementary):
    warm = complementary.curves[-1]
    for curve in warm.curves:
        best = curve.weights[int(np.argmax(curve.values))]
        assert abs(best - curve.chosen) <= 0.25
        assert max(curve.values) == pytest.approx(warm.learnt, rel=0.05)
    assert {c.source for c in warm.curves} == {"rows", "columns", "noise"}


def test_refused_where_the_best_member_cannot_be_beaten(tmp_path):
    found = tuned(tmp_path, {"all": {"knows": "both"}, "noise": {}})
    assert "not better than all alone" in found.refused
    assert found.members["all"] > found.members["noise"]
    assert all(s.weights == {"all": 1.0} for s in found.segments if s.alone)


def test_noise_is_never_called_better_than_noise(tmp_path):
    found = tuned(tmp_path, {"a": {}, "b": {"after": 500}, "c": {"before": 0}})
    assert found.refused
    assert found.against_best.difference.low <= 0


def test_a_segment_gets_the_source_that_is_right_for_it(tmp_path):
    found = tuned(tmp_path, {"early": {"knows": "both", "before": 3}, "late": {"knows": "both", "after": 10}})
    by_name = {s.name: s for s in found.segments}
    assert by_name["cold"].weights.get("early", 0) > 0.8
    assert by_name["warm"].weights.get("late", 0) > 0.8
    assert {by_name[n].judged.best_member for n in ("cold", "new")} == {"early"}
    assert by_name["warm"].judged.best_member == "late"


def test_a_segment_is_split_where_what_is_worth_hearing_changes_inside_it(tmp_path):
    sources = {"early": {"knows": "both", "before": 6}, "late": {"knows": "both", "after": 6}}
    found = tuned(tmp_path, sources)
    added = [s for s in found.segments if s.name not in ("cold", "new", "growing", "warm")]
    assert [(s.name, s.least) for s in added] == [(f"growing_{s.least}", s.least) for s in added]
    assert added
    assert [s.least for s in found.segments] == sorted(s.least for s in found.segments)
    by_name = {s.name: s for s in found.segments}
    assert by_name["growing"].weights.get("early", 0) > 0.8
    assert by_name["warm"].weights.get("late", 0) > 0.8
    assert by_name["growing"].judged.after > 0.99 * by_name["growing"].judged.against_best.second


def test_no_segment_is_added_where_the_passage_suits_everybody(complementary):
    assert [s.name for s in complementary.segments] == ["cold", "new", "growing", "warm"]


def test_no_segment_falls_behind_its_best_member(tmp_path):
    found = tuned(tmp_path, {"all": {"knows": "both"}, "rows": {"knows": "rows"}, "noise": {}})
    for segment in found.segments:
        assert segment.judged.after >= 0.99 * segment.judged.against_best.second


def test_a_source_that_nobody_heard_keeps_its_share(tmp_path):
    cold = {"mute": 0.4, "rows": 0.6}
    sources = {"mute": {"knows": "both", "mute": True}, "rows": {"knows": "rows"}, "columns": {"knows": "columns"}}
    found = tuned(tmp_path, sources, blend={"weights": {"cold": cold}})
    weights = found.segments[0].weights
    assert weights["mute"] == pytest.approx(0.4, abs=0.002)
    assert weights["rows"] == pytest.approx(weights["columns"], abs=0.15)


def test_a_source_that_does_not_serve_a_segment_gets_no_share_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(halves.Half, "serves", cuvee.Serves.SESSION)
    cold = {"rows": 0.5, "columns": 0.5}
    found = tuned(tmp_path, HALVES, blend={"weights": {"cold": cold}})
    assert found.segments[0].weights == {}
    assert found.segments[-1].weights


def test_too_few_people_leave_a_segment_as_it_is(tmp_path):
    found = tuned(tmp_path, HALVES, newcomers=10)
    by_name = {s.name: s for s in found.segments}
    assert by_name["cold"].judged.people == 10
    assert by_name["cold"].weights == {}
    assert by_name["warm"].weights


def test_what_nobody_asked_about_is_not_plotted(tmp_path):
    found = tuned(tmp_path, HALVES, newcomers=0)
    assert [panel.segment for panel in found.curves] == ["warm"]
    assert [s.judged.people for s in found.segments] == [0, 0, 0, halves.USERS]


@pytest.mark.parametrize(
    ("method", "missing"),
    [("weighted", "prior"), ("weighted", "skip"), ("weighted", "zero"), ("rrf", "prior"), ("learned", "prior")],
)
def test_every_method_and_policy_finds_the_complements(tmp_path, method, missing):
    found = tuned(tmp_path, HALVES, method=method, missing=missing, newcomers=0)
    assert (found.recipe.method, found.recipe.missing) == (method, missing)
    assert found.refused == ""
    assert found.segments[-1].weights.get("noise", 0) < 0.15


def test_the_calibrator_is_chosen_by_the_metric_out_of_fold(tmp_path):
    found = tuned(tmp_path, HALVES, calibrate_by="auto", newcomers=0)
    assert set(found.calibrators) == set(REGISTRY.calibrators)
    assert found.calibrators[found.recipe.calibrate] == max(found.calibrators.values())


@pytest.mark.parametrize("metric", ["hit_rate", "recall", "mrr"])
def test_by_other_metrics(tmp_path, metric):
    found = tuned(tmp_path, HALVES, measure=Measure(metric, 5), newcomers=0)
    assert found.refused == ""
    assert found.after > max(found.members.values())


def test_the_comparison_measures_every_method_on_the_same_people(tmp_path):
    found = tuned(tmp_path, HALVES, compare=True, newcomers=0)
    methods = [one.recipe.method for one in found.tried]
    assert methods == ["rrf", "weighted", "learned"]
    weighted = found.tried[1]
    assert weighted.value == pytest.approx(found.after, rel=0.02)
    assert weighted.against_last.first == pytest.approx(weighted.value)
    assert weighted.against_last.second == pytest.approx(found.tried[0].value)
    assert all(one.seconds > 0 for one in found.tried)
    assert found.member_seconds > 0


INVERTED = {"rows": {"knows": "rows"}, "columns": {"knows": "columns", "inverted": True}}


def test_the_method_is_chosen_that_is_better_than_chance_allows(tmp_path):
    found = tuned(tmp_path, INVERTED, compare=True, newcomers=0)
    values = {one.recipe.method: one.value for one in found.tried}
    assert found.recipe.method == "learned"
    assert values["learned"] == pytest.approx(found.after)
    assert values["learned"] > 1.3 * values["weighted"]
    assert not found.refused


@pytest.mark.parametrize("method", ["weighted", "rrf"])
def test_a_method_that_is_asked_for_stays_and_the_better_one_is_named(tmp_path, method):
    found = tuned(tmp_path, INVERTED, compare=True, newcomers=0, method=method)
    assert found.recipe.method == method
    assert "--method learned" in found.refused


def test_the_simpler_method_is_chosen_where_the_other_is_not_better(tmp_path):
    assert (
        tuned(tmp_path, {"all": {"knows": "both"}, "noise": {}}, compare=True, newcomers=0).recipe.method == "weighted"
    )


def test_a_method_of_ones_own_is_kept(tmp_path):
    found = tuned(tmp_path, INVERTED, compare=True, newcomers=0, blend={"method": "rrf"})
    assert found.recipe.method == "rrf"


# ---- what the figures are made of


def bench(root: Path, **blend) -> tuple[Bench, float]:
    made = settings(root, HALVES, **blend)
    product = made.products["shop"]
    window = validation_window(WORLD, list(product.blend.segments.items()), 60)
    models = {n: halves.Half(i.config) for n, i in made.recommenders.items()}
    own = {n: REGISTRY.calibrators[product.blend.calibrate].component({}) for n in models}
    plan = compile_plan(product, REGISTRY, WORLD.catalog, models, own, "")
    folds = deal(window.cases.people)
    judged = gather_opinions(plan, WORLD.catalog, window.cases, folds, 2e9, product.history, told(""))
    return Bench(REGISTRY, plan, Recipe.of(product.blend), {}, window.cases, judged, folds, NDCG), 2e9


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("weighted", "zscore", "prior", {}),
        Recipe("weighted", "rank", "skip", {}),
        Recipe("weighted", "minmax", "zero", {}),
        Recipe("rrf", "zscore", "prior", {"k": 20.0}),
    ],
    ids=lambda r: f"{r.method}-{r.calibrate}-{r.missing}",
)
def test_the_objective_is_what_the_pipeline_serves(tmp_path, recipe):
    made, now = bench(tmp_path)
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], 4).T
    values = made.objective(recipe).values(weights)
    question = question_of(made.cases, WORLD.catalog, now, 1000, 10)
    served = make_lists(made.served(recipe, weights), question, Directly()).items()
    found = metrics.hits(served, made.cases.held_out)
    expected = metrics.ndcg(found, 10, made.cases.held_out.lengths)
    # equal scores may be told apart by the last bit of a sum
    assert np.mean(np.isclose(values, expected)) > 0.99
    assert values.mean() == pytest.approx(expected.mean(), rel=0.01)


def test_people_are_never_split_between_folds():
    people = np.repeat(np.arange(50, dtype=np.int32), 3)
    folds = deal(people)
    assert all(len(np.unique(folds[people == p])) == 1 for p in range(50))
    assert np.bincount(folds).min() >= 12 * 3


def test_people_weigh_as_their_cases_do():
    values, share = np.array([1.0, 0.0, 0.5, 1.0]), np.array([1.0, 1.0, 0.5, 0.0])
    by_person = of_people(values, share, np.array([3, 3, 9, 4], np.int32))
    assert len(by_person) == 2  # the last has no share
    assert by_person.mean() == pytest.approx(weighted_mean(values, share))


def test_where_the_best_stands_alone_it_is_told_who_stands_beside_it_and_why(tmp_path):
    sources = {"mute": {"knows": "both", "mute": True}, "all": {"knows": "both"}, "noise": {}}
    found = tuned(tmp_path, sources, blend={"weights": {"cold": {"mute": 0.3, "noise": 0.7}}})
    cold = found.segments[0]
    assert cold.judged.best_member == "all"
    assert cold.weights["mute"] == pytest.approx(0.3, abs=0.002)
    assert cold.beside == ["mute"]
    assert all(one.beside == [] for one in found.segments[1:])


def test_a_segment_whose_own_weights_are_best_keeps_them(tmp_path):
    """Learnt weights are not written where the same table shows that the present ones are better."""
    first = tuned(tmp_path, HALVES)
    learnt = {one.name: dict(one.weights) for one in first.segments}
    again = tuned(tmp_path, HALVES, blend={"weights": learnt})
    for one in again.segments:
        assert one.judged.after >= one.judged.before
        assert one.weights == {} or one.judged.after > one.judged.before
    assert again.after >= again.before
    if again.after == again.before:
        assert "than the product has" in again.refused


def test_what_is_worse_than_what_stands_is_refused(complementary):
    """Compares the whole products, not single segments."""
    worse = dataclasses.replace(complementary, before=complementary.after + 0.0005)
    assert f"the learnt weights are no better than the product has: ndcg@10 {worse.after:.4f}" in worse.refused
    same = dataclasses.replace(complementary, before=complementary.after)
    assert "no segment has better weights than the product has" in same.refused
    assert dataclasses.replace(complementary, before=complementary.after - 0.0005).refused == ""


@pytest.mark.parametrize("newcomers", [0, 1000])
def test_where_nobody_finds_anything_that_is_said_and_no_ratio_of_nothing(tmp_path, monkeypatch, newcomers):
    dense = halves.Half._dense
    monkeypatch.setattr(halves.Half, "_dense", lambda self, queries: -dense(self, queries))
    found = tuned(tmp_path, {"all": {"knows": "both"}, "rows": {"knows": "rows"}}, measure=Measure("ndcg", 1),
                  newcomers=newcomers)  # fmt: skip
    assert (found.after, found.against_best.second) == (0, 0)
    assert "ndcg@1 is 0 for every source and every blend" in found.refused
    assert "nan" not in found.refused
