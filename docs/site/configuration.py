"""The pages of both configuration files, from the JSON Schemas that ``cuvee schema`` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cuvee.config.schema import product_schema, server_schema
from cuvee.registry import Registry

__all__ = ["write"]

Schema = dict[str, Any]


def write(folder: Path) -> None:
    """Write ``cuvee-toml.md`` and ``product-toml.md``: every table and key, with what installed plugins add."""
    registry = Registry.load()
    folder.mkdir(parents=True, exist_ok=True)
    server, product = server_schema(registry), product_schema(registry)
    variables = "What operators decide. `${NAME}` stands for a variable of the environment."
    for name, lines in (
        ("cuvee-toml", _page("cuvee.toml", variables, server)),
        ("product-toml", _page("products/NAME.toml", "What a product's team decides.", product)),
    ):
        (folder / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")


def _page(title: str, about: str, schema: Schema) -> Iterator[str]:
    yield from (f"# {title}", "", f"{about} Made from what `cuvee schema` prints.", "")
    yield from _table("", schema, schema["$defs"], 1)


def _table(path: str, schema: Schema, definitions: Schema, level: int) -> Iterator[str]:
    """A table's keys, then the tables inside it."""
    if path:
        yield from ("#" * min(level, 4) + f" `[{path}]`", "")
    if said := schema.get("description"):
        yield from (_prose(said), "")
    inside: list[tuple[str, Schema]] = []
    rows = []
    for key, one in schema.get("properties", {}).items():
        where = f"{path}.{key}" if path else key
        tables = list(_tables(where, one, definitions))
        inside += tables
        if not tables:
            kind = _kind(one, definitions)
            must = "Required." if key in schema.get("required", ()) else _default(one, kind)
            rows.append(f"| `{key}` | {kind} | {_cell(one.get('description', '') + ' ' + must)} |")
    if rows:
        yield from ("| key | what it takes | what it says |", "|---|---|---|", *rows, "")
    for where, one in inside:
        yield from _table(where, one, definitions, level + 1)


def _default(one: Schema, kind: str) -> str:
    """What the key is when it is not given, where that says something."""
    value = one.get("default")
    if value in (None, "", [], {}):
        return ""
    seconds = kind.startswith("duration") and isinstance(value, float)
    shown = f"{value:g}s" if seconds else json.dumps(value, ensure_ascii=False)
    return f"Default: `{shown}`."


def _tables(where: str, one: Schema, definitions: Schema) -> Iterator[tuple[str, Schema]]:
    """What a key holds, where that is a table, a table of tables, or a list of tables."""
    one = _resolved(one, definitions)
    description = {"description": one["description"]} if "description" in one else {}
    for choice in one.get("anyOf", ()):
        yield from _tables(where, choice, definitions)
    if one.get("type") == "array":
        yield from ((f"[{name}]", inner) for name, inner in _tables(where, one.get("items", {}), definitions))
        return
    for condition in one.get("allOf", ()):
        then = _resolved(condition.get("then", {}), definitions)
        for key, value in condition.get("if", {}).get("properties", {}).items():
            if "const" in value and (then.get("properties") or then.get("description")):
                properties = {k: v for k, v in then.get("properties", {}).items() if k != key}
                yield f'{where}], {key} = "{value["const"]}"', {**then, "properties": properties}
    if one.get("properties") and not one.get("allOf"):
        yield where, {**one, **description}
    more = one.get("additionalProperties")
    if isinstance(more, dict):
        yield from _tables(f"{where}.NAME", more, definitions)


def _resolved(one: Schema, definitions: Schema) -> Schema:
    if "$ref" in one:
        target = definitions[one["$ref"].rsplit("/", 1)[1]]
        return {**target, **{k: v for k, v in one.items() if k != "$ref"}}
    return one


def _kind(one: Schema, definitions: Schema) -> str:
    """What values a key takes."""
    one = _resolved(one, definitions)
    kind = str(one.get("type", ""))
    said = {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(kind, kind) + _bounds(one)
    if choices := one.get("anyOf"):
        kinds = [_kind(each, definitions) for each in choices if each.get("pattern") != r"\$\{"]
        said = " or ".join(dict.fromkeys(kind for kind in kinds if kind not in ("", "null")))
    elif values := one.get("enum"):
        said = _cell(", ".join(f"`{value}`" for value in values))
    elif "const" in one:
        said = f"`{one['const']}`"
    elif kind in ("array", "object"):
        inner = one.get("items" if kind == "array" else "additionalProperties")
        of = _kind(inner, definitions) if isinstance(inner, dict) else ""
        said = f"{'list' if kind == 'array' else 'table'} of {of or 'values'}"
    elif "(ms|s|m)" in one.get("pattern", ""):
        said = "duration, `40ms`"
    return said


def _bounds(one: Schema) -> str:
    low = one.get("minimum", one.get("exclusiveMinimum"))
    high = one.get("maximum", one.get("exclusiveMaximum"))
    above = "above " if "exclusiveMinimum" in one else ""
    below = "below " if "exclusiveMaximum" in one else ""
    if low is not None and high is not None:
        return f", {above}{low:g} to {below}{high:g}"
    if low is not None:
        return f", {above or 'from '}{low:g}"
    return f", {below or 'up to '}{high:g}" if high is not None else ""


def _prose(text: str) -> str:
    """A docstring as Markdown: its literals and its references to classes become code."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text.replace("``", "`"))
    return "\n".join(line.strip() for line in text.splitlines())


def _cell(text: str) -> str:
    return " ".join(_prose(text).split()).replace("|", r"\|")
