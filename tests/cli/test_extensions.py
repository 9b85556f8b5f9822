"""Commands of plugins: found by entry point, imported only when asked for."""

from types import SimpleNamespace
from typing import Any

import pytest
import typer
from cuvee.cli.extensions import add_commands
from cuvee.errors import PluginError
from typer.testing import CliRunner


class Point:
    def __init__(self, name: str, distribution: str, command: Any) -> None:
        self.name, self.value, self.dist = name, "", SimpleNamespace(name=distribution)
        self._command = command
        self.loaded = False

    def load(self) -> Any:
        self.loaded = True
        if isinstance(self._command, Exception):
            raise self._command
        return self._command


def greet(name: str = "you") -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}")


def own() -> None:
    """One of ours."""


def build(monkeypatch: pytest.MonkeyPatch, arguments: list[str], *points: Point) -> typer.Typer:
    monkeypatch.setattr("cuvee.cli.extensions.entry_points", lambda group: points)
    app = typer.Typer()
    app.command()(own)
    app.command("second")(own)
    add_commands(app, arguments)
    return app


def test_the_command_asked_for_runs_and_others_are_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, other = Point("greet", "d1", greet), Point("other", "d2", greet)
    app = build(monkeypatch, ["greet"], wanted, other)
    assert CliRunner().invoke(app, ["greet", "--name", "Ann"]).output == "hello Ann\n"
    assert not other.loaded


def test_the_help_lists_all(monkeypatch: pytest.MonkeyPatch) -> None:
    app = build(monkeypatch, ["--help"], Point("greet", "d1", greet), Point("other", "d2", greet))
    said = CliRunner().invoke(app, ["--help"]).output
    assert "greet" in said
    assert "other" in said


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([Point("greet", "d1", greet), Point("greet", "d2", greet)], "both d1 and d2"),
        ([Point("own", "d1", greet)], "which cuvee has itself"),
        ([Point("second", "d1", greet)], "which cuvee has itself"),
        ([Point("greet", "d1", ImportError("no torch"))], "'greet' of d1 cannot be imported: no torch"),
    ],
)
def test_conflicts_name_who_must_go(monkeypatch: pytest.MonkeyPatch, points: list[Point], says: str) -> None:
    with pytest.raises(PluginError, match=says):
        build(monkeypatch, ["greet"], *points)
