"""The command, run in this process on the toy plugin and on real files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cuvee import Catalog, Dataset, Entities, Role
from cuvee.cli import main

HERE = Path(__file__).parent
TOYPLUGIN = HERE.parent / "toyplugin"


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``cuvee ARGUMENTS`` with the toy plugin installed."""
    monkeypatch.syspath_prepend(str(TOYPLUGIN))
    monkeypatch.setenv("COLUMNS", "160")
    for name in [n for n in os.environ if n.startswith("CUVEE_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else int(code is not None), said.out, said.err)

    return run


def toy_data() -> Dataset:
    """Twelve users, ten items: even users like even items, odd ones odd items; user u starts at u."""
    items = pl.DataFrame(
        {
            "id": [f"i{n}" for n in range(10)],
            "title": [f"Item {n}" for n in range(10)],
            "year": [float(1990 + n) for n in range(10)],
        }
    )
    users = Entities.of_ids([f"u{n}" for n in range(12)])
    catalog = Catalog(Entities.of(items, {"title": Role.TEXT, "year": Role.NUMBER}), users)
    pairs = [(u, (u + 2 * step) % 10) for u in range(12) for step in range(4)]
    return Dataset.build(catalog, [u for u, _ in pairs], [i for _, i in pairs], np.arange(len(pairs)) * 60.0 + 1e9)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a good configuration and its data, nothing fitted."""
    shutil.copytree(HERE / "good", tmp_path, dirs_exist_ok=True)
    (tmp_path / "data").mkdir()
    toy_data().save(tmp_path / "data" / "toys")
    return tmp_path
