"""``cuvee token``: what is shown once, what is kept, and what ends a token."""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cuvee.config import Scope
from cuvee.serving.access.tokens import SHAPE, TokenFile, change_tokens, new_token, read_tokens

from ..conftest import Run


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "cuvee.toml").write_text('[server]\nauth.tokens = "${TOKENS_OF_A_TEST:-who/tokens.json}"\n')
    return tmp_path / "cuvee.toml"


def test_a_token_is_shown_once_and_kept_as_a_hash(run: Run, config: Path) -> None:
    done = run("token", "new", "the shop", "-s", "recommend", "-s", "write", "-p", "movies", "--config", config)
    assert done.code == 0, done.err
    secret = done.out.strip()
    assert SHAPE.fullmatch(secret)
    kept = config.parent / "who/tokens.json"
    assert secret.split("_")[2] not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    (token,) = read_tokens(kept).tokens
    assert (token.name, token.scopes, token.products) == ("the shop", (Scope.RECOMMEND, Scope.WRITE), ("movies",))
    assert token.expires is not None
    assert abs(token.expires - datetime.now(UTC) - timedelta(days=365)) < timedelta(minutes=5)
    assert token.id in done.err
    assert secret not in done.err


@pytest.mark.parametrize(("given", "hours"), [("12h", 12), ("90d", 90 * 24), ("8w", 8 * 7 * 24), ("never", None)])
def test_expiry(run: Run, config: Path, given: str, hours: int | None) -> None:
    told = json.loads(run("token", "new", "a", "-s", "admin", "--expires", given, "--json", "--config", config).out)
    assert SHAPE.fullmatch(told["token"])
    if hours is None:
        assert told["expires"] is None
        return
    ends = datetime.fromisoformat(told["expires"])
    assert abs(ends - datetime.now(UTC) - timedelta(hours=hours)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["new", "a"],
        ["new", "a", "-s", "root"],
        ["new", " ", "-s", "write"],
        ["new", "a", "-s", "write", "--expires", "soon"],
        ["new", "a", "-s", "write", "--expires", "0d"],
        ["revoke"],
        ["revoke", "--all", "000000000000"],
        ["revoke", "000000000000"],
        ["list", "--config", "nowhere.toml"],
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(run: Run, config: Path, arguments: list[str]) -> None:
    run("token", "new", "kept", "-s", "write", "--config", config)
    before = (config.parent / "who/tokens.json").read_text()
    more = [] if "--config" in arguments else ["--config", config]
    done = run("token", *arguments, *more)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert (config.parent / "who/tokens.json").read_text() == before


def test_list_and_revoke(run: Run, config: Path) -> None:
    secrets = [run("token", "new", f"n{n}", "-s", "write", "--config", config).out.strip() for n in range(3)]
    listed = run("token", "list", "--config", config)
    assert listed.out.count("valid") == 3
    assert not any(secret.split("_")[2] in listed.out for secret in secrets)
    # by the id, and by the secret itself, of which nothing is repeated
    done = run("token", "revoke", secrets[0].split("_")[1], secrets[1], "--config", config)
    assert done.code == 0
    assert secrets[1].split("_")[2] not in done.out + done.err
    states = {t["name"]: t["state"] for t in json.loads(run("token", "list", "--json", "--config", config).out)}
    assert states == {"n0": "revoked", "n1": "revoked", "n2": "valid"}
    assert run("token", "revoke", "--all", "--config", config).code == 0
    assert run("token", "list", "--config", config).out.count("revoked") == 3


def test_out_writes_for_the_owner_alone_and_over_nothing(run: Run, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "secret"
    done = run("token", "new", "a", "-s", "write", "--out", out, "--config", config)
    assert (done.code, done.out) == (0, "")
    assert SHAPE.fullmatch(out.read_text().strip())
    assert out.stat().st_mode & 0o777 == 0o600
    assert run("token", "new", "b", "-s", "write", "--out", out, "--config", config).code == 2
    assert [t.name for t in read_tokens(config.parent / "who/tokens.json").tokens] == ["a"]


def test_a_configuration_without_tokens_says_what_to_write(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cuvee.toml").write_text("[server]\nreflection = true\n")
    done = run("token", "list", "--config", tmp_path / "cuvee.toml")
    assert done.code == 2
    assert "[server.auth]" in done.err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"tokens": 3}',
        '{"version": 2}',
        '{"tokens": [{"id": "x"}]}',
        '{"tokens": [], "more": 1}',
        "\x00",
    ],
)
def test_a_broken_file_is_no_traceback_and_is_not_written_over(run: Run, config: Path, text: str) -> None:
    kept = config.parent / "who/tokens.json"
    kept.parent.mkdir()
    kept.write_text(text)
    for command in (["list"], ["new", "a", "-s", "write"], ["revoke", "--all"]):
        done = run("token", *command, "--config", config)
        assert done.code == 2
        assert re.search(r"tokens\.json", done.err)
    assert kept.read_text() == text


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"

    def add(n: int) -> None:
        _, token = new_token(f"n{n}", [Scope.WRITE], None, None)
        change_tokens(file, lambda old: TokenFile(tokens=(*old.tokens, token)))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {t.name for t in read_tokens(file).tokens} == {f"n{n}" for n in range(20)}
    assert {p.name for p in tmp_path.iterdir()} == {"tokens.json", ".tokens.json.lock"}
