"""What a broken recommender breaks, and the checks that must find it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cuvee import Recommender


@dataclass(frozen=True)
class Mutant:
    """A recommender that breaks a promise, and the checks that find it."""

    recommender: type[Recommender[Any]]
    found_by: frozenset[str]
    and_more: bool
    settings: Mapping[str, Any]


MUTANTS: dict[str, Mutant] = {}


def breaks(*checks: str, and_more: bool = False, **settings: Any) -> Callable[[type[Any]], type[Any]]:
    """Marks a recommender that must fail exactly these checks (``and_more``: these at least).

    ``test_`` is left out of the checks' names.
    """

    def enter(broken: type[Any]) -> type[Any]:
        MUTANTS[broken.__name__] = Mutant(broken, frozenset(checks), and_more, settings)
        return broken

    return enter
