"""Training in a separate process, so that this one never loads TensorFlow."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cuvee import Dataset
from cuvee.recommender import Progress

from cuvee_tfserving.training.config import TrainingConfig

__all__ = ["SAVED_MODEL", "train"]

SAVED_MODEL = "saved_model"
"""The name of the trainer's folder with the SavedModel."""
TOLD = 30
"""How many last lines of the trainer's log an error quotes."""


@contextmanager
def train(data: Dataset, config: TrainingConfig, unfinished: Path, progress: Progress) -> Iterator[Path]:
    """Train, and return the folder with the result, which is deleted at the end of the context.

    It is in ``unfinished`` and named by a digest of data and config. An interrupted run leaves it there
    with its checkpoints, and the next equal run continues from them.

    Raises:
        RuntimeError: the training failed; with the end of its log.
    """
    out = unfinished / digest(data, config)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cuvee-training-") as folder:
        inputs = Path(folder)
        data.save(inputs / "data")
        (inputs / "config.json").write_text(config.model_dump_json())
        command = [sys.executable, "-m", "cuvee_tfserving.training", "--progress-json"]
        command += ["--data", str(inputs / "data"), "--config", str(inputs / "config.json"), "--out", str(out)]
        with (inputs / "log").open("w+") as log:
            process = subprocess.Popen(  # noqa: S603 - this very interpreter, and paths of our own
                command, stdout=subprocess.PIPE, stderr=log, text=True
            )
            said: deque[str] = deque(maxlen=TOLD)
            try:
                if process.stdout is not None:
                    follow(process.stdout, progress, said)
            finally:
                _end(process)
            if process.returncode:
                log.seek(0)
                said.extend(line.rstrip() for line in log)
                raise RuntimeError(f"the training ended with {process.returncode}; it said:\n" + "\n".join(said))
    yield out
    shutil.rmtree(out, ignore_errors=True)


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for the trainer, after telling it to stop if we were interrupted."""
    with process:
        if sys.exception() is not None:
            process.terminate()


def follow(lines: IO[str], progress: Progress, said: deque[str]) -> None:
    """Pass on the trainer's progress of each epoch; keep its other lines."""
    for line in lines:
        try:
            epoch = json.loads(line)
            done, total = float(epoch["epoch"]), float(epoch["epochs"])
        except (ValueError, KeyError, TypeError):
            said.append(line.rstrip())
            continue
        named = ((name, epoch.get(name)) for name in ("loss", "ndcg"))
        progress(done, total, " ".join(f"{name} {value:.4f}" for name, value in named if value is not None))


def digest(data: Dataset, config: TrainingConfig) -> str:
    """A digest, of 16 characters, of everything that a run's result depends on."""
    found = hashlib.sha256(config.model_dump_json().encode())
    found.update(data.catalog.items.digest().encode())
    events = data.events
    for array in (events.offsets, events.items, events.weights, events.times):
        found.update(array.tobytes())
    return found.hexdigest()[:16]
