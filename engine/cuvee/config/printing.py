"""Plain values as TOML, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["as_toml"]


def as_toml(value: Mapping[str, object], path: str = "") -> str:
    """Plain values as TOML. An unset key becomes a comment, since TOML has no null."""
    plain, tables = [], []
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            tables.append(as_toml(one, f"{path}.{key}" if path else key))
        else:
            plain.append(f"# {key} is not set" if one is None else f"{key} = {_literal(one)}")
    head = [f"[{path}]"] if path and (plain or not tables) else []
    return "\n".join(["\n".join([*head, *plain, ""]) if head or plain else "", *tables]).lstrip("\n")


def _literal(value: object) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{k} = {_literal(v)}" for k, v in value.items() if v is not None) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list):
        many = len(value) > 1 and any(isinstance(v, Mapping) for v in value)
        parts = [_literal(v) for v in value]
        return "[\n" + "".join(f"  {p},\n" for p in parts) + "]" if many else f"[{', '.join(parts)}]"
    return json.dumps(value, ensure_ascii=False)
