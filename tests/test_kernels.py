"""Each compiled step against a plain numpy form of it."""

from typing import Any

import numpy as np
import pytest
from cuvee import kernels
from cuvee.queries import Histories, Ragged
from cuvee.v1 import recommendation_pb2 as pb
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

N = 12
NAN = float("nan")
rows = st.lists(st.lists(st.integers(0, N - 1), unique=True, max_size=6), min_size=2, max_size=2)
few = st.sampled_from([NAN, -np.inf, -2.0, -1.0, -0.0, 0.0, 1.0, 1.0000001, 3.0, 1e30])
many = st.one_of(few, st.floats(-1e6, 1e6, width=32), st.floats(width=32, allow_infinity=False))
matrices = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=90), elements=many)


def excluded(lists: list[list[int]]) -> tuple[Any, Any]:
    ragged = Ragged.of(lists)
    return ragged.offsets, ragged.items


def proposal(lists: list[list[int]]) -> Any:
    longest = max(map(len, lists))
    return np.array([row + [-1] * (longest - len(row)) for row in lists], np.int32).reshape(len(lists), longest)


def plain_top(scores: Any, k: int, hidden: list[list[int]], eligible: Any) -> tuple[list[Any], list[Any]]:
    items, values = [], []
    for b, row in enumerate(scores.tolist()):
        left = [
            (-score, i)
            for i, score in enumerate(row)
            if score == score and score > -np.inf and eligible[i] and i not in hidden[b]
        ]
        best = sorted(left)[:k]
        pad = min(k, len(row)) - len(best)
        items.append([i for _, i in best] + [-1] * pad)
        values.append([-s for s, _ in best] + [NAN] * pad)
    return items, values


@given(scores=matrices, k=st.integers(1, 100), data=st.data())
def test_top_is_a_sort_by_falling_score_and_rising_position(scores: Any, k: int, data: Any) -> None:
    b, n = scores.shape
    hidden = data.draw(st.lists(st.lists(st.integers(0, n + 3), max_size=5), min_size=b, max_size=b))
    eligible = data.draw(st.one_of(st.none(), arrays(np.bool_, n + 2)))
    items, values = kernels.top(scores, k, excluded(hidden), eligible)
    wanted, best = plain_top(scores, k, hidden, np.ones(n, np.bool_) if eligible is None else eligible)
    assert items.tolist() == wanted
    np.testing.assert_array_equal(values, np.array(best, np.float32))


@pytest.mark.parametrize("k", [1, 7, 200, 3000])
@pytest.mark.parametrize("kind", ["normal", "equal", "few", "tiny", "skewed"])
def test_top_of_long_rows(kind: str, k: int) -> None:
    rng = np.random.default_rng(0)
    draw = {
        "normal": lambda: rng.normal(size=(3, 2500)),
        "equal": lambda: np.full((3, 2500), 0.25),
        "few": lambda: rng.integers(0, 3, (3, 2500)),
        "tiny": lambda: rng.normal(size=(3, 2500)) * 1e-42,
        "skewed": lambda: np.exp(20 * rng.normal(size=(3, 2500))),
    }
    scores = draw[kind]().astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    items, values = kernels.top(scores, k)
    np.testing.assert_array_equal(items, order)
    np.testing.assert_array_equal(values, np.take_along_axis(scores, order, axis=1))


@given(first=rows, second=rows, hidden=rows, banned=st.sets(st.integers(0, N - 1)), n=st.sampled_from([N, 1000]))
def test_union_is_the_set_of_all_less_what_may_not_be_shown(
    first: Any, second: Any, hidden: Any, banned: set[int], n: int
) -> None:
    eligible = np.array([i not in banned for i in range(n)])
    served = np.array([[True, True], [True, False]])
    found, proposed = kernels.union([proposal(first), proposal(second)], served, excluded(hidden), eligible, n, 100)
    second = [second[0], []]
    for b in range(2):
        wanted = (set(first[b]) | set(second[b])) - set(hidden[b]) - banned
        assert found[b][found[b] >= 0].tolist() == sorted(wanted)
        assert proposed[:, b].tolist() == [len(first[b]), len(second[b])]


@given(first=rows, second=rows, cap=st.integers(1, 4))
def test_cap_keeps_those_that_stand_highest_anywhere(first: Any, second: Any, cap: int) -> None:
    served, nothing = np.ones((2, 2), np.bool_), excluded([[], []])
    found, _ = kernels.union([proposal(first), proposal(second)], served, nothing, None, N, cap)
    for b in range(2):
        best = {i: min(r[b].index(i) for r in (first, second) if i in r[b]) for i in {*first[b], *second[b]}}
        kept = set(found[b][found[b] >= 0].tolist())
        assert len(kept) == min(cap, len(best))
        assert max((best[i] for i in kept), default=0) <= min((best[i] for i in best.keys() - kept), default=99)


@given(first=rows, second=rows)
def test_ranks_are_places_in_the_own_list(first: Any, second: Any) -> None:
    given, served = [proposal(first), proposal(second)], np.ones((2, 2), np.bool_)
    items, _ = kernels.union(given, served, excluded([[], []]), None, N, 100)
    ranks = kernels.ranks(given, served, items, N)
    for s, own in enumerate((first, second)):
        for b in range(2):
            for item, rank in zip(items[b].tolist(), ranks[s, b].tolist(), strict=True):
                assert rank == (own[b].index(item) + 1 if item >= 0 and item in own[b] else 0)


def test_no_proposals_make_an_empty_union() -> None:
    items, proposed = kernels.union([], np.ones((0, 2), np.bool_), excluded([[], []]), None, N, 100)
    assert items.shape == (2, 0)
    assert proposed.shape == (0, 2)


@given(scores=matrices, data=st.data())
def test_take_pick_and_settle(scores: Any, data: Any) -> None:
    b, n = scores.shape
    items = data.draw(arrays(np.int32, (b, 5), elements=st.integers(-1, n + 1)))
    there = (items >= 0) & (items < n)
    wanted = np.where(there, np.take_along_axis(scores, np.where(there, items, 0), axis=1), np.nan)
    np.testing.assert_array_equal(kernels.take(scores, items), wanted)
    columns = np.where(there, items, -1).astype(np.int32)
    np.testing.assert_array_equal(kernels.pick(scores[None], columns, np.nan)[0], wanted)
    whole = np.arange(b * n, dtype=np.int32).reshape(1, b, n)
    picked = np.where(there, np.take_along_axis(whole[0], np.where(there, items, 0), axis=1), 7)
    np.testing.assert_array_equal(kernels.pick(whole, columns, 7)[0], picked)
    served = data.draw(arrays(np.bool_, b))
    out = np.empty(items.shape, np.float32)
    live = kernels.settle(wanted.astype(np.float32), columns, served, out)
    clean = np.where(served[:, None], wanted, np.nan)
    assert (live is None) == bool(np.isinf(clean).any())
    assert kernels.is_finite(out) == (live is not None)
    if live is not None:
        np.testing.assert_array_equal(out, clean)
        assert live.tolist() == (~np.isnan(clean)).any(axis=1).tolist()


@given(items=arrays(np.int32, (2, 4), elements=st.integers(-3, 9)))
def test_inside_is_from_nothing_to_the_last(items: Any) -> None:
    assert kernels.is_inside(items, 8) == bool(((items >= -1) & (items < 8)).all())


numbers = st.one_of(st.just(NAN), st.floats(-1e4, 1e4, width=32))


@given(raw=arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=numbers))
def test_zscore_is_distance_from_the_mean_in_deviations(raw: Any) -> None:
    found = kernels.zscore(raw)
    assert (np.isnan(found) == np.isnan(raw)).all()
    for row, own in zip(raw.astype(np.float64), found, strict=True):
        known = row[~np.isnan(row)]
        if not len(known):
            continue
        deviation, mean = known.std(), known.mean()
        wanted = (known - mean) / deviation if deviation > 1e-6 * max(abs(mean), 1e-30) else 0 * known
        np.testing.assert_allclose(own[~np.isnan(row)], wanted, rtol=1e-4, atol=1e-5)


@given(raw=arrays(np.float32, (1, 11), elements=numbers), more=st.integers(1, 9))
def test_padding_changes_no_rounding(raw: Any, more: int) -> None:
    padded = np.pad(raw, ((0, 0), (0, more)), constant_values=NAN)
    np.testing.assert_array_equal(kernels.zscore(padded)[:, :11], kernels.zscore(raw))


@given(
    calibrated=arrays(np.float32, (3, 2, 9), elements=st.one_of(st.just(NAN), st.floats(-5, 5, width=32))),
    present=arrays(np.bool_, (2, 9)),
    untouched=arrays(np.bool_, (2, 9)),
    optimism=st.sampled_from([0.0, 1.5]),
)
def test_with_prior_fills_in_the_mean(calibrated: Any, present: Any, untouched: Any, optimism: float) -> None:
    weights = np.array([[0.5, 0.1], [0.25, 0.9], [0.25, 0.0]], np.float32)
    found = kernels.with_prior(calibrated, weights, present, untouched, optimism)
    for s in range(3):
        for b in range(2):
            row = calibrated[s, b, present[b]].astype(np.float64)
            known = row[~np.isnan(row)]
            mean, deviation = (known.mean(), known.std()) if len(known) else (0.0, 0.0)
            value = np.where(np.isnan(row), mean + np.where(untouched[b, present[b]], optimism * deviation, 0), row)
            np.testing.assert_allclose(found[s, b, present[b]], weights[s, b] * value, rtol=1e-4, atol=1e-5)
            assert not found[s, b, ~present[b]].any()


events = st.lists(st.tuples(st.integers(0, 8), st.sampled_from([0.0, 0.5, 1.0, 3.0])), max_size=12)


@given(
    two=st.tuples(events, events), half_life=st.sampled_from([None, 1.0, 5.0]), known=st.none() | arrays(np.bool_, 7)
)
def test_a_history_counts_each_item_by_its_newest_event(two: Any, half_life: Any, known: Any) -> None:
    histories = Histories.build([[i for i, _ in row] for row in two], [[w for _, w in row] for row in two])
    found = histories.matrix(7, half_life, known)
    wanted = np.zeros((2, 7))
    for b, row in enumerate(two):
        seen = [(i, w) for i, w in row if known is None or (w > 0 and i < 7 and known[i])]
        for age, (item, weight) in enumerate(reversed(seen)):
            if item < 7 and weight > 0 and not wanted[b, item]:
                wanted[b, item] = weight * (2 ** (-age / half_life) if half_life else 1)
    np.testing.assert_allclose(found.toarray(), wanted, rtol=1e-6)
    assert found.has_sorted_indices
    sparse.csr_array((found.data, found.indices, found.indptr), shape=found.shape).check_format()


SHAPES = {
    "drawn": lambda rng, n: rng.permutation(5 * n)[:n],
    "rising": lambda rng, n: np.arange(n),
    "falling": lambda rng, n: np.arange(n)[::-1],
    "two halves": lambda rng, n: np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)]),
    "an organ pipe": lambda rng, n: np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)[::-1]]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [16, 17, 18, 33, 500, 4096])
def test_long_histories_and_unions_are_in_order_of_position(shape: str, n: int) -> None:
    items = SHAPES[shape](np.random.default_rng(n), n).astype(np.int32)
    offsets, size = np.array([0, n], np.int64), 100 * n
    history = kernels.in_history(offsets, items, np.arange(1, n + 1, dtype=np.float32), size)
    order = np.argsort(items)
    assert (history.indices == items[order]).all()
    assert (history.data == 1 + order).all()
    everybody, nothing = np.ones((1, 1), np.bool_), excluded([[]])
    found, _ = kernels.union([items[None]], everybody, nothing, None, size, n)
    assert (found[0] == items[order]).all()


def test_events_too_old_to_count_are_left_out() -> None:
    histories = Histories.build([list(range(300))])
    assert histories.matrix(300, 5.0).nnz == 5 * kernels.OLDEST + 1
    assert histories.matrix(300).nnz == 300


def tables() -> list[Any]:
    rng = np.random.default_rng(1)
    thin = sparse.random_array((9, 9), density=0.4, rng=rng, format="csr", dtype=np.float32)
    thin.sort_indices()
    return [rng.normal(size=(9, 9)).astype(np.float32), thin]


@pytest.mark.parametrize("table", tables(), ids=["dense", "sparse"])
@given(two=st.tuples(events, events))
def test_products_and_what_speaks_most_for_an_item(table: Any, two: Any) -> None:
    histories = Histories.build([[i for i, _ in row] for row in two], [[w for _, w in row] for row in two])
    history = histories.matrix(9, 5.0)
    whole = table if isinstance(table, np.ndarray) else table.toarray()
    np.testing.assert_allclose(kernels.products(history, table), history.toarray() @ whole, rtol=1e-4, atol=1e-5)
    pairs = np.array([(b, i) for b in range(2) for i in range(9)], np.int32)
    best = kernels.strongest(history, table, np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))
    added = history.toarray()[pairs[:, 0]] * whole[:, pairs[:, 1]].T
    for own, row in zip(best.tolist(), added, strict=True):
        assert (own == -1) == (row.max() <= 0)
        assert own == -1 or row[own] == pytest.approx(row.max())


floats = st.one_of(st.sampled_from([0.0, -0.0, NAN]), st.floats(-1e9, 1e9, width=32))
said = st.sampled_from([1, 2, 3]).flatmap(
    lambda p: st.tuples(
        st.lists(st.text(max_size=200), min_size=p, max_size=p),
        *(arrays(np.float32, (p, 2, 3), elements=floats) for _ in range(3)),
        arrays(np.int32, (p, 2, 3), elements=st.sampled_from([0, 1, 127, 128, 20_000, 2**31 - 1])),
        arrays(np.float32, (p, 2), elements=st.sampled_from([0.0, 0.25, 1.0])),
        arrays(np.bool_, (p, 2)),
        arrays(np.int32, (2, 3), elements=st.sampled_from([-1, 0, 5])),
        st.booleans(),
    )
)


@given(said)
def test_attributions_on_the_wire_are_those_that_protobuf_writes(given: Any) -> None:
    names, raw, calibrated, contributions, ranks, weights, part, items, scaled = given
    contributions = np.nan_to_num(contributions)
    fields = [pb.Attribution(source=name).SerializeToString() for name in names]
    shown = calibrated if scaled else None
    found = kernels.attributions(fields, part, raw, shown, contributions, ranks, weights, items)
    for b in range(2):
        for k in range(3):
            wanted = pb.RecommendedItem()
            for s, name in enumerate(names):
                if not part[s, b] or items[b, k] < 0:
                    continue
                one = wanted.attributions.add(
                    source=name, weight=weights[s, b], contribution=contributions[s, b, k], rank=ranks[s, b, k]
                )
                if not np.isnan(raw[s, b, k]):
                    one.raw = raw[s, b, k]
                    if scaled:
                        one.calibrated = calibrated[s, b, k]
            assert pb.RecommendedItem.FromString(found[b][k]).SerializeToString() == wanted.SerializeToString()


@given(two=st.tuples(events, events))
def test_the_nearest_liked_item_is_that_of_the_largest_cosine(two: Any) -> None:
    rng = np.random.default_rng(2)
    table = rng.normal(size=(7, 3)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    table[6] = 0
    histories = Histories.build([[i for i, _ in row] for row in two], [[w for _, w in row] for row in two])
    pairs = np.array([(b, i) for b in range(2) for i in range(7)], np.int32)
    rows, items = np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
    found = kernels.nearest_liked(histories.offsets, histories.items, histories.weights, table, rows, items)
    for own, (b, item) in zip(found.tolist(), pairs.tolist(), strict=True):
        liked = {i for i, w in two[b] if w > 0 and i < 7 and i != item and table[i] @ table[item] > 1e-6}
        assert own == (max(liked, key=lambda i: float(table[i] @ table[item])) if liked else -1)


@given(b=st.integers(1, 20), d=st.integers(0, 300), seed=st.integers(0, 99))
def test_a_row_of_products_is_the_same_alone_and_in_a_batch(b: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(15, d)).astype(np.float32)
    chosen: Any = [rng.permutation(15)[: rng.integers(0, 15)].astype(np.int32) for _ in range(b)]
    weights: Any = [rng.random(len(row)) + 0.1 for row in chosen]
    history = Histories.build(chosen, weights).matrix(15)
    together = kernels.products(history, table)
    np.testing.assert_allclose(together, history.toarray() @ table, rtol=1e-4, atol=1e-5)
    for row in range(b):
        alone = Histories.build([chosen[row]], [weights[row]]).matrix(15)
        np.testing.assert_array_equal(kernels.products(alone, table)[0], together[row])


@given(d=st.integers(0, 40), seed=st.integers(0, 99), wide=st.booleans())
def test_sampled_products_are_those_of_the_whole_matrices(d: int, seed: int, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    left, right = (rng.normal(size=(n, d)).astype(np.float32) for n in (6, 9))
    pattern = sparse.csr_array(rng.random((6, 9)) < 0.4)
    if wide:
        pattern.indices, pattern.indptr = pattern.indices.astype(np.int64), pattern.indptr.astype(np.int64)
    rows, columns = pattern.nonzero()
    found = kernels.sampled_products(pattern, left, right)
    np.testing.assert_allclose(found, (left @ right.T)[rows, columns], rtol=1e-4, atol=1e-5)


@given(scores=matrices, k=st.integers(1, 20), above=st.sampled_from([-1.0, 0.0, 1.0]))
def test_top_above_a_score_is_that_of_what_stands_above_it(scores: Any, k: int, above: float) -> None:
    items, values = kernels.top(scores, k, above=above)
    lower = np.where(scores > above, scores, np.float32(-np.inf))
    wanted, best = kernels.top(lower, k)
    np.testing.assert_array_equal(items, wanted)
    np.testing.assert_array_equal(values, best)


@given(two=rows, weights=st.lists(st.floats(0, 5, width=32), min_size=12, max_size=12))
def test_shares_of_a_history_add_up_to_one(two: Any, weights: Any) -> None:
    given = Histories.build(two, weights=[weights[: len(one)] for one in two])
    plain, shares = given.matrix(N, 3.0), given.matrix(N, 3.0, shares=True)
    total = plain.toarray().sum(axis=1, keepdims=True)
    wanted = np.divide(plain.toarray(), total, out=np.zeros_like(plain.toarray()), where=total > 0)
    np.testing.assert_allclose(shares.toarray(), wanted, rtol=1e-6)


@given(chosen=arrays(np.int64, (3, 2), elements=st.integers(0, 4)))
def test_with_chosen_adds_rows_and_passes_over_the_first(chosen: Any) -> None:
    random = np.random.default_rng(0)
    base, table = random.normal(size=7).astype(np.float32), random.normal(size=(5, 7)).astype(np.float32)
    table[0] = 100
    wanted = [base + sum(table[row] for row in rows if row) for rows in chosen.tolist()]
    np.testing.assert_allclose(kernels.with_chosen(base, table, chosen), np.stack(wanted), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 7, 8, 9, 33, 64])
def test_ridge_solves_the_normal_equations_of_each_row(d: int) -> None:
    random = np.random.default_rng(d)
    lengths = [0, 1, 3, 4, 5, 50]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    vectors = random.normal(size=(offsets[-1], d)).astype(np.float32)
    weights = random.uniform(0.1, 2, offsets[-1]).astype(np.float32)
    half = random.normal(size=(d, d))
    background = (half @ half.T / d + np.eye(d)).astype(np.float32)
    found = kernels.ridge(vectors, weights, offsets, background)
    for b in range(len(lengths)):
        q, w = vectors[offsets[b] : offsets[b + 1]].astype(float), weights[offsets[b] : offsets[b + 1]].astype(float)
        wanted = np.linalg.solve(background + (q * w[:, None]).T @ q, w @ q)
        np.testing.assert_allclose(found[b], wanted, rtol=1e-3, atol=1e-4)
    assert not found[0].any()
    indefinite = kernels.ridge(vectors, weights, offsets, -1e6 * background)
    assert np.isfinite(indefinite).all()
