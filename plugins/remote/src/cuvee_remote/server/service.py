"""The calls of ``cuvee.v1.RecommenderService``, answered by a recommender class."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
import numpy as np
from cuvee import Catalog, Chronology, Dataset
from cuvee.recommender import Ints, Queries, Recommender, SourceFailure
from cuvee.v1 import recommender_pb2 as pb
from cuvee.v1.recommender_pb2_grpc import RecommenderServiceServicer

from cuvee_remote.fitting import KINDS
from cuvee_remote.server.catalogues import Catalogues, entities_of
from cuvee_remote.server.models import Loaded, Models
from cuvee_remote.server.refusals import Refused, bad_request, status_of
from cuvee_remote.wire import Malformed, array_of, numbers_of, queries_of

__all__ = ["Service"]

log = logging.getLogger(__name__)
Request = TypeVar("Request")
Answer = TypeVar("Answer")
Method = Callable[["Service", Request, grpc.ServicerContext], Answer]


def _told(method: Method[Request, Answer]) -> Method[Request, Answer]:
    """The method with its refusals and failures as status codes. What nobody foresaw is logged, and not told."""

    def refuse(context: grpc.ServicerContext, refused: Refused) -> NoReturn:
        context.abort(refused.code, str(refused)[:1000])
        raise refused

    @wraps(method)
    def guarded(service: Service, request: Request, context: grpc.ServicerContext) -> Answer:
        try:
            return method(service, request, context)
        except Refused as refused:
            refuse(context, refused)
        except Malformed as problem:
            refuse(context, bad_request(str(problem)))
        except SourceFailure as failure:
            refuse(context, status_of(failure))
        except Exception as problem:
            log.exception("%s failed", method.__name__)
            refuse(context, Refused(grpc.StatusCode.INTERNAL, f"{method.__name__} raised {type(problem).__name__}"))

    return guarded


class _Loop:
    """An event loop in a thread, for recommenders whose methods are ``async``; begun when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def result(self, answer: Any) -> Any:
        """What was returned, awaited if need be."""
        if not inspect.isawaitable(answer):
            return answer
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="awaiting", daemon=True).start()

        async def awaited(one: Awaitable[Any]) -> Any:
            return await one

        return asyncio.run_coroutine_threadsafe(awaited(answer), self._loop).result()


class Service(RecommenderServiceServicer):
    """Answers for one recommender class."""

    def __init__(self, component: type[Recommender[Any]], models: Models, *, columns: bool) -> None:
        self._component = component
        self._columns = columns
        self._models = models
        self._catalogues = Catalogues()
        self._loop = _Loop()

    @_told
    def Describe(self, request: pb.DescribeRequest, context: grpc.ServicerContext) -> pb.DescribeResponse:  # noqa: N802
        """See recommender.proto."""
        serves = self._component.serves
        if request.model:
            serves = self._models.serves(request.model)
        kinds = [kind for flag, kind in KINDS.items() if flag in serves]
        explains = self._component.explain is not Recommender.explain
        return pb.DescribeResponse(serves=kinds, fits=True, explains=explains, columns=self._columns)

    @_told
    def OpenCatalogue(  # noqa: N802
        self, request: Iterator[pb.OpenCatalogueRequest], context: grpc.ServicerContext
    ) -> pb.OpenCatalogueResponse:
        """See recommender.proto."""
        return pb.OpenCatalogueResponse(size=self._catalogues.open(request))

    @_told
    def Fit(self, request: Iterator[pb.FitRequest], context: grpc.ServicerContext) -> pb.FitResponse:  # noqa: N802
        """See recommender.proto."""
        start, ids, columns, roles = pb.FitStart(), list[str](), bytearray(), dict[str, str]()
        events: dict[str, list[Any]] = {"users": [], "items": [], "weights": [], "times": []}
        for message in request:
            if message.HasField("start"):
                start = message.start
                items = self._catalogues.get(start.catalogue)
            ids.extend(message.user_ids)
            columns += message.user_columns
            roles.update(message.user_roles)
            if message.HasField("users"):
                events["users"].append(numbers_of(message.users, np.int32, None, name="users"))
                n = len(events["users"][-1])
                events["items"].append(numbers_of(message.items, np.int32, n, name="items"))
                events["weights"].append(numbers_of(message.weights, np.float32, n, name="weights"))
                events["times"].append(numbers_of(message.times, np.float64, n, name="times"))
        if not start.catalogue:
            raise bad_request("the first message must have a start, with a catalogue")
        given = {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in events.items()}
        catalog = Catalog(items, entities_of(ids, bytes(columns), roles))
        try:
            json.loads(start.options_json or "{}")
            data = Dataset.build(catalog, **given, chronology=Chronology(start.chronology))
        except ValueError as problem:
            raise bad_request(str(problem)) from problem
        return pb.FitResponse(model=self._models.fit(data, start.options_json, apart=start.apart))

    @_told
    def Candidates(self, request: pb.CandidatesRequest, context: grpc.ServicerContext) -> pb.CandidatesResponse:  # noqa: N802
        """See recommender.proto."""
        model, queries = self._asked(request.model, request.catalogue, request.queries)
        found = self._loop.result(model.recommender.candidates(queries, request.k))
        return pb.CandidatesResponse(items=array_of(found.items), scores=array_of(found.scores), model=model.name)

    @_told
    def Score(self, request: pb.ScoreRequest, context: grpc.ServicerContext) -> pb.ScoreResponse:  # noqa: N802
        """See recommender.proto."""
        model, queries = self._asked(request.model, request.catalogue, request.queries)
        items = self._rows(numbers_of(request.items, np.int32, len(queries), None, name="items"), request.catalogue)
        scores = self._loop.result(model.recommender.score(queries, items))
        return pb.ScoreResponse(scores=array_of(scores), model=model.name)

    @_told
    def Explain(self, request: pb.ExplainRequest, context: grpc.ServicerContext) -> pb.ExplainResponse:  # noqa: N802
        """See recommender.proto."""
        model, queries = self._asked(request.model, request.catalogue, request.queries)
        rows = numbers_of(request.rows, np.int32, None, name="rows")
        items = self._rows(numbers_of(request.items, np.int32, len(rows), name="items"), request.catalogue, least=0)
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(queries)):
            raise bad_request(f"rows must be of the {len(queries)} queries")
        said = self._loop.result(model.recommender.explain(queries, rows, items))
        return pb.ExplainResponse(reasons=[one or "" for one in said])

    def _asked(self, name: str, key: str, message: pb.Queries) -> tuple[Loaded, Queries]:
        """The model that is asked, and the queries."""
        items = self._catalogues.get(key)
        model = self._models.get(name, items, key)
        users = model.users.positions(list(message.user_ids))
        return model, queries_of(message, users, len(items))

    def _rows(self, items: Ints, key: str, least: int = -1) -> Ints:
        n = len(self._catalogues.get(key))
        if items.size and not (items.min() >= least and items.max() < n):
            raise bad_request(f"items must be rows of the table of {n}")
        return items
