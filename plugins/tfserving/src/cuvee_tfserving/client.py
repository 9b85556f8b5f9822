"""The client of the model server: a channel for each event loop, Predict calls, and the model's status.

It has no breaker, queue or retry, since the engine has those. Cancelling a call's task cancels the call
on the server too, so a request's budget also limits the call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from cuvee import trace_headers
from cuvee.channels import TO_A_SERVER, PerLoop

from cuvee_tfserving.failures import closed, failure_of, invalid
from cuvee_tfserving.protos import (
    GetModelStatusRequest,
    ModelServiceStub,
    ModelVersionStatus,
    PredictionServiceStub,
    PredictRequest,
)
from cuvee_tfserving.tensors import MalformedTensor, array_of, tensor_of

__all__ = ["OPTIONS", "Asked", "ModelClient", "Predicted", "Status", "live_versions"]

Arrays = Mapping[str, npt.NDArray[Any]]

OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    *TO_A_SERVER,
)

CHECK_EVERY = 2.0
"""Seconds that a status counts as fresh."""
CHECK_WITHIN = 1.0
"""Seconds that a status may take."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The model to ask, with its version or label."""

    name: str
    version: int | None = None
    """None is the newest."""
    label: str = ""
    """A version by its label."""

    def spec(self, request: Any, signature: str = "") -> Any:
        """Set the model in a request, and return the request."""
        spec = request.model_spec
        spec.name = self.name
        if self.version is not None:
            spec.version.value = self.version
        elif self.label:
            spec.version_label = self.label
        spec.signature_name = signature
        return request


@dataclass(frozen=True, slots=True)
class Predicted:
    """An answer, and the version of the model that gave it."""

    outputs: Arrays
    version: int

    def floats(
        self, name: str, shape: Sequence[int], where: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float32]:
        """One output, of float32 and the given shape, without NaN or infinity (where it counts).

        Raises:
            SourceFailure: INVALID_OUTPUT, if it is anything else.
        """
        found = self.outputs.get(name)
        if found is None:
            raise invalid(f"the model's answer has no output {name!r}")
        if found.shape != tuple(shape) or found.dtype != np.float32:
            raise invalid(f"the model answered {name} as {found.dtype}{list(found.shape)}, not float32{list(shape)}")
        if not np.isfinite(found if where is None else found[where]).all():
            raise invalid(f"the model answered {name} with NaN or infinity in it")
        return found


class ModelClient:
    """Calls one model at one address. May be used from any event loop and any thread."""

    def __init__(self, address: str, deadline: float) -> None:
        """``deadline`` in seconds, for each call."""
        self.address = address
        self._deadline = deadline
        self._channels: PerLoop[Any] = PerLoop(address, OPTIONS, PredictionServiceStub)

    async def predict(self, asked: Asked, signature: str, inputs: Arrays, patience: float = 1.0) -> Predicted:
        """One Predict, within ``patience`` times the deadline.

        Raises:
            SourceFailure: with the typed reason.
        """
        request = asked.spec(PredictRequest(), signature)
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(tensor_of(array))
        stub = self._channels.stub()
        if stub is None:
            raise closed()
        try:
            response = await stub.Predict(request, timeout=patience * self._deadline, metadata=trace_headers())
        except grpc.aio.AioRpcError as problem:
            raise failure_of(problem.code()) from problem
        except grpc.aio.UsageError as problem:  # the channel was closed in the meantime
            raise closed() from problem
        try:
            outputs = {name: array_of(tensor) for name, tensor in response.outputs.items()}
        except MalformedTensor as problem:
            raise invalid("the model's answer holds a malformed tensor") from problem
        return Predicted(MappingProxyType(outputs), int(response.model_spec.version.value))

    def close(self) -> None:
        """Close every channel. May be called again, and from any thread."""
        self._channels.close()


class Status:
    """Whether the model is available, by its last known status, without waiting for a call.

    A status older than :data:`CHECK_EVERY` seconds is renewed in the background, by a channel with
    gRPC's own threads, which needs no event loop.
    """

    def __init__(self, address: str, asked: Asked) -> None:
        self._address = address
        self._asked = asked
        self._lock = threading.Lock()
        self._channel: grpc.Channel | None = None
        self._healthy = True
        self._checked = -CHECK_EVERY
        self._closed = False

    @property
    def healthy(self) -> bool:
        """The last known status; True before the first one."""
        with self._lock:
            if not self._closed and time.monotonic() - self._checked >= CHECK_EVERY:
                self._checked = time.monotonic()
                if self._channel is None:
                    self._channel = grpc.insecure_channel(self._address, options=OPTIONS)
                stub = ModelServiceStub(self._channel)
                request = self._asked.spec(GetModelStatusRequest())
                stub.GetModelStatus.future(request, timeout=CHECK_WITHIN).add_done_callback(self._heard)
        return self._healthy

    def _heard(self, call: Any) -> None:
        if call.cancelled():
            return
        self._healthy = call.code() is grpc.StatusCode.OK and bool(live_versions(call.result()))

    def close(self) -> None:
        """Close the channel. May be called again."""
        with self._lock:
            self._closed = True
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def live_versions(response: Any) -> list[int]:
    """The available versions of a GetModelStatusResponse."""
    return [v.version for v in response.model_version_status if v.state == ModelVersionStatus.AVAILABLE]
