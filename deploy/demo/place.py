"""Where the demo lives: its folder, its two addresses, and the environment that says so to every command.

``deploy/cuvee.toml`` itself is what runs; the environment only moves it to another folder and ports.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BECAUSE", "CONFIG", "NEWCOMERS", "PRODUCT", "Place"]

DEPLOY = Path(__file__).resolve().parent.parent
CONFIG = DEPLOY / "cuvee.toml"
PRODUCT = "movies"
"""The home page; its dataset has the same name, and the other two pages share it."""
BECAUSE, NEWCOMERS = "because-you-watched", "newcomers"


@dataclass(frozen=True)
class Place:
    """One run's folder and addresses."""

    folder: Path
    address: str
    """Of Cuvée's server."""
    model_server: str

    @classmethod
    def make(cls, *, usual_ports: bool) -> Place:
        """A folder with at most imported data in it, and ports that are free, or the usual ones."""
        folder = Path(os.environ.get("CUVEE_DEMO_DIR", DEPLOY.parent / "var" / "demo")).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for made in ("artifacts", "models"):
            shutil.rmtree(folder / made, ignore_errors=True)
        for file in folder.glob("store.db*"):
            file.unlink()
        ports = (50051, 8500) if usual_ports else (_free_port(), _free_port())
        return cls(folder, *(f"127.0.0.1:{port}" for port in ports))

    @property
    def data(self) -> Path:
        """The imported data."""
        return self.folder / "data"

    @property
    def settings(self) -> Mapping[str, str]:
        """The variables that ``deploy/cuvee.toml`` names, and where ``cuvee recommend`` asks."""
        return {
            "CUVEE_CONFIG": str(CONFIG),
            "CUVEE_VAR": str(self.folder),
            "CUVEE_MODELS": str(self.folder / "models"),
            "CUVEE_STORE": f"sqlite:///{self.folder}/store.db",
            "CUVEE_LISTEN": self.address,
            "CUVEE_MODEL_SERVER": self.model_server,
            "CUVEE_ADDRESS": self.address,
        }

    @property
    def environment(self) -> Mapping[str, str]:
        """The whole environment of a command."""
        return {**os.environ, **self.settings}


def _free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
