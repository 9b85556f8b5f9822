"""``--help`` of every command at 80 columns: all that was written, and no word broken."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import typer
from cuvee.cli import program

from .conftest import Run


def commands() -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        found[path] = command
        for name, one in getattr(command, "commands", {}).items():
            walk(one, (*path, name))

    walk(typer.main.get_command(program()), ())
    return found


COMMANDS = commands()


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "cuvee")
def test_every_word_stands_whole(path: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(*path, "--help")
    assert done.code == 0
    assert "…" not in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    shown = set(done.out.replace("│", " ").split())
    command = COMMANDS[path]
    texts = [inspect.cleandoc(command.help or "")]
    texts += [param.help for param in command.params if getattr(param, "help", None) and not param.hidden]
    for text in texts:
        assert set(text.split()) <= shown, f"{path}: {sorted(set(text.split()) - shown)} of {text!r}"
    for param in command.params:
        if not getattr(param, "hidden", False):
            assert {o for o in param.opts if o.startswith("-")} <= set(done.out.replace(",", " ").split())


def test_an_option_may_be_written_with_underscores(run: Run, tmp_path: Any) -> None:
    assert run("dataset", "--cache_dir", tmp_path, "--list").code == 0
