"""Writes docs/names.md, every public name for plugin authors with the first sentence of its docstring.

    python tests/names.py

tests/test_docs.py holds the page equal to this.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "names.md"
MODULES = (
    "cuvee",
    "cuvee.recommender",
    "cuvee.search.nearest",
    "cuvee.testing",
    "cuvee.testing.network",
    "cuvee.channels",
)
ONLY = {"cuvee.channels": ("PerLoop", "TO_A_SERVER"), "cuvee.testing.network": ("TcpProxy",)}
"""Of modules that are mostly the engine's own: what plugins may use."""
VALUES = {
    "__version__": "The version of the engine.",
    "hookimpl": "Decorator that marks a function of a plugin as the implementation of a hook.",
    "kernels": "Module of compiled steps over small arrays: `top`, `take`, `products`, `ridge` and others.",
    "Bools": "Array of bool.",
    "Floats": "Array of float32.",
    "Ints": "Array of int32.",
    "Offsets": "Array of int64.",
    "Times": "Array of float64.",
    "ConfigPath": "A path in a `Config`: a relative one starts at the folder of `cuvee.toml`.",
    "Scan": "Function that gives the scores of items at some places of an index, for one query.",
    "TOYS": "The toys by name, as `RecommenderContract.toy` takes them.",
    "TO_A_SERVER": "Options of gRPC for a plugin's channel to a server of its own.",
}
"""What is no class or function has no docstring of its own."""


def names_of(module: str) -> tuple[str, ...]:
    """Its public names, in alphabetical order."""
    return tuple(sorted(ONLY.get(module) or importlib.import_module(module).__all__, key=str.lower))


def said_of(module: str, name: str) -> str:
    """What the page says of a name."""
    if name in VALUES:
        return VALUES[name]
    doc = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    first = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", first).replace("``", "`").replace("|", "\\|")
    return first.rstrip(".: ") + "."


def page() -> str:
    """The text of the page."""
    parts = [
        "# Public names",
        "",
        "What plugins may use, module by module. Hooks and a way to begin are in [extend](extend.md), what is promised",
        "of these names in [compatibility](compatibility.md). Shapes, types and errors are in the docstrings",
        "(`python -m pydoc cuvee.Rule`).",
        "",
        "The page is written by `python tests/names.py`.",
    ]
    told: set[object] = set()
    for module in MODULES:
        imported = importlib.import_module(module)
        new = [name for name in names_of(module) if id(getattr(imported, name)) not in told]
        again = [name for name in names_of(module) if name not in new]
        told |= {id(getattr(imported, name)) for name in new}
        parts += ["", f"## {module}", "", "| name | what it is |", "|---|---|"]
        parts += [f"| `{name}` | {said_of(module, name)} |" for name in new]
        if again:
            parts += ["", f"And, the same as above: {', '.join(f'`{name}`' for name in again)}."]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
