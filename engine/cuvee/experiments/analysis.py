"""The report of an experiment: users, metrics, lifts, the check of the split, segments, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chisquare

from cuvee.data.store.experiments import Participant
from cuvee.experiments.lifts import METRICS, Figures, Lift, Rate, lift_of, rate_of
from cuvee.experiments.sequential import growth_needed
from cuvee.product import ExperimentConfig

__all__ = ["ALPHA", "Mismatch", "Report", "Segment", "Variant", "analyse"]

ALPHA = 0.05
"""The probability with which any of an experiment's variants is called different where none is."""
SPLIT = 0.001
"""Below this p-value the users were not split as configured."""
NOTABLE = 0.05
"""The lift for which the report says how long it will take."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One variant's users and metrics."""

    name: str
    share: float
    """As configured."""
    users: int
    answers: int
    shown: int
    """Items."""
    rates: Mapping[str, Rate]
    """By metric."""
    lifts: Mapping[str, Lift | None]
    """By metric, against the first variant; empty for that."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Whether users were split as configured: a chi-square test."""

    p: float
    expected: Sequence[float]
    """Users of each variant."""

    @property
    def found(self) -> bool:
        """Whether the split is so unlikely that something is wrong."""
        return self.p < SPLIT


@dataclass(frozen=True, slots=True)
class Segment:
    """The deciding metric among users of one segment, as they were first answered."""

    name: str
    users: Mapping[str, int]
    """By variant."""
    lifts: Mapping[str, Lift | None]
    """By variant, without the first."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an experiment."""

    experiment: str
    metric: str
    """The one that decides."""
    variants: Sequence[Variant]
    split: Mismatch
    twice: int
    """Users who were in more than one variant: they are left out."""
    alpha: float
    """The level of each variant's interval for every look: :data:`ALPHA`, shared out among the variants."""
    segments: Sequence[Segment]
    verdict: str
    """``nothing``, ``split``, ``wait``, ``win``, ``loss`` or ``both``."""
    next: Sequence[str]
    """What to do, in sentences."""


def analyse(product: str, config: ExperimentConfig, participants: Sequence[Participant]) -> Report:
    """The report of what participants did. Whoever is of a variant that is no more is left out."""
    names = [one.name for one in config.variants]
    units, twice = _units(participants, set(names))
    figures = {name: _figures([one for one in units if one.variant == name]) for name in names}
    alpha = ALPHA / (len(names) - 1)
    rates = {name: {m: rate_of(metric, figures[name]) for m, metric in METRICS.items()} for name in names}
    counts = [len(figures[name]["one"]) for name in names]
    expected = [sum(counts) * one.share for one in config.variants]
    p = float(chisquare(counts, expected).pvalue) if sum(counts) else 1.0
    variants = [
        Variant(
            one.name, one.share, len(figures[one.name]["one"]),
            int(figures[one.name]["answers"].sum()), int(figures[one.name]["shown"].sum()), rates[one.name],
            {} if one.name == names[0]
            else {m: lift_of(rates[one.name][m], rates[names[0]][m], alpha) for m in METRICS},
        )
        for one in config.variants
    ]  # fmt: skip
    split = Mismatch(p, expected)
    verdict = _verdict(config.metric, variants, split)
    return Report(
        config.name, config.metric, variants, split, twice, alpha,
        list(_segments(config.metric, names, units, alpha)), verdict,
        list(_next(product, config, variants, verdict, alpha)),
    )  # fmt: skip


def _units(participants: Sequence[Participant], names: set[str]) -> tuple[list[Participant], int]:
    """One entry for each unit, in the segment that it was first answered in; and how many were in two variants."""
    found: dict[str, Participant] = {}
    twice: set[str] = set()
    for one in participants:
        if one.variant not in names:
            continue
        before = found.get(one.unit)
        if before is None:
            found[one.unit] = one
            continue
        if before.variant != one.variant:
            twice.add(one.unit)
        first = min(before, one, key=lambda each: each.first)
        found[one.unit] = Participant(
            one.unit, first.variant, first.segment, first.first, before.answers + one.answers,
            before.shown + one.shown, before.clicked + one.clicked, before.bought + one.bought,
            before.events + one.events, before.value + one.value,
        )  # fmt: skip
    return [one for unit, one in found.items() if unit not in twice], len(twice)


def _figures(units: Sequence[Participant]) -> Figures:
    found = {
        name: np.array([getattr(one, name) for one in units], np.float64)
        for name in ("answers", "shown", "clicked", "bought", "events", "value")
    }
    return {**found, "one": np.ones(len(units)), "buyer": (found["bought"] > 0).astype(np.float64)}


def _segments(metric: str, names: Sequence[str], units: Sequence[Participant], alpha: float) -> Iterator[Segment]:
    measured = METRICS[metric]
    for segment in sorted({one.segment for one in units}):
        inside = {name: [u for u in units if (u.segment, u.variant) == (segment, name)] for name in names}
        rates = {name: rate_of(measured, _figures(those)) for name, those in inside.items()}
        yield Segment(
            segment,
            {name: len(those) for name, those in inside.items()},
            {name: lift_of(rates[name], rates[names[0]], alpha) for name in names[1:]},
        )


def _verdict(metric: str, variants: Sequence[Variant], split: Mismatch) -> str:
    if not any(one.users for one in variants):
        return "nothing"
    if split.found:
        return "split"
    lifts = [lift for one in variants[1:] if (lift := one.lifts[metric]) is not None]
    better, worse = any(one.always_low > 0 for one in lifts), any(one.always_high < 0 for one in lifts)
    return "both" if better and worse else "win" if better else "loss" if worse else "wait"


def _next(
    product: str, config: ExperimentConfig, variants: Sequence[Variant], verdict: str, alpha: float
) -> Iterator[str]:
    title, control = METRICS[config.metric].title, variants[0].name
    if verdict == "nothing":
        yield (
            f"Nobody has taken part yet. Is {config.name} in the file that the server serves, do requests carry a "
            "user_id, and does the server have a store?"
        )
        return
    if verdict == "split":
        yield (
            "Do not read the lifts: users were not split as configured. Look for a variant that fails or is too slow "
            "for some, for answers that are not shown, and for shares that were changed while it ran; then begin "
            "anew under another name."
        )
        return
    for one in variants[1:]:
        lift = one.lifts[config.metric]
        if lift is None:
            yield f"{one.name}: too little was done yet to tell. Let it run."
        elif lift.always_low > 0:
            yield (
                f"{one.name} is better than {control}: {title} rises by {lift.always_low:.1%} at least. Put its "
                f"overrides into products/{product}.toml in place of the experiment, see what that changes with "
                f"`cuvee diff {product}`, and use it with `cuvee config apply {product} FILE`."
            )
        elif lift.always_high < 0:
            yield (
                f"{one.name} is worse than {control}: {title} falls by {-lift.always_high:.1%} at least. Take it "
                f"back: `cuvee config rollback {product}`, or take the experiment out of products/{product}.toml."
            )
        else:
            times = growth_needed(lift.variance, alpha, math.log1p(NOTABLE))
            more = (
                f"with {times:.1f} times as many users it would show a lift of {NOTABLE:.0%}"
                if times > 1
                else f"a lift of {NOTABLE:.0%} or more would have shown"
            )
            yield (
                f"{one.name}: no difference in {title} is certain yet, it lies between {lift.always_low:+.1%} and "
                f"{lift.always_high:+.1%}. Let it run, and look again whenever you like; {more}."
            )
