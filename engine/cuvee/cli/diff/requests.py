"""Logged requests, a JSON object a line, and the lists that two configurations make of them, as a server would."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cuvee.errors import InvalidArgument, OperatorError

if TYPE_CHECKING:
    from cuvee.artifacts.snapshot import Snapshot
    from cuvee.config import Settings
    from cuvee.data.store import Store
    from cuvee.evaluation.change import ListChange
    from cuvee.queries import Ints
    from cuvee.recommender import Progress
    from cuvee.registry import Registry
    from cuvee.serving.lists.users import Known
    from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["changed_answers", "read_requests"]

MOST = 100_000
"""Lines of a file that are read."""
SLOTS = 2
PART = 256
"""Requests, or users, at a time."""


def read_requests(file: Path, product: str) -> list[pb.RecommendRequest]:
    """The requests of a file, one JSON object a line as protobuf writes a ``RecommendRequest``; of one product.

    Lines of other products are passed over; a line without a product is of this one.

    Raises:
        OperatorError: the file cannot be read, a line is no request, or none is of this product.
    """
    from google.protobuf.json_format import ParseDict, ParseError

    from cuvee.v1 import recommendation_pb2 as pb

    found = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise OperatorError(f"{file} cannot be read: {problem}") from None
    for at, line in enumerate(lines[:MOST], start=1):
        if not line.strip():
            continue
        try:
            request = ParseDict(json.loads(line), pb.RecommendRequest())
        except (ValueError, ParseError, AttributeError, TypeError) as problem:
            raise OperatorError(
                f"{file}, line {at}: no RecommendRequest in protobuf's JSON ({problem}); "
                'right is, for example, {"user_id": "196", "context_item_ids": ["50"]}'
            ) from None
        if request.product in {"", product}:
            request.product, request.page_token, request.validate_only = product, "", False
            found.append(request)
    if not found:
        raise OperatorError(f"{file} holds no request for {product!r}")
    return found


def changed_answers(
    requests: Sequence[pb.RecommendRequest],
    before: Snapshot,
    after: Snapshot,
    registry: Registry,
    settings: Settings,
    k: int,
    told: Progress,
) -> ListChange:
    """The lists of requests under both, compared; an example's ``user`` is the request's place, from 0.

    Users have the history that is imported, and behind it what the store of ``settings`` has of them now.

    Raises:
        OperatorError: a request is wrong; names its place.
    """
    from cuvee.data.store.opening import existing_store
    from cuvee.evaluation.change import EXAMPLES, ListChange, compared
    from cuvee.serving.pseudonymised import pseudonymise

    store = existing_store(settings)
    for request in requests:
        pseudonymise(request, settings.privacy.pseudonyms)
    lists = []
    for done, snapshot in enumerate((before, after), start=1):
        lists.append(_lists(requests, snapshot, registry, store, k))
        told(done, 2)
    group, examples = compared("requests", np.arange(len(requests), dtype=np.int32), *lists)
    shown = [len(np.unique(items[items >= 0])) for items in lists]
    return ListChange(k, [group], (shown[0], shown[1]), examples[:EXAMPLES])


def _lists(
    requests: Sequence[pb.RecommendRequest], snapshot: Snapshot, registry: Registry, store: Store | None, k: int
) -> Ints:
    """int32[n, k]: -1 pads."""
    from cuvee.evaluation.listing import list_all
    from cuvee.serving.lists.assembling import assemble
    from cuvee.serving.lists.drafts import Found, Row
    from cuvee.serving.lists.edge import Edge
    from cuvee.serving.lists.hooks import Hooks
    from cuvee.serving.lists.users import NOBODY
    from cuvee.serving.live.hiding import without_hidden
    from cuvee.serving.live.products import Served

    served = without_hidden(Served.of(snapshot, ""))
    hooks = Hooks(registry, SLOTS)
    edge = Edge(hooks, SLOTS)
    known = _known(snapshot.product.name, [one.user_id for one in requests], store)
    kinds: dict[tuple[object, ...], list[tuple[int, Row]]] = defaultdict(list)
    try:
        for at, request in enumerate(requests):
            try:
                draft = edge.recommend(request, served)
                mask = served.filters.known(request.filter) if request.filter else None
                if request.filter and mask is None:
                    mask = served.filters.compile(request.filter)
                    served.filters.keep(request.filter, mask)
            except InvalidArgument as problem:
                raise OperatorError(f"request {at + 1}: {problem}") from None
            row = draft.row(Found(served, known.get(request.user_id, NOBODY), eligible=mask))
            row.k = k
            kinds[row.kind].append((at, row))
    finally:
        edge.close()
        hooks.close()
    found = np.full((len(requests), k), -1, np.int32)
    for rows in kinds.values():
        for first in range(0, len(rows), PART):
            some = rows[first : first + PART]
            items = list_all(
                some[0][1].served.snapshot.plan, [assemble([row for _, row in some])], k, lambda *_: None
            ).items
            found[[at for at, _ in some], : items.shape[1]] = items
    return found


def _known(product: str, user_ids: Sequence[str], store: Store | None) -> dict[str, Known]:
    """What the store has of users."""
    from cuvee.serving.lists.users import Known

    found: dict[str, Known] = {}
    if store is None:
        return found
    wanted = [one for one in dict.fromkeys(user_ids) if one and "\0" not in one]
    for first in range(0, len(wanted), PART):
        some = wanted[first : first + PART]
        states, histories = store.states(product, some), store.histories(product, some)
        for user_id in some:
            history, user = histories[user_id]
            profile = user if user is not None and user.updated is not None else None
            found[user_id] = Known(states[user_id].stamp, states[user_id].forgotten, history, profile)
    return found
