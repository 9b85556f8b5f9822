"""A model server for a model fresh from its training: the configured one, or one of our own."""

from __future__ import annotations

import atexit
import time

import grpc

from cuvee_tfserving.client import OPTIONS, Asked, live_versions
from cuvee_tfserving.config import TfServingConfig
from cuvee_tfserving.embedded import start
from cuvee_tfserving.protos import GetModelStatusRequest, ModelServiceStub

__all__ = ["served_for_fit"]

PAUSE = 0.1


def served_for_fit(config: TfServingConfig, version: int) -> str | None:
    """Wait until the published version is served, and give the address where, if not the configured one.

    Where nothing listens at the configured address, an embedded server is started, which ends with
    this process: the engine asks a fitted model to calibrate it, and a first fit comes before
    anything is served.

    Raises:
        RuntimeError: the configured server does not serve the version in ``config.publish_wait``.
    """
    until = time.monotonic() + config.publish_wait
    if _reached(config.address):
        _await(config.address, config.model, version, until)
        return None
    base = (config.model_root / config.model).absolute()
    embedded = start(["--port", "0", "--model_name", config.model, "--model_base_path", str(base)], config.publish_wait)
    atexit.register(embedded.stop)
    _await(embedded.address, config.model, version, until)
    return embedded.address


def _reached(address: str) -> bool:
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=1.0)
        except grpc.FutureTimeoutError:
            return False
    return True


def _await(address: str, model: str, version: int, until: float) -> None:
    said = "nothing"
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = ModelServiceStub(channel)
        while time.monotonic() < until:
            try:
                status = stub.GetModelStatus(Asked(model).spec(GetModelStatusRequest()), timeout=2.0)
            except grpc.RpcError as problem:
                said = str(problem.details())
            else:
                if version in live_versions(status):
                    return
                said = "; ".join(f"version {v.version}: {v.status.error_message}" for v in status.model_version_status)
            time.sleep(PAUSE)
    raise RuntimeError(
        f"the model server at {address} does not serve version {version} of {model!r}, which was just published; "
        f"does it watch the same folder? It says: {said}"
    )
