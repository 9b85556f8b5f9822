"""A product that was fitted twice, by the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cuvee.cli import main
from cuvee.testing import two_tribes

TESTS = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with its data, fitted twice."""
    monkeypatch.syspath_prepend(str(TESTS / "toyplugin"))
    shutil.copytree(TESTS / "cli/good", tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").mkdir()
    two_tribes().data.save(tmp_path / "data" / "toys")
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main(["fit", "--config", str(tmp_path / "cuvee.toml"), "--json"])
        assert not ended.value.code
    return tmp_path
