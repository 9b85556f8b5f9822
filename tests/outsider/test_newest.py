from cuvee.testing import RecommenderContract
from outsider_newest import Newest


class TestNewest(RecommenderContract):
    recommender = Newest
