"""TensorFlow Serving's message classes without TensorFlow.

``tensorflow_serving``'s generated modules import ``tensorflow.core.framework.tensor_pb2`` and its
like, and for that Python runs ``tensorflow/__init__.py``. This takes seconds, half a gigabyte and all of
libtensorflow, in a server that only passes messages on. The generated modules need none of it. So
:func:`without_tensorflow` puts an empty module in place of TensorFlow, which only has the package's
path; below it, Python finds the ``*_pb2`` files in the usual way.

Afterwards the empty module and the packages below it are removed again, so that a later
``import tensorflow`` gets the real one. The ``*_pb2`` modules stay: the real TensorFlow uses them
too, and a message class must exist once in a process.

Where TensorFlow is loaded already (training, the model server, a notebook) it is not replaced, since
the import then costs nothing.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["without_tensorflow"]

NAME = "tensorflow"

_one_at_a_time = threading.Lock()


@contextmanager
def without_tensorflow() -> Iterator[bool]:
    """Let modules below ``tensorflow`` be imported without running ``tensorflow`` itself.

    Gives True, or False where the real TensorFlow is loaded and used. For the time of this context
    an ``import tensorflow`` anywhere in the process gets the empty module, so only imports belong
    inside it.

    Raises:
        ModuleNotFoundError: TensorFlow is not installed.
    """
    with _one_at_a_time:
        if NAME in sys.modules:
            yield False
            return
        found = importlib.util.find_spec(NAME)
        if found is None or found.submodule_search_locations is None:
            raise ModuleNotFoundError(
                "tensorflow is not installed, whose generated message classes tensorflow-serving-api needs: "
                "pip install tensorflow-serving-api",
                name=NAME,
            )
        stand_in = ModuleType(NAME, "Stands in for TensorFlow; see cuvee_tfserving.stand_in.")
        stand_in.__path__ = list(found.submodule_search_locations)
        sys.modules[NAME] = stand_in
        try:
            yield True
        finally:
            _take_away()


def _take_away() -> None:
    """Forget the stand-in and the packages below it; the generated modules stay."""
    for name in [NAME, *(n for n in sys.modules if n.startswith(f"{NAME}."))]:
        if not name.endswith("_pb2"):
            sys.modules.pop(name, None)
