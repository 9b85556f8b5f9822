"""A model server for a newly trained model: the configured one, or an embedded one."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc

from cuvee_tfserving.client import OPTIONS, Asked, live_versions
from cuvee_tfserving.config import EMBEDDED, TfServingConfig
from cuvee_tfserving.fitting.artefact import Artefact
from cuvee_tfserving.fitting.embedded import Embedded, start
from cuvee_tfserving.protos import (
    GetModelMetadataRequest,
    GetModelStatusRequest,
    ModelServiceStub,
    PredictionServiceStub,
    SignatureDefMap,
)

__all__ = ["check_signatures", "serve_own", "served_for_fit"]

PAUSE = 0.1
ONE_VERSION = """model_config_list {{ config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ specific {{ versions: {version} }} }} }} }}
"""

log = logging.getLogger(__name__)


def served_for_fit(config: TfServingConfig, fitted: Artefact) -> Embedded | None:
    """Wait until the published version is served, and check it; returns the server if it is an embedded one.

    Where none is configured, or it cannot be reached, or does not serve the version in time, an embedded
    one is started. The engine needs the fitted model's answers for calibration, no server may run yet at
    the first fit, and the training must not be lost because of that.

    Raises:
        RuntimeError: the version cannot be served, or its signatures are not what the config says.
    """
    if config.address != EMBEDDED and _reached(config.address):
        said = _await(config.address, config.model, fitted.version, config.publish_wait)
        if said is None:
            check_signatures(config.address, config, fitted)
            return None
        log.warning(
            "the model server at %s does not serve version %d of %s, which was just published (it says: %s): "
            "does it watch %s? An embedded one is used while the model is calibrated",
            config.address,
            fitted.version,
            config.model,
            said,
            config.model_root / config.model,
        )
    return serve_own(config, fitted)


def serve_own(config: TfServingConfig, fitted: Artefact) -> Embedded:
    """An embedded server with the fitted version, checked.

    Raises:
        RuntimeError: as :func:`served_for_fit`.
    """
    base = (config.model_root / config.model).absolute()
    with tempfile.TemporaryDirectory(prefix="cuvee-model-server-") as folder:
        file = Path(folder) / "models.config"
        file.write_text(ONE_VERSION.format(name=config.model, base=base, version=fitted.version))
        embedded = start(["--port", "0", "--model_config_file", str(file)])
    try:
        _check_own(embedded.address, config, fitted)
    except BaseException:
        embedded.stop()
        raise
    return embedded


def _check_own(address: str, config: TfServingConfig, fitted: Artefact) -> None:
    said = _await(address, config.model, fitted.version, config.publish_wait)
    if said is not None:
        folder = config.model_root / config.model / str(fitted.version)
        raise RuntimeError(f"{folder} cannot be served: {said}")
    check_signatures(address, config, fitted)


def _reached(address: str) -> bool:
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=2.0)
        except grpc.FutureTimeoutError:
            return False
    return True


def _await(address: str, model: str, version: int, seconds: float) -> str | None:
    """None when the version is served, else what the server said last."""
    until, said = time.monotonic() + seconds, "nothing"
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = ModelServiceStub(channel)
        while time.monotonic() < until:
            try:
                status = stub.GetModelStatus(
                    Asked(model).spec(GetModelStatusRequest()), timeout=2.0, wait_for_ready=True
                )
            except grpc.RpcError as problem:
                said = str(problem.details())
            else:
                if version in live_versions(status):
                    return None
                broken = {v.version: v.status.error_message for v in status.model_version_status}
                said = "; ".join(f"version {v}: {message or 'served'}" for v, message in broken.items())
                if broken.get(version):
                    return said
            time.sleep(PAUSE)
    return said


def check_signatures(address: str, config: TfServingConfig, fitted: Artefact) -> None:
    """Check by GetModelMetadata that the model has the configured signatures.

    Raises:
        RuntimeError: naming the setting that would be right.
    """
    request = Asked(config.model, fitted.version).spec(GetModelMetadataRequest())
    request.metadata_field.append("signature_def")
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        try:
            response = PredictionServiceStub(channel).GetModelMetadata(request, timeout=10.0, wait_for_ready=True)
        except grpc.RpcError as problem:
            raise RuntimeError(
                f"the model server at {address} does not tell the signatures of version {fitted.version} of "
                f"{config.model!r}: {problem.code().name}: {problem.details()}"
            ) from problem
    found = SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    history = {"history", "ages"} if config.training.relative else {"history"}
    if fitted.vectors is None:
        wanted = {"score_signature": (config.score_signature, {*history, "items"}, "scores")}
    else:
        wanted = {"user_signature": (config.user_signature, history, "vector")}
    if fitted.features is not None:
        wanted["item_signature"] = (config.item_signature, {"features"}, "vector")
    for setting, (name, inputs, output) in wanted.items():
        definition = found.signature_def.get(name)
        if definition is None or set(definition.inputs) != inputs or output not in definition.outputs:
            raise RuntimeError(
                f"version {fitted.version} of {config.model!r} has no signature {name!r} from {sorted(inputs)} "
                f"to {output!r}; it has: {_described(found)}. Set {setting}, or export the model with it "
                "(training.relative says whether ages are sent)"
            )
        if "history" in inputs:
            _check_length(definition.inputs["history"], config)


def _check_length(history: Any, config: TfServingConfig) -> None:
    dims = history.tensor_shape.dim
    if len(dims) == 2 and dims[1].size not in {-1, config.length}:
        raise RuntimeError(
            f"{config.model!r} reads {dims[1].size} events and would be sent {config.length}: "
            f"set max_history = {dims[1].size}"
        )


def _described(signatures: Any) -> str:
    return "; ".join(
        f"{name}: {sorted(definition.inputs)} to {sorted(definition.outputs)}"
        for name, definition in sorted(signatures.signature_def.items())
        if not name.startswith("__")
    )
