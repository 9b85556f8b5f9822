"""The server's log: one JSON object a line, on stderr."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

__all__ = ["say"]


def say(event: str, **facts: Any) -> None:
    """Log an event."""
    line = json.dumps({"event": event, **facts, "time": datetime.now(UTC).isoformat()}, default=str)
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
