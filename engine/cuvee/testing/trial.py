"""One recommender with one config on one toy: fitted, saved and loaded once, then asked.

What :class:`cuvee.testing.contract.RecommenderContract` hands to each of its checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cuvee.data.catalog import Catalog
from cuvee.data.dataset import Dataset
from cuvee.recommender import (
    Activity,
    Candidates,
    Floats,
    Histories,
    Ints,
    Profile,
    Queries,
    Ragged,
    Recommender,
    RecommenderConfig,
)
from cuvee.testing.promises import check_proposed, check_scores
from cuvee.testing.toys import Toy, stored_profile

__all__ = ["Questions", "Trial", "copy_read_only", "questions", "since_the_fit"]

T = TypeVar("T")
A = TypeVar("A", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Questions:
    """A batch with every kind of question, and a description of each row's kind."""

    queries: Queries
    labels: tuple[str, ...]


def questions(toy: Toy, *, grown: bool = False) -> Questions:
    """One or more questions of every kind, as the engine would ask them; fresh arrays each time.

    With ``grown`` also users and histories that are newer than a model fitted on ``toy.data``.
    """
    data, catalog = toy.data, toy.grown
    cold = next(q for q in map(toy.queries.profiles.__getitem__, range(len(toy.queries) - 1, -1, -1)) if q)
    clicks = [int(i) for i in data.events.row(1)[:4]]
    asked: list[tuple[str, int, list[int], list[float] | None, Profile]] = [
        (f"known user {u} with a history", u, data.events.row(u).tolist(), None, stored_profile(catalog.users, u))
        for u in range(4)
    ]
    idle = data.n_users - 1
    asked += [
        ("a known user without a history", idle, [], None, stored_profile(catalog.users, idle)),
        ("a session of an unknown user", -1, clicks, None, Profile()),
        ("a session with a repeated item", -1, [*clicks, clicks[0]], None, Profile()),
        ("a session with a declared profile", -1, clicks, None, cold),
        ("a session of items that were not liked", -1, clicks, [0.0] * len(clicks), Profile()),
        ("a cold user with a declared profile", -1, [], None, cold),
        ("a cold user without a profile", -1, [], None, Profile()),
        (
            "a cold user whose profile has names and values that the catalogue has not",
            -1,
            [],
            None,
            Profile({"shoe size": 43.0, "flags": ("a", "b")}, {"no such column": ("x",)}),
        ),
    ]
    if grown:
        new_user, new_item = data.n_users, data.n_items
        profile = stored_profile(catalog.users, new_user)
        asked += [
            ("a user newer than the model, with a history", new_user, clicks, None, profile),
            ("a user newer than the model, without a history", new_user + 1, [], None, profile),
            ("a session of new items alone", -1, [new_item, new_item + 1], None, Profile()),
            ("a session of old and new items", -1, [*clicks, new_item], None, Profile()),
        ]
    labels, users, rows, weights, profiles = zip(*asked, strict=True)
    now = toy.queries.now
    histories = Histories.build(rows, [[1.0] * len(r) if w is None else w for r, w in zip(rows, weights, strict=True)])
    queries = Queries.build(
        replace(histories, times=now - 3600 + 60 * histories.times),
        users=users,
        profiles=profiles,
        now=now,
        excluded=Ragged.of([sorted(set(row)) for row in rows]),
    )
    return Questions(queries, labels)


def since_the_fit(toy: Toy) -> Activity:
    """A hundred events of old and new items, of known and unknown people, some of them cancelled."""
    random = np.random.default_rng(0)
    profiles = (Profile(), *(stored_profile(toy.grown.users, user) for user in range(4)))
    return Activity(
        _locked(random.integers(0, len(toy.grown.items), 100, np.int32)),
        _locked(random.choice(np.array([-1, 0, 0.5, 1, 1], np.float32), 100)),
        _locked(toy.queries.now + 86_400 * random.random(100)),
        _locked(random.integers(0, len(profiles), 100, np.int32)),
        profiles,
    )


def _likes_as_vectors(data: Dataset) -> Floats:
    """float32[N, d]: item vectors from the users' likes, reduced to 8 dimensions, as another source would give them."""
    likes = data.matrix().toarray()
    _, lengths, directions = np.linalg.svd(likes, full_matrices=False)
    return np.ascontiguousarray(directions[:8].T * lengths[:8], np.float32)


def copy_read_only(queries: Queries) -> Queries:
    """The same questions in arrays and mappings of their own, none of which can be written to."""
    kept, out = queries.histories, queries.excluded
    return Queries(
        users=_locked(queries.users),
        histories=_locked_histories(kept),
        profiles=tuple(
            Profile(MappingProxyType(dict(p.attributes)), MappingProxyType(dict(p.interests))) for p in queries.profiles
        ),
        now=queries.now,
        excluded=Ragged(_locked(out.offsets), _locked(out.items)),
        eligible=None if queries.eligible is None else _locked(queries.eligible),
    )


def _locked(array: npt.NDArray[A]) -> npt.NDArray[A]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _locked_histories(histories: Histories) -> Histories:
    return Histories(
        _locked(histories.offsets), _locked(histories.items), _locked(histories.weights), _locked(histories.times)
    )


class Trial:
    """A recommender under test. Its answers are awaited where they are awaitable.

    An exception of the recommender becomes an AssertionError that describes the call.
    """

    def __init__(
        self, recommender: type[Recommender[Any]], settings: Mapping[str, Any], toy: Toy, directory: Path
    ) -> None:
        self.recommender = recommender
        self.settings = dict(settings)
        self.toy = toy
        self.directory = directory
        self._opened: list[Recommender[Any]] = []
        self._runner: asyncio.Runner | None = None

    @cached_property
    def config(self) -> RecommenderConfig:
        """The recommender's own config."""
        return self.recommender.Config.model_validate(self.settings)

    def fit(self, *, read_only: bool = False) -> Recommender[Any]:
        """A new fit on the toy's data."""
        data = self.toy.data
        if read_only:
            data = Dataset(data.catalog, _locked_histories(data.events))
        if isinstance(self.config, RecommenderConfig) and (needed := self.config.needs_vectors_of):
            data = replace(data, vectors=dict.fromkeys(needed, _locked(_likes_as_vectors(data))))
        with _Told(f"fit() on the toy {self.toy.name!r}"):
            return self._kept(self.recommender.fit(data, self.config, _progress))

    @cached_property
    def fitted(self) -> Recommender[Any]:
        """The fit that was saved."""
        return self.fit()

    @cached_property
    def saved(self) -> Path:
        """The directory of the saved fit: written aside and renamed, as the engine does it."""
        aside, at = self.directory / ".writing", self.directory / "saved"
        aside.mkdir()
        with _Told("save() into an empty directory"):
            self.fitted.save(aside)
        return aside.rename(at)

    def load(self, catalog: Catalog) -> Recommender[Any]:
        """A new instance, loaded from the saved fit."""
        with _Told("load() of what save() wrote, after its directory was renamed,"):
            return self._kept(self.recommender.load(self.saved, self.config, catalog))

    @cached_property
    def loaded(self) -> Recommender[Any]:
        """Loaded with the catalogue of the fit."""
        return self.load(self.toy.data.catalog)

    @cached_property
    def grown(self) -> Recommender[Any]:
        """Loaded with the catalogue that has grown since."""
        return self.load(self.toy.grown)

    @property
    def n_items(self) -> int:
        """Items in the catalogue of the fit."""
        return self.toy.data.n_items

    def items(self, b: int, *, grown: bool = False, seed: int = 0) -> Ints:
        """int32[b, N]: every item, in another random order in each row."""
        n = len(self.toy.grown.items) if grown else self.n_items
        rows = np.tile(np.arange(n, dtype=np.int32), (b, 1))
        return np.random.default_rng(seed).permuted(rows, axis=1)

    def score(self, instance: Recommender[Any], queries: Queries, items: Ints) -> Floats:
        """The result of ``score``, with its shape checked."""
        with _Told(f"score() of {len(queries)} queries and {items.shape[1]} items each"):
            scores = self._answer(instance.score(queries, items))
        check_scores(scores, items)
        return scores

    def candidates(self, instance: Recommender[Any], queries: Queries, k: int) -> Candidates:
        """The result of ``candidates``, with its shape checked."""
        with _Told(f"candidates() for {len(queries)} queries, k = {k},"):
            proposed = self._answer(instance.candidates(queries, k))
        check_proposed(proposed, len(queries))
        return proposed

    def explain(self, instance: Recommender[Any], queries: Queries, rows: Ints, items: Ints) -> Any:
        """The result of ``explain``, unchecked."""
        with _Told(f"explain() of rows {rows.tolist()} and items {items.tolist()}"):
            return self._answer(instance.explain(queries, rows, items))

    def close_one(self, instance: Recommender[Any]) -> None:
        """Close an instance, which the trial then leaves alone."""
        self._opened = [other for other in self._opened if other is not instance]
        with _Told("close()"):
            instance.close()

    def both_at_once(
        self, instance: Recommender[Any], asked: Sequence[tuple[Queries, Ints, int]], threads: int
    ) -> list[tuple[Floats, Candidates]]:
        """Score and candidates for each of ``asked``, from that many threads at once.

        An async recommender is asked for all of them at once on its loop instead.
        """

        def ask(one: tuple[Queries, Ints, int]) -> tuple[Any, Any]:
            queries, items, k = one
            return instance.score(queries, items), instance.candidates(queries, k)

        with _Told(f"score() and candidates() from {threads} threads at once"):
            with ThreadPoolExecutor(threads) as pool:
                answers = list(pool.map(ask, asked))
            scores, proposed = (self._answers([pair[at] for pair in answers]) for at in (0, 1))
        for (queries, items, _), own_scores, own in zip(asked, scores, proposed, strict=True):
            check_scores(own_scores, items)
            check_proposed(own, len(queries))
        return list(zip(scores, proposed, strict=True))

    def close(self) -> None:
        """Close every instance, and the event loop."""
        try:
            for instance in self._opened:
                instance.close()
        finally:
            if self._runner is not None:
                self._runner.close()

    def _kept(self, instance: Recommender[Any]) -> Recommender[Any]:
        self._opened.append(instance)
        return instance

    def _answer(self, answer: T | Awaitable[T]) -> T:
        return self._answers([answer])[0]

    def _answers(self, answers: Sequence[T | Awaitable[T]]) -> list[T]:
        if not any(isinstance(answer, Awaitable) for answer in answers):
            return list(answers)  # type: ignore[arg-type]

        async def gathered() -> list[T]:
            return await asyncio.gather(*(a for a in answers if isinstance(a, Awaitable)))

        # one loop for the whole trial, since a channel to a model server belongs to its loop
        self._runner = self._runner or asyncio.Runner()
        return self._runner.run(gathered())


class _Told:
    """Turns an exception of the recommender into an AssertionError that describes the call."""

    def __init__(self, asked: str) -> None:
        self.asked = asked

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, problem: BaseException | None, trace: object) -> None:
        if not isinstance(problem, Exception):
            return  # nothing, or a skip, or the user's own interrupt
        raise AssertionError(f"{self.asked} raised {type(problem).__name__}: {problem}") from problem


def _progress(done: float, total: float, note: str = "") -> None:
    """Receives the progress of fit, and shows nothing."""
