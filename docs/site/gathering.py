"""Put the pages of the site into one folder, with links that lead inside it."""

from __future__ import annotations

import os
import re
import shutil
from functools import partial
from pathlib import Path

__all__ = ["ROOT", "gather"]

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def pages() -> dict[Path, str]:
    """Every document of the repository that is a page -> where it is in the site, both relative to their roots."""
    found = {page.relative_to(ROOT): page.relative_to(ROOT / "docs").as_posix() for page in _own()}
    for name in ("DESIGN", "CHANGELOG", "CONTRIBUTING", "SECURITY"):
        found[Path(f"{name}.md")] = f"project/{name.lower()}.md"
    found[Path("tests/benchmarks/README.md")] = "project/benchmarks.md"
    for readme in sorted(ROOT.glob("plugins/*/README.md")):
        found[readme.relative_to(ROOT)] = f"plugins/{readme.parent.name}.md"
    return found


def gather(folder: Path) -> None:
    """Write all pages, pictures and files that pages link to into the folder, which must not exist."""
    shutil.copytree(HERE / "static", folder / "static")
    shutil.copytree(HERE / "reference", folder / "reference")
    shutil.copyfile(HERE / "conf.py", folder / "conf.py")
    shutil.copyfile(HERE / "index.md", folder / "index.md")
    for kind in ("png", "svg"):
        for picture in (ROOT / "docs").rglob(f"*.{kind}"):
            _copy(picture, folder / picture.relative_to(ROOT / "docs"))
    known = pages()
    for original, place in known.items():
        text = (ROOT / original).read_text(encoding="utf-8").replace("```mermaid", "```text")
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            _LINK.sub(partial(_led, original=original, place=place, known=known, folder=folder), text), encoding="utf-8"
        )


def _own() -> list[Path]:
    return [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "examples").glob("*.md"))]


def _copy(original: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(original, target)


def _led(link: re.Match[str], *, original: Path, place: str, known: dict[Path, str], folder: Path) -> str:
    """The link as the site has it: to a page, to a copy of a file, or its text alone where it names a folder."""
    text, path, anchor = link[1], link[2], link[3] or ""
    target = Path(os.path.normpath(original.parent / path))
    if target == Path("README.md"):
        return f"[{text}]({os.path.relpath('start.md', Path(place).parent)})"
    if target.suffix == ".proto" or target == Path("proto/cuvee/v1"):
        name = f"reference/{target.stem}.md" if target.suffix else "reference/recommendation.md"
        return f"[{text}]({os.path.relpath(name, Path(place).parent)})"
    if target / "README.md" in known:
        target /= "README.md"
    if target in known:
        return f"[{text}]({os.path.relpath(known[target], Path(place).parent)}{anchor})"
    if (ROOT / target).is_file():
        copy = Path("files") / target
        _copy(ROOT / target, folder / copy)
        return f"[{text}]({os.path.relpath(copy, Path(place).parent)})"
    return text
