"""The command as a whole: help, version, plugins, and how it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from cuvee import __version__
from cuvee.cli import program

from .conftest import Run

COMMANDS = sorted(typer.main.get_command(program(["check"])).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_examples(command: str, run: Run) -> None:
    done = run(command, "--help")
    assert done.code == 0
    assert "Examples" in done.out
    assert f"cuvee {command}" in done.out


def test_without_arguments_it_shows_what_there_is(run: Run) -> None:
    done = run()
    assert done.code == 2
    assert all(c in done.out + done.err for c in COMMANDS)


def test_version(run: Run) -> None:
    assert run("--version").out == f"cuvee {__version__}\n"


def test_python_m_cuvee_cli_starts_without_what_is_slow() -> None:
    slow = ("grpc", "sklearn", "faiss", "cuvee.training.fit", "cuvee.v1")
    code = f"import sys, cuvee.cli; print([m for m in {slow!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    done = subprocess.run([sys.executable, "-m", "cuvee.cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cuvee {__version__}\n"


def test_plugins_shows_name_origin_and_what_is_served(run: Run) -> None:
    done = run("plugins")
    assert done.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.strip()}
    assert rows["toy_pairs"] == ["recommender", "cuvee-toyplugin", "1.0.0", "session"]
    assert " ".join(rows["toy_popular"][3:]) == "known user, session, cold user"
    assert rows["exclude_seen"] == ["rule", "cuvee", __version__]
    assert rows["csv"][0] == "reader"


def test_plugins_as_json(run: Run) -> None:
    listed = json.loads(run("plugins", "--json").out)
    pairs = next(c for c in listed["components"] if c["name"] == "toy_pairs")
    assert pairs == {
        "name": "toy_pairs",
        "kind": "recommender",
        "distribution": "cuvee-toyplugin",
        "version": "1.0.0",
        "serves": ["SESSION"],
    }


def _install(folder: Path, name: str, source: str) -> None:
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[cuvee]\n{name} = {name}_plugin\n")
    (folder / f"{name}_plugin.py").write_text(source)


def test_a_broken_plugin_is_shown_with_the_reason(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "cracked", "import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("plugins")
    assert done.code == 0
    assert "broken: cracked of cracked 0.1: ModuleNotFoundError: No module named 'no_such_module'" in done.out
    (broken,) = [b for b in json.loads(run("plugins", "--json").out)["broken"] if b["name"] == "cracked"]
    assert broken["distribution"] == "cracked"


def test_two_plugins_with_one_name_are_an_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = "@cuvee.hookimpl\ndef register_recommenders():\n    return {'toy_pairs': toyplugin.ToyPairs}\n"
    source = f"import cuvee, toyplugin\n{hook}"
    _install(tmp_path, "rival", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("plugins")
    assert done.code == 2
    assert "rival 0.1" in done.err
    assert "cuvee-toyplugin 1.0.0" in done.err
