"""What another configuration of a product changes: in the lists of its users, and in the offline metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cuvee.config import Settings
from cuvee.data.dataset import Dataset
from cuvee.evaluation.beyond_accuracy import user_counts
from cuvee.evaluation.bootstrap import Interval, PairedDifference, mean_interval, paired_bootstrap
from cuvee.evaluation.listing import Lists, list_all
from cuvee.evaluation.metrics import PerUser
from cuvee.evaluation.results import Facts, measure
from cuvee.evaluation.run import BLEND, entrants
from cuvee.evaluation.trials import Trial
from cuvee.product import Product
from cuvee.ranking.known_users import ask_about, in_batches, profile_of
from cuvee.ranking.plan import Plan, Question
from cuvee.recommender import Bools, Ints, Profile, Progress, Queries
from cuvee.registry import Registry
from cuvee.rules import Seen
from cuvee.training.fit import ProgressFor
from cuvee.training.kept import FitStore

__all__ = [
    "Change", "Example", "GroupChange", "ListChange", "changed_lists", "changed_metric", "compared", "differences",
    "sampled_users",
]  # fmt: skip

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose effective value differs."""

    path: str
    before: object
    """None: it is not there."""
    after: object


@dataclass(frozen=True, slots=True)
class Example:
    """Two lists for one query: positions of items, best first."""

    user: int
    """His position; his history is the whole one, or its newest part."""
    group: str
    before: Ints
    after: Ints


@dataclass(frozen=True)
class GroupChange:
    """How the lists of some queries differ."""

    name: str
    """``known users``, or ``new users, segment <name>``."""
    users: int
    same: float
    """The share of users whose list is the same, in the same order."""
    top: float
    """The share of users whose first item is the same."""
    overlap: Interval
    """Of a user's two lists: how many items are in both, as a share of the longer one's length."""
    moved: Interval
    """By how many places an item that is in both moves on average, over users who have such items."""


@dataclass(frozen=True)
class ListChange:
    """How the lists of sampled users differ."""

    k: int
    groups: Sequence[GroupChange]
    """Known users with all of their events; then the same people as new users, by segment."""
    coverage: tuple[int, int]
    """How many different items all lists show together, before and after."""
    examples: Sequence[Example]
    """The lists that differ most."""


def differences(before: Mapping[str, object], after: Mapping[str, object], path: str = "") -> list[Change]:
    """The keys of two tables whose values differ, in the order of the files."""
    found: list[Change] = []
    for key in (*before, *(key for key in after if key not in before)):
        one, other = before.get(key), after.get(key)
        where = f"{path}.{key}" if path else key
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(one, other, where)
        elif one != other:
            found.append(Change(where, one, other))
    return found


def sampled_users(data: Dataset, n: int, seed: int) -> Ints:
    """int32[n]: users with events, drawn at random, in order of their position."""
    active = np.flatnonzero(data.events.lengths > 0)
    return np.sort(np.random.default_rng(seed).permutation(active)[:n]).astype(np.int32)


def changed_lists(
    data: Dataset, before: Plan, after: Plan, products: tuple[Product, Product], users: Ints, k: int, told: Progress
) -> ListChange:
    """Make the lists of users (int32[B]) under both plans, and compare them.

    They are asked with all their events, and then as people whom no model knows, with so many of their newest events
    as each segment begins with: most imported users have long histories, and new ones would not be seen.

    Raises:
        ValueError: there are no users.
    """
    if not len(users):
        raise ValueError("no user has any event, so there are no lists to compare")
    groups: list[tuple[str, int | None]] = [("known users", None)]
    groups += [(f"new users, segment {name}", least) for name, least in before.segments]
    found, examples = [], []
    shown: tuple[set[int], set[int]] = set(), set()
    for done, (name, events) in enumerate(groups, start=1):
        lists = []
        for plan, product in zip((before, after), products, strict=True):
            questions = [_questions(data, some, k, product.history, events) for some in in_batches(users)]
            lists.append(list_all(plan, questions, k, _Quiet()).items)
        group, differing = compared(name, users, lists[0], lists[1])
        found.append(group)
        examples += differing
        for there, items in zip(shown, lists, strict=True):
            there.update(np.unique(items[items >= 0]).tolist())
        told(done, len(groups))
    examples.sort(key=lambda one: _overlap(one.before[None], one.after[None])[0])
    return ListChange(k, found, (len(shown[0]), len(shown[1])), examples[:EXAMPLES])


class _Quiet:
    """The progress of a part is not shown."""

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Nothing."""


def _questions(data: Dataset, users: Ints, k: int, history: int, events: int | None) -> Question:
    """Users with all their events; or strangers with so many of the users' newest, and their attributes declared."""
    if events is None:
        return ask_about(data, users, k, history)
    newest = data.histories(users).last(events)
    profiles: Sequence[Profile] = [profile_of(data.catalog, int(user)) for user in users]
    now = float(data.events.times.max(initial=0.0))
    queries = Queries.build(newest.last(history), np.full(len(users), -1, np.int32), profiles, now)
    return Question(queries, Seen.imported(newest), k)


def compared(name: str, users: Ints, old: Ints, new: Ints) -> tuple[GroupChange, list[Example]]:
    """Compare two int32[B, k] for the same users, -1 pads; and the few whose lists differ most."""
    overlap, same = _overlap(old, new), (old == new).all(axis=1)
    there = _in_both(old, new)
    both = there.sum(axis=(1, 2))
    places = np.abs(np.arange(old.shape[1])[:, None] - np.arange(new.shape[1])[None, :])
    moved = ((there * places).sum(axis=(1, 2)) / np.maximum(both, 1))[both > 0]
    top = float((old[:, 0] == new[:, 0]).mean()) if old.shape[1] else 1.0
    group = GroupChange(name, len(users), float(same.mean()), top, mean_interval(overlap), mean_interval(moved))
    order = np.lexsort((np.arange(len(users)), overlap))[:EXAMPLES]
    return group, [Example(int(users[at]), name, old[at], new[at]) for at in order if not same[at]]


def _in_both(old: Ints, new: Ints) -> Bools:
    """bool[B, k, k]: whether an item of the old list is the one of the new."""
    return np.asarray((old[:, :, None] == new[:, None, :]) & (old >= 0)[:, :, None], np.bool_)


def _overlap(old: Ints, new: Ints) -> PerUser:
    """float64[B]: items in both, as a share of the longer list."""
    longest = np.maximum(np.maximum((old >= 0).sum(axis=1), (new >= 0).sum(axis=1)), 1)
    return np.asarray(_in_both(old, new).sum(axis=(1, 2)) / longest, np.float64)


def changed_metric(
    before: Settings,
    after: Settings,
    registry: Registry,
    name: str,
    trial: Trial,
    progress: ProgressFor,
    *,
    seed: int = 0,
) -> tuple[str, PairedDifference]:
    """The offline metric of both, compared user by user: its name, and after less before.

    Models are fitted on the trial's training data, or taken from what was kept of earlier fits.

    Raises:
        PluginError: a recommender cannot be fitted.
    """
    counts = user_counts(Dataset(trial.data.catalog, trial.train.events))
    facts = Facts(trial.data.n_items, int((trial.train.events.lengths > 0).sum()), counts, None)
    figures: list[PerUser] = []
    asked = trial.rounds[0]
    for settings in (before, after):
        product = settings.products[name]
        store = FitStore.of(settings)
        with store.fitted(
            trial.train, settings, registry, product.recommenders, progress, catalog=trial.data.catalog, refit=()
        ) as kept:
            models = {one: found.model for one, found in kept.items()}
            ways = entrants(product, registry, trial, models, seed, ablation=False)
            plan = next(way.plan for way in ways if way.name == BLEND)
            lists: Lists = list_all(plan, list(trial.questions(asked, product.history)), asked.k, progress("lists"))
        figures.append(measure(lists, asked, facts, ideal_over_all=trial.ideal_over_all).per_user["ndcg"])
    return f"ndcg@{asked.k}", paired_bootstrap(figures[1], figures[0], seed=seed)
