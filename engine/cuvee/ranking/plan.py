"""A plan: one product's configuration, made ready to run over one catalogue and its models.

And a question: a batch of queries with what the pipeline must know beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cuvee.data.catalog import Catalog
from cuvee.errors import DegradedReason
from cuvee.ranking.blend import Blender
from cuvee.ranking.calibrate import Calibrator
from cuvee.recommender import Bools, Floats, Ints, Offsets, Queries, Ragged, Recommender
from cuvee.rules import Rule

__all__ = ["Plan", "Question", "Source"]


@dataclass(frozen=True)
class Source:
    """A recommender's part in a product."""

    name: str
    recommender: Recommender[Any] | None
    """None where its artefact could not be loaded: it counts as degraded in every answer."""
    candidates: int
    """How many candidates it proposes per query."""
    timeout: float | None
    """Seconds for each of its two calls; None: whatever is left of the caller's deadline."""
    model_version: str

    @property
    def version(self) -> str:
        """What answers: the served model's own version, else the artefact's."""
        own = self.recommender.model_version if self.recommender else ""
        return own or self.model_version


@dataclass(frozen=True)
class Plan:
    """Everything that making a list for a product takes. Immutable: a reload makes another one."""

    product: str
    catalog: Catalog
    sources: Sequence[Source]
    calibrators: Mapping[str, Calibrator]
    """By source name."""
    blender: Blender
    segments: Sequence[tuple[str, int]]
    """(name, least number of events), rising from 0."""
    weights: Mapping[str, Mapping[str, float]]
    """Segment name -> source name -> weight; a segment without a table weighs all sources equally."""
    rules: Sequence[Rule[Any]]
    eligible: Bools | None
    """bool[N]: what the rules let anyone see; None is all."""
    fallback: Sequence[Source]
    max_candidates: int
    """Cap of the union, per query."""

    def segment_of(self, events: Offsets) -> Ints:
        """int32[B]: the index of each query's segment, by how many events its history has."""
        least = np.array([n for _, n in self.segments])
        return (np.searchsorted(least, events, side="right") - 1).astype(np.int32)

    def weights_of(self, segment: str) -> Floats:
        """float32[p]: the sources' weights in a segment."""
        table = self.weights.get(segment)
        if table is None:
            return np.full(len(self.sources), 1 / max(len(self.sources), 1), np.float32)
        return np.array([table.get(s.name, 0.0) for s in self.sources], np.float32)


@dataclass(frozen=True, slots=True)
class Question:
    """A batch of queries and what is wanted for them."""

    queries: Queries
    """``excluded`` and ``eligible`` hold what the caller asked for; the plan's rules add theirs."""
    seen: Ragged
    """B rows: every item that the user has an event with."""
    k: int
    """Length of the list."""
    segment: str | None = None
    """Use this table of weights where the plan has one, whatever the history's length."""
    listed: Ints | None = None
    """int32[B, M], -1 pads: rank these and nothing else. Rules and exclusions do not apply: the
    caller chose the list."""
    only_fallback: DegradedReason | None = None
    """Skip the blend and fill from the chain alone, giving this reason (anchors that nobody knows)."""
