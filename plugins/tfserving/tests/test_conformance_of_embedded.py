"""The embedded server answers the conformance cases as TensorFlow Serving does."""

import re
import subprocess
import sys
from pathlib import Path

CONFORMANCE = Path(__file__).parents[1] / "conformance"


def test_embedded_server_conforms(shared):
    server, _ = shared
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(CONFORMANCE), "--address", server.address],
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 40
