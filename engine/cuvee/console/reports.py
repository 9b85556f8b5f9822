"""Reports of the command, read whenever a page asks, so that a new one is seen at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_reports"]

KEYS: Mapping[str, Mapping[str, type]] = {
    "evaluation": {"product": str, "rounds": list},
    "experiment": {"experiment": str, "variants": list, "split": dict, "segments": list},
    "tuning": {"product": str, "segments": list, "tried": list, "members": dict, "against_best": dict},
}
"""Kind -> keys by which it is known, with their types."""
FIGURES = {"answers", "shown", "clicked", "bought", "click_through", "conversion"}
"""Of each group in what ``cuvee report --json`` wrote; the one key more says by what groups are told apart."""


def read_reports(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Each file's name with its ``kind`` and ``report``, or with the ``problem`` that it has.

    The kinds are ``evaluation``, ``tuning`` and ``experiment``, as the command wrote them, and ``outcomes`` with ``by``
    and ``groups``.
    """
    return [{"file": file.name, **_read(file)} for file in files]


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except OSError as problem:
        return {"problem": problem.strerror or "cannot be read"}
    except (ValueError, RecursionError):
        return {"problem": "is no JSON"}
    for kind, keys in KEYS.items():
        if isinstance(found, dict) and all(isinstance(found.get(key), one) for key, one in keys.items()):
            return {"kind": kind, "report": found}
    if isinstance(found, list) and found and all(isinstance(one, dict) and one.keys() > FIGURES for one in found):
        by = next(iter(found[0].keys() - FIGURES))
        return {"kind": "outcomes", "report": {"by": by, "groups": [{**one, "group": one.get(by)} for one in found]}}
    return {"problem": "was not written by `cuvee evaluate`, `tune` or `report` with `--json`"}
