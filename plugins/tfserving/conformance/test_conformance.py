"""Runs cases.json against the model server at --address; see README.md."""

# ruff: noqa: S101 - pytest's way

import json
from pathlib import Path

import grpc
import pytest
from cuvee_tfserving.protos import (
    DataType,
    GetModelMetadataRequest,
    GetModelStatusRequest,
    ModelServiceStub,
    ModelVersionStatus,
    PredictionServiceStub,
    PredictRequest,
    ReloadConfigRequest,
    SignatureDefMap,
)
from cuvee_tfserving.tensors import array_of
from google.protobuf import json_format

CASES = json.loads((Path(__file__).parent / "cases.json").read_text())
RPCS = {
    "Predict": (PredictionServiceStub, PredictRequest),
    "GetModelMetadata": (PredictionServiceStub, GetModelMetadataRequest),
    "GetModelStatus": (ModelServiceStub, GetModelStatusRequest),
    "HandleReloadConfigRequest": (ModelServiceStub, ReloadConfigRequest),
}


@pytest.fixture(scope="session")
def channel(pytestconfig):
    """A channel to the server under test."""
    address = pytestconfig.getoption("--address", default=None)
    if address is None:
        pytest.skip("needs --address host:port of a model server; see README.md")
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=30)
        yield channel


def values(array):
    """An array's values, in order."""
    flat = array.ravel().tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in flat]


def predicted(response):
    """A PredictResponse in the cases' terms."""
    outputs = {name: array_of(tensor) for name, tensor in response.outputs.items()}
    return {
        "model": response.model_spec.name,
        "version": response.model_spec.version.value,
        "signature": response.model_spec.signature_name,
        "outputs": {
            n: {"dtype": str(a.dtype), "shape": list(a.shape), "values": values(a)} for n, a in outputs.items()
        },
    }


def described(tensors):
    """Inputs or outputs of a signature in the cases' terms."""
    return {
        name: [DataType.Name(tensor.dtype), [dim.size for dim in tensor.tensor_shape.dim]]
        for name, tensor in tensors.items()
    }


def metadata(response, wanted):
    """A GetModelMetadataResponse in the cases' terms."""
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    found = signatures.signature_def
    return {
        "model": response.model_spec.name,
        "version": response.model_spec.version.value,
        # a SavedModel has signatures of its own beside ours
        "signatures": {
            name: {"inputs": described(found[name].inputs), "outputs": described(found[name].outputs)}
            for name in found
            if name in wanted["signatures"]
        },
    }


def status(response):
    """A GetModelStatusResponse in the cases' terms."""
    state = ModelVersionStatus.State.Name
    return {"versions": {str(v.version): state(v.state) for v in response.model_version_status}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_conformance(channel, case):
    """The server replies, or refuses, as the case says."""
    stub, message = RPCS[case["rpc"]]
    call = getattr(stub(channel), case["rpc"])
    request = json_format.ParseDict(case["request"], message())
    if "code" in case:
        with pytest.raises(grpc.RpcError) as refused:
            call(request, timeout=10)
        assert refused.value.code().name == case["code"], refused.value.details()
        return
    response = call(request, timeout=10)
    wanted = case["reply"]
    if case["rpc"] == "Predict":
        assert predicted(response) == wanted
    elif case["rpc"] == "GetModelMetadata":
        assert metadata(response, wanted) == wanted
    else:
        assert status(response) == wanted
