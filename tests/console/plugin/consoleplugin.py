"""Two recommenders for the tests of the console; needs the toy plugin beside it on ``PYTHONPATH``."""

from __future__ import annotations

import cuvee
import numpy as np
from toyplugin import Floats, Ints, ToyPopular


class Gaps(ToyPopular):
    """An opinion on two of three items, good and bad ones alike."""

    def _dense(self, queries: cuvee.Queries) -> Floats:
        at = np.arange(len(self.counts))
        scores = np.where(at % 3 == 0, np.nan, np.sin(at * 7.0)).astype(np.float32)
        return np.tile(scores, (len(queries), 1))


class Ill(ToyPopular):
    """Fails whenever it scores."""

    def score(self, queries: cuvee.Queries, items: Ints) -> Floats:
        raise OSError("ill")


@cuvee.hookimpl
def register_recommenders() -> dict[str, type[ToyPopular]]:
    return {"gaps": Gaps, "ill": Ill}
