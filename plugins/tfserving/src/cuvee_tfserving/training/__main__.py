"""``python -m cuvee_tfserving.training``: train, and export.

With ``--progress-json`` standard output has one JSON object a line: ``{"event": "step", ...}`` every
two seconds, ``{"event": "epoch", ...}`` after each epoch, ``{"event": "done", ...}`` last. ``epoch``
is how many are done, with a fraction within one; ``seconds`` are those spent in all runs, ``eta``
those left if all epochs are needed. An interrupted run continues from ``OUT/checkpoint`` when it is
started again with the same data and config, with the same result as an uninterrupted one.

Where JAX sees a GPU, the training runs there, else on TensorFlow, which has GPUs of its own. The model is exported
by TensorFlow: where there is none, the run ends with 3 when it is trained, and the same command, run where
TensorFlow is and with the same OUT, only exports it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cuvee import Dataset
from pydantic import ValidationError

from cuvee_tfserving.training import devices
from cuvee_tfserving.training.config import TrainingConfig

__all__ = ["main"]


def _print_json(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _print_words(line: dict[str, Any]) -> None:
    sys.stdout.write("  ".join(f"{name} {value}" for name, value in line.items() if name != "event") + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns 0 when the model is written, 2 when the data or the config cannot be trained on, 3 when it is trained but
    TensorFlow is not here to export it.
    """
    parser = argparse.ArgumentParser(prog="python -m cuvee_tfserving.training", description="Train the deep model.")
    parser.add_argument("--data", type=Path, required=True, help="a folder that Dataset.save wrote")
    parser.add_argument("--config", type=Path, help="a JSON file of TrainingConfig; by default its defaults")
    parser.add_argument("--out", type=Path, required=True, help="where model, metadata and checkpoint go")
    parser.add_argument(
        "--backend", choices=["tensorflow", "jax"], help="on what it trains; by default JAX where that sees a GPU"
    )
    parser.add_argument("--progress-json", action="store_true", help="progress as JSON, one object a line")
    given = parser.parse_args(arguments)
    report = _print_json if given.progress_json else _print_words
    try:
        config = TrainingConfig.model_validate_json(given.config.read_text() if given.config else "{}")
    except (OSError, ValidationError) as problem:
        sys.stderr.write(f"cannot read the config {given.config}: {problem}\n")
        return 2
    # before TensorFlow is imported: it reads these once, and otherwise logs a lot
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = backend = given.backend or devices.backend()
    try:
        if backend == "tensorflow":
            from cuvee_tfserving.training.export import export  # noqa: PLC0415
        from cuvee_tfserving.training.fit import train  # noqa: PLC0415
    except ImportError as problem:
        sys.stderr.write(
            f"training needs Keras and TensorFlow, which are not all here ({problem}): "
            "pip install 'cuvee-tfserving[training]', or train elsewhere and set train = false\n"
        )
        return 2
    report({"event": "device", "backend": backend, "device": devices.device(backend)})
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        trained = train(Dataset.load(given.data), config, given.out / "checkpoint", report)
    except ValueError as problem:
        sys.stderr.write(f"cannot train: {problem}\n")
        return 2
    if backend != "tensorflow":
        return _export_in_turn(given)
    meta = export(trained, config, given.out)
    metrics = {name: meta["metrics"].get(name) for name in ("ndcg", "hr", "loss")}
    report({"event": "done", "epoch": meta["epochs"], "epochs": meta["epochs"], **metrics, "seconds": meta["seconds"]})
    return 0


def _export_in_turn(given: argparse.Namespace) -> int:
    """Export what was trained on another back end: this command again, on TensorFlow, goes on from the checkpoint."""
    if find_spec("tensorflow") is None:
        sys.stderr.write(
            f"trained; the model is in {given.out / 'checkpoint'}. To export it, run the same command with the same "
            "--out where TensorFlow is\n"
        )
        return 3
    command = [sys.executable, "-m", "cuvee_tfserving.training", "--data", given.data, "--out", given.out]
    command += ["--config", given.config] if given.config else []
    command += ["--progress-json"] if given.progress_json else []
    return subprocess.run([*command, "--backend", "tensorflow"], check=False).returncode  # noqa: S603 - as above


if __name__ == "__main__":
    sys.exit(main())
