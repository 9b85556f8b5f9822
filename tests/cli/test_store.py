"""``cuvee store migrate`` makes the tables once."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


def test_migrate_says_what_it_did(run: Run, place: Path) -> None:
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + '\n[store]\nurl = "sqlite:///deep/events.db"\n')
    for expected in ("were of version none, now 0001", "are of version 0001 already"):
        done = run("store", "migrate", "--config", config)
        assert done.code == 0, done.err
        assert expected in done.out
    assert (place / "deep/events.db").exists()


@pytest.mark.parametrize(
    ("url", "said"), [("", "no store is configured"), ("mysql://somewhere/events", "mysql is not taken")]
)
def test_what_cannot_be_migrated(run: Run, place: Path, url: str, said: str) -> None:
    config = place / "cuvee.toml"
    config.write_text(config.read_text() + f'\n[store]\nurl = "{url}"\n')
    done = run("store", "migrate", "--config", config)
    assert done.code == 2
    assert said in done.err
