"""What was shown is joined with the events that name it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cuvee.data.store import Store
from cuvee.data.store.exposures import Outcome
from cuvee.data.store.rows import ExposureRow

VIEW, CLICK, PURCHASE = 1, 2, 4


def shown(answer: str, position: int, **changes: Any) -> ExposureRow:
    plain = {"item_id": f"film-{position}", "time": 100, "source": "ease", "segment": "warm", "kind": "blend"}
    return ExposureRow("films", answer, position, **{**plain, "variant": "", "version": "v1", **changes})


def test_each_item_counts_once_by_the_answer_that_its_events_name(store: Store, event: Callable):
    rows = [shown("a", 0), shown("a", 1, source="content"), shown("b", 0), shown("b", 1, source="content")]
    store.write_exposures([*rows, rows[0], shown("old", 0, time=5)])
    store.write_exposures(rows)
    store.write_events(
        [
            event("1", item_id="film-0", recommendation_id="a", type=CLICK),
            event("2", item_id="film-0", recommendation_id="a", type=PURCHASE),
            event("3", item_id="film-1", recommendation_id="a", type=VIEW),
            event("4", item_id="film-1", recommendation_id="b", type=CLICK),
            event("5", item_id="film-0", recommendation_id="nobody's", type=CLICK),
            event("6", item_id="film-9", recommendation_id="b", type=CLICK),
            event("7", item_id="film-0", type=CLICK),
            event("8", item_id="film-0", recommendation_id="b", type=CLICK, product="shoes"),
        ]
    )
    assert store.outcomes("films", "source", 50) == [Outcome("content", 2, 2, 1, 0), Outcome("ease", 2, 2, 1, 1)]
    assert store.outcomes("films", "position", 50) == [Outcome("0", 2, 2, 1, 1), Outcome("1", 2, 2, 1, 0)]
    assert store.outcomes("films", "segment", 0) == [Outcome("warm", 3, 5, 2, 1)]
    assert store.outcomes("shoes", "source", 0) == []


def test_old_answers_are_pruned_whole(store: Store):
    store.write_exposures([shown("old", n, time=5) for n in range(3)] + [shown("new", 0)])
    assert store.prune_exposures("films", 50) == 3
    assert store.prune_exposures("films", 50) == 0
    assert store.outcomes("films", "source", 0) == [Outcome("ease", 1, 1, 0, 0)]
