"""Which recommenders suit some data, with which settings and weights, and which do not, with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cuvee.data.catalog import Entities, Role
from cuvee.data.dataset import Chronology, Dataset
from cuvee.errors import OperatorError

__all__ = ["SEGMENTS", "Choice", "Facts", "LeftOut", "Source", "suitable"]

SEGMENTS = ("cold", "new", "growing", "warm")
LEARNT = ("growing", "warm")
"""Segments whose weights follow what was measured; nearly everybody whose events are held out is in these."""
DENSE = 8_000
"""EASE keeps a matrix of items by items: at 8,000 items half a gigabyte while it is fitted."""
NEIGHBOURS = 200_000
"""Users among whom neighbours are looked for."""
FACTORS = (500, 20_000_000)
"""Events between which factors can be learnt in reasonable time."""
AGAIN = 0.05
"""From this share of repeats on seen items stay in lists."""
PASSES = 4_000_000
"""Events times passes of LightFM in a first fit: a minute of a processor."""
MEANT = {Role.TEXT, Role.CATEGORY, Role.CATEGORIES, Role.VECTOR}
"""Columns that say what an item is."""


@dataclass(frozen=True)
class Facts:
    """What decides which recommenders suit a dataset."""

    n_users: int
    n_items: int
    n_events: int
    chronology: Chronology
    described: tuple[str, ...]
    """Columns of items that say what an item is."""
    profiled: tuple[str, ...]
    """Columns of users."""
    repeats: float = 0.0
    """The share of events with an item that the user had before."""

    @classmethod
    def of(cls, data: Dataset) -> Facts:
        """Of an imported dataset."""
        return cls(
            data.n_users,
            data.n_items,
            len(data),
            data.chronology,
            _columns(data.catalog.items, MEANT),
            _columns(data.catalog.users, {*MEANT, Role.NUMBER, Role.FLAG}),
            1 - data.matrix(liked_only=False).nnz / max(len(data), 1),
        )

    @property
    def again(self) -> bool:
        """Whether people take the same again, as groceries, so that seen items should stay in lists."""
        return self.repeats >= AGAIN


def _columns(entities: Entities, roles: Collection[Role]) -> tuple[str, ...]:
    return tuple(name for name, role in entities.roles.items() if role in roles)


@dataclass(frozen=True)
class Source:
    """A recommender that suits the data."""

    name: str
    plugin: str
    why: str
    settings: Mapping[str, str | float]
    weights: Mapping[str, float]
    """By segment, before they are brought to a sum of 1."""
    candidates: int = 200
    similar: float = 0.0


@dataclass(frozen=True)
class LeftOut:
    """A recommender that does not."""

    name: str
    why: str


@dataclass(frozen=True)
class Choice:
    """All of them."""

    sources: Sequence[Source]
    left_out: Sequence[LeftOut]

    def weights(self, segment: str) -> dict[str, float]:
        """Of a segment, source -> weight; they add up to 1."""
        given = {one.name: one.weights.get(segment, 0.0) for one in self.sources}
        total = sum(given.values())
        shares = {name: round(weight / total, 2) for name, weight in given.items()} if total else {}
        return {name: share for name, share in shares.items() if share}

    def by_merit(self, found: Mapping[str, float]) -> Choice:
        """The same with weights by how well each source alone found what was held out.

        Args:
            found: source -> a metric from 0 to 1. A weight is in proportion to its square, so that
                a source that finds half as much counts a quarter.
        """
        if not any(found.get(one.name, 0.0) > 0 for one in self.sources):
            return self
        sources = []
        for one in self.sources:
            merit = max(found.get(one.name, 0.0), 0.0) ** 2
            sources.append(replace(one, weights={**one.weights, **dict.fromkeys(LEARNT, merit)}))
        return replace(self, sources=sources)

    def learnt(self, weights: Mapping[str, Mapping[str, float]]) -> Choice:
        """The same with these weights, segment -> source -> weight; other segments keep theirs."""
        return replace(
            self,
            sources=[
                replace(
                    one,
                    weights={**one.weights, **{segment: own.get(one.name, 0.0) for segment, own in weights.items()}},
                )
                for one in self.sources
            ],
        )


@dataclass
class _Choosing:
    installed: Collection[str]
    sources: list[Source] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, source: Source, missing: str | None) -> None:
        """Take a source; ``missing`` says why not."""
        if missing is None and source.plugin not in self.installed:
            missing = f"the plugin {source.plugin} is not installed"
        if missing is None:
            self.sources.append(source)
        else:
            self.left_out.append(LeftOut(source.name, missing))


def _passes(n_events: int) -> dict[str, str | float]:
    """Fewer passes of LightFM over many events than its 20, so that a first fit takes no longer than some minutes."""
    return {"epochs": max(PASSES // n_events, 5)} if n_events > PASSES // 20 else {}


def suitable(facts: Facts, installed: Collection[str]) -> Choice:
    """The sources for some data.

    Args:
        facts: about the data.
        installed: names of the plugins' recommenders.

    Raises:
        OperatorError: none that suits is installed.
    """
    chosen = _Choosing(installed)
    ordered = facts.chronology is not Chronology.NONE
    timed = facts.chronology is Chronology.TIMES
    alike: dict[str, str | float] = {} if ordered else {"half_life": "none"}
    n = f"{facts.n_items:,} items"
    chosen.add(
        Source("transitions", "neighbors", "what comes after what", {"model": "transitions"},
               {"new": 0.3, "growing": 0.35, "warm": 0.35}, similar=0.2),
        None if ordered else "the events have neither times nor an order",
    )  # fmt: skip
    dense = facts.n_items <= DENSE
    chosen.add(
        Source("ease", "neighbors", "what goes with what, over the whole history", {"model": "ease", **alike},
               {"new": 0.2, "growing": 0.3, "warm": 0.35}, similar=0.4),
        None if dense else f"{n} are too many for a matrix of items by items; item_knn stands in its place",
    )  # fmt: skip
    if not dense:
        chosen.add(
            Source("item_knn", "neighbors", "what goes with what, in a catalogue of this size",
                   {"model": "item_knn", **alike}, {"new": 0.2, "growing": 0.3, "warm": 0.3}, similar=0.4),
            None,
        )  # fmt: skip
    chosen.add(
        Source("user_knn", "neighbors", "what people with a similar history chose",
               {"model": "user_knn", **alike, **({} if ordered else {"likes_half_life": "none"})},
               {"growing": 0.1, "warm": 0.15}),
        None if facts.n_users <= NEIGHBOURS else f"{facts.n_users:,} users are many to look for neighbours among",
    )  # fmt: skip
    few, many = FACTORS
    too = "few" if facts.n_events < few else "many"
    chosen.add(
        Source("lightfm", "lightfm", "tastes as factors; new users and items by what is known of them",
               {**alike, **_passes(facts.n_events)},
               {"cold": 0.1 if facts.profiled else 0.0, "new": 0.1, "growing": 0.1, "warm": 0.1}),
        None if few <= facts.n_events <= many else f"{facts.n_events:,} events are too {too} to learn factors from",
    )  # fmt: skip
    what = ", ".join(facts.described[:3]) + (", ..." if len(facts.described) > 3 else "")
    chosen.add(
        Source("content", "content", f"what an item is: {what}; finds new items, too", dict(alike),
               {"cold": 0.2, "new": 0.15, "growing": 0.05, "warm": 0.03}, candidates=100, similar=0.4),
        None if facts.described else "no column says what an item is (a title, labels)",
    )  # fmt: skip
    chosen.add(
        Source("popular", "popular", "what others choose", {} if timed else {"half_life": "none"},
               {"cold": 0.7, "new": 0.25, "growing": 0.1, "warm": 0.02}, candidates=100),
        None,
    )  # fmt: skip
    chosen.left_out.append(LeftOut("deep", "it needs TensorFlow and a model server: see plugins/tfserving/README.md"))
    if not chosen.sources:
        raise OperatorError(
            "no recommender is installed that these data could be served by; install the plugins: popular, content, "
            "neighbors, lightfm"
        )
    return Choice(chosen.sources, chosen.left_out)
