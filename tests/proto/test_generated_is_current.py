"""The committed code in `engine/cuvee/v1` is what today's protos generate, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROTOS = sorted(path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto"))
COMMITTED = ROOT / "engine" / "cuvee" / "v1"
VENV_BIN = Path(sys.executable).parent  # not resolved: a venv's python is a link out of it
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")
NAMES = sorted(Path(proto).stem + suffix for proto in PROTOS for suffix in SUFFIXES)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of freshly generated code."""
    out = tmp_path_factory.mktemp("generated")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"--plugin=protoc-gen-mypy={VENV_BIN / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={VENV_BIN / 'protoc-gen-mypy_grpc'}",
            "-I",
            "proto",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            f"--mypy_out={out}",
            f"--mypy_grpc_out={out}",
            *PROTOS,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "cuvee" / "v1"


def test_the_same_files_are_there(generated: Path) -> None:
    assert sorted(path.name for path in generated.iterdir()) == NAMES
    assert sorted(path.name for path in COMMITTED.glob("*_pb2*") if path.is_file()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_file_is_current(generated: Path, name: str) -> None:
    same = (generated / name).read_bytes() == (COMMITTED / name).read_bytes()
    assert same, f"engine/cuvee/v1/{name} is not what proto/ generates: run `make proto` and commit the result"
