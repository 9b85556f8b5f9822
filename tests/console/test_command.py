"""``cuvee console``: what its options say when they are wrong."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import cuvee.console
import pytest
from cuvee.cli import main


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["console", *options])
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "0.0.0.0:8700"], "--insecure"),
        (["--listen", "[::]:8700"], "--insecure"),
        (["--listen", "cuvee.example:8700"], "--insecure"),
        (["--listen", "8700"], "is not host:port"),
        (["--listen", "127.0.0.1:99999"], "is not host:port"),
        (["--metrics", "127.0.0.1:9464"], "http://host:port/metrics"),
        (["--metrics", "file:///etc/passwd"], "http://host:port/metrics"),
        (["--token-file", "/no/such/file"], "credentials cannot be read"),
        (["--ca", "/no/such/file"], "credentials cannot be read"),
    ],
)
def test_a_wrong_option_is_named_with_what_would_be_right(
    capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert said in refused(capsys, *options)


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "--listen 127.0.0.1:0" in refused(capsys, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")


def test_log_handlers_of_others_stay_open(capsys: pytest.CaptureFixture[str]) -> None:
    closed = []

    class Others(logging.NullHandler):
        def close(self) -> None:
            closed.append(self)
            super().close()

    kept = Others()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused(capsys, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert closed == []
    kept.close()


def test_without_the_extra_the_command_says_how_to_install_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "uvicorn" else found(name))
    assert "pip install 'cuvee[console]'" in refused(capsys)


def test_pages_are_part_of_the_package() -> None:
    folder = Path(cuvee.console.__file__).parent
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} >= {".js", ".css", ".j2", ".toml", ".svg"}
