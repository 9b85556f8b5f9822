"""Settings out of the environment: ``"${NAME}"`` and ``"${NAME:-default}"`` in strings of ``cuvee.toml``.

One file then serves a laptop, a compose file and a cluster, which differ in an address or two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["from_environment"]

_NAMED = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")


def from_environment(
    values: Mapping[str, Any], environment: Mapping[str, str], missing: Callable[[str, str], None]
) -> dict[str, Any]:
    """The same tables, with every named variable's value in its place; a value's own ``${}`` is not read.

    A variable that is unset or empty takes the default. ``missing(path, message)`` is told of each
    that has none; its place stays as it was.
    """

    def filled(value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            return {key: filled(inner, (*path, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner, (*path, str(at))) for at, inner in enumerate(value)]
        return _NAMED.sub(lambda found: replaced(found, path), value) if isinstance(value, str) else value

    def replaced(found: re.Match[str], path: tuple[str, ...]) -> str:
        value = environment.get(found["name"]) or found["default"]
        if value is None:
            name = found["name"]
            missing(".".join(path), f"the environment has no {name}; set it, or write ${{{name}:-default}}")
            return found[0]
        return value

    return {key: filled(value, (key,)) for key, value in values.items()}
