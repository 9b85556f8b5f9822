import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cuvee.v1 import recommender_pb2 as pb
from cuvee.v1.recommender_pb2_grpc import RecommenderServiceStub

HERE = Path(__file__).parent
PROTOS = HERE.parents[2] / "proto"


class Process:
    """A remote recommender in a process of its own, which can be killed, stopped and started again at its address."""

    def __init__(self, command, address, environment=None):
        self.address = address
        self._command = [part.replace("ADDRESS", address) for part in map(str, command)]
        self._environment = {**os.environ, **(environment or {})}
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, env=self._environment)
        with grpc.insecure_channel(self.address) as channel:
            RecommenderServiceStub(channel).Describe(pb.DescribeRequest(), timeout=60, wait_for_ready=True)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def free_address():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture(scope="module")
def processes():
    """Start remote recommenders of Python: ``module:Class`` and a folder for models."""
    started = []

    def begin(component, folder):
        options = ["remote-server", component, "--folder", folder, "--listen", "ADDRESS"]
        started.append(Process([sys.executable, "-m", "cuvee.cli", *options], free_address()))
        return started[-1]

    yield begin
    for one in started:
        one.end()


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """The command that runs the recommender in Node.js at ADDRESS, installed as its lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node.js here: install node and npm")
    folder = tmp_path_factory.mktemp("node")
    for file in (HERE / "node").iterdir():
        shutil.copy(file, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot reach its registry from here: `npm ci` got no answer")
    if done.returncode:
        reached = not any(code in done.stderr for code in ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT"))
        assert not reached, done.stderr
        pytest.skip("npm cannot reach its registry from here")
    return ["node", folder / "recommender.js", "ADDRESS", PROTOS]
