"""Lists of all users without a server: ``python -m load.offline CONFIG PRODUCT USERS`` prints seconds as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from cuvee.artifacts.snapshot import load_snapshot
from cuvee.config import load_settings
from cuvee.ranking.ask import Directly
from cuvee.ranking.known_users import ask_about, in_batches
from cuvee.ranking.pipeline import make_lists
from cuvee.registry import Registry

TOP = 100


def main() -> None:
    """Time it, after one batch that does not count."""
    registry = Registry.load()
    snapshot = load_snapshot(load_settings(Path(sys.argv[1]), registry), registry, sys.argv[2])
    users = np.arange(int(sys.argv[3]) or snapshot.data.n_users, dtype=np.int32)
    began = 0.0
    with Directly() as ask:
        for batch in (users[:256], *in_batches(users)):
            question = ask_about(snapshot.data, batch, TOP, snapshot.product.history)
            answer = make_lists(snapshot.plan, question, ask)
            assert (answer.blended.items >= 0).sum() + (answer.fallback.items >= 0).sum() > len(batch)
            began = began or time.perf_counter()
    told = {
        "users": len(users),
        "seconds": time.perf_counter() - began,
        "sources": len(snapshot.plan.sources),
        "items": snapshot.data.n_items,
    }
    snapshot.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
