"""The section ``peers``: what one would write instead, on the same data and core, asked in the same way.

Their packages are no dependencies of ours: they go into ``var/bench/peers``, and what cannot be installed there
is told and left out. Each has one model; Cuvée beside them has four, blended, with attributions and reasons.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cuvee import Dataset

from load.bench import Bench
from load.caller import pack
from load.driving import Run, Target, drive
from load.processes import CORES, environment, pinned
from load.products import KEPT, ROOT, fitted
from load.report import Row, in_words

__all__ = ["peers"]

PLACE = ROOT / "var" / "bench" / "peers"
WEB = ("fastapi", "uvicorn", "uvloop", "httptools")
PEERS = {
    "lightfm": ("LightFM.predict, argsort", ("lightfm-next",)),
    "implicit": ("implicit ALS", ("implicit",)),
    "rectools": ("RecTools, EASE", ("rectools",)),
}


def peers(bench: Bench) -> None:
    """FastAPI with LightFM, implicit and RecTools; the ratio is of Cuvée's rate to theirs."""
    callers = (1, 32)
    names = ("lightfm",) if bench.quick else tuple(PEERS)
    with bench.asked("four") as asked:
        ours = {n: asked.cuvee(callers=n) for n in callers}
    data = Dataset.load(fitted("four").data)
    events, bodies = KEPT / "requests" / "peers.npz", KEPT / "requests" / "peers.bin"
    np.savez(events, users=data.users, items=data.events.items)
    some = np.random.default_rng(0).choice(np.unique(data.users), 20_000)
    bodies.write_bytes(pack([str(user).encode() for user in some]))
    for name in names:
        words, packages = PEERS[name]
        problem = _installed(name, *WEB, *packages)
        if problem:
            bench.told(Row("peers", words, "", "", note=f"cannot be installed: {problem}"))
            continue
        with _peer(name, events) as address:
            if not address:
                bench.told(Row("peers", words, "", "", note=f"does not run; see {_log(name).relative_to(ROOT)}"))
                continue
            target = Target(address, "/recommend/", bodies)
            for n in callers:
                theirs = drive(target, callers=n, connections=n, seconds=bench.seconds, kind="http")
                who = "1 caller" if n == 1 else f"{n} callers"
                ratio = ours[n].rate / max(theirs.rate, 1e-9)
                figures = {"peer": _figures(theirs), "cuvee": _figures(ours[n]), "callers": n, "product": "four"}
                row = Row("peers", f"{words}, {who}", in_words(theirs), in_words(ours[n]), ratio, figures=figures)
                bench.told(row)


def _figures(run: Run) -> dict[str, object]:
    return {"rate": run.rate, "p50_ms": run.p50, "p99_ms": run.p99, "statuses": run.statuses}


def _python(name: str) -> Path:
    """Each has an environment of its own: they want different versions of numpy."""
    return PLACE / name / "bin" / "python"


def _installed(name: str, *packages: str) -> str:
    """Install a peer, once; what went wrong, in a line."""
    done = PLACE / f"{name}.json"
    if done.exists():
        return ""
    subprocess.run([sys.executable, "-m", "venv", str(PLACE / name)], check=True)
    command = [str(_python(name)), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        return (ended.stderr.strip().splitlines() or ["no reason given"])[-1]
    done.write_text(json.dumps(packages))
    return ""


def _log(name: str) -> Path:
    return PLACE / f"{name}.log"


@contextmanager
def _peer(name: str, events: Path) -> Iterator[str]:
    """The address of a peer that is ready; empty where it does not get there."""
    command = [str(_python(name)), str(Path(__file__).with_name("peer_app.py")), name, str(events)]
    settings = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    with _log(name).open("wb") as log, pinned(CORES.server):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=settings)
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        time.sleep(0.5)
        yield f"127.0.0.1:{port}" if port else ""
    finally:
        process.kill()
        process.wait()
