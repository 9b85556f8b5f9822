"""Rules: what a product's team says about its lists, beside what the recommenders say.

:mod:`cuvee.rules.contract` is what a rule is, for plugins as for the engine; the other modules are the engine's
own rules, one for each kind: what may be shown, what an item's score is raised by, where items stand.
"""

from cuvee.rules.contract import (
    Arrangement,
    Limit,
    Lists,
    Pins,
    Restriction,
    Rule,
    RuleConfig,
    Seen,
    SeenType,
    Spread,
)

__all__ = [
    "Arrangement", "Limit", "Lists", "Pins", "Restriction", "Rule", "RuleConfig", "Seen", "SeenType", "Spread",
]  # fmt: skip
