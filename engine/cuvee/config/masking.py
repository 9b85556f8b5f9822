"""Passwords out of what is shown of a configuration."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["masked"]

USER = re.compile(r"(://[^/:@\s]*):\S*@")
"""A URL's user and password; up to the last @, in case that the password was not escaped."""
QUERY = re.compile(r"([?&;][^=&;\s]*(?:password|passwd|secret|token|key|signature)[^=&;\s]*=)[^&;\s]+", re.IGNORECASE)


def masked(value: Any) -> Any:
    """The same plain values, with ``***`` for passwords inside URLs."""
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    if isinstance(value, str) and "://" in value:
        return QUERY.sub(r"\1***", USER.sub(r"\1:***@", value))
    return value
