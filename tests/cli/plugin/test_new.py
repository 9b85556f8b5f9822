"""``cuvee plugin new``: each kind's tests pass as it is written, and an installed one is found and works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import Run

KINDS = ("recommender", "rule", "blender", "calibrator", "reader")


def command(*arguments: object, path: Path | None = None, cwd: Path | None = None) -> str:
    environment = {**os.environ, "CUVEE_CONFIG": "", **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plugin of each kind."""
    from cuvee.cli.plugin.writing import Kind, Names, write  # noqa: PLC0415

    root = tmp_path_factory.mktemp("plugins")
    for kind in KINDS:
        write(root / f"cuvee-an-{kind}", Kind(kind), Names.of(f"cuvee-an-{kind}"))
    return {kind: root / f"cuvee-an-{kind}" for kind in KINDS}


def test_the_tests_of_each_kind_pass_at_once(written: dict[str, Path], tmp_path: Path) -> None:
    """All five in one process; alone each takes `pytest` in its folder."""
    sources = os.pathsep.join(str(folder / "src") for folder in written.values())
    out = command(
        "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull,
        "--rootdir", tmp_path, *(folder / "tests" for folder in written.values()),
        path=Path(sources), cwd=tmp_path,
    )  # fmt: skip
    for kind in KINDS:
        assert f"test_{kind}.py::TestAn{kind.capitalize()}" in out
    assert "failed" not in out.splitlines()[-1]


def test_an_installed_one_is_found_and_used(written: dict[str, Path], tmp_path: Path) -> None:
    there = tmp_path / "installed"
    command("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", there, written["reader"])
    shown = json.loads(command("cuvee.cli", "plugins", "--json", path=there))
    mine = next(one for one in shown["components"] if one["distribution"] == "cuvee-an-reader")
    assert (mine["name"], mine["kind"]) == ("an_reader", "reader")
    plays = tmp_path / "plays.jsonl"
    plays.write_text("\n".join(json.dumps({"uid": f"u{n % 3}", "item": n, "time": 1.6e9 + n}) for n in range(9)))
    command("cuvee.cli", "import", plays, "--dataset", "plays", "--map", "user=uid", path=there, cwd=tmp_path)
    assert (tmp_path / "var/data/plays/events.arrow").exists()


def test_what_is_written_says_what_to_do_next(run: Run, tmp_path: Path) -> None:
    done = run("plugin", "new", "our-own", "--into", tmp_path)
    assert done.code == 0
    lines = done.out.splitlines()
    told = [line.strip() for line in lines[lines.index("Next:") + 1 :]]
    assert told[1:3] == ["pip install -e '.[test]'", "pytest"]
    assert any('plugin = "our_own"' in line for line in told)
    written = {str(path.relative_to(tmp_path / "our-own")) for path in (tmp_path / "our-own").rglob("*.*")}
    assert {"pyproject.toml", "README.md", "src/our_own/py.typed", "tests/test_recommender.py"} <= written
    assert not [path for path in (tmp_path / "our-own").rglob("*") if path.is_file() and "$" in path.read_text()]


def test_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    (tmp_path / "file").write_text("a file")
    for name in ("mine", "file"):
        done = run("plugin", "new", name, "--kind", "rule", "--into", tmp_path)
        assert done.code == 2
        assert "exists already" in done.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert run("plugin", "new", "empty", "--into", tmp_path).code == 0
    assert run("plugin", "new", "empty", "--into", tmp_path).code == 2


FORMS = ["", "Mine", "my_own", "-x", "x-", "a--b", "1st", "ä", "../x", "a/b", "a" * 51]


@pytest.mark.parametrize("name", [*FORMS, "class", "json", "csv", "cuvee", "numpy"])
def test_a_name_that_cannot_be_one(run: Run, tmp_path: Path, name: str) -> None:
    done = run("plugin", "new", "--into", tmp_path, "--", name)
    assert done.code == 2
    assert "NAME" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name"), [("rule", "quota"), ("reader", "movielens"), ("calibrator", "cuvee-quantile")]
)
def test_a_name_that_is_taken(run: Run, tmp_path: Path, kind: str, name: str) -> None:
    done = run("plugin", "new", name, "--kind", kind, "--into", tmp_path)
    assert done.code == 2
    assert "already brings" in done.err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("plugin", "new", "mine", "--into", tmp_path / "file")
    assert done.code == 2
    assert "cannot be written" in done.err
