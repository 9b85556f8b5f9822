"""The audit log: who called AdminService or asked for personal data, when, and with which outcome.

It holds no user's id in plain: where ``[privacy] user_ids = "hashed"``, the hash of the user asked about.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from cuvee.errors import ConfigError, Mistake
from cuvee.pseudonyms import Pseudonyms
from cuvee.serving.access.caller import Caller
from cuvee.serving.tracing.calls import Asked

__all__ = ["Audit"]

log = structlog.get_logger(__name__)
to_log = structlog.get_logger("cuvee.audit")

REFUSED_A_SECOND = 20
"""Lines about calls refused for their credentials; more are only counted, so that nobody can fill the disk."""
LONGEST = 256
"""Characters of a product's name that are written."""
REFUSALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class Audit:
    """Writes one JSON object a line, each with one write, so that several processes may share a file."""

    def __init__(self, file: Path | None, pseudonyms: Pseudonyms) -> None:
        """Open the file for appending; None: lines go to the log.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._file = file
        self._hashed = bool(pseudonyms)
        self._open: int | None = None
        self._second, self._refused, self._left_out = 0, 0, 0
        if file is not None:
            try:
                self._reopen(file)
            except OSError as problem:
                mistake = Mistake(str(file), "server.audit.file", f"cannot be written: {problem.strerror}")
                raise ConfigError([mistake]) from None

    def _reopen(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        made = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.close()
        self._open = made

    def look(self) -> None:
        """Open the file anew where it was moved away, as log rotation does."""
        if self._file is None:
            return
        try:
            here = os.fstat(self._open) if self._open is not None else None
            there = self._file.stat() if self._file.exists() else None
            if here is None or there is None or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
                self._reopen(self._file)
        except OSError as problem:
            log.error("the audit log cannot be opened", problem=problem.strerror)  # noqa: TRY400

    def note(self, caller: Caller | None, rpc: str, request: Any, outcome: str, asked: Asked, peer: str) -> None:
        """Write down one call. ``outcome``: a gRPC code's name. Without a ``caller`` he was not known.

        Its request id and trace id are those of the answer and of the log's lines.
        """
        if outcome in REFUSALS and not self._may_tell():
            return
        line: dict[str, object] = {
            "caller": caller.id if caller is not None else "",
            "kind": str(caller.kind) if caller is not None else "",
            "rpc": rpc,
            "product": str(getattr(request, "product", ""))[:LONGEST],
            "outcome": outcome,
            "request_id": asked.request_id,
            "peer": peer,
        }
        if asked.trace_id:
            line["trace_id"] = asked.trace_id
        user = str(getattr(request, "user_id", ""))
        if self._hashed and user:
            line["user"] = user
        if self._left_out:
            line["refused_before"], self._left_out = self._left_out, 0
        if self._open is None:
            to_log.info("audit", **line)
            return
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **line}
        try:
            os.write(self._open, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        except OSError as problem:
            log.error("the audit log cannot be written", problem=problem.strerror)  # noqa: TRY400
            to_log.info("audit", **line)

    def _may_tell(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._refused = second, 0
        self._refused += 1
        if self._refused > REFUSED_A_SECOND:
            self._left_out += 1
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            os.close(self._open)
            self._open = None
