"""Cases: questions whose right answers are known, and the windows of the past that they come from.

A blend's weights differ by how much history a user has, so each segment must be learnt from
questions of its own kind. Users without history do not occur in a window that asks for everyone's
newest event: there, some people are withheld from the fit altogether, and asked about as they
were after their first 0, 1, 2, 3, ... events, as new users will be.
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
"""How many of the next liked items are right, where a history was cut: one alone is mostly chance."""
STEP = 1.3
"""How much longer the histories of newcomers become from one case to the next."""
STRETCH = 0.1
"""Share of all events that a window of time holds."""


@dataclass(frozen=True)
class Cases:
    """B questions and their right answers."""

    people: Ints
    """int32[B]: whose they are. Several cases of one person are not independent."""
    histories: Histories
    """B rows: what the person had done by then."""
    held_out: Ragged
    """B rows of distinct items, liked ones, in rising order; each has one at least."""
    cut: Bools
    """bool[B]: whether the history was cut to its first events. Such people are asked about as
    strangers: with what is stored of them declared, and no name."""

    def __len__(self) -> int:
        return len(self.people)

    def select(self, rows: Offsets) -> Cases:
        """The given cases, in the given order."""
        return Cases(self.people[rows], self.histories.select(rows), self.held_out.select(rows), self.cut[rows])

    @classmethod
    def of(cls, split: Split) -> Cases:
        """Each test user of a split once, with his whole history."""
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
    """Offsets and items of all rows, one part under the other."""
    lengths = np.concatenate([r.lengths for r in rows])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.concatenate([r.items for r in rows])


@dataclass(frozen=True)
class Window:
    """What models are fitted on, and what they are asked afterwards."""

    name: str
    train: Dataset
    cases: Cases
    withheld: int
    """How many people the models know nothing of, so that they can be asked about as new ones."""


def depths(segments: Sequence[tuple[str, int]]) -> list[int]:
    """The lengths to which histories are cut: where each segment begins, and on the way to the next.

    Each step makes one plus the length at most :data:`STEP` times as long. The last segment has its beginning alone.
    """
    found = {start for _, start in segments}
    # the first segment is that of users without any event: on the way from it there is nothing
    for begin, end in pairwise(sorted(found)[1:]):
        at = begin
        while at < end:
            found.add(at)
            at = max(at + 1, int(STEP * (at + 1)) - 1)
    return sorted(found)


def beginnings(data: Dataset, people: Ints, depth: int) -> Cases:
    """What the given people did up to their ``depth``-th liked event; right are the next ones.

    The next :data:`HORIZON` liked items that are new to them. People with no such item are left out.
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
    """int32: at most n people, a fifth of all at most, drawn among those with three liked events or more.

    Those with many first, from the other end of the draw whose beginning are the cold users of
    ``cuvee evaluate``: what is tuned on some is tested on others.
    """
    liked = data.events.liked
    draw = np.random.default_rng(seed)
    many, few = draw.permutation(np.flatnonzero(liked > 5)), np.flatnonzero((liked >= 3) & (liked <= 5))
    order = np.concatenate([many[::-1], draw.permutation(few)])
    return np.sort(order[: min(n, len(order) // 5)]).astype(np.int32)


def _asked(window: Window) -> Window:
    if not len(window.cases):
        raise DataError(
            f"the {window.name} window asks nothing: no user has a liked event to be held out and one to learn from; "
            "import more events"
        )
    return window


def validation_window(data: Dataset, segments: Sequence[tuple[str, int]], withhold: int, seed: int = 0) -> Window:
    """Each user's event before the last; the last is left out altogether.

    ``withhold`` people (a fifth at most) are asked about as new users and not learnt from; 0 learns
    from everyone, and short histories are then not asked about.

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
    """A stretch of time: the tenth of all events that comes before the last tenth, which is the test's.

    What was before is learnt from. Those who come in that stretch are the new users; ``withhold`` is
    the most that are asked about.

    Raises:
        DataError: nobody does anything there, or nothing tells when things happened.
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
    """With a random sample of at most so many people among those who are asked about with their whole history."""
    cases = window.cases
    whole = np.unique(cases.people[~cases.cut])
    kept = np.random.default_rng(seed).permutation(whole)[:people]
    return replace(window, cases=cases.select(np.flatnonzero(cases.cut | np.isin(cases.people, kept))))


def _within(data: Dataset, start: float, end: float) -> Bools:
    return np.asarray((data.events.times >= start) & (data.events.times < end))
