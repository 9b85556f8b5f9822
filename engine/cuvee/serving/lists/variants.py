"""Which of a product's variants answers a request: the one of its experiments, or the one that the caller names."""

from __future__ import annotations

from dataclasses import dataclass

from cuvee.errors import InvalidArgument
from cuvee.serving.fields import check_id
from cuvee.serving.live.products import Served
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Choice"]

LONGEST = 1000
"""Characters of the field ``variant``."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a request decides the variant."""

    unit: str
    """By what experiments choose: a user's id, or the bucketing id; empty takes part in none."""
    named: str
    """The variant that the caller names; empty: experiments choose."""
    preview: bool
    """Whether the answer is only looked at."""

    @classmethod
    def of(cls, request: pb.RecommendRequest | pb.RankRequest | pb.SimilarItemsRequest, user_id: str = "") -> Choice:
        """Of a request.

        Raises:
            InvalidArgument: naming the field.
        """
        unit = check_id("bucketing_id", request.bucketing_id) or user_id
        if len(request.variant) > LONGEST:
            raise InvalidArgument("variant", f"has {len(request.variant)} characters; at most {LONGEST} are taken")
        preview = bool(request.variant) or (not isinstance(request, pb.RankRequest) and request.preview)
        return cls(unit, request.variant, preview)

    def among(self, served: Served) -> tuple[Served, str]:
        """What answers, and the labels of the variants, joined with commas.

        Raises:
            InvalidArgument: the caller named a variant that the product does not have.
        """
        if self.named:
            return _named(served, self.named)
        if not self.unit or not served.snapshot.product.experiments:
            return served, ""
        return served.chosen(self.unit)

    @property
    def counts(self) -> bool:
        """Whether the answer counts in the experiments that it is in."""
        return bool(self.unit) and not self.preview


def _named(served: Served, named: str) -> tuple[Served, str]:
    product = served.snapshot.product
    layers = {f"{one.name}/{variant.name}": one.layer for one in product.experiments for variant in one.variants}
    shadows = {f"~{one.name}": "" for one in product.shadows}
    labels = named.split(",")
    for label in labels:
        if label not in layers and (label not in shadows or len(labels) > 1):
            there = ", ".join([*layers, *shadows]) or "none"
            raise InvalidArgument("variant", f"{label!r} is none of the product's; there are: {there}")
    if len({layers.get(label) for label in labels}) < len(labels):
        raise InvalidArgument("variant", "two are of experiments of one layer, and nobody is in both")
    order = {label: at for at, label in enumerate(layers)}
    labels.sort(key=lambda label: order.get(label, 0))
    return served.under(labels), ",".join(labels)
