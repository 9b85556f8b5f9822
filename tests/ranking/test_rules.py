"""Rules that arrange: quotas hold in every window, pins land, filters hold on every item, pages are a partition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from cuvee.data.catalog import Catalog, Entities
from cuvee.errors import InvalidArgument, PluginError
from cuvee.kernels import best_columns
from cuvee.kernels.arranging import Nearness, arrange
from cuvee.ranking.ask import Directly
from cuvee.ranking.explore import Explorer
from cuvee.ranking.pipeline import Answer, make_lists
from cuvee.ranking.plan import Plan, Question
from cuvee.rules import Arrangement, Lists, Rule, RuleConfig, Seen, SeenType
from cuvee.rules.places import Diversity, Pin, Quota
from cuvee.rules.scores import Boost, Bury, Fresh
from cuvee.rules.shown import ExcludeSeen, Filter, MinScore
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Fixed, plan, question

N = 24
DAY = 86_400.0


def catalog(seed: int = 0, n: int = N) -> Catalog:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "id": [f"i{i}" for i in range(n)],
            "brand": [None if i % 7 == 6 else f"b{rng.integers(4)}" for i in range(n)],
            "genres": [[f"g{g}" for g in rng.choice(4, rng.integers(0, 3), replace=False)] for _ in range(n)],
            "price": np.arange(n, dtype=np.float64),
        }
    )
    return Catalog(Entities.of(frame), Entities.of_ids(["u0", "u1"]))


def ruled(rules: list[tuple[Any, dict[str, Any]]], *, things: Catalog | None = None, **changes: Any) -> Plan:
    things = things or catalog()
    n = len(things.items)
    values = changes.pop("values", [np.linspace(3, -3, n), np.cos(np.arange(n) * 2.4)])
    known = {f"s{at}": Fixed(v) for at, v in enumerate(values)}
    made = plan(known, fallback={"chain": Fixed(np.arange(n, dtype=float))}, n=n)
    built = []
    for at, (kind, keys) in enumerate(rules):
        rule = kind(kind.Config(**keys), things)
        rule.name = f"r{at}"
        built.append(rule)
    masks = [rule.eligible for rule in built if rule.eligible is not None]
    eligible = np.logical_and.reduce(masks) if masks else None
    sources = [replace(s, candidates=changes.get("candidates", 8)) for s in made.sources]
    changes.pop("candidates", None)
    return replace(made, catalog=things, rules=built, eligible=eligible, sources=sources, **changes)


def run(made: Plan, asked: Question) -> Answer:
    return make_lists(made, asked, Directly())


def lists_of(answer: Answer) -> list[list[int]]:
    return [[i for i in row if i >= 0] for row in answer.items().tolist()]


def groups(things: Catalog, column: str) -> list[set[str]]:
    return [
        set() if value is None else set(value) if isinstance(value, list) else {value}
        for value in things.items.frame[column].to_list()
    ]


def holds(listed: list[int], of: list[set[str]], at_most: int, window: int) -> bool:
    for start in range(len(listed)):
        part = [of[i] for i in listed[start : start + window]]
        names = set().union(*part) if part else set()
        if any(sum(name in own for own in part) > at_most for name in names):
            return False
    return True


def keeps(world: dict[str, Any], listed: list[int]) -> bool:
    """Whether a list keeps all quotas; -1 is a place where nothing stands."""
    for column, at_most, window in world["quotas"]:
        of = groups(world["things"], column)
        if not holds(list(range(len(listed))), [of[i] if i >= 0 else set() for i in listed], at_most, window):
            return False
    return True


def stuck(world: dict[str, Any], listed: list[int], allowed: set[int], standing: dict[int, int]) -> bool:
    """Whether no item but the pins, which stand at some places, may stand behind a list."""
    ahead = [standing.get(place, -1) for place in range(len(listed) + 2, 40)]
    others = allowed - set(listed) - set(standing.values())
    return not any(keeps(world, [*listed, other, *ahead]) for other in others)


quotas = st.tuples(st.sampled_from(["brand", "genres"]), st.integers(1, 3), st.integers(2, 6)).filter(
    lambda q: q[1] < q[2]
)
pins = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(1, 10)), max_size=3, unique_by=(lambda p: p[0], lambda p: p[1])
)
histories = st.lists(st.lists(st.integers(0, N - 1), max_size=4, unique=True), min_size=1, max_size=3)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "things": catalog(draw(st.integers(0, 5))),
        "quotas": draw(st.lists(quotas, max_size=2)),
        "pins": draw(pins),
        "limit": draw(st.sampled_from([None, 8, 16])),
        "boost": draw(st.sampled_from([None, 0.5, 5.0])),
        "spread": draw(st.booleans()),
        "explore": draw(st.booleans()),
        "histories": draw(histories),
        "k": draw(st.integers(1, N + 2)),
        "candidates": draw(st.sampled_from([3, 8, N])),
    }


def plan_of(world: dict[str, Any]) -> Plan:
    things = world["things"]
    rules: list[tuple[Any, dict[str, Any]]] = [(ExcludeSeen, {})]
    rules += [(Quota, {"attribute": a, "at_most": m, "window": w}) for a, m, w in world["quotas"]]
    rules += [(Pin, {"items": [f"i{item}"], "place": place}) for item, place in world["pins"]]
    if world["limit"]:
        rules.append((Filter, {"where": f"price < {world['limit']}"}))
    if world["boost"]:
        rules.append((Boost, {"where": "price > 12", "by": world["boost"]}))
    vectors = {}
    if world["spread"]:
        made = np.random.default_rng(1).normal(size=(N - 2, 4)).astype(np.float32)
        vectors = {"v": made / np.linalg.norm(made, axis=1, keepdims=True)}
        rules.append((Diversity, {"vectors": "v", "strength": 0.7, "window": 4, "among": 6}))
    explorer = None
    if world["explore"]:
        pool = np.arange(N, dtype=np.int32)
        explorer = Explorer(0.4, "epsilon", 1, 0, "v", pool, np.ones(N), np.ones(N))
    return ruled(rules, things=things, candidates=world["candidates"], vectors=vectors, explorer=explorer)


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_rules_hold_together_on_every_item(world: dict[str, Any]) -> None:
    made, asked = plan_of(world), question(world["histories"], k=world["k"])
    answer = run(made, asked)
    for row, (listed, history) in enumerate(zip(lists_of(answer), world["histories"], strict=True)):
        allowed = {i for i in range(N) if i not in history and (not world["limit"] or i < world["limit"])}
        assert len(set(listed)) == len(listed)
        assert set(listed) <= allowed
        for column, at_most, window in world["quotas"]:
            assert holds(listed, groups(world["things"], column), at_most, window)
        # a pin lands unless it breaks a quota beside pins that stand already
        standing: dict[int, int] = {}
        for item, place in sorted(world["pins"], key=lambda p: p[1]):
            if item in allowed and keeps(world, [standing.get(p, item if p == place else -1) for p in range(1, 40)]):
                standing[place] = item
        for place, item in standing.items():
            if len(listed) < place or listed[place - 1] == item:
                continue
            # unless nothing was left for a place before: then it came forward, or gave up its place
            assert any(stuck(world, listed[:at], allowed, standing) for at in range(place - 1))
        # it ends where nothing is left that keeps the quotas
        if len(listed) < world["k"]:
            for item in allowed - set(listed):
                assert not all(
                    holds([*listed, item], groups(world["things"], column), at_most, window)
                    for column, at_most, window in world["quotas"]
                ), f"{item} might stand behind {listed}"
        alone = run(made, question([history], k=world["k"]))
        assert lists_of(alone)[0] == listed, f"row {row} depends on its batch"


@settings(max_examples=80, deadline=None)
@given(worlds(), st.integers(1, 6))
def test_pages_are_a_partition_of_the_long_list(world: dict[str, Any], page: int) -> None:
    made, asked = plan_of(world), question(world["histories"][:1])
    whole = lists_of(run(made, replace(asked, k=N)))[0]
    shown: list[int] = []
    for _ in range(N):
        prefix = np.array([shown], np.int32).reshape(1, -1)
        found = lists_of(run(made, replace(asked, k=page, shown=prefix)))[0]
        if not found:
            break
        shown += found
    if world["explore"]:  # what is drawn for a longer list is scored beside the others
        assert len(set(shown)) == len(shown)
        assert not world["quotas"] or all(
            holds(shown, groups(world["things"], column), at_most, window)
            for column, at_most, window in world["quotas"]
        )
        if not world["quotas"]:
            assert sorted(shown) == sorted(whole)
    else:
        assert shown == whole


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_shares_of_sources_and_rules_add_up(world: dict[str, Any]) -> None:
    answer = run(plan_of(world), question(world["histories"], k=world["k"]))
    if answer.effects is None:
        return
    for b, order in enumerate(answer.places().tolist()):
        for place, at in enumerate(order):
            if not 0 <= at < answer.blended.items.shape[1]:
                continue
            sources = answer.blended.contributions[:, b, at].sum()
            rules = answer.effects.added[:, b, place].sum()
            assert sources + rules == pytest.approx(float(answer.blended.scores[b, at]), abs=1e-5)


def test_items_say_which_rule_moved_them_and_from_where() -> None:
    things = catalog(2)
    of = groups(things, "brand")
    made = ruled(
        [(Quota, {"attribute": "brand", "at_most": 1, "window": 3}), (Pin, {"items": ["i20"], "place": 2}),
         (Boost, {"where": "price = 5", "by": 50.0}), (Bury, {"where": "price = 0", "by": 50.0})],
        things=things, candidates=N, values=[np.linspace(3, -3, N)],
    )  # fmt: skip
    answer = run(made, question([[]], k=6))
    effects = answer.effects
    assert effects is not None
    listed = lists_of(answer)[0]
    assert listed[:2] == [5, 20]
    assert 0 not in listed
    assert (effects.mover[0, 1], effects.origin[0, 1]) == (1, 20)
    assert effects.added[2, 0, 0] == pytest.approx(50.0)
    assert effects.origin[0, 0] == 5
    waited = [p for p in range(2, 6) if effects.mover[0, p] == 0]
    assert waited, "a brand that repeats waits"
    assert all(effects.origin[0, p] == listed[p] for p in range(6))
    assert holds(listed, of, 1, 3)


def test_minimum_score_leaves_out_what_is_weak_and_lets_nothing_back() -> None:
    made = ruled([(MinScore, {"at_least": 0.5})], values=[np.linspace(1, 0, N)], candidates=N)
    answer = run(made, question([[]], k=N))
    assert lists_of(answer)[0] == list(range(12))
    assert answer.effects is not None
    assert answer.effects.removed.tolist() == [[12]]
    kept = ruled([(MinScore, {"at_least": 0.5, "fallback": True})], values=[np.linspace(1, 0, N)], candidates=14)
    full = lists_of(run(kept, question([[]], k=N)))[0]
    weak = [i for i in range(14) if np.linspace(1, 0, 14)[i] < 0.5]
    assert sorted(full) == sorted(set(range(N)) - set(weak))


@pytest.mark.parametrize(
    ("keys", "left_out"),
    [
        ({}, {1, 2, 3, 4}),
        ({"events": ["purchase"]}, {3}),
        ({"events": ["purchase", "imported"]}, {1, 3}),
        ({"events": ["context"]}, {4}),
        ({"within_days": 90}, {2, 3, 4}),
        ({"within_days": 30}, {3, 4}),
        ({"events": ["view"], "within_days": 30}, set()),
    ],
)
def test_seen_by_type_and_time(keys: dict[str, Any], left_out: set[int]) -> None:
    now = 1000 * DAY
    types = np.array([SeenType.IMPORTED, SeenType.VIEW, SeenType.PURCHASE, SeenType.CONTEXT], np.uint8)
    seen = Seen(
        np.array([0, 4, 4]), np.array([1, 2, 3, 4], np.int32), types, np.array([0.0, now - 60 * DAY, now - DAY, now])
    )
    rule = ExcludeSeen(ExcludeSeen.Config(**keys), catalog())
    queries = replace(question([[1, 2, 3, 4], []]).queries, now=now)
    found = rule.restrict(queries, seen)
    assert found.excluded is not None
    assert [set(found.excluded.row(b).tolist()) for b in range(2)] == [left_out, set()]


@pytest.mark.parametrize(
    ("column", "unit", "expected"),
    [
        (pl.Series([None, 1970, 1971]), "year", [0, 0.5**1, 1.0]),
        (pl.Series(["", "1970-01-01", "1971-01-01T00:00:00Z"]), "s", [0, 0.5, 1.0]),
        (pl.Series([None, 0.0, 365.2425 * DAY]), "s", [0, 0.5, 1.0]),
        (pl.Series([None, 0, int(365.2425 * DAY * 1000)]), "ms", [0, 0.5, 1.0]),
        (pl.Series([None, 0, int(365 * DAY * 1e6)]).cast(pl.Datetime("us")), "s", [0, 0.5, 1.0]),
        (pl.Series([None, 0, 365]).cast(pl.Int32).cast(pl.Date), "s", [0, 0.5, 1.0]),
    ],
)
def test_freshness_halves_with_age(column: pl.Series, unit: str, expected: list[float]) -> None:
    things = Catalog(Entities.of(pl.DataFrame({"id": ["a", "b", "c"], "born": column})), Entities.of_ids(["u"]))
    rule = Fresh(Fresh.Config(column="born", by=1.0, half_life_days=365.2425, unit=unit), things)
    queries = replace(question([[]]).queries, now=365.2425 * DAY)
    items = np.array([[0, 1, 2, -1]], np.int32)
    wish = rule.arrange(Lists(queries, items, np.zeros((1, 4), np.float32), lambda name: None))
    assert wish.added is not None
    np.testing.assert_allclose(wish.added, [[*expected, 0]], atol=2e-3)


@pytest.mark.parametrize(
    ("kind", "keys", "field"),
    [
        (Quota, {"attribute": "colour", "at_most": 1}, "attribute"),
        (Fresh, {"column": "colour", "by": 1}, "column"),
        (Fresh, {"column": "genres", "by": 1}, "column"),
        (Boost, {"where": "colour = 1", "by": 1}, "where"),
        (Filter, {"where": "price <"}, "where"),
    ],
)
def test_what_does_not_fit_the_catalogue_is_refused(kind: Any, keys: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        kind(kind.Config(**keys), catalog())
    assert refused.value.field == field


class Wrong(Rule[RuleConfig]):
    wish = Arrangement()

    def arrange(self, lists: Lists) -> Arrangement:
        return self.wish


@pytest.mark.parametrize(
    "wish",
    [
        Arrangement(added=np.zeros((1, 1), np.float32)),
        Arrangement(added=np.full((1, 8), np.nan, np.float32)),
        Arrangement(removed=np.zeros((1, 8), np.int8)),  # type: ignore[arg-type]
    ],
)
def test_a_rule_that_breaks_its_promise_is_named(wish: Arrangement) -> None:
    made = ruled([(Wrong, {})], values=[np.linspace(1, 0, N)])
    made.rules[0].wish = wish  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="r0"):
        run(made, question([[]]))


def test_rules_hold_only_where_they_are_on() -> None:
    made = ruled([(Pin, {"items": ["i20"], "place": 1}), (Filter, {"where": "price < 30"})])
    made.rules[0].on = frozenset({"recommend"})
    asked = question([[1]], k=3)
    assert lists_of(run(made, asked))[0][0] == 20
    assert lists_of(run(made, replace(asked, segment="similar")))[0][0] != 20
    made.rules[1].on = frozenset({"similar"})
    narrow = replace(made, eligible=None)
    cheap = np.arange(N) < 3
    narrow.rules[1].eligible = cheap
    assert 20 in lists_of(run(narrow, asked))[0]
    assert set(lists_of(run(narrow, replace(asked, segment="similar", k=N)))[0]) <= {0, 1, 2}


def plainly(values: Any, of: list[set[str]], k: int, limits: list[tuple[int, int]], near: Any, strength: float) -> Any:
    """Place by place, in plain Python."""
    listed: list[int] = []
    while len(listed) < k:
        worth = {}
        for at, value in enumerate(values):
            if at in listed or not all(holds([*listed, at], of, most, window) for most, window in limits):
                continue
            closest = max([near[at][other] for other in listed[-3:]], default=0.0)
            worth[at] = value - strength * max(closest, 0.0)
        if not worth:
            break
        listed.append(max(worth, key=lambda at: (worth[at], -at)))
    return listed


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), quotas, st.sampled_from([0.0, 0.5, 2.0]))
def test_the_compiled_pass_equals_the_plain_one(seed: int, k: int, quota: Any, strength: float) -> None:
    rng = np.random.default_rng(seed)
    things = catalog(seed)
    values = np.sort(rng.permutation(N).astype(np.float32))[::-1].copy()
    vectors = rng.normal(size=(N, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    column, most, window = quota
    rule = Quota(Quota.Config(attribute=column, at_most=most, window=window), things)
    (limit,) = rule.arrange(Lists(question([[]]).queries, np.zeros((1, 0), np.int32), None, None)).limits  # type: ignore[arg-type]
    items = np.arange(N, dtype=np.int32)[None]
    made = arrange(
        items, values[None], best_columns(values[None], N), np.ones((1, N), np.uint8), k,
        limits=[(limit.offsets, limit.groups, limit.at_most, limit.window)],
        nearness=Nearness(vectors, strength, 3, N),
    )  # fmt: skip
    expected = plainly(
        values.tolist(), groups(things, column), k, [(most, window)], (vectors @ vectors.T).tolist(), strength
    )
    assert [c for c in made.columns[0].tolist() if c >= 0] == expected
