"""``cuvee diff --variant``: what a variant of the files here would change."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run
from .report.test_experiment import EXPERIMENT


def test_a_variant_is_compared_with_the_product(run: Run, place: Path):
    config, file = place / "cuvee.toml", place / "products" / "toys.toml"
    file.write_text(file.read_text() + EXPERIMENT)
    assert run("fit", "toys", "--config", config).code == 0
    done = run("diff", "toys", "--variant", "bolder/bold", "--config", config, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {one["path"].rpartition("weights.")[2] for one in told["changes"]} == {"warm.popular", "warm.pairs"}
    assert told["lists"]["groups"]
    refused = run("diff", "toys", "--variant", "bolder/control", "--config", config)
    assert refused.code != 0
    assert "there are: bolder/bold" in refused.err
