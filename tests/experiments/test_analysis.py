"""What a report says of what participants did, and what it advises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cuvee.data.store.experiments import Participant
from cuvee.experiments.analysis import Report, analyse
from cuvee.product import ExperimentConfig

CONFIG = ExperimentConfig.model_validate(
    {"name": "bolder", "variants": [{"name": "control", "share": 0.5}, {"name": "bold", "share": 0.5}]}
)


def crowd(variant: str, users: int, rate: float, seed: int = 0, segment: str = "warm") -> list[Participant]:
    random = np.random.default_rng(seed)
    clicks = random.binomial(10, rate, users)
    return [
        Participant(f"{variant}-{segment}-{n}", variant, segment, n, 1, 10, int(c), int(c > 5), int(c), float(c > 5))
        for n, c in enumerate(clicks)
    ]


def told(control: list[Participant], bold: list[Participant]) -> Report:
    return analyse("films", CONFIG, [*control, *bold])


CASES: dict[str, tuple[Callable[[], Report], str, str]] = {
    "nobody": (lambda: told([], []), "nothing", "Nobody has taken part yet"),
    "a few": (lambda: told(crowd("control", 20, 0.3), crowd("bold", 21, 0.3, 1)), "wait", "too little"),
    "no difference": (lambda: told(crowd("control", 900, 0.3), crowd("bold", 910, 0.3, 1)), "wait", "no difference"),
    "better": (
        lambda: told(crowd("control", 900, 0.3), crowd("bold", 910, 0.36, 1)),
        "win",
        "cuvee config apply films",
    ),
    "worse": (lambda: told(crowd("control", 900, 0.3), crowd("bold", 910, 0.24, 1)), "loss", "config rollback films"),
    "a wrong split": (lambda: told(crowd("control", 900, 0.3), crowd("bold", 600, 0.4, 1)), "split", "Do not read"),
    "one side is empty": (lambda: told(crowd("control", 900, 0.3), []), "split", "Do not read"),
    "nobody clicks": (lambda: told(crowd("control", 900, 0.0), crowd("bold", 910, 0.0)), "wait", "too little"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_and_what_to_do(case: str):
    make, verdict, words = CASES[case]
    report = make()
    assert report.verdict == verdict
    assert any(words in one for one in report.next), report.next


def test_users_of_two_variants_are_left_out_and_counted():
    control, bold = crowd("control", 100, 0.3), crowd("bold", 100, 0.3, 1)
    both = [Participant("control-warm-0", "bold", "warm", 5, 1, 10, 1, 0, 1, 0.0)]
    report = told(control, [*bold, *both])
    assert report.twice == 1
    assert [one.users for one in report.variants] == [99, 100]


def test_a_user_counts_once_in_the_segment_of_the_first_answer():
    early = Participant("u", "bold", "cold", 1, 1, 10, 2, 0, 2, 0.0)
    late = Participant("u", "bold", "warm", 9, 3, 30, 1, 1, 2, 2.0)
    report = told(crowd("control", 5, 0.3, segment="cold"), [late, early])
    bold = report.variants[1]
    assert (bold.users, bold.answers, bold.shown) == (1, 4, 40)
    assert [(one.name, one.users["bold"]) for one in report.segments] == [("cold", 1)]


def test_variants_that_are_no_more_are_left_out():
    report = told(crowd("control", 50, 0.3), [*crowd("bold", 50, 0.3, 1), *crowd("old", 50, 0.9, 2)])
    assert sum(one.users for one in report.variants) == 100


def test_the_level_is_shared_out_among_variants():
    three = CONFIG.model_copy(
        update={"variants": (*CONFIG.variants, CONFIG.variants[1].model_copy(update={"name": "c"}))}
    )
    assert analyse("films", three, []).alpha == pytest.approx(0.025)
    assert analyse("films", CONFIG, []).alpha == pytest.approx(0.05)
