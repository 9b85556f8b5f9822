"""The examples of docs/examples run, and show what their pages say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cuvee.data.files.fetch import fetch
from cuvee.errors import DataError

pytest.importorskip("cuvee_content")
pytest.importorskip("cuvee_lightfm")
pytest.importorskip("cuvee_neighbors")
pytest.importorskip("cuvee_popular")

ROOT = Path(__file__).parents[1]


def shown(name: str, dataset: str, folder: Path) -> str:
    try:
        fetch(dataset)
    except DataError as problem:
        pytest.skip(f"the data of this example cannot be fetched here: {problem}")
    script = ROOT / "docs" / "examples" / name / "run.py"
    done = subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, timeout=280, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_films(tmp_path: Path) -> None:
    said = shown("films", "ml-100k", tmp_path / "films")
    assert "genre: Film-Noir" in said
    assert re.search(r"A film that came in a moment ago is number \d+ of", said)


def test_a_shop(tmp_path: Path) -> None:
    said = shown("shop", "complete-journey", tmp_path / "shop")
    assert "bought_before" in said
    gone = re.search(r"^(.*) is out of stock: the very next list$", said, re.M)
    assert gone  # run.py itself looks that it is in the list no more


def test_items_that_live_for_days(tmp_path: Path) -> None:
    said = shown("offers", "complete-journey", tmp_path / "offers")
    bought, chance = (float(share) for share in re.findall(r"([\d.]+)%", said.splitlines()[-1]))
    assert bought > 2 * chance
