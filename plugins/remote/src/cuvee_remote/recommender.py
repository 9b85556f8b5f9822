"""The ``remote`` recommender: asks another process, one call for a batch, whether it computes candidates or scores.

Its methods are ``async``: the server asks it first and waits for it last, while the other sources compute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
from cuvee import Catalog, Dataset
from cuvee.recommender import Candidates, Floats, Ints, Progress, Queries, Recommender, Serves
from cuvee.v1 import recommender_pb2 as pb

from cuvee_remote.answers import candidates_of, reasons_of, scores_of
from cuvee_remote.client import RemoteClient
from cuvee_remote.config import RemoteConfig
from cuvee_remote.fitting import Fitted, check_kept, fit
from cuvee_remote.tables import Table
from cuvee_remote.wire import array_of, message_of

__all__ = ["Remote"]

A = TypeVar("A")

MOST = 2 << 20
"""Bytes of a request's arrays, or of an answer's. Beyond, a batch is asked about in parts: servers take 4 MiB."""
ROW = 256
"""Bytes of a query without its arrays: its user's id and profile."""
EVENT = 16
"""Bytes of an event."""
LONGEST = 50_000
"""Events of a history that are sent, the newest."""
ROWS = 64
"""The number of rows that the deadline is for, the engine's largest online batch; more rows get more time."""
AT_ONCE = 4
"""Parts of a batch that are asked about at the same time."""


class Remote(Recommender[RemoteConfig]):
    """A recommender in another process."""

    Config = RemoteConfig
    serves = Serves.KNOWN_USER | Serves.SESSION | Serves.COLD_USER | Serves.COLD_ITEM
    needs_server = True

    def __init__(self, config: RemoteConfig, fitted: Fitted, catalog: Catalog) -> None:
        """No call is made yet: the other process may come up later."""
        self._fitted = fitted
        self._catalog = catalog
        self._client = RemoteClient(config.address, config.deadline, Table.of(catalog.items, columns=fitted.columns))
        self._answered = fitted.model
        self.serves = Serves(fitted.serves)

    @classmethod
    def _of(cls, config: RemoteConfig, fitted: Fitted, catalog: Catalog) -> Self:
        """One that explains, or one that does not: the engine asks only classes that have ``explain``."""
        kind: type[Remote] = Explaining if fitted.explains else Remote
        return kind(config, fitted, catalog)  # type: ignore[return-value]

    @property
    def model_version(self) -> str:
        """The model that answered last; before the first answer, the one of the fit."""
        return self._answered

    @classmethod
    def fit(cls, data: Dataset, config: RemoteConfig, progress: Progress) -> Self:
        """Ask the other process what it is, and teach it where it can be taught.

        Raises:
            OperatorError: it is not there, refuses, or answers with something else.
        """
        return cls._of(config, fit(data, config, progress), data.catalog)

    def save(self, directory: Path) -> None:
        """Write the model's name and what the other process said of itself."""
        self._fitted.save(directory)

    @classmethod
    def load(cls, directory: Path, config: RemoteConfig, catalog: Catalog) -> Self:
        """Read that. The other process is only asked where a measurement is to go on with its model.

        Raises:
            ArtifactError: the file is damaged, or the model of a measurement was deleted.
            OperatorError: there is a measurement, and the other process is not there.
        """
        fitted = Fitted.load(directory)
        if config.measuring and fitted.model:
            check_kept(fitted, config)
        return cls._of(config, fitted, catalog)

    async def candidates(self, queries: Queries, k: int) -> Candidates:
        """What the other process proposes."""
        n = len(self._catalog.items)
        most = min(k, n)
        made = Candidates.empty(len(queries), most)
        rows = self._served(queries)
        if not len(rows) or not most:
            return made

        async def ask(part: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Candidates]:
            request = pb.CandidatesRequest(
                model=self._fitted.model, catalogue=self._client.catalogue, queries=self._message(queries, part), k=most
            )
            patience = max(1.0, len(part) / ROWS)
            answer = await self._client.ask("Candidates", request, pb.CandidatesResponse, patience)
            self._answered = answer.model[:64] or self._answered
            return part, candidates_of(answer, len(part), most, n)

        parts = await _at_once([ask(part) for part in _parts(queries, rows, 2 * most)])
        if len(parts) == 1 and len(rows) == len(queries):
            return parts[0][1]
        for part, found in parts:
            width = found.items.shape[1]
            made.items[part, :width], made.scores[part, :width] = found.items, found.scores
        return made

    async def score(self, queries: Queries, items: Ints) -> Floats:
        """What the other process thinks of them."""
        scores = np.full(items.shape, np.nan, np.float32)
        rows = self._served(queries)
        if not len(rows) or not items.shape[1]:
            return scores

        async def ask(part: npt.NDArray[np.int64], columns: slice) -> None:
            everything = len(part) == len(items)
            wanted = items[:, columns] if everything else items[part, columns]
            request = pb.ScoreRequest(
                model=self._fitted.model,
                catalogue=self._client.catalogue,
                queries=self._message(_not_asked_to_propose(queries), part),
                items=array_of(wanted),
            )
            patience = max(1.0, len(part) / ROWS)
            answer = await self._client.ask("Score", request, pb.ScoreResponse, patience)
            self._answered = answer.model[:64] or self._answered
            scores[part, columns] = scores_of(answer, wanted)

        width = min(items.shape[1], MOST // 4)
        columns = [slice(at, at + width) for at in range(0, items.shape[1], width)]
        await _at_once([ask(part, some) for part in _parts(queries, rows, width) for some in columns])
        return scores

    def health(self) -> bool:
        """Whether the other process could be reached at the last call."""
        return self._client.reachable

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _served(self, queries: Queries) -> npt.NDArray[np.int64]:
        """int64[b]: the rows that the other process is asked about."""
        return np.flatnonzero(queries.served_by(self.serves))

    def _message(self, queries: Queries, rows: npt.NDArray[np.int64]) -> pb.Queries:
        asked = queries if len(rows) == len(queries) else queries.select(rows)
        known = asked.users[asked.users >= 0]
        ids = np.full(len(asked), "", object)
        if len(known):
            ids[asked.users >= 0] = self._catalog.users.ids(known)
        return message_of(replace(asked, histories=asked.histories.last(LONGEST)), ids.tolist())


class Explaining(Remote):
    """A remote recommender that says why."""

    async def explain(self, queries: Queries, rows: Ints, items: Ints) -> Sequence[str | None]:
        """What the other process says of pairs; None for queries that it does not serve."""
        said: list[str | None] = [None] * len(items)
        served = self._served(queries)
        place = np.full(len(queries), -1, np.int32)
        place[served] = np.arange(len(served), dtype=np.int32)
        pairs = np.flatnonzero(place[rows] >= 0)
        if not len(pairs):
            return said
        request = pb.ExplainRequest(
            model=self._fitted.model,
            catalogue=self._client.catalogue,
            queries=self._message(_not_asked_to_propose(queries), served),
            rows=array_of(place[rows[pairs]]),
            items=array_of(items[pairs]),
        )
        answer = await self._client.ask("Explain", request, pb.ExplainResponse)
        for pair, reason in zip(pairs.tolist(), reasons_of(answer, len(pairs)), strict=True):
            said[pair] = reason
        return said


def _not_asked_to_propose(queries: Queries) -> Queries:
    """The same without what must not be proposed, which scores do not depend on."""
    empty = queries.once(Remote, "nothing", lambda: Queries.build(queries.histories).excluded)
    return replace(queries, excluded=empty, eligible=None)


def _parts(queries: Queries, rows: npt.NDArray[np.int64], width: int) -> Iterator[npt.NDArray[np.int64]]:
    """The rows in parts of about :data:`MOST` bytes, with ``width`` numbers of 4 bytes for each row."""
    events = np.minimum(queries.histories.lengths, LONGEST)
    cost = np.cumsum((EVENT * events + 4 * queries.excluded.lengths + 4 * width + ROW)[rows])
    if cost[-1] <= MOST:
        yield rows
        return
    begin = 0
    while begin < len(rows):
        before = cost[begin - 1] if begin else 0
        end = max(int(np.searchsorted(cost, before + MOST, "right")), begin + 1)
        yield rows[begin:end]
        begin = end


async def _at_once(work: Sequence[Awaitable[A]]) -> list[A]:
    """The results of some calls, :data:`AT_ONCE` of which go on at the same time; the first failure ends all."""
    if len(work) == 1:
        return [await work[0]]
    places = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[A]) -> A:
        async with places:
            return await call

    tasks = [asyncio.ensure_future(one(call)) for call in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
