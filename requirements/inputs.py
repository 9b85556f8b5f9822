"""Print what a file of requirements/ pins: dependencies of the distributions here, and dev.in.

``make pins`` pipes this into pip-compile. Our own distributions are left out: they are installed
from the tree.
"""

import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


ENGINE = ROOT / "pyproject.toml"
PLUGINS = sorted(ROOT.glob("plugins/*/pyproject.toml"))


def of_others(wanted: Iterable[str]) -> set[str]:
    """What of it is not our own."""
    return {w for w in wanted if not re.match(r"cuvee\b", w)}


def needed(*projects: Path) -> set[str]:
    """What distributions depend on, apart from each other."""
    found: set[str] = set()
    for path in projects:
        found |= of_others(tomllib.loads(path.read_text())["project"].get("dependencies", []))
    return found


def extras(project: Path, *names: str) -> set[str]:
    """What these extras of a distribution bring; all of them by default."""
    groups = tomllib.loads(project.read_text())["project"].get("optional-dependencies", {})
    return of_others(wanted for name in names or groups for wanted in groups[name])


def back_ends() -> set[str]:
    """What builds the distributions."""
    return {w for path in (ENGINE, *PLUGINS) for w in tomllib.loads(path.read_text())["build-system"]["requires"]}


def tools() -> set[str]:
    """What the tests and checks need."""
    lines = (ROOT / "requirements" / "dev.in").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


KINDS: dict[str, Callable[[], set[str]]] = {
    "runtime": lambda: needed(ENGINE, *PLUGINS) | extras(ENGINE, "postgres", "traces"),  # the images
    "engine": lambda: needed(ENGINE) | extras(ENGINE) | tools(),  # the engine alone, and its tests
    "build": back_ends,  # wheels of our own distributions
    "dev": lambda: needed(ENGINE, *PLUGINS).union(*map(extras, (ENGINE, *PLUGINS))) | tools(),  # everything
}

if __name__ == "__main__":
    sys.stdout.write("\n".join(sorted(KINDS[sys.argv[1]]())) + "\n")
