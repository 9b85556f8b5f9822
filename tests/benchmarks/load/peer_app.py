"""What one would write instead: a model of a library behind FastAPI, on uvicorn.

Runs in an environment of its own (:mod:`load.peers` makes it), so it imports nothing of ours:
``python peer_app.py lightfm|implicit|rectools EVENTS.npz`` fits, then prints its port. The handler is ``async`` and
computes where it is called, without a hop to a thread, which is the fastest on one core. Seen items are left out.
"""

import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

K = 10
DIMS = 64
Recommend = Callable[[int], "list[tuple[int, float]]"]


def _matrix(users: Any, items: Any) -> Any:
    from scipy.sparse import csr_matrix  # noqa: PLC0415

    found = csr_matrix((np.ones(len(users), np.float32), (users, items)))
    found.data[:] = 1
    return found


def by_lightfm(users: Any, items: Any) -> Recommend:
    """LightFM.predict for all items, and argsort."""
    from lightfm import LightFM  # noqa: PLC0415

    seen = _matrix(users, items)
    model = LightFM(no_components=DIMS, loss="warp", random_state=0)
    model.fit(seen, epochs=20)
    every = np.arange(seen.shape[1], dtype=np.int32)

    def recommend(user: int) -> list[tuple[int, float]]:
        scores = model.predict(user, every)
        scores[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = -np.inf
        best = np.argsort(-scores)[:K]
        return [(int(item), float(scores[item])) for item in best]

    return recommend


def by_implicit(users: Any, items: Any) -> Recommend:
    """The top-k of implicit's ALS."""
    from implicit.als import AlternatingLeastSquares  # noqa: PLC0415

    seen = _matrix(users, items)
    model = AlternatingLeastSquares(factors=DIMS, random_state=0, num_threads=1)
    model.fit(seen, show_progress=False)

    def recommend(user: int) -> list[tuple[int, float]]:
        best, scores = model.recommend(user, seen[user], N=K, filter_already_liked_items=True)
        return [(int(item), float(score)) for item, score in zip(best, scores, strict=True)]

    return recommend


def by_rectools(users: Any, items: Any) -> Recommend:
    """RecTools' EASE, for one user at a time."""
    import pandas as pd  # noqa: PLC0415
    from rectools import Columns  # noqa: PLC0415
    from rectools.dataset import Dataset  # noqa: PLC0415
    from rectools.models import EASEModel  # noqa: PLC0415

    table = {
        Columns.User: users,
        Columns.Item: items,
        Columns.Weight: 1.0,
        Columns.Datetime: pd.Timestamp("2026-01-01"),
    }
    data = Dataset.construct(pd.DataFrame(table).drop_duplicates([Columns.User, Columns.Item]))
    model = EASEModel()
    model.fit(data)

    def recommend(user: int) -> list[tuple[int, float]]:
        found = model.recommend(users=[user], dataset=data, k=K, filter_viewed=True)
        return list(zip(found[Columns.Item].tolist(), found[Columns.Score].tolist(), strict=True))

    return recommend


MAKERS = {"lightfm": by_lightfm, "implicit": by_implicit, "rectools": by_rectools}


def main() -> None:
    """Fit, and answer."""
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415

    events = np.load(sys.argv[2])
    recommend = MAKERS[sys.argv[1]](events["users"], events["items"])

    async def answer(user: int) -> dict[str, object]:
        return {"items": [{"item": item, "score": score} for item, score in recommend(user)]}

    app = FastAPI()
    app.get("/recommend/{user}")(answer)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    assert len(recommend(int(events["users"][0]))) == K
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])


if __name__ == "__main__":
    main()
