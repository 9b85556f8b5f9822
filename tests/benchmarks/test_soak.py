"""The soak runs, and a short one finds errors under one in a thousand and nothing that grows."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).with_name("soak.py")


def test_a_short_soak() -> None:
    done = subprocess.run([sys.executable, str(SOAK), "--seconds", "20"], check=False, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unforeseen errors in the log: 0" in done.stdout
    assert "'kill'" in done.stdout, "each fault had its turn"
