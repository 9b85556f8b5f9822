"""What is asked: known users of the data, drawn evenly, each with two clicks that no other request has.

So no answer, and no prepared history, can be used twice. The clicks are items of events drawn evenly, so popular ones
come more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cuvee import Dataset
from cuvee.v1 import recommendation_pb2 as pb

from load.caller import pack, unpack
from load.products import Fitted

__all__ = ["ITEMS", "METHOD", "Answers", "looked_at", "write_requests"]

METHOD = "/cuvee.v1.RecommendationService/Recommend"
ITEMS = 10
MANY = 50_000
CLICKS = 2


def write_requests(
    product: Fitted, file: Path, *, users: range | None = None, n: int = MANY, seed: int = 0
) -> list[bytes]:
    """Write ``n`` requests for these users (positions in the data; all by default) into a file; also given back."""
    random = np.random.default_rng(seed)
    data = Dataset.load(product.data)
    among = users or range(data.n_users)
    asked = random.integers(among.start, among.stop, n)
    clicks = data.events.items[random.integers(0, len(data), CLICKS * n)]
    names, items = data.catalog.users.ids(asked), data.catalog.items.ids(clicks)
    messages = [
        pb.RecommendRequest(
            product=product.name,
            user_id=name,
            context_item_ids=items[CLICKS * at : CLICKS * (at + 1)],
            page_size=ITEMS,
        ).SerializeToString()
        for at, name in enumerate(names)
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pack(messages))
    return messages


@dataclass(frozen=True)
class Answers:
    """What some of the answers held."""

    n: int
    whole: int
    """With ten items, each with attributions."""
    degraded: int


def looked_at(kept: Sequence[bytes]) -> Answers:
    """Look at answers that were kept."""
    answers = [pb.RecommendResponse.FromString(body) for packed in kept for body in unpack(packed)]
    whole = sum(len(a.items) == ITEMS and all(item.attributions for item in a.items) for a in answers)
    return Answers(len(answers), whole, sum(a.degraded for a in answers))
