"""The curves of ``cuvee tune`` in a terminal."""

import pytest
from cuvee.tuning.curves import Curve, SegmentCurves

pytest.importorskip("plotext")
from cuvee.cli.tune.plots import as_text

NAMES = ["ease", "transitions", "lightfm", "deep", "content", "popular", "item_knn", "user_knn"]


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("count", [1, 5, 8])
def test_no_line_is_wider_than_the_terminal_and_every_source_is_named(width: int, count: int) -> None:
    curves = [Curve(name, (0.0, 0.5, 1.0), (0.1, 0.2, 0.1 + 0.01 * n), 0.25) for n, name in enumerate(NAMES[:count])]
    panel = SegmentCurves("warm", "warm: 10 events or more", curves, 0.2, "ease", 0.1)
    text = as_text(panel, "ndcg@10", width, colours=False)
    assert max(map(len, text.splitlines())) <= width
    assert all(f"{name} 0.25" in text for name in NAMES[:count])
