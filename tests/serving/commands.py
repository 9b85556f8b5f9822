"""The command in this very process: servers are processes of their own in these tests, what prepares them is not."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest
from cuvee.cli import main


def cuvee(*arguments: object) -> tuple[int, str]:
    """The exit code, and all that was said, its lines joined."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    return int(ended.value.code or 0), " ".join(said.getvalue().split())


def done(*arguments: object) -> str:
    """The output of a command, which must succeed."""
    code, said = cuvee(*arguments)
    assert code == 0, said
    return said
