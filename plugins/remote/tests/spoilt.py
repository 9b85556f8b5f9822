"""A recommender that does what the file TROUBLE says, for tests of faults."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from cuvee_popular.recommender import Popular


def trouble():
    return Path(os.environ["TROUBLE"]).read_text()


class Spoilt(Popular):
    def candidates(self, queries, k):
        found = super().candidates(queries, k)
        match trouble():
            case "raise":
                raise RuntimeError("nobody foresaw this")
            case "ten times":
                return replace(found, items=np.tile(found.items, 10), scores=np.tile(found.scores, 10))
        return found

    def score(self, queries, items):
        found = super().score(queries, items)
        match trouble():
            case "nan":
                return np.full_like(found, np.nan)
            case "type":
                return found.astype(np.float64)
        return found
