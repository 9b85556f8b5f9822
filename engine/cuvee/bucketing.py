"""Which variant a user gets: a hash of the user's id, so that every process, replica and other system agrees.

``bucket(salt, unit)`` is the whole of it: SHA-256 of ``salt + ":" + unit`` in UTF-8, its first eight bytes as a
big-endian number, modulo 10,000. docs/products.md has test vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["BUCKETS", "Assignment", "Split", "Stretch", "bounds", "bucket"]

BUCKETS = 10_000
"""Shares are whole numbers of these."""


def bucket(salt: str, unit: str) -> int:
    """The bucket of a unit, from 0 to 9,999: the same for ever for one salt, independent between salts."""
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def bounds(shares: Sequence[float]) -> list[int]:
    """The bucket behind the last one of each share, in order."""
    return [round(end * BUCKETS) for end in accumulate(shares)]


@dataclass(frozen=True, slots=True)
class Split:
    """How the users of an experiment are split between its variants."""

    salt: str
    ends: Sequence[int]
    """The bucket behind the last one of each variant."""
    labels: Sequence[str]

    def label(self, unit: str) -> str:
        """The label of a unit's variant."""
        at = bucket(self.salt, unit)
        return next(label for end, label in zip(self.ends, self.labels, strict=True) if at < end)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The buckets of a layer that belong to one experiment: from ``first``, up to and without ``end``."""

    first: int
    end: int
    split: Split


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything that decides who gets what: per layer its salt, and the stretches of its experiments."""

    layers: Sequence[tuple[str, Sequence[Stretch]]]

    def labels(self, unit: str) -> list[str]:
        """The labels of a unit's variants, one for each layer in which it takes part."""
        found = []
        for salt, stretches in self.layers:
            at = bucket(salt, unit)
            for one in stretches:
                if one.first <= at < one.end:
                    found.append(one.split.label(unit))
                    break
        return found
