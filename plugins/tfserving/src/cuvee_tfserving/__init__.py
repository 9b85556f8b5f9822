"""A deep model for Cuvée, behind TensorFlow Serving's gRPC API.

:class:`TfServing` is the recommender; ``cuvee_tfserving.training`` makes models and
``cuvee_tfserving.model_server`` serves them, each in a process of its own. The names here are
imported lazily, so that those processes, which use the real TensorFlow, do not load the client's
stand-in for it (:mod:`cuvee_tfserving.stand_in`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cuvee_tfserving.config import TfServingConfig
    from cuvee_tfserving.recommender import TfServing

__all__ = ["TfServing", "TfServingConfig"]


def __getattr__(name: str) -> Any:
    if name == "TfServing":
        from cuvee_tfserving.recommender import TfServing  # noqa: PLC0415 - see above

        return TfServing
    if name == "TfServingConfig":
        from cuvee_tfserving.config import TfServingConfig  # noqa: PLC0415 - see above

        return TfServingConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
