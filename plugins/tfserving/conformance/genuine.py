"""The cases against the genuine TensorFlow Serving, in Docker: ``make conformance``.

Makes the model, starts the image on a free port of this machine, runs the cases, and takes the
container away. Ends with pytest's status; 2 where Docker does not run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from cuvee_tfserving.protos import GetModelStatusRequest, ModelServiceStub, ModelVersionStatus

HERE = Path(__file__).resolve().parent
IMAGE = "tensorflow/serving:2.21.0"
"""The version that the requirements pin of its API."""
PATIENCE = 120.0
"""Seconds that the server has to load its models in."""
VERSIONS = 2


def docker(*arguments: str) -> str:
    """What a command of Docker's prints; its progress and complaints go to the terminal.

    Raises:
        SystemExit: Docker is not there, or refuses.
    """
    try:
        done = subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603, S607 - the person's own docker
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.stderr.write(f"docker {arguments[0]}: {problem}\nThis needs Docker, running, and the image to be had.\n")
        raise SystemExit(2) from problem
    return done.stdout.strip()


@contextmanager
def serving(image: str, models: Path) -> Iterator[str]:
    """The address of the image's gRPC port, for as long as the context lasts."""
    container = docker(
        "run", "--detach", "--publish", "127.0.0.1::8500", "--volume", f"{models}:/models:ro", image,
        "--model_config_file=/models/models.config", "--allow_version_labels_for_unavailable_models=true",
    )  # fmt: skip
    try:
        address = docker("port", container, "8500/tcp").splitlines()[0]
        if not loaded(address):
            sys.stderr.write(docker("logs", container) + f"\n{image} loads no model within {PATIENCE:.0f} s\n")
            raise SystemExit(2)
        yield address
    finally:
        docker("rm", "--force", container)


def loaded(address: str) -> bool:
    """Wait until all versions are served."""
    request = GetModelStatusRequest()
    request.model_spec.name = "conformance"
    until = time.monotonic() + PATIENCE
    with grpc.insecure_channel(address) as channel:
        while time.monotonic() < until:
            try:
                said = ModelServiceStub(channel).GetModelStatus(request, timeout=2)
            except grpc.RpcError:
                said = None  # nobody listens yet
            states = [one.state for one in said.model_version_status] if said else []
            if states.count(ModelVersionStatus.AVAILABLE) == VERSIONS:
                return True
            time.sleep(0.2)
    return False


def main() -> int:
    """Run the command."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--image", default=IMAGE, help=f"by default {IMAGE}")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="cuvee-conformance-") as folder:
        models = Path(folder).resolve()
        models.chmod(0o755)  # the container may be another user
        subprocess.run([sys.executable, str(HERE / "models.py"), folder], check=True)  # noqa: S603 - our own script
        with serving(given.image, models) as address:
            sys.stdout.write(f"{given.image} at {address}\n")
            sys.stdout.flush()
            cases = [sys.executable, "-m", "pytest", "-q", str(HERE), "--address", address]
            return subprocess.run(cases, check=False).returncode  # noqa: S603 - our own tests


if __name__ == "__main__":
    sys.exit(main())
