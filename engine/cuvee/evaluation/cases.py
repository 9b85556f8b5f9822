"""Cases: queries with known right items, and the windows of past events that they come from.

A blend's weights depend on how much history a user has, so each segment must be learnt from cases
with histories of its length. A window of everyone's newest event has no users without history. So
some users are withheld from the fit completely, and their histories are cut to their first
0, 1, 2, 3, ... events, as new users will have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cuvee.data.dataset import Chronology, Dataset
from cuvee.errors import DataError
from cuvee.evaluation.splits import Split, leave_last_out, new_to_them
from cuvee.recommender import Bools, Histories, Ints, Offsets, Ragged

__all__ = ["Cases", "Window", "beginnings", "depths", "global_time_window", "sampled", "validation_window"]

HORIZON = 5
"""How many of the next liked items count as right after a cut history; a single one would be mostly chance."""
STEP = 1.3
"""By what factor a new user's history grows from one case to the next."""
STRETCH = 0.1
"""Share of all events that the time window holds."""


@dataclass(frozen=True)
class Cases:
    """B queries and their right items."""

    people: Ints
    """int32[B]: the user of each case. Several cases of one person are not independent."""
    histories: Histories
    """B rows: the person's events up to then."""
    held_out: Ragged
    """B rows of distinct liked items, in rising order, at least one each."""
    cut: Bools
    """bool[B]: whether the history was cut to its first events. Such users are queried as unknown ones:
    without a user id, with their stored attributes declared."""

    def __len__(self) -> int:
        return len(self.people)

    def select(self, rows: Offsets) -> Cases:
        """The given cases, in the given order."""
        return Cases(self.people[rows], self.histories.select(rows), self.held_out.select(rows), self.cut[rows])

    @classmethod
    def of(cls, split: Split) -> Cases:
        """One case for each test user of a split, with his whole history."""
        uncut = np.zeros(len(split.users), np.bool_)
        return cls(split.users, split.train.histories(split.users), split.held_out, uncut)

    @classmethod
    def join(cls, parts: Sequence[Cases]) -> Cases:
        """One after another."""
        histories = [p.histories for p in parts]
        joined = Histories(
            *_stacked(histories),
            np.concatenate([h.weights for h in histories]),
            np.concatenate([h.times for h in histories]),
        )
        return cls(
            np.concatenate([p.people for p in parts]),
            joined,
            Ragged(*_stacked([p.held_out for p in parts])),
            np.concatenate([p.cut for p in parts]),
        )


def _stacked(rows: Sequence[Ragged]) -> tuple[Offsets, Ints]:
    """Offsets and items of the rows of all parts, concatenated."""
    lengths = np.concatenate([r.lengths for r in rows])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.concatenate([r.items for r in rows])


@dataclass(frozen=True)
class Window:
    """The data that models are fitted on, and the cases that they are evaluated on."""

    name: str
    train: Dataset
    cases: Cases
    withheld: int
    """How many users are withheld from the models, to serve as new users."""


def depths(segments: Sequence[tuple[str, int]]) -> list[int]:
    """The lengths to which histories are cut: the beginning of each segment, and steps up to the next one.

    Each step multiplies one plus the length by at most :data:`STEP`. The last segment only has its beginning.
    """
    found = {start for _, start in segments}
    # the first segment is that of users without any event: there are no steps between 0 and 1
    for begin, end in pairwise(sorted(found)[1:]):
        at = begin
        while at < end:
            found.add(at)
            at = max(at + 1, int(STEP * (at + 1)) - 1)
    return sorted(found)


def beginnings(data: Dataset, people: Ints, depth: int) -> Cases:
    """Cases of the given users with their events up to the ``depth``-th liked one.

    Right are the next :data:`HORIZON` liked items that are new to them. Users without any are left out.
    """
    events = data.histories(people)
    liked = events.weights > 0
    rows = events.rows
    running = np.cumsum(liked)
    before = np.concatenate([[0], running])[events.offsets[:-1]]
    count = running - before[rows]
    past = (count < depth) | ((count == depth) & liked) if depth else np.zeros(len(rows), np.bool_)
    lengths = np.bincount(rows[past], minlength=len(people))
    histories = Histories(
        np.concatenate([[0], np.cumsum(lengths)]), events.items[past], events.weights[past], events.times[past]
    )
    n = data.n_items
    following = liked & ~past
    keys = rows[following] * n + events.items[following]
    keys = keys[~np.isin(keys, histories.rows * n + histories.items)]
    _, first_at = np.unique(keys, return_index=True)
    first = keys[np.sort(first_at)]
    owners = first // n
    counts = np.bincount(owners, minlength=len(people))
    place = np.arange(len(first)) - np.repeat(np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    kept = np.sort(first[place < HORIZON])
    counts = np.bincount(kept // n, minlength=len(people))
    held_out = Ragged(np.concatenate([[0], np.cumsum(counts)]), (kept % n).astype(np.int32))
    reached = histories.liked >= depth
    asked = np.flatnonzero(reached & (counts > 0))
    return Cases(people, histories, held_out, np.ones(len(people), np.bool_)).select(asked)


def _withheld(data: Dataset, n: int, seed: int) -> Ints:
    """int32: at most n users, and at most a fifth of all, drawn among those with three liked events or more.

    Users with many events come first. The draw is that of ``cuvee evaluate``'s cold users, taken from the
    other end, so that tuning and testing use different users.
    """
    liked = data.events.liked
    draw = np.random.default_rng(seed)
    many, few = draw.permutation(np.flatnonzero(liked > 5)), np.flatnonzero((liked >= 3) & (liked <= 5))
    order = np.concatenate([many[::-1], draw.permutation(few)])
    return np.sort(order[: min(n, len(order) // 5)]).astype(np.int32)


def _asked(window: Window) -> Window:
    if not len(window.cases):
        raise DataError(
            f"the {window.name} window has no cases: no user has a liked event to be held out and one to learn from; "
            "import more events"
        )
    return window


def validation_window(data: Dataset, segments: Sequence[tuple[str, int]], withhold: int, seed: int = 0) -> Window:
    """Cases of each user's event before the last; the last event is not used at all.

    ``withhold`` users (at most a fifth) are left out of the training data and serve as new users. With 0
    all users are learnt from, and there are no cases with short histories.

    Raises:
        DataError: nobody has enough events.
    """
    split = leave_last_out(data, back=1)
    new = _withheld(data, withhold, seed)
    natural = np.flatnonzero(~np.isin(split.users, new))
    parts = [Cases.of(split).select(natural)]
    parts += [beginnings(split.train, new, depth) for depth in depths(segments)] if len(new) else []
    train = split.train.where(~np.isin(split.train.users, new))
    return _asked(Window("validation", train, Cases.join(parts), len(new)))


def global_time_window(data: Dataset, segments: Sequence[tuple[str, int]], withhold: int) -> Window:
    """Cases of a stretch of time: the tenth of all events before the last tenth, which is the test's.

    Earlier events are learnt from. Users whose first event is in the stretch are the new users; at most
    ``withhold`` of them become cases.

    Raises:
        DataError: nobody has an event there, or the events have no times.
    """
    if data.chronology is Chronology.NONE:
        raise DataError("the events were imported without times; say --window validation, or import them with times")
    start, end = np.quantile(data.events.times, [1 - 2 * STRETCH, 1 - STRETCH]) if len(data) else (0.0, 0.0)
    past, inside = data.where(data.events.times < start), data.where(_within(data, float(start), float(end)))
    users = np.flatnonzero(inside.events.liked > 0).astype(np.int32)
    split = new_to_them(past, inside, users[past.events.liked[users] > 0])
    new = users[past.events.liked[users] == 0][:withhold]
    parts = [Cases.of(split), *(beginnings(inside, new, depth) for depth in depths(segments) if len(new))]
    return _asked(Window("global-time", past, Cases.join(parts), len(new)))


def sampled(window: Window, people: int, seed: int = 0) -> Window:
    """With a random sample of at most n users among those with their whole history."""
    cases = window.cases
    whole = np.unique(cases.people[~cases.cut])
    kept = np.random.default_rng(seed).permutation(whole)[:people]
    return replace(window, cases=cases.select(np.flatnonzero(cases.cut | np.isin(cases.people, kept))))


def _within(data: Dataset, start: float, end: float) -> Bools:
    return np.asarray((data.events.times >= start) & (data.events.times < end))
