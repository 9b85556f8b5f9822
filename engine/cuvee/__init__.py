"""Cuvée: one gRPC call, several recommenders, one blended list.

Plugin authors need :data:`hookimpl`, :mod:`cuvee.recommender`, :mod:`cuvee.search.nearest`,
:mod:`cuvee.hookspecs` and :mod:`cuvee.testing`; everything else is the engine's own.
"""

from cuvee import kernels
from cuvee.artifacts.arrays import load_arrays, save_arrays
from cuvee.data.catalog import Catalog, Entities, Role
from cuvee.data.dataset import Chronology, Dataset
from cuvee.data.files.raw import Part, RawData, RawEntities, Reader, ReadOptions
from cuvee.data.files.tabular import TableReader
from cuvee.errors import ArtifactError, InvalidArgument, OperatorError
from cuvee.hookspecs import hookimpl
from cuvee.ranking.blend import Blender, BlenderOptions, Lesson, Opinions
from cuvee.ranking.calibrate import Calibrator
from cuvee.recommender import (
    Candidates,
    DegradedReason,
    Histories,
    History,
    Profile,
    Progress,
    Queries,
    Ragged,
    Recommender,
    RecommenderConfig,
    Serves,
    SourceFailure,
)
from cuvee.rules import (
    Arrangement,
    Limit,
    Lists,
    Pins,
    Restriction,
    Rule,
    RuleConfig,
    Seen,
    SeenType,
    Spread,
)
from cuvee.search.nearest import Cells, Nearest
from cuvee.search.postings import Postings
from cuvee.tracing import trace_headers

__version__ = "0.3.0"

__all__ = [
    "Arrangement",
    "ArtifactError",
    "Blender",
    "BlenderOptions",
    "Calibrator",
    "Candidates",
    "Catalog",
    "Cells",
    "Chronology",
    "Dataset",
    "DegradedReason",
    "Entities",
    "Histories",
    "History",
    "InvalidArgument",
    "Lesson",
    "Limit",
    "Lists",
    "Nearest",
    "OperatorError",
    "Opinions",
    "Part",
    "Pins",
    "Postings",
    "Profile",
    "Progress",
    "Queries",
    "Ragged",
    "RawData",
    "RawEntities",
    "ReadOptions",
    "Reader",
    "Recommender",
    "RecommenderConfig",
    "Restriction",
    "Role",
    "Rule",
    "RuleConfig",
    "Seen",
    "SeenType",
    "Serves",
    "SourceFailure",
    "Spread",
    "TableReader",
    "__version__",
    "hookimpl",
    "kernels",
    "load_arrays",
    "save_arrays",
    "trace_headers",
]
