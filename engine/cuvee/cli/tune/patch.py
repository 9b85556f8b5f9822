"""A patch: the part of ``products/<name>.toml`` that tuning changes, for people to read and to apply.

Written as TOML with comments that say how each figure came about; applied by tomlkit, which keeps
every other line and comment of the product's file.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuvee.errors import ConfigError, Mistake, PluginError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__all__ = ["Patch", "patched", "require_tune", "write_whole"]

MARK = "tuned "
"""The beginning of comments that a later patch may replace."""


def require_tune() -> None:
    """Check that the libraries of the ``tune`` extra are there.

    Raises:
        PluginError: says how to install them.
    """
    import importlib.util

    missing = [name for name in ("tomlkit", "matplotlib", "plotext") if importlib.util.find_spec(name) is None]
    if missing:
        raise PluginError(
            f"`cuvee tune` needs {', '.join(missing)}; install with: pip install 'cuvee[tune]', in a checkout '.[tune]'"
        )


@dataclass(frozen=True)
class Patch:
    """What tuning sets in the table ``[blend]``."""

    head: Sequence[str]
    """Lines of comment at the top."""
    settings: Mapping[str, str]
    """Keys of ``[blend]`` itself that change (``method``, ``calibrate``, ``missing``)."""
    options: Mapping[str, Any] | None
    """The new ``[blend.options]``; None leaves it as it is."""
    segments: Mapping[str, int]
    """The new ``[blend.segments]``, where one was added: name -> least number of events. Empty changes nothing."""
    weights: Mapping[str, Mapping[str, float]]
    """Segment -> source -> weight, only those above 0."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Segment -> how its weights came about, in one line."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Name -> content of a file beside the product's file: what a blender has learnt."""
    tag: str = ""
    """Stands, after the mark, behind each line that is applied: the date and the metric."""

    def text(self) -> str:
        """The patch as a TOML file."""
        lines = [f"# {line}".rstrip() for line in self.head]
        lines += ["", "[blend]", *(f"{key} = {json.dumps(value)}" for key, value in self.settings.items())]
        if self.options:
            lines += ["", "[blend.options]", *(f"{k} = {json.dumps(v)}" for k, v in self.options.items())]
        if self.segments:
            lines += ["", "[blend.segments]", *(f"{name} = {least}" for name, least in self.segments.items())]
        if self.weights:
            lines += ["", "[blend.weights]"]
        for segment, table in self.weights.items():
            lines += [f"# {self.notes[segment]}"] if segment in self.notes else []
            lines.append(f"{segment} = {_inline(table)}")
        return "\n".join(lines) + "\n"


def _inline(table: Mapping[str, float]) -> str:
    return "{ " + ", ".join(f"{name} = {value:g}" for name, value in table.items()) + " }"


def _parsed(text: str, file: str) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as problem:
        raise ConfigError([Mistake(file, "", f"not TOML: {problem}")]) from problem


def patched(text: str, patch: Patch, file: str = "the product's file") -> str:
    """A product's file with a patch applied. Everything that the patch does not set is unchanged.

    Raises:
        ConfigError: ``text`` is not TOML.
    """
    document = _parsed(text, file)
    blend = _table(document, "blend")
    for key, value in patch.settings.items():
        _put(blend, key, value)
    if patch.options is not None:
        blend.pop("options", None)
        for key, value in patch.options.items():
            _table(blend, "options")[key] = value
    for name, least in patch.segments.items():
        segments = _table(blend, "segments")
        if segments.get(name) != least:
            _put(segments, name, least, f"{MARK}{patch.tag}".strip())
    if patch.weights:
        weights = _table(blend, "weights")
        for segment, table in patch.weights.items():
            _put(weights, segment, _parsed(f"it = {_inline(table)}", file)["it"], f"{MARK}{patch.tag}".strip())
    return document.as_string()


def _table(parent: MutableMapping[str, Any], key: str) -> MutableMapping[str, Any]:
    import tomlkit

    if key not in parent:
        parent[key] = tomlkit.table()
    found: MutableMapping[str, Any] = parent[key]
    return found


def _put(table: MutableMapping[str, Any], key: str, value: object, comment: str = "") -> None:
    """Set a key. A comment that a person wrote behind it stays; one of an earlier patch is replaced."""
    import tomlkit
    from tomlkit.items import InlineTable, Item, Table

    old = table.get(key)
    new = value if isinstance(value, Item) else tomlkit.item(value)
    table[key] = new
    if isinstance(table, InlineTable):  # cannot have comments
        return
    said = old.trivia.comment.lstrip("# ") if isinstance(old, Item) and not isinstance(old, Table) else ""
    kept = said if said and not said.startswith(MARK) else comment
    if kept:
        table[key].comment(kept)
        if kept == said and isinstance(old, Item):
            table[key].trivia.comment_ws = old.trivia.comment_ws


def write_whole(file: Path, text: str) -> None:
    """Write a file atomically: readers see either the old or the new content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
    descriptor, aside = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
        Path(aside).chmod(mode)
        Path(aside).rename(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(aside).unlink()
        raise
