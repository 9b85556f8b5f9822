"""What a recommender is: the contract that every plugin fulfils, and the batch types it speaks.

Arrays throughout. ``B`` is the number of queries in a batch, ``k`` the number of candidates
asked for, ``M`` the number of items to score, ``N`` the number of items in the catalogue.
Items and users are int32 *positions* in the catalogue (external ids stay at the edge), scores
are float32, times are float64 seconds since the Unix epoch. Position -1 is "none" or "unknown".
Catalogues only ever grow at the end, so a position never changes its meaning: an item at or
above the number of items that a model was fitted on is *newer than the model*.

``cuvee.testing.RecommenderContract`` checks every promise made here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Protocol, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from cuvee.errors import DegradedReason, SourceFailure
from cuvee.queries import (
    Activity,
    Bools,
    Candidates,
    Floats,
    Histories,
    History,
    Ints,
    Offsets,
    Profile,
    Queries,
    Ragged,
    Serves,
    Times,
)

if TYPE_CHECKING:
    from cuvee.data.catalog import Catalog
    from cuvee.data.dataset import Dataset

__all__ = [
    "Activity",
    "Bools",
    "Candidates",
    "ConfigPath",
    "DegradedReason",
    "Floats",
    "Histories",
    "History",
    "Ints",
    "Offsets",
    "Profile",
    "Progress",
    "Queries",
    "Ragged",
    "Recommender",
    "RecommenderConfig",
    "Serves",
    "SourceFailure",
    "Times",
]


class Progress(Protocol):
    """Receives the progress of ``fit``, which the command shows as a bar."""

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """``done`` of ``total`` steps; ``note`` is a short word on the present state (a loss)."""


class RecommenderConfig(BaseModel):
    """Parent of every recommender's ``Config``: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    serving_only: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that ``fit`` does not depend on: addresses, deadlines, where files lie. A
    model stays valid when they change; a change of any other field asks for a new fit."""

    vectors_from: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that hold the name of another ``[recommenders.<name>]``, or None: ``fit``
    finds that one's :meth:`Recommender.item_vectors` in ``data.vectors`` under this name."""

    @property
    def needs_vectors_of(self) -> tuple[str, ...]:
        """The recommenders that must be fitted before this one."""
        named = (getattr(self, field) for field in sorted(self.vectors_from))
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def needs_order(self) -> str | None:
        """How these settings use the order of a user's events, in words; None: they do not use it.

        Such as ``"what follows what"`` or ``"half_life = 2.0"``. On a dataset that does not know the order
        (:class:`cuvee.data.dataset.Chronology`) `cuvee check`, ``fit`` and ``evaluate`` warn of it.
        """
        return None

    @property
    def needs_times(self) -> str | None:
        """How these settings use the times of events, in words; None: they do not. The same commands warn of it."""
        return None

    def apart(self, folder: Path) -> Self:
        """The same settings for a fit that is not to be served: an evaluation, a search for weights.

        What the fit would publish for others goes below ``folder`` (which lasts as long as the fit
        is kept), and a recommender that ``needs_server`` brings one of its own, in ``load`` too. Only
        ``serving_only`` fields may differ.
        """
        return self


def _from_root(path: Path, info: ValidationInfo) -> Path:
    return Path(info.context["root"]) / path if info.context and "root" in info.context else path


ConfigPath = Annotated[Path, AfterValidator(_from_root)]
"""A path in a recommender's ``Config``: a relative one starts at the folder of ``cuvee.toml`` (where
the config was made in Python, at the working directory). The effective config has it absolute, so a
field of this kind is usually one of ``serving_only``."""


C = TypeVar("C", bound=RecommenderConfig)


class Recommender(ABC, Generic[C]):
    """A recommender: proposes candidates, and has an opinion on those of others.

    Instances are immutable after ``fit`` or ``load`` and are called from many threads at once.
    ``candidates``, ``score`` and ``explain`` may be ``async def``: they then run on the server's event loop;
    plain functions run in a bounded pool of threads. Inputs are read-only.
    """

    Config: ClassVar[type[RecommenderConfig]]
    """The recommender's own table in ``cuvee.toml``; every field has a default."""

    serves: Serves
    """What it has an opinion on. Declared on the class; an instance may narrow it by its config.
    On other queries and items it proposes nothing and scores NaN."""

    needs_server: ClassVar[bool] = False
    """Whether it answers through a server of its own, which must be running. The contract suite
    over installed plugins leaves such a one to the plugin's own tests, which start its server."""

    @property
    def model_version(self) -> str:
        """The version of the model that answers, where it is not the artefact's own; else empty."""
        return ""

    @classmethod
    @abstractmethod
    def fit(cls, data: Dataset, config: C, progress: Progress) -> Self:
        """Learn from a dataset, offline. Deterministic for equal data and config."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write all that ``load`` needs into an existing empty directory: safetensors, npy, json."""

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, config: C, catalog: Catalog) -> Self:
        """Read what ``save`` wrote, memory-mapping large arrays.

        ``catalog`` holds at least the items and users of the fit, at the same positions; those
        that came later stand behind them. No later call names a position outside this catalogue.
        """

    @abstractmethod
    def candidates(self, queries: Queries, k: int) -> Candidates | Awaitable[Candidates]:
        """Propose up to k items for each query, its own best first; a row may be empty.

        Leaves out what ``queries`` excludes. ``k`` may exceed the catalogue. A dense scorer
        returns ``Candidates.top(scores, k, queries)``.
        """

    @abstractmethod
    def score(self, queries: Queries, items: Ints) -> Floats | Awaitable[Floats]:
        """Score given items: int32[B, M] -> float32[B, M].

        NaN is "no opinion" (and stands wherever ``items`` is -1); never infinite. Pointwise: an
        item's score does not depend on the others asked for, nor a query's on its neighbours.
        What is excluded from ``candidates`` is scored like any other item.
        """

    def explain(
        self, queries: Queries, rows: Ints, items: Ints
    ) -> Sequence[str | None] | Awaitable[Sequence[str | None]]:
        """A reason of a few words why item ``items[j]`` suits query ``rows[j]``; None where there is none.

        Both are int32[P]: rows of the batch and positions in the catalogue. Each pair gets one answer, which
        does not depend on the other pairs. The server asks for all items of a batch of requests at once.
        """
        return [None] * len(items)

    def updated(self, activity: Activity) -> Self:
        """A model updated with all users' events since the fit; this one itself where they change nothing.

        A server calls it in a thread off the request path, usually within a second of new events, and spends
        at most a fifth of its time on it. ``activity`` holds all events since the fit, not since the last call.
        So the result depends only on the fit and on ``activity``, also where this instance came from
        ``updated``. The new instance replaces this one, which answers until then and is never closed, so the
        two may share memory and files.
        """
        del activity
        return self

    def item_vectors(self) -> Floats | None:
        """float32[n, d]: the items as this model sees them, for others to learn from; None where it has none.

        Row i is the item at position i; n may end before the catalogue does. Items whose
        vectors have a high cosine are similar. A row of zeros: nothing is known of the item. All values are finite.
        """
        return None

    def figures(self) -> Mapping[str, float]:
        """Figures that the fit measured, for the version's manifest, such as ``{"recall": 0.97}`` of an index."""
        return {}

    def health(self) -> bool:
        """Whether it can answer at present. Cheap: a flag, no call to a server."""
        return True

    def close(self) -> None:
        """Release memory, files and connections. May be called more than once."""
