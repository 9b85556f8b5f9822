"""PredictionService and ModelService: messages in, messages out."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import wraps
from typing import Any, TypeVar

import grpc

from cuvee_tfserving.model_server.batching import Batcher, Work
from cuvee_tfserving.model_server.configuration import models_of
from cuvee_tfserving.model_server.library import Library
from cuvee_tfserving.model_server.log import say
from cuvee_tfserving.model_server.refusals import Refused, invalid
from cuvee_tfserving.protos import (
    GetModelMetadataResponse,
    GetModelStatusResponse,
    PredictResponse,
    ReloadConfigResponse,
    SignatureDefMap,
)
from cuvee_tfserving.tensors import tensor_of

__all__ = ["ModelService", "PredictionService"]

S = TypeVar("S")

LONGEST = 3600.0
"""Seconds that a call without a deadline may take."""
SIGNATURES = "signature_def"


def _status(method: Callable[[S, Any, Any], Any]) -> Callable[[S, Any, grpc.ServicerContext], Any]:
    """Turns a method's exceptions into the call's status; unexpected ones are not shown to the caller."""

    @wraps(method)
    def handler(self: S, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except Refused as refused:
            context.abort(refused.code, refused.message)
        except Exception as problem:  # noqa: BLE001 - the process goes on, the caller learns no internals
            say("internal error", method=method.__name__, problem=repr(problem))
            context.abort(grpc.StatusCode.INTERNAL, "internal error; see the model server's log")

    return handler


def _spec(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


class PredictionService:
    """Predict and GetModelMetadata; the others are for TensorFlow's own Example messages."""

    def __init__(self, library: Library, batcher: Batcher) -> None:
        self._library = library
        self._batcher = batcher

    @_status
    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the proto's name
        """Run a signature."""
        spec = _spec(request)
        servable = self._library.find(spec)
        signature = servable.signature(spec.signature_name)
        inputs = servable.inputs(signature, request.inputs)
        wanted = servable.outputs(signature, request.output_filter)
        left = min(context.time_remaining() or LONGEST, LONGEST)
        outputs = self._batcher.submit(Work(servable, signature, inputs, time.monotonic() + left))
        context.add_callback(outputs.cancel)  # no work for a caller that has left
        try:
            found = outputs.result(left)
        except CancelledError:
            raise Refused(grpc.StatusCode.CANCELLED, "the caller left") from None
        except TimeoutError:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "not done within the deadline") from None
        response = PredictResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.model_spec.signature_name = signature
        for name in wanted:
            response.outputs[name].CopyFrom(tensor_of(found[name]))
        return response

    @_status
    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return a model's signatures."""
        spec = _spec(request)
        if list(request.metadata_field) != [SIGNATURES]:
            raise invalid(f"metadata_field must be [{SIGNATURES!r}], not {list(request.metadata_field)}")
        servable = self._library.find(spec)
        signatures = SignatureDefMap()
        for name, definition in servable.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = GetModelMetadataResponse()
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata[SIGNATURES].Pack(signatures)
        return response

    @_status
    def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Not here."""
        raise Refused(grpc.StatusCode.UNIMPLEMENTED, "this server answers Predict only")

    Regress = Classify
    MultiInference = Classify


class ModelService:
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @_status
    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return the states of a model's versions."""
        response = GetModelStatusResponse()
        for version, state in self._library.states(_spec(request)).items():
            told = response.model_version_status.add()
            told.version = version
            told.state = state.state
            if state.problem:
                told.status.error_code = grpc.StatusCode.UNKNOWN.value[0]
                told.status.error_message = state.problem[:2000]
        return response

    @_status
    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Serve other models; answers when they are loaded."""
        self._library.configure(models_of(request.config))
        return ReloadConfigResponse()
