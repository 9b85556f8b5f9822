"""The engine's own calibrators, blenders, rules and readers, registered as any plugin's are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cuvee.data.files.readers import BUILT_IN, Reader
from cuvee.hookspecs import hookimpl
from cuvee.ranking.blend import Blender, ReciprocalRankFusion, WeightedSum
from cuvee.ranking.calibrate import Calibrator, MinMax, Quantile, Rank, ZScore
from cuvee.ranking.learned import Learned
from cuvee.rules import Rule
from cuvee.rules.places import Diversity, Pin, Quota
from cuvee.rules.scores import Boost, Bury, Fresh
from cuvee.rules.shown import ExcludeSeen, Filter, MinScore


@hookimpl
def register_readers() -> Mapping[str, type[Reader]]:
    """MovieLens, Parquet, CSV."""
    return BUILT_IN


@hookimpl
def register_calibrators() -> Mapping[str, type[Calibrator]]:
    """Four ways to a common scale."""
    return {"quantile": Quantile, "rank": Rank, "minmax": MinMax, "zscore": ZScore}


@hookimpl
def register_blenders() -> Mapping[str, type[Blender]]:
    """Weighted sum, reciprocal rank fusion, and a learned ranker."""
    return {"weighted": WeightedSum, "rrf": ReciprocalRankFusion, "learned": Learned}


@hookimpl
def register_rules() -> Mapping[str, type[Rule[Any]]]:
    """What may be shown, what scores are raised by, and where items stand."""
    return {
        "exclude_seen": ExcludeSeen, "filter": Filter, "min_score": MinScore,
        "boost": Boost, "bury": Bury, "fresh": Fresh,
        "pin": Pin, "quota": Quota, "diversity": Diversity,
    }  # fmt: skip
