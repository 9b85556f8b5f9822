"""The files of a new plugin, out of the templates in this folder."""

from __future__ import annotations

import enum
import importlib.util
import keyword
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from cuvee import __version__
from cuvee.errors import OperatorError

__all__ = ["Kind", "Names", "next_steps", "write"]

TEMPLATES = Path(__file__).parent / "templates"
SUFFIX = ".template"


class Kind(enum.StrEnum):
    """What a plugin can bring."""

    RECOMMENDER = "recommender"
    RULE = "rule"
    BLENDER = "blender"
    CALIBRATOR = "calibrator"
    READER = "reader"


@dataclass(frozen=True)
class Names:
    """What things are called in the templates."""

    distribution: str
    package: str
    name: str
    """As it is registered, without a leading ``cuvee_``."""
    title: str
    """The class's."""
    engine: str
    """The versions of Cuvée that it is for."""

    @classmethod
    def of(cls, distribution: str) -> Names:
        """Of a distribution."""
        package = distribution.replace("-", "_")
        name = package.removeprefix("cuvee_")
        title = "".join(word.capitalize() for word in name.split("_"))
        major, minor = (int(part) for part in __version__.split(".")[:2])
        return cls(distribution, package, name, title, f">={major}.{minor},<{major}.{minor + 1}")

    @property
    def fits(self) -> bool:
        """Whether the package can be imported by its name, and hides none that is installed."""
        if keyword.iskeyword(self.package):
            return False
        found = importlib.util.find_spec(self.package)
        return found is None or found.origin is None  # a mere folder of that name has none


CONFIGURED = {
    Kind.RECOMMENDER: (
        "cuvee.toml: [recommenders.$name] with plugin = \"$name\"",
        "products/*.toml: sources = [{ use = \"$name\" }, ...] and a weight for it",
    ),
    Kind.RULE: ("products/*.toml: [[rules]] with use = \"$name\"",),
    Kind.BLENDER: ("products/*.toml: [blend] with method = \"$name\"",),
    Kind.CALIBRATOR: ("products/*.toml: [blend] with calibrate = \"$name\"",),
    Kind.READER: ("cuvee import FILE --dataset NAME --format $name (or without --format: sniff finds it)",),
}  # fmt: skip


def next_steps(folder: Path, kind: Kind, names: Names) -> str:
    """What to do with it, a line each."""
    configured = [Template(line).substitute(asdict(names)) for line in CONFIGURED[kind]]
    lines = [
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[test]'",
        "pytest",
        "cuvee plugins    shows it",
        *configured,
    ]
    return "\n".join(f"  {line}" for line in lines)


def write(folder: Path, kind: Kind, names: Names) -> list[Path]:
    """Write the files of a kind into a folder that is not there, or empty; returns them.

    Raises:
        OperatorError: a file cannot be written, or is there already.
    """
    values = {**asdict(names), "kind": str(kind)}
    values["configured"] = "\n".join(f"- {Template(line).substitute(values)}" for line in CONFIGURED[kind])
    made = []
    for origin in ("every", str(kind)):
        for template in sorted((TEMPLATES / origin).rglob(f"*{SUFFIX}")):
            relative = template.relative_to(TEMPLATES / origin).with_suffix("")
            if relative.name.startswith("test_"):  # a wheel has no folder `tests`, so that templates lie beside src/
                relative = Path("tests") / relative
            path = folder / Template(str(relative)).substitute(values)
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x", encoding="utf-8") as file:
                    file.write(text)
            except OSError as problem:
                raise OperatorError(f"{path} cannot be written: {problem}") from problem
            made.append(path)
    return sorted(made)
