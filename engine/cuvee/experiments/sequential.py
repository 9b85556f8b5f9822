"""A test that may be looked at as often as one likes: the mixture sequential probability ratio test.

Johari, Koomen, Pekelis and Walsh, Always Valid Inference: Continuous Monitoring of A/B Tests, Operations Research 70
(2022), https://doi.org/10.1287/opre.2021.2135; the mixture is a normal one, after Robbins (1970). With an estimate
``x`` of a lift and its variance ``v``, and lifts expected around 0 with the deviation ``t``, the likelihood ratio

    sqrt(v / (v + t^2)) exp(t^2 x^2 / (2 v (v + t^2)))

exceeds ``1 / alpha`` at any of all looks with a probability of at most ``alpha``, where there is no lift. The estimate
must be about normal, so :data:`cuvee.experiments.lifts.ENOUGH` keeps small counts out.
"""

from __future__ import annotations

import math

__all__ = ["EXPECTED", "always_valid", "growth_needed", "half_width"]

EXPECTED = 0.1
"""Lifts are expected to be about this large (on the logarithm: 10 %). It changes how soon a lift shows, and not how
often one is seen where there is none."""


def half_width(variance: float, alpha: float, expected: float = EXPECTED) -> float:
    """Half the width of the confidence sequence: outside of it at any look with a probability of ``alpha`` at most."""
    t2 = expected**2
    if variance <= 0:
        return 0.0
    return math.sqrt(variance * (variance + t2) / t2 * (2 * math.log(1 / alpha) + math.log1p(t2 / variance)))


def always_valid(
    estimate: float, variance: float, alpha: float, expected: float = EXPECTED
) -> tuple[float, float, float]:
    """The confidence sequence's interval at this look, and the always-valid p-value."""
    half = half_width(variance, alpha, expected)
    t2 = expected**2
    if variance <= 0:
        return estimate, estimate, 1.0 if estimate == 0 else 0.0
    exponent = t2 * estimate**2 / (2 * variance * (variance + t2)) - 0.5 * math.log1p(t2 / variance)
    return estimate - half, estimate + half, math.exp(min(0.0, -exponent))


def growth_needed(variance: float, alpha: float, lift: float, expected: float = EXPECTED) -> float:
    """How many times as many users it takes until a lift of this size (a logarithm, above 0) shows."""
    low, high = 0.0, 1.0
    while half_width(variance / high, alpha, expected) > lift:
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if half_width(variance / middle, alpha, expected) > lift else (low, middle)
    return high
