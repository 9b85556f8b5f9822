"""Recommenders that misbehave once they are loaded; while they are fitted all goes well.

Each is popularity with a fault. They come in as any plugin does: this folder stands on
``PYTHONPATH`` of the server process, with the ``.dist-info`` beside this file.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cuvee
import numpy as np
from cuvee.recommender import Activity, Floats, Ints

SECRET = "/etc/secret-path"


class Config(cuvee.RecommenderConfig):
    """``trouble``: the file whose presence makes ``flaky`` fail; ``seconds``: how long sleepers sleep."""

    trouble: str = ""
    seconds: float = 5.0


class Counts(cuvee.Recommender[Config]):
    """How often an item was liked."""

    Config = Config
    serves = cuvee.Serves.KNOWN_USER | cuvee.Serves.SESSION | cuvee.Serves.COLD_USER

    def __init__(self, counts: Floats, config: Config, loaded: bool) -> None:
        self.counts = counts
        self.config = config
        self.loaded = loaded

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: Config, progress: cuvee.Progress) -> Self:
        return cls(np.bincount(data.events.items, minlength=data.n_items).astype(np.float32), config, False)

    def save(self, directory: Path) -> None:
        cuvee.save_arrays(directory, {"counts": self.counts})

    @classmethod
    def load(cls, directory: Path, config: Config, catalog: cuvee.Catalog) -> Self:
        return cls(cuvee.load_arrays(directory, {"counts": "float32[n]"})["counts"], config, True)

    def _top(self, queries: cuvee.Queries, k: int) -> cuvee.Candidates:
        return cuvee.Candidates.top(np.tile(self.counts, (len(queries), 1)), k, queries)

    def _score(self, items: Ints) -> Floats:
        known = (items >= 0) & (items < len(self.counts))
        return np.where(known, self.counts[np.where(known, items, 0)], np.float32(np.nan))

    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        return self._top(queries, k)

    def score(self, queries: cuvee.Queries, items: Ints) -> Any:
        return self._score(items)


class Liked(Counts):
    """Has no opinion on items that nobody liked."""

    @classmethod
    def fit(cls, data: cuvee.Dataset, config: Config, progress: cuvee.Progress) -> Self:
        liked = data.events.items[data.events.weights > 0]
        counts = np.bincount(liked, minlength=data.n_items).astype(np.float32)
        return cls(np.where(counts > 0, counts, np.float32(np.nan)), config, False)


class Raises(Counts):
    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded:
            raise ValueError(f"something secret: {SECRET}")
        return self._top(queries, k)


class Garbage(Counts):
    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded:
            return cuvee.Candidates(np.zeros((3, 7), np.int32), np.zeros((1, 2), np.float32))
        return self._top(queries, k)


class GarbageScores(Counts):
    """Good candidates, scores of a wrong shape."""

    def score(self, queries: cuvee.Queries, items: Ints) -> Any:
        return self._score(items) if not self.loaded else np.zeros(4, np.float32)


class Sleeps(Counts):
    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded:
            time.sleep(self.config.seconds)
        return self._top(queries, k)


class SleepsAsync(Counts):
    """Blocks the event loop by sleeping, and ignores cancellation."""

    async def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded:
            for _ in range(3):
                try:
                    await asyncio.sleep(self.config.seconds)
                except asyncio.CancelledError:
                    continue
        return self._top(queries, k)


class Async(Counts):
    """A well-behaved one that waits on the loop."""

    async def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        await asyncio.sleep(0.001)
        return self._top(queries, k)

    async def score(self, queries: cuvee.Queries, items: Ints) -> Any:
        await asyncio.sleep(0.001)
        return self._score(items)


class Flaky(Counts):
    """Fails while a certain file is there."""

    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded and Path(self.config.trouble).exists():
            raise cuvee.SourceFailure(cuvee.DegradedReason.UNAVAILABLE, "the model server is away")
        return self._top(queries, k)


class Exits(Counts):
    """Tries to end the process."""

    def candidates(self, queries: cuvee.Queries, k: int) -> Any:
        if self.loaded:
            raise SystemExit(3)
        return self._top(queries, k)


class SlowLoad(Counts):
    @classmethod
    def load(cls, directory: Path, config: Config, catalog: cuvee.Catalog) -> Self:
        time.sleep(config.seconds)
        return super().load(directory, config, catalog)


class BadExplainer(Counts):
    def explain(self, queries: cuvee.Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        raise RuntimeError("no words")


class Newest(Counts):
    """The later the year of an item, the better, also of one that came after the fit."""

    serves = Counts.serves | cuvee.Serves.COLD_ITEM

    @classmethod
    def load(cls, directory: Path, config: Config, catalog: cuvee.Catalog) -> Self:
        years = catalog.items.frame["year"].cast(float).fill_null(float("nan")).to_numpy()
        return cls(years.astype(np.float32), config, True)


class Counted(Counts):
    """The same, and updated with all events since."""

    def __init__(self, counts: Floats, config: Config, loaded: bool, fitted: Floats | None = None) -> None:
        super().__init__(counts, config, loaded)
        self.fitted = counts if fitted is None else fitted

    def updated(self, activity: Activity) -> Self:
        n = max(len(self.fitted), int(activity.items.max(initial=-1)) + 1)
        counts = np.bincount(activity.items, activity.weights, n).astype(np.float32)
        counts[: len(self.fitted)] += self.fitted
        return type(self)(counts, self.config, True, self.fitted)


@cuvee.hookimpl
def register_recommenders() -> dict[str, type[Counts]]:
    return {
        "counts": Counts,
        "counted": Counted,
        "newest": Newest,
        "liked": Liked,
        "raises": Raises,
        "garbage": Garbage,
        "garbage_scores": GarbageScores,
        "sleeps": Sleeps,
        "sleeps_async": SleepsAsync,
        "async": Async,
        "flaky": Flaky,
        "exits": Exits,
        "bad_explainer": BadExplainer,
        "slow_load": SlowLoad,
    }


class Explodes(cuvee.Rule[cuvee.RuleConfig]):
    """A rule that breaks on those who are interested in booms."""

    def restrict(self, queries: cuvee.Queries, seen: cuvee.Seen) -> cuvee.Restriction | None:
        if any("boom" in profile.interests for profile in queries.profiles):
            raise RuntimeError(f"something secret: {SECRET}")
        return None


class ExplodesAtOnce(Explodes):
    """A rule that cannot even be loaded."""

    def __init__(self, config: cuvee.RuleConfig, catalog: cuvee.Catalog) -> None:
        raise RuntimeError(SECRET)


@cuvee.hookimpl
def register_rules() -> dict[str, type[cuvee.Rule[Any]]]:
    return {"explodes": Explodes, "explodes_at_once": ExplodesAtOnce}


@cuvee.hookimpl
def load_history(product: str, user_id: str) -> cuvee.History | None:
    """Knows users whose ids begin with ``remote-``."""
    match user_id:
        case "remote-user":
            return cuvee.History(["film-004", "nowhere", "film-002"], times=[20.0, 15.0, 10.0])
        case "remote-broken":
            raise ConnectionError(SECRET)
        case "remote-garbage":
            return cuvee.History(["film-002"], weights=[1.0, 2.0])
        case "remote-slow":
            time.sleep(3)
    return None
