"""Print what requirements/*.txt pin: the dependencies of every distribution here, and dev.in.

``make pins`` pipes this into pip-compile. Our own distributions are left out: they are installed
from the tree.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def runtime() -> set[str]:
    """What the engine and the plugins depend on."""
    found: set[str] = set()
    for path in [ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]:
        wanted = tomllib.loads(path.read_text())["project"].get("dependencies", [])
        found |= {w for w in wanted if not re.match(r"cuvee\b", w)}
    return found


def dev() -> set[str]:
    """The same, and the tools."""
    lines = (ROOT / "requirements" / "dev.in").read_text().splitlines()
    return runtime() | {line for line in lines if line and not line.startswith("#")}


if __name__ == "__main__":
    chosen = {"runtime": runtime, "dev": dev}[sys.argv[1]]
    sys.stdout.write("\n".join(sorted(chosen())) + "\n")
