"""What makes the parts of a job, in a process of its own or not: the server's own parts, without the server.

Requests are checked by the server's edge, users are read by what reads them for requests, the catalogue follows the
store, and the pipeline makes the lists. Two things differ: a source has as long as it takes, and one that fails ends
the part, since a degraded list in a file would be taken for a good one.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from cuvee.artifacts.snapshot import load_snapshot
from cuvee.batch.frames import frame_of, schema_of
from cuvee.batch.job import LISTS, Job, Manifest, manifest_of, part, users_of
from cuvee.config import Settings, load_settings
from cuvee.data.store import Store
from cuvee.data.store.opening import existing_store
from cuvee.errors import ArtifactError, DataError, DegradedReason, OperatorError, SourceFailure, UnavailableError
from cuvee.folder import Folder
from cuvee.ranking.ask import Directly, Report
from cuvee.ranking.pipeline import make_lists
from cuvee.registry import Registry
from cuvee.serving.lists.assembling import assemble
from cuvee.serving.lists.drafts import Beside, Draft, Row
from cuvee.serving.lists.edge import Edge
from cuvee.serving.lists.hooks import Hooks
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.products import Products, Served
from cuvee.serving.live.retiring import Retiring
from cuvee.serving.telemetry.figures import Figures
from cuvee.serving.with_store import StoreServices
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Done", "Worker"]

TOGETHER = 256
"""Users whose lists go through the pipeline at once."""
PATIENCE = 600.0
"""Seconds for reading users from the store; what is slow is waited for, and what fails ends the part."""
AWAY = frozenset({DegradedReason.TIMEOUT, DegradedReason.UNAVAILABLE, DegradedReason.OVERLOADED})


@dataclass(frozen=True, slots=True)
class Done:
    """A part that was written."""

    number: int
    users: int
    """Users with a list."""
    left_out: int
    """Users who were deleted since the job began."""
    rows: int
    fallback: int
    """Rows that the fallback chain or the last resort filled."""
    cpu: float
    """Seconds of processor."""


class Worker:
    """Makes parts, one after another. Use it as a context."""

    def __init__(self, job: Job) -> None:
        """Load the snapshot that the job names, over the catalogue as it is now.

        Raises:
            CuveeError: the configuration, the models or the store cannot be used.
        """
        self._folder = Folder(job.target)
        manifest = manifest_of(self._folder)
        if manifest is None:
            raise DataError(f"{job.target} holds no batch")
        self._manifest: Manifest = manifest
        registry = Registry.load()
        settings = load_settings(Path(job.config), registry)
        self._product = product = manifest.asked.product
        if settings.revision_of(product) != manifest.asked.revision:
            raise DataError(f"the configuration of {product!r} has changed since the batch began; begin anew elsewhere")
        self._runner = asyncio.Runner()
        self._ask = Directly()
        self._hooks = Hooks(registry, settings.server.limits.threads)
        self._runner.run(self._open(settings, registry))

    async def _open(self, settings: Settings, registry: Registry) -> None:
        self._store = store_of(settings)
        quiet = settings if self._store is not None else without_store(settings)
        self._products = Products([self._product])
        limits = quiet.server.limits
        self._retiring = Retiring(limits.deadline)
        self._stored = StoreServices(
            Configured(quiet), registry, self._products, asyncio.Event(), Figures(), retiring=self._retiring,
            prunes=False,
        )  # fmt: skip
        snapshot = load_snapshot(quiet, registry, self._product, self._manifest.version)
        if snapshot.problems:
            raise ArtifactError("not every source can be used:\n" + "\n".join(snapshot.problems))
        # those of all variants of an experiment: one file holds lists of each
        self._sources = list(dict.fromkeys(source.name for plan in snapshot.plans for source in plan.sources))
        served = Served.of(snapshot, self._manifest.asked.revision)
        served = await self._stored.begin(served, quiet)
        self._products.put(served)
        self._stored.begun(self._product)
        self._edge = Edge(self._hooks, limits.threads, self._stored.users, self._stored.growth)

    def make(self, number: int) -> Done:
        """Make a part and write it.

        Raises:
            UnavailableError: the store, the target or a source cannot be reached; try again.
            OperatorError: a source failed, and will again.
        """
        began = time.process_time()
        users = users_of(self._folder, number)
        frame, asked = self._runner.run(self._lists(users))
        self._folder.put(f"{LISTS}/{part(number)}", frame.write_parquet)
        filled = int((frame["kind"] == "fallback").sum())
        cpu = time.process_time() - began
        return Done(number, asked, len(users) - asked, len(frame), filled, cpu)

    async def _lists(self, users: Sequence[str]) -> tuple[pl.DataFrame, int]:
        frames: list[pl.DataFrame] = []
        asked = 0
        for first in range(0, len(users), TOGETHER):
            some = self._still_there(users[first : first + TOGETHER])
            asked += len(some)
            if some:
                frames.append(await self._together(some))
        if frames:
            return pl.concat(frames), asked
        return pl.DataFrame(schema=schema_of(self._sources, attributions=self._manifest.asked.attributions)), 0

    @property
    def _current(self) -> Served:
        return self._products.current(self._product)

    def _still_there(self, users: Sequence[str]) -> Sequence[str]:
        """Less those who were deleted and have done nothing since."""
        if self._store is None:
            return users
        states = self._store.states(self._product, users)
        return [one for one in users if not states[one].forgotten or states[one].stamp is not None]

    async def _together(self, users: Sequence[str]) -> pl.DataFrame:
        rows = await self._rows(users)
        kinds: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for at, row in enumerate(rows):
            kinds[row.kind].append(at)
        frames = []
        for places in kinds.values():  # one, unless the catalogue has changed in between
            some = [rows[at] for at in places]
            plan = some[0].served.snapshot.plan
            answer = make_lists(plan, assemble(some), self._ask)
            for report in answer.reports:
                if report.failure is not None:
                    raise _failed(report)
            whose = [users[at] for at in places]
            frames.append(frame_of(plan, answer, whose, self._sources, attributions=self._manifest.asked.attributions))
        return pl.concat(frames)

    async def _rows(self, users: Sequence[str]) -> list[Row]:
        """The requests as the edge makes rows of them: all by one statement, as far as nothing must be waited for."""
        asked, served = self._manifest.asked, self._current
        drafts: list[Draft] = [
            self._edge.recommend(
                pb.RecommendRequest(
                    product=self._product, user_id=one, page_size=asked.page_size, filter=asked.filter
                ),
                served,
            )
            for one in users
        ]  # fmt: skip
        quick = all(self._edge.quick(draft) for draft in drafts)
        found = self._edge.rows(drafts) if quick else [Beside() for _ in drafts]
        until = time.monotonic() + PATIENCE
        late = {at: self._edge.row(drafts[at], until) for at, one in enumerate(found) if isinstance(one, Beside)}
        made = dict(zip(late, await asyncio.gather(*late.values()), strict=True))
        rows: list[Row] = []
        for at, one in enumerate(found):
            row = made.get(at, one)
            if isinstance(row, Exception):
                raise row
            if row.store_failed is not None:
                raise UnavailableError(f"{row.store_failed.detail}; the same command goes on when it can be")
            if row.history_failed:
                raise UnavailableError("a plugin's load_history failed: the log says why; the same command goes on")
            rows.append(row)
        return rows

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ask.close()
        self._current.snapshot.close()
        self._edge.close()
        self._hooks.close()
        self._retiring.close()
        self._stored.close()
        if self._store is not None:
            self._store.close()
        self._runner.close()


def store_of(settings: Settings) -> Store | None:
    """The configured store, if anything was ever written to it: a batch makes none."""
    return existing_store(settings) if settings.store.url else None


def without_store(settings: Settings) -> Settings:
    """The same without a store: what was imported is all that there is."""
    return settings.model_copy(update={"store": settings.store.model_copy(update={"url": ""})})


def _failed(report: Report) -> UnavailableError | OperatorError:
    failure = report.failure
    said = failure.detail if isinstance(failure, SourceFailure) else f"{type(failure).__name__}: {failure}"
    if report.reason in AWAY:
        return UnavailableError(f"{report.source} cannot answer: {said}; the same command goes on when it can")
    return OperatorError(f"{report.source} failed: {said}; what is written stays, and the same command goes on")
