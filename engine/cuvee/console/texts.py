"""What the pages say, in each language: the table is texts.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["CODES", "LANGUAGES", "language_of", "texts"]

LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Code -> its own name, in the order of the table's columns; the first is for everyone else."""


@cache
def texts(language: str) -> Mapping[str, str]:
    """Key -> text."""
    column = list(LANGUAGES).index(language)
    table = tomllib.loads(Path(__file__).with_name("texts.toml").read_text(encoding="utf-8"))
    return {f"{part}.{key}": said[column] for part, rows in table.items() for key, said in rows.items()}


CODES = frozenset(key.removeprefix("error.") for key in texts("en") if key.startswith("error."))
"""Codes of errors for which there is a text that says what to do."""


def language_of(wanted: str, accepted: str) -> str:
    """The language that the address asks for, else the first of Accept-Language that there is."""
    if wanted in LANGUAGES:
        return wanted
    weighed = []
    for place, part in enumerate(accepted.split(",")):
        name, _, quality = part.partition(";q=")
        try:
            weighed.append((-float(quality or 1), place, name.strip().partition("-")[0].lower()))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(weighed) if name in LANGUAGES), "en")
