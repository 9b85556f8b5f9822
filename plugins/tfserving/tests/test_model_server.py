"""The embedded server as a process: swaps under load, reloads, deadlines, an orderly end."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from cuvee_tfserving.client import OPTIONS, Asked
from cuvee_tfserving.protos import (
    GetModelStatusRequest,
    ModelServiceStub,
    ModelVersionStatus,
    PredictionServiceStub,
    PredictRequest,
    ReloadConfigRequest,
)
from cuvee_tfserving.tensors import array_of, tensor_of

DEEP = Asked("deep")


def request(rows=1, asked=DEEP, signature="user_vector"):
    made = asked.spec(PredictRequest(), signature)
    made.inputs["history"].CopyFrom(tensor_of(np.tile(np.arange(8, dtype=np.int32), (rows, 1))))
    return made


def states(channel, name="deep"):
    found = ModelServiceStub(channel).GetModelStatus(Asked(name).spec(GetModelStatusRequest()), timeout=5)
    return {v.version: ModelVersionStatus.State.Name(v.state) for v in found.model_version_status}


@pytest.fixture
def channel_to():
    channels = []

    def reach(server):
        channels.append(grpc.insecure_channel(server.address, options=OPTIONS))
        return channels[-1]

    yield reach
    for channel in channels:
        channel.close()


class Load:
    """Threads that call without pause, and the results of their calls."""

    def __init__(self, channel, threads):
        self.versions, self.failures = [], []
        self._stub = PredictionServiceStub(channel)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(threads)]

    def _call(self):
        while not self._over.is_set():
            try:
                response = self._stub.Predict(request(), timeout=10)
                assert np.isfinite(array_of(response.outputs["vector"])).all()
                self.versions.append(response.model_spec.version.value)
            except (grpc.RpcError, AssertionError) as problem:
                self.failures.append(problem)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


def test_a_life(serving, made, publish, channel_to, tmp_path):
    """Swaps under load lose nothing, in either direction, and neither does a broken version."""
    publish(made["one"], tmp_path, 1)
    server = serving("--model_base_path", tmp_path / "deep")
    server.wait_for("version available", version=1)
    channel = channel_to(server)
    with Load(channel, 4) as load:
        time.sleep(0.3)
        publish(made["two"], tmp_path, 2)
        began = time.monotonic()
        server.wait_for("version unloaded", version=1)
        swapped = time.monotonic() - began
        (tmp_path / "deep" / "3").mkdir()
        (tmp_path / "deep" / "3" / "saved_model.pb").write_bytes(b"no model")
        server.wait_for("version broken", version=3)
        time.sleep(0.2)
        (tmp_path / "deep" / "2").rename(tmp_path / "deep" / "away")
        server.wait_for("version unloaded", version=2)
    print(f"\n{len(load.versions)} calls over three changes, {len(load.failures)} lost; live after {swapped:.2f} s")
    assert load.failures == []
    assert len(load.versions) > 100
    assert set(load.versions) == {1, 2}
    assert states(channel) == {3: "END", 2: "END", 1: "AVAILABLE"}

    # a version whose warm-up request fails is broken, too
    publish(made["two"], tmp_path, 4)
    server.wait_for("version available", version=4)
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    publish(made["scoring"], spoilt, 5)
    warm_up = made["one"] / "assets.extra" / "tf_serving_warmup_requests"
    (spoilt / "deep" / "5" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(warm_up.read_bytes())
    (spoilt / "deep" / "5").rename(tmp_path / "deep" / "5")
    assert "user_vector" in server.wait_for("version broken", version=5)["problem"]
    assert states(channel)[4] == "AVAILABLE"

    # an orderly end: calls in flight are answered, new ones refused
    with Load(channel, 2) as load:
        time.sleep(0.2)
        server.process.terminate()
        assert server.process.wait(20) == 0
        time.sleep(0.2)
    refused = {f.code() for f in load.failures}
    assert refused <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert load.versions


CONFIG = """
model_config_list {{
  config {{ name: "deep" base_path: "{0}/deep" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }} version_labels {{ key: "stable" value: 1 }} }}
  {1}
}}
"""


def test_configuration_changes_while_it_serves(serving, made, publish, channel_to, tmp_path):
    publish(made["one"], tmp_path, 1)
    publish(made["two"], tmp_path, 2)
    publish(made["slow"], tmp_path, 1, "slow")
    file = tmp_path / "models.config"
    file.write_text(CONFIG.format(tmp_path, ""))
    server = serving("--model_config_file", file, "--model_config_file_poll_wait_seconds", "0.05")
    server.wait_for("version available", version=1)
    channel = channel_to(server)
    predict = PredictionServiceStub(channel).Predict

    def version(asked):
        return predict(request(asked=asked), timeout=5).model_spec.version.value

    assert version(Asked("deep")) == 2
    assert version(Asked("deep", label="stable")) == 1

    # by HandleReloadConfigRequest
    reload = ReloadConfigRequest()
    for name, versions, label in (("deep", (1, 2), 2), ("slow", (1,), 1)):
        config = reload.config.model_config_list.config.add()
        config.name, config.base_path, config.model_platform = name, str(tmp_path / name), "tensorflow"
        config.model_version_policy.specific.versions.extend(versions)
        config.version_labels["stable"] = label
    assert ModelServiceStub(channel).HandleReloadConfigRequest(reload, timeout=30).status.error_code == 0
    assert version(Asked("deep", label="stable")) == 2

    # a slow run (20 billion multiplications) is given up at its deadline, and one that its caller left is not run
    with pytest.raises(grpc.RpcError) as late:
        predict(request(64, Asked("slow")), timeout=0.02)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    calls = [predict.future(request(1, Asked("slow")), timeout=30) for _ in range(8)]
    calls[-1].cancel()
    assert all(call.result() for call in calls[:-1])

    # labels of versions that are not served are refused
    reload.config.model_config_list.config[0].version_labels["stable"] = 9
    with pytest.raises(grpc.RpcError) as refused:
        ModelServiceStub(channel).HandleReloadConfigRequest(reload, timeout=30)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert version(Asked("deep", label="stable")) == 2

    # by the file; a bad one changes nothing
    file.write_text("models: 3")
    server.wait_for("configuration refused")
    assert version(Asked("slow")) == 1
    file.write_text(CONFIG.format(tmp_path, "# again"))
    server.wait_for("configuration read")
    with pytest.raises(grpc.RpcError) as gone:
        version(Asked("slow"))
    assert gone.value.code() is grpc.StatusCode.NOT_FOUND
    assert version(Asked("deep", label="stable")) == 1

    for method in ("Classify", "Regress", "MultiInference"):
        call = channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        with pytest.raises(grpc.RpcError) as not_here:
            call(b"", timeout=5)
        assert not_here.value.code() is grpc.StatusCode.UNIMPLEMENTED


STARTER = """
import sys
from cuvee_tfserving.fitting.embedded import start
print(start(["--port", "0", "--model_base_path", "/nowhere"], 90).process.pid, flush=True)
sys.stdin.read()
"""


def test_an_embedded_server_ends_with_the_process_that_started_it():
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    server = Path("/proc") / starter.stdout.readline().strip()
    assert server.exists()
    starter.kill()
    starter.communicate()
    until = time.monotonic() + 15
    while server.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not server.exists()


@pytest.mark.parametrize("command", ["-m cuvee.cli model-server", "-m cuvee_tfserving.model_server"])
def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(command, serving, made, publish, tmp_path):
    publish(made["one"], tmp_path, 1)
    server = serving("--model-base-path", tmp_path / "deep")
    port = server.address.rpartition(":")[2]
    arguments = [*command.split(), "--port", port, "--model-base-path", str(tmp_path / "deep")]
    done = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=90)
    assert done.returncode == 2, done.stderr
    assert f"error: cannot listen on {server.address}: is another server there already?" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Stop it, or give another --port" in done.stderr


def test_sighup_reads_the_configuration_again_and_ends_nothing(serving, made, publish, channel_to, tmp_path):
    publish(made["one"], tmp_path, 1)
    publish(made["two"], tmp_path, 1, "second")
    one = f'config {{ name: "deep" base_path: "{tmp_path / "deep"}" model_platform: "tensorflow" }}'
    two = f'config {{ name: "second" base_path: "{tmp_path / "second"}" model_platform: "tensorflow" }}'
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ {one} }}")
    server = serving("--model_config_file", file)
    server.wait_for("version available", model="deep")
    file.write_text("nonsense")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("configuration refused")
    file.write_text(f"model_config_list {{ {one} {two} }}")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("version available", model="second")
    assert states(channel_to(server)) == {1: "AVAILABLE"}


def test_sighup_without_a_configuration_file_changes_nothing(serving, made, publish, channel_to, tmp_path):
    publish(made["one"], tmp_path, 1)
    server = serving("--model-base-path", tmp_path / "deep")
    server.wait_for("version available", model="deep")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("SIGHUP")
    assert states(channel_to(server)) == {1: "AVAILABLE"}
    assert server.process.poll() is None
