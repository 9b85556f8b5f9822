"""The conformance suites of rules, blenders and calibrators: subclass one, name the class under test, run pytest.

::

    class TestMine(RuleContract):
        rule = MyRule
        configs = ({"at_most": 2},)

Rules are built over the catalogue of a toy (:data:`cuvee.testing.TOYS`), whose columns their configs may name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from cuvee.ranking.blend import Blender, Missing, Opinions
from cuvee.ranking.calibrate import Calibrator
from cuvee.recommender import Floats, Queries, Ragged
from cuvee.rules import Arrangement, Lists, Restriction, Rule, Seen, SeenType
from cuvee.testing.promises import promise
from cuvee.testing.toys import TOYS
from cuvee.testing.trial import copy_read_only, questions

__all__ = ["BlenderContract", "CalibratorContract", "RuleContract"]

ROUNDING = 1e-5


def _each_config(metafunc: pytest.Metafunc, configs: Sequence[Mapping[str, Any]]) -> None:
    if "config" in metafunc.fixturenames:
        names = [", ".join(f"{k}={v}" for k, v in one.items()) or "defaults" for one in configs]
        metafunc.parametrize("config", configs, ids=names)


class RuleContract:
    """Checks one rule. Subclasses set ``rule``, and ``configs`` where it needs keys."""

    rule: ClassVar[type[Rule[Any]]]
    """The class under test."""
    configs: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Settings to check it with: each one a ``[[rules]]`` table without ``use``."""
    toy: ClassVar[str] = "two_tribes"
    """Over whose catalogue."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every check once for each config."""
        _each_config(metafunc, self.configs)

    def _made(self, config: Mapping[str, Any], *, grown: bool = False) -> tuple[Rule[Any], Queries, Seen, Lists]:
        toy = TOYS[self.toy]()
        catalog = toy.grown if grown else toy.data.catalog
        queries, n, rng = copy_read_only(questions(toy).queries), len(catalog.items), np.random.default_rng(0)
        h = queries.histories
        seen = Seen(h.offsets, h.items, rng.integers(0, len(SeenType), len(h.items)).astype(np.uint8), h.times)
        items = np.stack([rng.permutation(n)[:30] for _ in range(len(queries))]).astype(np.int32)
        items[:, 25:] = -1
        scores = np.where(items >= 0, rng.normal(size=items.shape), np.nan).astype(np.float32)
        vectors = rng.normal(size=(n, 8)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for array in (items, scores, vectors, seen.types, seen.times):
            if array is not None:
                array.setflags(write=False)
        rule = self.rule(self.rule.Config(**config), catalog)
        return rule, queries, seen, Lists(queries, items, scores, lambda _: vectors)

    def test_eligible_is_of_the_catalogue(self, config: Mapping[str, Any]) -> None:
        """``eligible`` is None, or bool[N] for the catalogue that the rule was built over."""
        for grown in (False, True):
            rule, *_ = self._made(config, grown=grown)
            mask = rule.eligible
            right = mask is None or (mask.dtype == np.bool_ and mask.shape == (len(rule.catalog.items),))
            promise(right, "eligible must be None, or bool with one value for each item of the catalogue")

    def test_restricts_each_query(self, config: Mapping[str, Any]) -> None:
        """``restrict`` gives None or rows for each query, of items of the catalogue."""
        rule, queries, seen, _ = self._made(config)
        found = rule.restrict(queries, seen)
        promise(found is None or isinstance(found, Restriction), f"restrict must give a Restriction or None: {found!r}")
        n = len(rule.catalog.items)
        if found is not None and found.excluded is not None:
            rows = found.excluded
            promise(isinstance(rows, Ragged) and len(rows) == len(queries), "excluded needs a row for each query")
            promise(((rows.items >= 0) & (rows.items < n)).all(), "excluded must hold items of the catalogue")
        if found is not None and found.wanted is not None:
            wanted = found.wanted
            promise(wanted.dtype == np.int32 and len(wanted) == len(queries), "wanted must be int32, a row each query")
            promise(((wanted >= -1) & (wanted < n)).all(), "wanted must hold items of the catalogue, or -1")

    def test_wishes_have_their_form(self, config: Mapping[str, Any]) -> None:
        """``arrange`` gives None or an Arrangement whose parts have the shapes that the contract names."""
        rule, _, _, lists = self._made(config)
        wish = rule.arrange(lists)
        promise(wish is None or isinstance(wish, Arrangement), f"arrange must give an Arrangement or None: {wish!r}")
        if wish is None:
            return
        shape, n = lists.items.shape, len(rule.catalog.items)
        if wish.added is not None:
            promise(wish.added.shape == shape and np.isfinite(wish.added).all(), "added must be finite, [B, M]")
        if wish.removed is not None:
            right = wish.removed.shape == shape and wish.removed.dtype == np.bool_
            promise(right, "removed must be bool[B, M]")
        if wish.pins is not None:
            pins = wish.pins
            promise(pins.items.shape == (shape[0], len(pins.places)), "pins.items must be [B, P]")
            promise((pins.places >= 1).all(), "places are counted from 1")
            promise(((pins.items >= -1) & (pins.items < n)).all(), "pins.items must be items of the catalogue, or -1")
        for limit in wish.limits:
            right = limit.offsets.shape == (n + 1,) and limit.offsets[-1] == len(limit.groups)
            promise(
                right and (np.diff(limit.offsets) >= 0).all(), "a limit's offsets must be int64[N + 1], never falling"
            )
            promise((limit.groups >= 0).all() and limit.at_most >= 1, "groups from 0, at_most from 1")
        if wish.spread is not None:
            promise(wish.spread.vectors.dtype == np.float32, "spread.vectors must be float32[n, d]")

    def test_a_batch_equals_batches_of_one(self, config: Mapping[str, Any]) -> None:
        """What is wanted for a query does not depend on the others of its batch."""
        rule, queries, seen, lists = self._made(config)
        whole, wish = rule.restrict(queries, seen), rule.arrange(lists)
        for b in range(0, len(queries), 7):
            one, part = queries.select([b]), slice(b, b + 1)
            alone = rule.restrict(one, seen.select([b]))
            promise((whole is None) == (alone is None), "restrict differs between a batch and a batch of one")
            if whole is not None and alone is not None and whole.excluded is not None and alone.excluded is not None:
                same = set(whole.excluded.row(b).tolist()) == set(alone.excluded.row(0).tolist())
                promise(same, "excluded differs between a batch and a batch of one")
            own = rule.arrange(replace(lists, queries=one, items=lists.items[part], scores=lists.scores[part]))
            if wish is None or own is None:
                promise(wish is own, "arrange differs between a batch and a batch of one")
                continue
            for name in ("added", "removed"):
                left, right = getattr(wish, name), getattr(own, name)
                same = left is right or (right is not None and np.allclose(left[part], right, atol=ROUNDING))
                promise(same, f"{name} differs between a batch and a batch of one")

    def test_padding_is_left_alone(self, config: Mapping[str, Any]) -> None:
        """Nothing is added where there is no item, and nothing at all is no error."""
        rule, queries, seen, lists = self._made(config)
        wish = rule.arrange(lists)
        if wish is not None and wish.added is not None:
            promise((wish.added[lists.items < 0] == 0).all(), "added must be 0 where items is -1")
        none = queries.select([])
        rule.restrict(none, seen.select([]))
        rule.arrange(replace(lists, queries=none, items=lists.items[:0], scores=lists.scores[:0]))
        rule.arrange(replace(lists, items=lists.items[:, :0], scores=lists.scores[:, :0]))


class BlenderContract:
    """Checks one blender. Subclasses set ``blender``, and ``configs`` where it has options."""

    blender: ClassVar[type[Blender]]
    configs: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Its options: each one a table ``[blend.options]``."""
    missing: ClassVar[Missing] = "prior"

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every check once for each config."""
        _each_config(metafunc, self.configs)

    def _made(self, config: Mapping[str, Any], p: int = 3, b: int = 5, m: int = 12) -> tuple[Blender, Opinions]:
        rng = np.random.default_rng(p * m)
        said = rng.normal(size=(p, b, m)).astype(np.float32)
        said[rng.random(said.shape) < 0.3] = np.nan
        present = np.arange(m)[None] < rng.integers(m // 2, m + 1, (b, 1))
        said[:, ~present] = np.nan
        weights = rng.random((p, b)).astype(np.float32)
        weights /= np.maximum(weights.sum(axis=0), 1e-9)
        opinions = Opinions.bare(said, weights, present)
        for array in (said, weights, present):
            array.setflags(write=False)
        return self.blender(self.blender.Options.model_validate(dict(config)), self.missing), opinions

    def test_contributions_have_their_form(self, config: Mapping[str, Any]) -> None:
        """float32[p, B, M], finite, 0 on padding; whatever the number of sources, queries and items."""
        for p, b, m in ((3, 5, 12), (1, 1, 1), (2, 0, 4), (2, 3, 0)):
            blender, opinions = self._made(config, p, b, m)
            made = blender.contributions(opinions)
            right = made.dtype == np.float32 and made.shape == (p, b, m)
            promise(right, f"contributions must be float32{[p, b, m]}, not {made.dtype}{list(made.shape)}")
            promise(np.isfinite(made).all(), "contributions must be finite, also of a missing opinion")
            promise((made[:, ~opinions.present] == 0).all(), "contributions must be 0 on padding")

    def test_a_batch_equals_batches_of_one(self, config: Mapping[str, Any]) -> None:
        """A query's contributions do not depend on the other queries."""
        blender, opinions = self._made(config)
        whole = blender.contributions(opinions)
        for b in range(whole.shape[1]):
            alone = blender.contributions(opinions.select(np.array([b])))
            promise(np.allclose(whole[:, [b]], alone, atol=ROUNDING), "contributions differ for a batch of one")

    def test_nothing_known_is_no_error(self, config: Mapping[str, Any]) -> None:
        """Where no source has an opinion, nothing is contributed that is not finite."""
        blender, opinions = self._made(config)
        silent = replace(opinions, calibrated=np.full_like(opinions.calibrated, np.nan))
        promise(
            np.isfinite(blender.contributions(silent)).all(), "contributions must be finite where nobody says anything"
        )

    def test_linear_means_linear(self, config: Mapping[str, Any]) -> None:
        """One that claims ``linear`` contributes in proportion to a source's weight."""
        blender, opinions = self._made(config)
        if blender.linear:
            twice = blender.contributions(replace(opinions, weights=opinions.weights * np.float32(2)))
            same = np.allclose(twice, 2 * blender.contributions(opinions), atol=ROUNDING)
            promise(same, "linear is claimed, but twice the weight is not twice the contribution")


class CalibratorContract:
    """Checks one calibrator. Subclasses set ``calibrator``."""

    calibrator: ClassVar[type[Calibrator]]

    def _made(self) -> tuple[Calibrator, Floats]:
        rng = np.random.default_rng(0)
        scores = np.round(rng.normal(3, 2, (6, 40)), 1).astype(np.float32)
        scores[rng.random(scores.shape) < 0.2] = np.nan
        scores[1], scores[2, 1:] = np.nan, np.nan
        scores.setflags(write=False)
        learnt = self.calibrator.learn(scores[np.isfinite(scores)])
        return self.calibrator(json.loads(json.dumps(learnt))), scores

    def test_shape_and_missing_opinions_stay(self) -> None:
        """float32[B, M], NaN just where it was."""
        made, scores = self._made()
        for part in (scores, scores[:0], scores[:, :0]):
            out = made.calibrate(part)
            promise(out.dtype == np.float32 and out.shape == part.shape, "calibrate must keep shape and float32")
            promise(np.array_equal(np.isnan(out), np.isnan(part)), "NaN must stay NaN, and nothing else become it")

    def test_order_stays(self) -> None:
        """Never reverses two items of a row, and equals stay equal."""
        made, scores = self._made()
        for row, out in zip(scores, made.calibrate(scores), strict=True):
            order = np.argsort(row[~np.isnan(row)], kind="stable")
            before: npt.NDArray[Any] = row[~np.isnan(row)][order]
            after = out[~np.isnan(row)][order]
            promise((np.diff(after) >= -ROUNDING).all(), "a higher raw score must not become a lower one")
            promise(np.allclose(after[1:][np.diff(before) == 0], after[:-1][np.diff(before) == 0]), "equals stay equal")

    def test_rows_do_not_matter_to_each_other(self) -> None:
        """A row is calibrated alone as in a batch."""
        made, scores = self._made()
        whole = made.calibrate(scores)
        for b in range(len(scores)):
            alone = made.calibrate(scores[b : b + 1])
            promise(np.allclose(whole[b : b + 1], alone, atol=ROUNDING, equal_nan=True), "a row depends on others")

    def test_works_without_having_learnt(self) -> None:
        """What was learnt may be nothing: a source that had no opinion at the fit."""
        _, scores = self._made()
        out = self.calibrator(self.calibrator.learn(np.zeros(0, np.float32))).calibrate(scores)
        promise(np.array_equal(np.isnan(out), np.isnan(scores)), "must calibrate where nothing was learnt")
