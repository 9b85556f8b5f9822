"""Commands of plugins: entry points in the group ``cuvee.commands``.

An entry point's name is the command's, its object a function that typer can make a command of; the
function's docstring is the help. Only the command that was asked for is imported, and all of them
for ``cuvee --help``. They are not pluggy hooks, since asking hooks would import every plugin to
run any command.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

import typer

from cuvee.errors import PluginError

__all__ = ["GROUP", "add_commands"]

GROUP = "cuvee.commands"


def add_commands(app: typer.Typer, arguments: Sequence[str]) -> None:
    """Add the command that ``arguments`` name, or all of them where none is named.

    Raises:
        PluginError: two distributions bring one name, or a command cannot be imported.
    """
    wanted = next((a for a in arguments if not a.startswith("-")), None)
    own = {c.name or getattr(c.callback, "__name__", "") for c in app.registered_commands}
    found: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        distribution = point.dist.name if point.dist else point.value
        if point.name in own:
            raise PluginError(f"{distribution} brings a command {point.name!r}, which cuvee has itself; uninstall it")
        if point.name in found:
            raise PluginError(
                f"both {found[point.name]} and {distribution} bring a command {point.name!r}; uninstall one of them"
            )
        found[point.name] = distribution
        if wanted not in {None, point.name}:
            continue
        try:
            command = point.load()
        except Exception as problem:
            raise PluginError(
                f"the command {point.name!r} of {distribution} cannot be imported: {problem}"
            ) from problem
        app.command(point.name)(command)
