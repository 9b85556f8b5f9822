"""Reports of ``cuvee evaluate --json``, read whenever a page asks, so that a new one is seen at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_reports"]


def read_reports(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Each file's name with its ``report``, or with the ``problem`` that it has."""
    return [{"file": file.name, **_read(file)} for file in files]


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except OSError as problem:
        return {"problem": problem.strerror or "cannot be read"}
    except ValueError:
        return {"problem": "is no JSON"}
    if not (
        isinstance(found, dict) and isinstance(found.get("rounds"), list) and isinstance(found.get("product"), str)
    ):
        return {"problem": "was not written by `cuvee evaluate --json`"}
    return {"report": found}
