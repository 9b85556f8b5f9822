"""An evaluation as a report: one HTML file with its plots inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cuvee.training.evaluation import Evaluation

__all__ = ["require_reports", "write_report"]


def require_reports(html: Path) -> None:
    """Check."""


def write_report(found: Evaluation, notes: Sequence[str], html: Path) -> None:
    """Write."""
