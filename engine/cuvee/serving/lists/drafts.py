"""A request on its way to a list: a draft, until the store and the catalogue have said what they know; then a row.

Drafts and rows of one kind share a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cuvee.errors import DegradedReason
from cuvee.recommender import Bools, History, Ints, Profile
from cuvee.serving.lists.histories import Events
from cuvee.serving.lists.users import Known, StoreFailed
from cuvee.serving.live.products import Served
from cuvee.serving.tracing.calls import NOBODY as NO_CALL
from cuvee.serving.tracing.calls import Asked, current

__all__ = ["NOWHERE", "NO_PROFILE", "Beside", "Draft", "Found", "Row"]

NOWHERE: Ints = np.empty(0, np.int32)
NO_PROFILE = Profile()


@dataclass(slots=True, eq=False)
class Row:
    """One request, checked, in positions: a row of a question."""

    served: Served
    """Whose positions these are."""
    k: int
    events: Events
    user: int = -1
    profile: Profile = NO_PROFILE
    excluded: Ints = field(default_factory=lambda: NOWHERE)
    filter: str = ""
    eligible: Bools | None = None
    segment: str | None = None
    listed: Ints | None = None
    only_fallback: DegradedReason | None = None
    unknown_ids: tuple[str, ...] = ()
    unknown_values: tuple[str, ...] = ()
    """Declared values that no item or user has, as ``path=value``."""
    unknown_keys: tuple[str, ...] = ()
    """What the request's profile names and the product does not have, as paths in the profile."""
    user_known: bool = False
    history_failed: bool = False
    """The hook that loads histories failed: what the engine has itself was taken."""
    store_failed: StoreFailed | None = None
    """The store could not be read: what was read of it last was taken."""
    basic: bool = False
    """The caller wants no attributions."""
    counts: bool = False
    """The caller wants to know how many items each rule took away."""
    shown: Ints = field(default_factory=lambda: NOWHERE)
    """What the pages before this one showed, in its order."""
    next_token: Callable[[Sequence[int]], str] | None = None
    """The token for the next page, by what this one shows; None: there are no pages."""
    asked: Asked = NO_CALL
    unit: str = ""
    """By what experiments choose; empty where the answer counts in none."""
    variant: str = ""
    """The labels of the variants that it is in, joined with commas."""
    preview: bool = False
    """The caller only looks: the answer is kept nowhere."""

    @property
    def before(self) -> int:
        """How many items the pages before this one have."""
        return len(self.shown)

    @property
    def kind(self) -> tuple[object, ...]:
        """Rows of one kind can be asked as one batch."""
        return (
            id(self.served), self.listed is None, self.k, self.filter, self.segment, self.only_fallback, self.before,
        )  # fmt: skip


class Beside(Exception):
    """A run cannot make this row itself, as something must be waited for: it is made beside the runs."""


class Found(NamedTuple):
    """What is found out for a draft."""

    served: Served
    """The catalogue and the models as they are now."""
    known: Known
    """What is stored of the user."""
    store_failed: StoreFailed | None = None
    loaded: History | None = None
    """What a plugin's ``load_history`` gave."""
    history_failed: bool = False
    eligible: Bools | None = None
    """The filter's mask."""
    unknown_values: tuple[str, ...] = ()
    """As in :class:`Row`."""


@dataclass(slots=True, eq=False)
class Draft:
    """A request, checked: a row but for what the store and the catalogue say when its turn has come."""

    served: Served
    """What answered when the request came."""
    user_id: str
    filter: str
    kind: tuple[object, ...]
    """Drafts of one kind may share a run."""
    make: Callable[[Found], Row]
    personal: bool = True
    """Whether it is about a user."""
    told: Profile = NO_PROFILE
    """What the request declares of him."""
    asked: Asked = field(default_factory=current)  # here: a run makes the row in a thread where no call is answered

    def row(self, found: Found) -> Row:
        """The row, when the store and the catalogue have said what they know."""
        row = self.make(found)
        row.asked = self.asked
        return row
