"""Products that are fitted once, and servers over them that grant this or that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import PRODUCTS, fitted

RATED = PRODUCTS["toy"].replace('dataset = "toy"', 'dataset = "toy"\nrate = {{ per_second = 1, burst = 5 }}', 1)
LIMITED = PRODUCTS["toy"] + "\n[events]\nuser_rate = {{ per_second = 1, burst = 30 }}\n"
CROWDED = 'dataset = "toy"\nsources = [{{ use = "slow", candidates = 40 }}]\n'


@pytest.fixture(scope="session")
def granting(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The path of a configuration of some name with these lines on top."""
    products = {"toy": LIMITED, "rated": RATED, "slow": PRODUCTS["slow"], "crowded": CROWDED}
    config = fitted(tmp_path_factory.mktemp("granting"), products)

    def named(name: str, lines: str) -> Path:
        found = config.with_name(f"{name}.toml")
        store = f'[store]\nurl = "sqlite:///{name}.db"\n'
        found.write_text(f"{lines}\n{store}{config.read_text()}")
        return found

    return named
