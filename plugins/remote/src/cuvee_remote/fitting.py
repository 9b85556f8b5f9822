"""``cuvee fit``: the remote is asked what it is, and taught where it can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import numpy as np
from cuvee import ArtifactError, Dataset, Entities, OperatorError
from cuvee.recommender import Progress, Serves
from cuvee.v1 import admin_pb2
from cuvee.v1 import recommender_pb2 as pb
from cuvee.v1.recommender_pb2_grpc import RecommenderServiceStub

from cuvee_remote.client import OPTIONS
from cuvee_remote.config import RemoteConfig
from cuvee_remote.tables import Table, arrow_of, id_chunks, pieces
from cuvee_remote.wire import array_of

__all__ = ["Fitted", "check_kept", "fit"]

EVENTS = 1 << 16
"""Events in a message: 1.3 MB."""
FILE = "remote.json"
KINDS = {flag: getattr(admin_pb2, f"QUERY_KIND_{flag.name}") for flag in Serves}


@dataclass(frozen=True)
class Fitted:
    """What is known of the remote since the fit: the whole artefact."""

    model: str
    """The name of its model; empty where it learns by itself."""
    serves: int
    """A :class:`~cuvee.recommender.Serves`."""
    explains: bool
    columns: bool

    def save(self, directory: Path) -> None:
        """Write it."""
        (directory / FILE).write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            ArtifactError: the file is not that.
        """
        path = directory / FILE
        try:
            found = json.loads(path.read_text())
            kept = cls(str(found["model"]), int(found["serves"]), bool(found["explains"]), bool(found["columns"]))
            Serves(kept.serves)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise ArtifactError(f"{path} is damaged ({problem!r}); run `cuvee fit`") from problem
        return kept


def fit(data: Dataset, config: RemoteConfig, progress: Progress) -> Fitted:
    """Ask the remote what it is, and teach it where it can be taught.

    Raises:
        OperatorError: it is not there, refuses, or answers with something else.
    """
    with grpc.insecure_channel(config.address, options=OPTIONS) as channel:
        stub = RecommenderServiceStub(channel)
        try:
            found = stub.Describe(pb.DescribeRequest(), timeout=config.start_wait, wait_for_ready=True)
            model = ""
            if found.fits:
                model = _taught(stub, data, config, progress, columns=found.columns)
                found = stub.Describe(pb.DescribeRequest(model=model), timeout=config.start_wait)
            elif config.measuring:
                progress(1, 1, "learns by itself: what it is measured on may be what it has learnt")
        except grpc.RpcError as problem:
            raise OperatorError(_said(problem, config.address)) from problem
    serves = Serves(0)
    for flag, kind in KINDS.items():
        if kind in found.serves:
            serves |= flag
    if not serves:
        raise OperatorError(f"the remote recommender at {config.address} says that it serves nothing")
    return Fitted(model, serves.value, found.explains, found.columns)


def check_kept(fitted: Fitted, config: RemoteConfig) -> None:
    """Ask whether the remote still has a model of an earlier measurement, which it may have deleted.

    Raises:
        ArtifactError: it has not; the model must be learnt again.
        OperatorError: it is not there.
    """
    with grpc.insecure_channel(config.address, options=OPTIONS) as channel:
        try:
            asked = pb.DescribeRequest(model=fitted.model)
            RecommenderServiceStub(channel).Describe(asked, timeout=config.start_wait, wait_for_ready=True)
        except grpc.RpcError as problem:
            if isinstance(problem, grpc.Call) and problem.code() is grpc.StatusCode.NOT_FOUND:
                said = f"the remote recommender at {config.address} no longer has the model {fitted.model!r}"
                raise ArtifactError(said) from problem
            raise OperatorError(_said(problem, config.address)) from problem


def _taught(
    stub: RecommenderServiceStub, data: Dataset, config: RemoteConfig, progress: Progress, *, columns: bool
) -> str:
    """Send items and events; the name of the model that was learnt."""
    table = Table.of(data.catalog.items, columns=columns)
    size = stub.OpenCatalogue(table.messages()).size
    if size != len(table):
        raise OperatorError(f"the remote recommender has {size} rows of the catalogue's {len(table)}")
    model = stub.Fit(_events(data, config, table, progress)).model
    if not model:
        raise OperatorError(f"the remote recommender at {config.address} gave its model no name")
    return model


def _columns_of(users: Entities) -> Iterator[pb.FitRequest]:
    roles = {name: str(role) for name, role in users.roles.items()}
    for piece in pieces(arrow_of(users)):
        yield pb.FitRequest(user_columns=piece, user_roles=roles)
        roles = {}


def _events(data: Dataset, config: RemoteConfig, table: Table, progress: Progress) -> Iterator[pb.FitRequest]:
    start: Any = pb.FitStart(
        catalogue=table.key,
        options_json=json.dumps(config.options, sort_keys=True),
        chronology=str(data.chronology),
        apart=config.measuring,
    )
    yield pb.FitRequest(start=start)
    for ids in id_chunks(data.catalog.users):
        yield pb.FitRequest(user_ids=ids)
    if table.columns:
        yield from _columns_of(data.catalog.users)
    events, users, n = data.events, data.users, len(data)
    for at in range(0, n, EVENTS):
        some = slice(at, at + EVENTS)
        yield pb.FitRequest(
            users=array_of(users[some]),
            items=array_of(events.items[some]),
            weights=array_of(events.weights[some].astype(np.float32, copy=False)),
            times=array_of(events.times[some].astype(np.float64, copy=False)),
        )
        progress(min(at + EVENTS, n), n, "events sent" if at + EVENTS < n else "being learnt")


def _said(problem: grpc.RpcError, address: str) -> str:
    """What went wrong, and what to do."""
    code = problem.code() if isinstance(problem, grpc.Call) else None
    details = (problem.details() if isinstance(problem, grpc.Call) else None) or ""
    match code:
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no remote recommender answers at {address}; start it, or set `address` ({details[:200]})"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"what listens at {address} is no cuvee.v1.RecommenderService ({details[:200]})"
        case grpc.StatusCode.INVALID_ARGUMENT:
            return f"the remote recommender at {address} refuses the fit; see `options`: {details[:500]}"
        case _:
            return f"the remote recommender at {address} cannot be fitted: {code} {details[:500]}"
