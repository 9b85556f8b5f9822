"""The benchmark of serving runs, and what it measures has not fallen far behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cuvee.data.files.fetch import cache_root

pytest.importorskip("cuvee_lightfm", reason="the products are fitted with the plugins")

LEAST_RATIO = 0.1
"""Of Recommend with four sources to the echo of the same run, 32 callers: two fifths of what was measured last,
0.256, so that a busy machine does not fail it. Whoever makes serving faster raises it."""
SERVING = Path(__file__).with_name("serving.py")


def here() -> bool:
    """Whether MovieLens 100k is on this machine: tests download nothing."""
    places = [Path(os.environ.get("CUVEE_DATA", "/nowhere")), cache_root()]
    return any((place / "ml-100k" / "u.data").exists() for place in places)


@pytest.mark.skipif(not here(), reason="MovieLens 100k is not here: `cuvee dataset ml-100k`, or set CUVEE_DATA")
@pytest.mark.timeout(600)
def test_recommend_beside_an_echo(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(SERVING), "throughput", "--quick", "--seconds", "1.5", "--json", str(figures)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK answers a second" in done.stdout
    assert max(map(len, done.stdout.split("OK answers a second")[1].splitlines())) <= 100
    one, many = json.loads(figures.read_text())["rows"]
    assert (one["figures"]["callers"], many["figures"]["callers"]) == (1, 32)
    for row in (one, many):
        found, echo = row["figures"]["cuvee"], row["figures"]["echo"]
        assert found["whole"] == 1.0, "ten items with attributions in every answer that was looked at"
        assert found["degraded"] == 0.0
        assert set(echo["statuses"]) == {"0"}
        assert row["ratio"] == pytest.approx(found["rate"] / echo["rate"])
    assert many["ratio"] >= LEAST_RATIO


def test_a_section_that_there_is_not_names_those_that_there_are() -> None:
    done = subprocess.run([sys.executable, str(SERVING), "speed"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no section 'speed'" in done.stderr
    assert "throughput" in done.stderr
