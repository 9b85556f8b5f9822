"""Evaluation protocols applied to a dataset, each giving a trial."""

from __future__ import annotations

import datetime
from dataclasses import replace

import numpy as np

from cuvee.data.dataset import Chronology, Dataset
from cuvee.errors import DataError
from cuvee.evaluation.baselines import EVER, RANDOM, RECENT
from cuvee.evaluation.cases import STRETCH
from cuvee.evaluation.holding_out import Protocol
from cuvee.evaluation.splits import (
    NewItems,
    Split,
    after_time,
    first_liked,
    leave_last_out,
    random_share,
    without_items,
)
from cuvee.evaluation.trials import Round, Trial, round_of
from cuvee.recommender import Bools, Histories, Ints, Offsets, Ragged

__all__ = ["COLD_EVENTS", "carry_out"]

NCF_NEGATIVES = 99
"""He et al., "Neural Collaborative Filtering", WWW 2017."""
COLD_EVENTS = (0, 1, 3, 5)
"""Numbers of events that new users have when lists are made for them."""
COLD_HORIZON = 10
"""How many liked events after the longest given history count as right."""
COLD_SHARE = 0.1
"""Share of users, or of items, that are withheld from the models."""
NEW_ITEMS_K = 50
"""Length of the lists in which new items are searched."""


TIMELESS = {
    Chronology.NONE: "the events have no times: what is held out as a user's last event is one by chance",
    Chronology.ORDER: "the events have an order and no times: what counts as later is later in that order",
}


def carry_out(protocol: Protocol, data: Dataset, k: int, seed: int, users: int | None = None) -> Trial:
    """Make a trial from a dataset, with lists of k for a sample of ``users`` (everyone by default).

    Raises:
        DataError: no user can be evaluated, or the protocol needs times that the dataset does not have.
    """
    if protocol is Protocol.GLOBAL_TIME and data.chronology is Chronology.NONE:
        raise DataError(
            "global-time needs times, and the events were imported without any; "
            "say --protocol random-80-20, or import them with --map time=COLUMN"
        )
    trial = _trial(protocol, data, k, seed)
    if (note := TIMELESS.get(data.chronology)) and protocol is not Protocol.RANDOM_80_20:
        trial = replace(trial, notes=(*trial.notes, note))
    if not any(len(r) for r in trial.rounds):
        raise DataError(
            f"{protocol} has nobody to evaluate here: no user has a liked event to hold out and enough others; "
            "import more events, or choose another --protocol"
        )
    return trial.sampled(users, seed)


def _trial(protocol: Protocol, data: Dataset, k: int, seed: int) -> Trial:
    makers = {
        Protocol.LEAVE_LAST_OUT: lambda: _leave_last_out(data, k),
        Protocol.VALIDATION: lambda: _validation(data, k),
        Protocol.GLOBAL_TIME: lambda: _global_time(data, k),
        Protocol.RANDOM_80_20: lambda: _random_80_20(data, k, seed),
        Protocol.NCF: lambda: _ncf(data, k, seed),
        Protocol.COLD_USERS: lambda: _cold_users(data, k, seed),
        Protocol.COLD_ITEMS: lambda: _cold_items(data, k, seed),
    }
    return makers[protocol]()


def _leave_last_out(data: Dataset, k: int) -> Trial:
    split = leave_last_out(data)
    return Trial(Protocol.LEAVE_LAST_OUT, split.train, split.train, [round_of(split, k)])


def _validation(data: Dataset, k: int) -> Trial:
    split = leave_last_out(data, back=1)
    return Trial(Protocol.VALIDATION, split.train, split.train, [round_of(split, k)])


def _random_80_20(data: Dataset, k: int, seed: int) -> Trial:
    split = random_share(data, seed=seed)
    # published tables of this protocol take the ideal over all held-out items
    return Trial(Protocol.RANDOM_80_20, split.train, split.train, [round_of(split, k)], ideal_over_all=True)


def _global_time(data: Dataset, k: int) -> Trial:
    when = float(np.quantile(data.events.times, 1 - STRETCH)) if len(data) else 0.0
    split = after_time(data, when)
    day = datetime.datetime.fromtimestamp(when, datetime.UTC).date().isoformat()
    strangers = int((split.train.events.liked[split.users] == 0).sum())
    notes = (
        f"learnt from what was before {day}; the last {STRETCH:.0%} of all events come later. Histories end there, too",
        f"right is every liked item after it that the user had not seen; {strangers:,} of the users are new",
    )
    return Trial(
        Protocol.GLOBAL_TIME,
        split.train,
        split.train,
        [round_of(split, k)],
        notes,
        baselines=(RECENT, EVER),
    )


def _ncf(data: Dataset, k: int, seed: int) -> Trial:
    split = leave_last_out(data)
    listed = _among_unseen(data, split, seed)
    asked = replace(round_of(split, k), listed=listed)
    return Trial(Protocol.NCF, split.train, split.train, [asked], _ncf_notes(listed, k))


def _ncf_notes(listed: Ints, k: int) -> tuple[str, ...]:
    """Describe which items were ranked: a small catalogue has fewer unseen items than the protocol draws."""
    others = (listed >= 0).sum(axis=1) - 1
    least, most = int(others.min(initial=NCF_NEGATIVES)), int(others.max(initial=0))
    if least == NCF_NEGATIVES:
        return (f"ranks each user's last item and {least} that the user never saw, drawn uniformly: sampled metrics",)
    many = f"{most}" if least == most else f"{least} to {most}"
    notes = [
        f"ranks each user's last item and {many} that the user never saw: {NCF_NEGATIVES} drawn uniformly, or all "
        "where there are fewer: sampled metrics"
    ]
    short = int((others < k).sum())
    if short:
        notes.append(f"lists of {k} hold everything that is ranked for {short:,} of the users: they cannot miss")
    return tuple(notes)


def _among_unseen(data: Dataset, split: Split, seed: int) -> Ints:
    """int32[B, 100]: the held-out item and random ones without any event of the user, in order of position.

    -1 behind them, where there are fewer.
    """
    rng = np.random.default_rng(seed)
    # items without any event would be too easy to tell from the right one
    never = np.flatnonzero(np.bincount(data.events.items, minlength=data.n_items) == 0)
    right = split.held_out.items[split.held_out.offsets[:-1]]
    out = np.full((len(split.users), NCF_NEGATIVES + 1), -1, np.int32)
    for start in range(0, len(split.users), 256):
        users = split.users[start : start + 256]
        keys = rng.random((len(users), data.n_items))
        seen = data.histories(users)
        keys[seen.rows, seen.items] = 2  # drawn only when no others are left
        keys[:, never] = 2
        width = min(NCF_NEGATIVES, data.n_items - 1)
        drawn = np.argpartition(keys, width - 1, axis=1)[:, :width] if width else np.empty((len(users), 0), np.int64)
        allowed = np.take_along_axis(keys, drawn, axis=1) < 2
        both = np.concatenate([right[start : start + 256, None], np.where(allowed, drawn, data.n_items)], axis=1)
        both.sort(axis=1)  # equal scores are then ranked by position, not with the right item first
        out[start : start + 256, : width + 1] = np.where(both < data.n_items, both, -1)
    return out


def _cold_users(data: Dataset, k: int, seed: int) -> Trial:
    liked = data.events.liked
    able = np.flatnonzero(liked > max(COLD_EVENTS))
    n = max(1, round(COLD_SHARE * int((liked > 0).sum())))
    people = np.sort(np.random.default_rng(seed).permutation(able)[:n]).astype(np.int32)
    train = data.where(~np.isin(data.users, people))
    events = data.histories(people)
    given = first_liked(events, max(COLD_EVENTS))
    held_out, asked = _next_liked(events, given, data.n_items)
    rounds = [
        Round(
            "no events" if n == 0 else f"{n} event{'s' * (n > 1)}",
            people,
            first_liked(events, n),
            held_out,
            k,
            strangers=True,
            excluded=Ragged(given.offsets, given.items),
        ).select(asked)
        for n in COLD_EVENTS
    ]
    notes = (
        f"{len(asked):,} people who are new to the models, without a user id; their attributes are declared",
        f"right in every round: the items of the {COLD_HORIZON} liked events after the first {max(COLD_EVENTS)}, "
        "whose items are never listed",
    )
    return Trial(Protocol.COLD_USERS, train, train, rounds, notes, segmented=False, baselines=("popular, ever",))


def _next_liked(events: Histories, given: Histories, n_items: int) -> tuple[Ragged, Offsets]:
    """The items of the next liked events that are not in the given ones, and the rows that have any."""
    more = first_liked(events, max(COLD_EVENTS) + COLD_HORIZON)
    keys = np.unique(more.rows * n_items + more.items)
    keys = keys[~np.isin(keys, given.rows * n_items + given.items)]
    counts = np.bincount(keys // n_items, minlength=len(events))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return Ragged(offsets, (keys % n_items).astype(np.int32)), np.flatnonzero(counts)


def _cold_items(data: Dataset, k: int, seed: int) -> Trial:
    split = leave_last_out(data)
    found = without_items(data, split, COLD_SHARE, seed)
    new: Bools = np.arange(data.n_items) >= found.n_known
    among, fans = _fans(found)
    warm = round_of(found.warm, k)
    rounds = [
        replace(fans, name="new items, among the new", eligible=new),
        replace(fans, name="new items, among all"),
        replace(warm, name="known items, new ones not served", eligible=~new),
        replace(warm, name="known items, new ones served"),
    ]
    notes = (
        f"{int(new.sum()):,} items, {COLD_SHARE:.0%} at random, lost all their events; models are fitted without them, "
        "then serve a catalogue that has grown by them",
        f"new items: lists of {NEW_ITEMS_K}, right is every new item that the user likes, for the {among:,} users who "
        "like one; known items: each user's last event",
    )
    return Trial(
        Protocol.COLD_ITEMS,
        found.train,
        found.warm.train,
        rounds,
        notes,
        segmented=False,
        baselines=(RANDOM,),
    )


def _fans(found: NewItems) -> tuple[int, Round]:
    """The users who like a new item, with their events with other items as history."""
    users = np.flatnonzero(found.liked_new.lengths).astype(np.int32)
    known = users[found.warm.train.events.liked[users] > 0]
    histories = found.warm.train.histories(known)
    return len(known), Round("", known, histories, found.liked_new.select(known), NEW_ITEMS_K, about_new=True)
