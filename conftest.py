"""What every test here runs under."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# these machines are noisy: how long an example takes proves nothing
settings.register_profile("cuvee", deadline=None)
settings.load_profile("cuvee")


@pytest.fixture(autouse=True)
def logs_as_at_the_start() -> Iterator[None]:
    """A command that ran in this process has pointed the logs at its own captured stderr."""
    yield
    structlog.reset_defaults()
