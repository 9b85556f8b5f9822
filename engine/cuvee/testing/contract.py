"""The conformance suite of recommenders: every promise of :mod:`cuvee.recommender`, checked.

Subclass it, name the recommender, and let pytest collect the subclass::

    class TestMine(RecommenderContract):
        recommender = MyRecommender
        configs = ({}, {"half_life": 3})

Each check runs once for each of ``configs``. One fit per config is shared by most of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from cuvee.recommender import Candidates, Floats, Recommender, Serves
from cuvee.testing.measure import precision, separation
from cuvee.testing.model_promises import ModelPromises
from cuvee.testing.promises import alike, arrays_of, check_candidates, promise, proposed_to, where
from cuvee.testing.toys import TOYS
from cuvee.testing.trial import Trial, copy_read_only, questions, since_the_fit

__all__ = ["RecommenderContract"]


class RecommenderContract(ModelPromises):
    """Checks one recommender. Subclasses set ``recommender``, and the rest where it must differ."""

    recommender: ClassVar[type[Recommender[Any]]]
    """The class under test."""
    configs: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Settings to check it with: each one a table of ``cuvee.toml``."""
    toy: ClassVar[str] = "two_tribes"
    """What to fit on: a toy of :data:`cuvee.testing.TOYS` that this recommender can learn."""
    rounding: ClassVar[float] = 1e-5
    """How much answers may differ by float32 rounding, relative to the largest score."""
    margin: ClassVar[float] = 0.1
    """Required margin over random: how much more often a right item must rank above a wrong one."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every check once for each config."""
        if "trial" in metafunc.fixturenames:
            names = [", ".join(f"{k}={v}" for k, v in config.items()) or "defaults" for config in self.configs]
            metafunc.parametrize("trial", self.configs, indirect=True, ids=names, scope="class")

    @pytest.fixture(scope="class")
    @classmethod
    def trial(cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
        """The recommender with one config, on the toy."""
        if not hasattr(cls, "recommender"):
            pytest.fail(f"{cls.__name__} must name the class under test: `recommender = MyRecommender`")
        trial = Trial(cls.recommender, request.param, TOYS[cls.toy](), tmp_path_factory.mktemp(cls.__name__))
        yield trial
        trial.close()

    # Shapes and values

    def test_score_has_the_shape_of_items(self, trial: Trial) -> None:
        """``score`` gives float32[B, M] for items int32[B, M]."""
        queries = questions(trial.toy).queries
        for m in (1, 7):
            items = trial.items(len(queries))[:, :m]
            scores = trial.score(trial.loaded, queries, items)
            promise(scores.dtype == np.float32, f"score must return float32, not {scores.dtype}")

    def test_scores_are_finite_or_nan(self, trial: Trial) -> None:
        """No score is infinite."""
        asked = questions(trial.toy, grown=True)
        items = trial.items(len(asked.queries), grown=True)
        scores = trial.score(trial.grown, asked.queries, items)
        rows = np.isinf(scores).any(axis=1)
        promise(
            not rows.any(), f"scores must be finite or NaN, never infinite; they were for {where(asked.labels, rows)}"
        )

    def test_padding_scores_nan(self, trial: Trial) -> None:
        """An item of -1 scores NaN, and changes nothing about the others."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        padded = items.copy()
        padded[:, ::3] = -1
        scores = trial.score(trial.loaded, queries, padded)
        promise(np.isnan(scores[:, ::3]).all(), "score must be NaN wherever items is -1")
        whole = np.where(padded < 0, np.nan, trial.score(trial.loaded, queries, items))
        promise(self._alike(whole, scores), "an item of -1 must not change the scores of the others")

    def test_no_items(self, trial: Trial) -> None:
        """M = 0 gives float32[B, 0]."""
        queries = questions(trial.toy).queries
        items = np.empty((len(queries), 0), np.int32)
        trial.score(trial.loaded, queries, items)

    def test_no_queries(self, trial: Trial) -> None:
        """B = 0 gives float32[0, M], and no candidates."""
        queries = questions(trial.toy).queries.select([])
        items = np.empty((0, 5), np.int32)
        trial.score(trial.loaded, queries, items)
        check_candidates(trial.candidates(trial.loaded, queries, 5), 5, trial.n_items)

    # Pointwise

    def test_order_of_items_does_not_matter(self, trial: Trial) -> None:
        """The same items in another order have the same scores."""
        queries = questions(trial.toy).queries
        one, two = (trial.items(len(queries), seed=seed) for seed in (0, 1))
        scores = [trial.score(trial.loaded, queries, items) for items in (one, two)]
        at = [np.argsort(items, axis=1) for items in (one, two)]
        sorted_one, sorted_two = (np.take_along_axis(s, a, axis=1) for s, a in zip(scores, at, strict=True))
        promise(self._alike(sorted_one, sorted_two), "score must not depend on the order of the items asked for")

    def test_other_items_do_not_matter(self, trial: Trial) -> None:
        """An item's score does not depend on the others asked for."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        whole = trial.score(trial.loaded, queries, items)
        for part in (slice(0, 1), slice(3, 10), slice(0, None, 2)):
            scores = trial.score(trial.loaded, queries, items[:, part])
            promise(
                self._alike(whole[:, part], scores),
                "score must be pointwise: an item's score must not depend on the others asked for "
                "(no softmax, rank or scaling over the items; the engine calibrates)",
            )

    def test_a_batch_equals_batches_of_one(self, trial: Trial) -> None:
        """The answer to a query does not depend on the other queries of the batch."""
        asked = questions(trial.toy, grown=True)
        items = trial.items(len(asked.queries), grown=True)
        scores = trial.score(trial.grown, asked.queries, items)
        proposed = trial.candidates(trial.grown, asked.queries, 10)
        for b, label in enumerate(asked.labels):
            alone = asked.queries.select([b])
            promise(
                self._alike(scores[b : b + 1], trial.score(trial.grown, alone, items[b : b + 1])),
                f"score differs between a batch and a batch of one, for {label}",
            )
            # scores are compared, since rounding may swap ties
            one = trial.candidates(trial.grown, alone, 10)
            promise(
                self._alike(proposed_to(proposed, b), proposed_to(one, 0)),
                f"candidates differ between a batch and a batch of one, for {label}",
            )

    # What it serves

    def test_serves_what_it_claims(self, trial: Trial) -> None:
        """It has at least one opinion on each kind of query that ``serves`` claims."""
        declared = getattr(trial.recommender, "serves", None)
        promise(isinstance(declared, Serves) and bool(declared), "the class must declare `serves`, not empty")
        claimed = trial.loaded.serves
        promise(claimed in trial.recommender.serves, f"an instance may narrow the class's serves, not widen: {claimed}")
        asked = questions(trial.toy)
        scores = trial.score(trial.loaded, asked.queries, trial.items(len(asked.queries)))
        opinions = {label: bool(np.isfinite(row).any()) for label, row in zip(asked.labels, scores, strict=True)}
        for kind, label in (
            (Serves.KNOWN_USER, "known user 0 with a history"),
            (Serves.SESSION, "a session of an unknown user"),
            (Serves.COLD_USER, "a cold user with a declared profile"),
        ):
            promise(kind not in claimed or opinions[label], f"serves claims {kind.name}, but all is NaN for {label}")

    def test_serves_nothing_else(self, trial: Trial) -> None:
        """It has no opinion and proposes nothing where ``serves`` claims nothing."""
        asked = questions(trial.toy, grown=True)
        claimed = trial.grown.serves
        unserved = ~asked.queries.served_by(claimed)
        scores = trial.score(trial.grown, asked.queries, trial.items(len(asked.queries), grown=True))
        wrong = unserved & ~np.isnan(scores).all(axis=1)
        promise(not wrong.any(), f"serves is {claimed}, so scores must be NaN for {where(asked.labels, wrong)}")
        proposed = trial.candidates(trial.grown, asked.queries, 10)
        wrong = unserved & (proposed.items >= 0).any(axis=1)
        promise(not wrong.any(), f"serves is {claimed}, so nothing may be proposed for {where(asked.labels, wrong)}")

    def test_new_items(self, trial: Trial) -> None:
        """It has an opinion on items newer than the model if, and only if, it claims COLD_ITEM."""
        asked = questions(trial.toy, grown=True)
        new = np.arange(trial.n_items, len(trial.toy.grown.items), dtype=np.int32)
        scores = trial.score(trial.grown, asked.queries, np.tile(new, (len(asked.queries), 1)))
        proposed = trial.candidates(trial.grown, asked.queries, len(trial.toy.grown.items))
        if Serves.COLD_ITEM in trial.grown.serves:
            served = asked.queries.served_by(trial.grown.serves)
            promise(np.isfinite(scores[served]).any(), "serves claims COLD_ITEM, but new items all score NaN")
            return
        promise(np.isnan(scores).all(), "serves does not claim COLD_ITEM, so new items must score NaN")
        promise((proposed.items < trial.n_items).all(), "serves does not claim COLD_ITEM: propose no new items")

    # Candidates

    def test_candidates_keep_their_form(self, trial: Trial) -> None:
        """Distinct valid items, best first, at most k, padded at the end; k may exceed the catalogue."""
        queries = questions(trial.toy, grown=True).queries
        n = len(trial.toy.grown.items)
        for k in (1, 10, n + 10):
            check_candidates(trial.candidates(trial.grown, queries, k), k, n)

    def test_candidates_leave_out_the_excluded(self, trial: Trial) -> None:
        """Excluded items are not proposed, but scored like any others."""
        asked = questions(trial.toy, grown=True)
        queries, k = asked.queries, len(trial.toy.grown.items)
        proposed = trial.candidates(trial.grown, queries, k)
        rows = np.zeros(len(queries), np.bool_)
        for b in range(len(queries)):
            rows[b] = np.isin(proposed.items[b], queries.excluded.row(b)).any()
        promise(
            not rows.any(), f"candidates must leave out what queries.excluded lists, for {where(asked.labels, rows)}"
        )
        items = trial.items(len(queries))
        free = replace(queries, excluded=queries.excluded.select([len(queries) - 1] * len(queries)))
        promise(
            self._alike(*(trial.score(trial.grown, q, items) for q in (queries, free))),
            "score must not heed queries.excluded: the caller asks for what it wants scored",
        )

    def test_candidates_leave_out_the_ineligible(self, trial: Trial) -> None:
        """Only eligible items are proposed; there may be none at all."""
        queries = questions(trial.toy, grown=True).queries
        n = len(trial.toy.grown.items)
        for eligible in (np.arange(n) % 3 == 0, np.zeros(n, np.bool_)):
            proposed = trial.candidates(trial.grown, replace(queries, eligible=eligible), n)
            check_candidates(proposed, n, n)
            allowed = eligible[proposed.items[proposed.items >= 0]]
            promise(allowed.all(), "candidates must leave out items that queries.eligible does not mark")

    def test_item_vectors_are_of_the_catalogue(self, trial: Trial) -> None:
        """``item_vectors`` gives None, or a row of finite numbers for each item; the same after load."""
        made = {
            "fit": (trial.fitted.item_vectors(), trial.n_items),
            "load": (trial.loaded.item_vectors(), trial.n_items),
            "load with a catalogue that has grown": (trial.grown.item_vectors(), len(trial.toy.grown.items)),
        }
        for when, (vectors, n) in made.items():
            right = vectors is None or (
                isinstance(vectors, np.ndarray)
                and vectors.dtype == np.float32
                and vectors.ndim == 2
                and len(vectors) <= n
                and bool(np.isfinite(vectors).all())
            )
            promise(right, f"item_vectors after {when} must be None or finite float32[n, d], n up to the {n} items")
        one, two = made["fit"][0], made["load"][0]
        same = one is two if one is None or two is None else one.shape == two.shape and self._alike(one, two)
        promise(same, "item_vectors after load must equal those after fit")

    def test_updated_is_a_model_like_any(self, trial: Trial) -> None:
        """``updated`` gives a model of its kind, from fit and activity alone, and leaves the old one as it was."""
        asked = questions(trial.toy, grown=True)
        items, activity = trial.items(len(asked.queries), grown=True), since_the_fit(trial.toy)
        before = trial.score(trial.grown, asked.queries, items)
        new = trial.grown.updated(activity)
        promise(type(new) is type(trial.grown), f"updated must give a {type(trial.grown).__name__}, not {new!r}")
        promise(
            self._alike(before, trial.score(trial.grown, asked.queries, items)),
            "updated must leave the model that it was called on as it was: requests are still answered by it",
        )
        scores = trial.score(new, asked.queries, items)
        promise(not (np.isinf(scores) & ~np.isinf(before)).any(), "scores after updated must be finite or NaN")
        trial.candidates(new, asked.queries, 10)
        again = new.updated(activity)
        promise(
            self._alike(scores, trial.score(again, asked.queries, items)),
            "updated must depend on the fit and the activity alone: it gets all since the fit each time",
        )

    # How it is called

    def test_inputs_stay_untouched(self, trial: Trial) -> None:
        """Every input is read-only, in ``fit`` too: arrays may be mapped from a file."""
        fitted = trial.fit(read_only=True)
        asked = copy_read_only(replace(questions(trial.toy).queries, eligible=np.ones(trial.n_items, np.bool_)))
        items = trial.items(len(asked))
        items.flags.writeable = False
        before, items_before = copy_read_only(asked), items.copy()
        trial.score(fitted, asked, items)
        trial.candidates(fitted, asked, 10)
        untouched = np.array_equal(items, items_before) and all(
            np.array_equal(one, two) for one, two in zip(arrays_of(asked), arrays_of(before), strict=True)
        )
        promise(untouched and asked.profiles == before.profiles, "score and candidates must not change their inputs")

    def test_threads_equal_serial(self, trial: Trial) -> None:
        """Eight concurrent threads get the same answers as one (for an async recommender: eight calls on its loop)."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        rows = [np.roll(np.arange(len(queries)), shift)[: 1 + shift % 5] for shift in range(48)]
        asked = [(queries.select(picked), items[picked], 10) for picked in rows]
        serial = [(trial.score(trial.loaded, q, i), trial.candidates(trial.loaded, q, k)) for q, i, k in asked]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)  # switch threads as often as possible
        try:
            together = trial.both_at_once(trial.loaded, asked, threads=8)
        finally:
            sys.setswitchinterval(interval)
        for (scores, proposed), (own_scores, own) in zip(serial, together, strict=True):
            promise(self._alike(scores, own_scores), "score from 8 threads at once must equal score from one")
            promise(
                proposed.items.shape == own.items.shape and self._alike(proposed.scores, own.scores),
                "candidates from 8 threads at once must equal candidates from one",
            )

    def test_better_than_random(self, trial: Trial) -> None:
        """On toy data whose right answers are known, it is right more often than chance."""
        toy = trial.toy
        served = np.flatnonzero(toy.queries.served_by(trial.loaded.serves) & (toy.answers.lengths > 0))
        promise(len(served) > 0, f"the toy {toy.name!r} asks nothing that {trial.loaded.serves} serves; set `toy`")
        queries, answers = toy.queries.select(served), toy.answers.select(served)
        items = np.tile(np.arange(trial.n_items, dtype=np.int32), (len(queries), 1))
        chance = np.random.default_rng(0).random(items.shape, np.float32)
        random = separation(chance, queries, answers)
        own = separation(trial.score(trial.loaded, queries, items), queries, answers)
        promise(
            own >= random + self.margin,
            f"on the toy {toy.name!r} a right item is scored above a wrong one {own:.0%} of the time, by a random "
            f"order {random:.0%}; {self.margin:.0%} more is asked for. If this toy is not for it, set `toy`",
        )
        proposed = trial.candidates(trial.loaded, queries, 10)
        if (proposed.items >= 0).any():
            right, random = (
                precision(proposed, queries, answers),
                precision(Candidates.top(chance, 10, queries), queries, answers),
            )
            promise(right > 1.25 * random, f"{right:.0%} of the candidates are right, of random ones {random:.0%}")

    # The rest

    def test_explains_in_a_few_words(self, trial: Trial) -> None:
        """``explain`` gives None or a short line for each pair of a query and an item, whatever else is asked."""
        asked = questions(trial.toy, grown=True)
        items = np.asarray([0, trial.n_items - 1, trial.n_items], np.int32)
        rows = np.repeat(np.arange(len(asked.queries), dtype=np.int32), len(items))
        words = trial.explain(trial.grown, asked.queries, rows, np.tile(items, len(asked.queries)))
        many = isinstance(words, Sequence) and not isinstance(words, str) and len(words) == len(rows)
        promise(many, f"explain must give a sequence, one answer for each pair of a row and an item: {words!r}")
        for at, word in enumerate(words):
            b, item = int(rows[at]), items[[at % len(items)]]
            label = asked.labels[b]
            short = word is None or (isinstance(word, str) and 0 < len(word) <= 200 and "\n" not in word)
            promise(short, f"explain must give None or one line of up to 200 characters; for {label}: {word!r}")
            alone = list(trial.explain(trial.grown, asked.queries.select([b]), np.zeros(1, np.int32), item))
            promise(alone == [word], f"explain must say of a pair what it says of it alone; for {label}: {alone}")
        nothing = trial.explain(trial.grown, asked.queries, rows[:0], items[:0])
        promise(len(nothing) == 0, "explain of no items must be empty")

    def test_health_is_a_quick_yes_or_no(self, trial: Trial) -> None:
        """``health`` is a bool, True for a model just loaded, and costs next to nothing."""
        took = []
        for _ in range(5):
            began = time.perf_counter()
            healthy = trial.loaded.health()
            took.append(time.perf_counter() - began)
        promise(healthy is True, f"health must be True for a model just loaded, and a bool; it was {healthy!r}")
        promise(min(took) < 0.02, f"health must be a flag, no work: it took {1000 * min(took):.0f} ms")

    def test_closes_twice(self, trial: Trial) -> None:
        """``close`` may be called again, and takes nothing from other instances of the same model."""
        queries = questions(trial.toy).queries
        items = trial.items(len(queries))
        closed, other = trial.load(trial.toy.data.catalog), trial.loaded
        before = trial.score(other, queries, items)
        trial.close_one(closed)
        trial.close_one(closed)
        promise(self._alike(before, trial.score(other, queries, items)), "close must leave other instances as they are")

    def _alike(self, one: Floats, two: Floats) -> bool:
        """Whether two answers are equal to float32 rounding."""
        return alike(one, two, self.rounding)
