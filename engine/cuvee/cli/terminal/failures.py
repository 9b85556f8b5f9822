"""Error messages on stderr: what is wrong, where, and what to do."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from cuvee.errors import ConfigError, CuveeError, Mistake, OperatorError, RequestError

__all__ = ["exit_code", "show", "warn"]


def exit_code(problem: CuveeError) -> int:
    """2 where the user must change something, 1 where the same may work later."""
    return 2 if isinstance(problem, RequestError | OperatorError) else 1


def show(problem: CuveeError) -> None:
    """Print an error to stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if isinstance(problem, ConfigError):
        _show_mistakes(console, problem.mistakes)
    else:
        console.print(Text.assemble(("error: ", "bold red"), str(problem)))


def warn(warning: str) -> None:
    """Print a warning to stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(("warning: ", "bold yellow"), warning))


def _show_mistakes(console: Console, mistakes: tuple[Mistake, ...]) -> None:
    many = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    console.print(Text.assemble(("error: ", "bold red"), f"the configuration has {many}"))
    for file in dict.fromkeys(m.file for m in mistakes):
        console.print(Text(f"  {file}", "bold"))
        for mistake in (m for m in mistakes if m.file == file):
            path = Text(f"{mistake.path}: ", "cyan") if mistake.path else Text()
            console.print(Text.assemble("    ", path, mistake.message))
