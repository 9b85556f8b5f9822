"""Recommends what is newest, by the items' column ``year``; it says nothing of items without one."""

import cuvee
import numpy as np


class Newest(cuvee.Recommender[cuvee.RecommenderConfig]):
    """The newest items first, for everyone; items of one year stand in the catalogue's order."""

    Config = cuvee.RecommenderConfig
    serves = cuvee.Serves.KNOWN_USER | cuvee.Serves.SESSION | cuvee.Serves.COLD_USER | cuvee.Serves.COLD_ITEM

    def __init__(self, catalog):
        self.years = catalog.items.frame["year"].cast(float).fill_null(np.nan).to_numpy().astype(np.float32)

    @classmethod
    def fit(cls, data, config, progress):
        return cls(data.catalog)

    def save(self, directory):
        """The catalogue holds all there is."""

    @classmethod
    def load(cls, directory, config, catalog):
        return cls(catalog)

    def candidates(self, queries, k):
        return cuvee.Candidates.top(np.tile(self.years, (len(queries), 1)), k, queries)

    def score(self, queries, items):
        return np.where(items < 0, np.float32(np.nan), self.years[items])


@cuvee.hookimpl
def register_recommenders():
    return {"newest": Newest}
