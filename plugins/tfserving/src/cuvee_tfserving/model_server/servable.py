"""One version of a model: a SavedModel in TensorFlow's own runtime.

It runs in a session, as in the genuine server: the whole signature is one prepared graph that takes numpy
arrays and gives numpy arrays. Calling the loaded functions from Python takes twice the processor's time for one row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import grpc
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from cuvee_tfserving import checksums
from cuvee_tfserving.model_server.batching import Arrays
from cuvee_tfserving.model_server.refusals import Refused, failed_precondition, invalid
from cuvee_tfserving.protos import DataType, PredictionLog
from cuvee_tfserving.tensors import MalformedTensor, array_of, dtype_of

__all__ = ["Servable"]

DEFAULT = "serving_default"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Servable:
    """A loaded version. Threads may run it at the same time."""

    def __init__(self, name: str, version: int, definitions: Mapping[str, Any], session: Any) -> None:
        self.name = name
        self.version = version
        self.definitions = definitions
        """Signature name -> SignatureDef."""
        self._session = session  # ends with this object
        self._functions = {key: _function(session, one) for key, one in definitions.items() if one.inputs}

    @classmethod
    def load(cls, path: Path, name: str, version: int) -> Self:
        """Load a version's folder and run its warm-up requests.

        Raises:
            ValueError: a file is not the one that was published; names it.
            Exception: whatever TensorFlow says of a folder that is not a SavedModel, or of a
                warm-up request that fails.
        """
        checksums.check(path)
        definitions = _definitions(path)
        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        servable = cls(name, version, definitions, session)
        for request in _warm_up_requests(path / WARM_UP):
            signature = servable.signature(request.model_spec.signature_name)
            inputs = servable.inputs(signature, request.inputs)
            servable.run(signature, inputs)
        return servable

    def signature(self, name: str) -> str:
        """The signature that a request names; an empty name is the default one.

        Raises:
            Refused: FAILED_PRECONDITION, if there is none.
        """
        wanted = name or DEFAULT
        if wanted not in self._functions or wanted not in self.definitions:
            raise failed_precondition(f'Serving signature key "{wanted}" not found.')
        return wanted

    def inputs(self, signature: str, tensors: Mapping[str, Any]) -> Arrays:
        """The inputs of a request as arrays, as the signature wants them.

        Raises:
            Refused: INVALID_ARGUMENT.
        """
        wanted = self.definitions[signature].inputs
        missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
        if missing or extra:
            raise invalid(
                f"the inputs do not match signature {signature!r}: it wants {sorted(wanted)}; "
                f"missing: {missing}, unknown: {extra}"
            )
        return {name: _input(name, tensors[name], wanted[name]) for name in wanted}

    def outputs(self, signature: str, wanted: Sequence[str]) -> list[str]:
        """The outputs that a request's filter asks for, or all.

        Raises:
            Refused: INVALID_ARGUMENT, if one is unknown or named twice.
        """
        there = self.definitions[signature].outputs
        for name in wanted:
            if name not in there:
                raise invalid(f"output {name!r} is not in signature {signature!r}, which has {sorted(there)}")
        if len(set(wanted)) < len(wanted):
            raise invalid("the output filter names an output twice")
        return list(wanted) or sorted(there)

    def batchable(self, signature: str) -> bool:
        """Whether rows of several requests may be run together: every first dimension is open."""
        definition = self.definitions[signature]
        tensors = (*definition.inputs.values(), *definition.outputs.values())
        return all(
            not t.tensor_shape.unknown_rank and len(t.tensor_shape.dim) > 0 and t.tensor_shape.dim[0].size == -1
            for t in tensors
        )

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """All outputs of a signature.

        Raises:
            Refused: with the code of what TensorFlow raised.
        """
        try:
            return self._functions[signature](inputs)
        except tf.errors.OpError as problem:
            raise Refused(CODES.get(problem.error_code, grpc.StatusCode.UNKNOWN), str(problem.message)) from problem
        except (TypeError, ValueError) as problem:
            raise invalid(f"the inputs do not fit signature {signature!r}: {problem}") from problem


def _function(session: Any, definition: Any) -> Callable[[Arrays], Arrays]:
    """A signature, prepared: all inputs to all outputs."""
    takes, gives = list(definition.inputs), list(definition.outputs)
    run = session.make_callable(
        [definition.outputs[name].name for name in gives],
        [session.graph.get_tensor_by_name(definition.inputs[name].name) for name in takes],
    )

    def call(inputs: Arrays) -> Arrays:
        return dict(zip(gives, run(*(inputs[name] for name in takes)), strict=True))

    return call


def _definitions(path: Path) -> Mapping[str, Any]:
    model = SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return dict(graph.signature_def)
    raise ValueError(f"{path} has no graph with the tag 'serve'")


def _warm_up_requests(file: Path) -> list[Any]:
    if not file.exists():
        return []
    requests = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = PredictionLog()
        log.ParseFromString(record.numpy())
        if log.WhichOneof("log_type") != "predict_log":
            raise ValueError(f"{file}: only predict_log warm-up requests are run here")
        requests.append(log.predict_log.request)
    return requests


def _input(name: str, tensor: Any, wanted: Any) -> npt.NDArray[Any]:
    if tensor.dtype != wanted.dtype:
        raise invalid(f"input {name!r} must be {_type(wanted.dtype)}, not {_type(tensor.dtype)}")
    if dtype_of(tensor.dtype) is None:
        raise invalid(f"input {name!r}: {_type(tensor.dtype)} is not supported by this server")
    try:
        array = array_of(tensor)
    except MalformedTensor as problem:
        raise invalid(f"tensor parsing error: {name}: {problem}") from problem
    shape = wanted.tensor_shape
    if not shape.unknown_rank:
        sizes = [dim.size for dim in shape.dim]
        fits = len(sizes) == array.ndim and all(
            want in {-1, have} for want, have in zip(sizes, array.shape, strict=True)
        )
        if not fits:
            said = ", ".join("?" if size == -1 else str(size) for size in sizes)
            raise invalid(f"input {name!r} must have the shape [{said}], not {list(array.shape)}")
    return array


def _type(number: int) -> str:
    return str(DataType.Name(number)) if number in DataType.values() else str(number)
