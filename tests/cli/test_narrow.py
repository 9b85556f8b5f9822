"""In a narrow terminal commands print the same words as in a wide one; no word is broken or cut."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from .conftest import Run

LONG = "events-in-a-file-whose-name-is-so-long-that-no-narrow-terminal-holds-it"
"""Tables that name it are wider than the terminal."""
COMMANDS = {
    "plugins": ("plugins",),
    "data sets": ("dataset", "--list"),
    "evaluate": ("evaluate", "toys", "--k", "3", "--config", "cuvee.toml"),
    "evaluate, segments": ("evaluate", "toys", "--k", "3", "--protocol", "global-time", "--config", "cuvee.toml"),
    "evaluate, every metric": ("evaluate", "toys", "--k", "3", "--all-metrics", "--config", "cuvee.toml"),
    "fit": ("fit", "toys", "--config", "cuvee.toml"),
    "import": ("import", f"{LONG}.csv", "--dataset", "a-name-of-a-dataset-that-is-long", "--replace"),
    "import into the store": (
        "import",
        f"{LONG}.parquet",
        "--product",
        "toys",
        "--type",
        "view",
        "--config",
        "cuvee.toml",
    ),
    "report": ("report", "toys", "--config", "cuvee.toml"),
    "store": ("store", "migrate", "--config", "cuvee.toml"),
}


IN_80 = ("plugins", "evaluate", "evaluate, every metric", "fit")
"""Those that wrap what they print; others leave a long line to the terminal, so that it can be searched and copied."""


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_is_broken_or_cut(
    name: str, columns: int, run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / f"{LONG}.csv").write_text("user,item,time\nann,x,1\n,x,2\nbob,,3\n")
    rows = {"user_id": ["ann", None, "bob"], "item_id": ["x", "x", None], "time": [1e9, 2e9, 1e9]}
    pl.DataFrame(rows).write_parquet(place / f"{LONG}.parquet")
    run(*COMMANDS[name])  # whatever is only done once
    words = []
    for width in (400, columns):
        monkeypatch.setenv("COLUMNS", str(width))
        done = run(*COMMANDS[name])
        assert done.code == 0, done.err
        assert "…" not in done.out
        # times, sizes and versions are others in each run
        words.append([w for w in done.out.replace("published version", "").split() if not any(c.isdigit() for c in w)])
        if name in IN_80 and width == 80:
            assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 80
    assert sorted(set(words[0])) == sorted(set(words[1]))
