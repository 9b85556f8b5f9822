"""What rules did to the items of an answer, as the proto says it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cuvee.ranking.pipeline import Answer
from cuvee.ranking.plan import Plan
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["counts_of", "effects_of"]


def effects_of(plan: Plan, answer: Answer) -> Sequence[Sequence[bytes]]:
    """For each of B lists and each of its places the field ``RecommendedItem.rules``; empty where no rule arranges."""
    effects = answer.effects
    if effects is None or not effects.rules:
        return ()
    names = [plan.rules[r].name for r in effects.rules]
    added, mover, origin = effects.added.tolist(), effects.mover.tolist(), effects.origin.tolist()
    found: list[list[bytes]] = []
    for b in range(effects.mover.shape[0]):
        row = []
        for place in range(effects.mover.shape[1]):
            from_position = origin[b][place] if origin[b][place] >= 0 else None
            told = [
                pb.RuleEffect(rule=name, contribution=added[r][b][place], from_position=from_position)
                for r, name in enumerate(names)
                if added[r][b][place] or mover[b][place] == r
            ]
            row.append(pb.RecommendedItem(rules=told).SerializeToString() if told else b"")
        found.append(row)
    return found


def counts_of(plan: Plan, answer: Answer, b: int) -> Iterator[bytes]:
    """What each rule took away from one list: the field ``RecommendResponse.rules``."""
    removed = [0] * len(plan.rules)
    if answer.withheld is not None:
        removed = answer.withheld[:, b].tolist()
    if answer.effects is not None:
        for at, rule in enumerate(answer.effects.rules):
            removed[rule] += int(answer.effects.removed[at, b])
    counts = [pb.RuleCount(rule=rule.name, removed=n) for rule, n in zip(plan.rules, removed, strict=True)]
    yield pb.RecommendResponse(rules=counts).SerializeToString()
