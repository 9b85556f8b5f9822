"""AdminService: shows and steers this server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from cuvee.artifacts.choice import activate, chosen, release, roll_back, target_of_rollback
from cuvee.artifacts.pruning import KEEP, prunable, prune
from cuvee.artifacts.versions import Manifest
from cuvee.config import Files, Settings, read_settings
from cuvee.config.masking import masked
from cuvee.config.printing import as_toml
from cuvee.errors import ArtifactError, InvalidArgument, NotFound, OperatorError
from cuvee.registry import Registry
from cuvee.serving.admin.operations import Operations
from cuvee.serving.admin.product_files import ProductFile, etag_of
from cuvee.serving.admin.to_wire import (
    SourceFigures,
    moment,
    operation_message,
    problems,
    product_message,
    recommenders,
    snapshot_message,
)
from cuvee.serving.admin.validating import check_length, given_files, named_elsewhere
from cuvee.serving.catalogue.to_wire import page_after, page_size_of, page_token
from cuvee.serving.fields import check_id
from cuvee.serving.guard import Context
from cuvee.serving.live.configured import Configured
from cuvee.serving.live.products import Products
from cuvee.serving.live.reloading import Reloading
from cuvee.serving.live.standing import EVERYTHING
from cuvee.serving.threads import Threads
from cuvee.v1 import admin_pb2 as pb
from cuvee.v1 import admin_pb2_grpc as rpc

__all__ = ["AdminServicer"]

T = TypeVar("T")
M = TypeVar("M")
MOST_KEPT = 1000


class AdminServicer(rpc.AdminServiceServicer):
    """Of one server process. What it changes lies in files that the other processes follow."""

    def __init__(
        self,
        configured: Configured,
        registry: Registry,
        products: Products,
        reloading: Reloading,
        sources: Callable[[str], Mapping[str, SourceFigures]],
    ) -> None:
        """``sources`` gives how a product's sources have done."""
        self._configured = configured
        self._registry = registry
        self._products = products
        self._reloading = reloading
        self._sources = sources
        self._threads = Threads("admin", 4)

    def _known(self, product: str) -> str:
        check_id("product", product, required=True)
        if product not in self._products.served:
            raise NotFound("product", product, sorted(self._products.served))
        return product

    def _settings(self) -> dict[str, Settings]:
        """Those of each product whose file could be read."""
        found = {name: self._reloading.settings_of(name) for name in sorted(self._products.served)}
        return {name: settings for name, settings in found.items() if settings is not None}

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await self._threads.in_turn(60.0, call)

    # products

    async def GetProduct(self, request: pb.GetProductRequest, context: Context) -> pb.GetProductResponse:  # noqa: N802
        """As the proto says."""
        return pb.GetProductResponse(product=await self._product(self._known(request.product)))

    async def _product(self, name: str) -> pb.Product:
        root = self._reloading.root

        def held() -> bool:
            try:
                return bool(chosen(root, name).version)
            except ArtifactError:
                return False

        return product_message(
            name,
            self._reloading.settings_of(name),
            self._configured.started.root,
            self._products.served.get(name),
            self._reloading.standings.of(name),
            self._sources(name),
            held=await self._in_thread(held),
            loading=not self._products.failed(name),
        )

    async def ListProducts(self, request: pb.ListProductsRequest, context: Context) -> pb.ListProductsResponse:  # noqa: N802
        """As the proto says."""
        names = sorted(self._products.served)
        page, token = _page(names, lambda one: one, request.page_size, request.page_token, "products", "")
        return pb.ListProductsResponse(products=[await self._product(name) for name in page], next_page_token=token)

    async def ListRecommenders(  # noqa: N802
        self, request: pb.ListRecommendersRequest, context: Context
    ) -> pb.ListRecommendersResponse:
        """As the proto says."""
        found = recommenders(self._registry, self._settings())
        page, token = _page(found, lambda one: one.name, request.page_size, request.page_token, "recommenders", "")
        return pb.ListRecommendersResponse(recommenders=page, next_page_token=token)

    # snapshots

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: Context) -> pb.ListSnapshotsResponse:  # noqa: N802
        """As the proto says."""
        name = self._known(request.product)
        there = await self._in_thread(lambda: self._reloading.root.versions(name))
        # the newest first: later names stand for earlier times
        page, token = _page(
            there[::-1], lambda one: one, request.page_size, request.page_token, "snapshots", name, falling=True
        )
        return pb.ListSnapshotsResponse(
            snapshots=[await self._snapshot(name, version) for version in page], next_page_token=token
        )

    async def _snapshot(self, name: str, version: str) -> pb.Snapshot:
        def read() -> Manifest | Exception:
            try:
                return self._reloading.root.manifest(name, version)
            except ArtifactError as problem:
                return problem

        served, standing = self._products.served.get(name), self._reloading.standings.of(name)
        active = served is not None and served.snapshot.version == version
        failed = standing.failed if standing.tried is not None and standing.tried[1] == version else ()
        manifest = await self._in_thread(read)
        return snapshot_message(name, version, manifest, active=active, since=standing.loaded, failed=failed)

    async def ActivateSnapshot(  # noqa: N802
        self, request: pb.ActivateSnapshotRequest, context: Context
    ) -> pb.ActivateSnapshotResponse:
        """As the proto says."""
        name, version = self._known(request.product), check_id("version", request.version, required=True)
        root = self._reloading.root
        there = await self._in_thread(lambda: root.versions(name))
        if version not in there:
            raise NotFound("snapshot", version, there)
        write = None if request.validate_only else lambda: activate(root, name, version)
        before = await _to_its_end(self._reloading.use_version(name, version, write))
        return pb.ActivateSnapshotResponse(snapshot=await self._snapshot(name, version), previous_version=before)

    async def RollbackSnapshot(  # noqa: N802
        self, request: pb.RollbackSnapshotRequest, context: Context
    ) -> pb.RollbackSnapshotResponse:
        """As the proto says."""
        name, root = self._known(request.product), self._reloading.root
        version = (await self._in_thread(lambda: target_of_rollback(root, name)))[0]
        write = None if request.validate_only else lambda: roll_back(root, name)
        before = await _to_its_end(self._reloading.use_version(name, version, write))
        return pb.RollbackSnapshotResponse(snapshot=await self._snapshot(name, version), previous_version=before)

    async def ReleaseSnapshot(  # noqa: N802
        self, request: pb.ReleaseSnapshotRequest, context: Context
    ) -> pb.ReleaseSnapshotResponse:
        """As the proto says."""
        name, root = self._known(request.product), self._reloading.root
        there = await self._in_thread(lambda: root.versions(name))
        if not there:
            raise ArtifactError(f"product {name!r} has no snapshot; run `cuvee fit {name}`")
        before = await _to_its_end(self._reloading.use_version(name, there[-1], lambda: release(root, name)))
        return pb.ReleaseSnapshotResponse(snapshot=await self._snapshot(name, there[-1]), previous_version=before)

    async def PruneSnapshots(self, request: pb.PruneSnapshotsRequest, context: Context) -> pb.PruneSnapshotsResponse:  # noqa: N802
        """As the proto says."""
        name, root, keep = self._known(request.product), self._reloading.root, request.keep or KEEP
        if not 0 < keep <= MOST_KEPT:
            raise InvalidArgument("keep", f"is {request.keep}; 1 to {MOST_KEPT} may stay, and 0 takes {KEEP}")
        served = self._products.served.get(name)
        used = [served.snapshot.version] if served is not None else []
        work = prunable if request.validate_only else prune
        return pb.PruneSnapshotsResponse(versions=await self._in_thread(lambda: work(root, name, keep, used)))

    # configuration

    def _files(self) -> Files:
        files = self._reloading.files
        if files is None:
            raise OperatorError("this server was started without files, so its configuration cannot be changed")
        return files

    async def GetConfig(self, request: pb.GetConfigRequest, context: Context) -> pb.GetConfigResponse:  # noqa: N802
        """As the proto says."""
        name = self._known(request.product)
        settings, served = self._reloading.settings_of(name), self._products.served.get(name)
        content = await self._in_thread(ProductFile(self._files().path(name)).content)
        standing = self._reloading.standings.of(name)
        effective = ""
        if settings is not None:
            whole = settings.effective()
            using = {one: whole["recommenders"][one] for one in settings.products[name].recommenders}
            effective = as_toml({"recommenders": using, "products": {name: whole["products"][name]}})
        return pb.GetConfigResponse(
            product_toml=(content or b"").decode(errors="replace"),
            etag=etag_of(content),
            revision=served.revision if served is not None else "",
            effective_toml=effective,
            refused_problems=problems(standing.refused, self._configured.started.root),
        )

    async def ApplyConfig(self, request: pb.ApplyConfigRequest, context: Context) -> pb.ApplyConfigResponse:  # noqa: N802
        """As the proto says."""
        name = self._known(request.product)
        check_length("product_toml", request.product_toml)
        if not request.product_toml.strip():
            raise InvalidArgument("product_toml", "is empty; give the text of the whole file")
        content, file = request.product_toml.encode(), ProductFile(self._files().path(name))
        await self._in_thread(lambda: file.check(request.etag))
        write = None if request.validate_only else lambda: file.write(content, request.etag)
        revision, before = await _to_its_end(self._reloading.use_file(name, content, write))
        return pb.ApplyConfigResponse(revision=revision, etag=etag_of(content), previous_revision=before)

    async def RollbackConfig(self, request: pb.RollbackConfigRequest, context: Context) -> pb.RollbackConfigResponse:  # noqa: N802
        """As the proto says."""
        name = self._known(request.product)
        file = ProductFile(self._files().path(name))
        await self._in_thread(lambda: file.check(request.etag))
        content = await self._in_thread(file.earlier)
        revision, before = await _to_its_end(
            self._reloading.use_file(name, content, lambda: file.bring_back(content, request.etag))
        )
        return pb.RollbackConfigResponse(revision=revision, etag=etag_of(content), previous_revision=before)

    # operations

    def _operations(self) -> Operations:
        return Operations(self._configured.started.data_dir, self._files().file.resolve())

    async def _start(self, product: str, kind: str, *options: str) -> pb.Operation:
        name, operations = self._known(product), self._operations()
        return operation_message(await self._in_thread(lambda: operations.start(name, kind, *options)))

    async def StartFit(self, request: pb.StartFitRequest, context: Context) -> pb.StartFitResponse:  # noqa: N802
        """As the proto says."""
        return pb.StartFitResponse(operation=await self._start(request.product, "fit"))

    async def StartTune(self, request: pb.StartTuneRequest, context: Context) -> pb.StartTuneResponse:  # noqa: N802
        """As the proto says."""
        options = ("--apply",) if request.apply else ()
        return pb.StartTuneResponse(operation=await self._start(request.product, "tune", *options))

    async def GetOperation(self, request: pb.GetOperationRequest, context: Context) -> pb.GetOperationResponse:  # noqa: N802
        """As the proto says."""
        name, operations = check_id("operation_id", request.operation_id, required=True), self._operations()
        return pb.GetOperationResponse(operation=operation_message(await self._in_thread(lambda: operations.get(name))))

    async def ListOperations(self, request: pb.ListOperationsRequest, context: Context) -> pb.ListOperationsResponse:  # noqa: N802
        """As the proto says."""
        name, operations = self._known(request.product), self._operations()
        there = await self._in_thread(lambda: operations.of(name))
        page, token = _page(
            there, lambda one: one, request.page_size, request.page_token, "operations", name, falling=True
        )
        found = await self._in_thread(lambda: [operation_message(operations.get(one)) for one in page])
        return pb.ListOperationsResponse(operations=found, next_page_token=token)

    async def CancelOperation(self, request: pb.CancelOperationRequest, context: Context) -> pb.CancelOperationResponse:  # noqa: N802
        """As the proto says."""
        name, operations = check_id("operation_id", request.operation_id, required=True), self._operations()
        found = await self._in_thread(lambda: operations.cancel(name))
        return pb.CancelOperationResponse(operation=operation_message(found))

    async def ValidateConfig(self, request: pb.ValidateConfigRequest, context: Context) -> pb.ValidateConfigResponse:  # noqa: N802
        """As the proto says."""
        files = self._files()
        given = given_files(files, request.server_toml, request.product_tomls)
        elsewhere = list(named_elsewhere(given, files))
        if elsewhere:
            return pb.ValidateConfigResponse(problems=problems(elsewhere, given.file.parent))
        settings, mistakes = await self._in_thread(lambda: read_settings(given, self._registry))
        if mistakes or settings is None:
            return pb.ValidateConfigResponse(problems=problems(mistakes, given.file.parent))
        return pb.ValidateConfigResponse(
            valid=True, revision=settings.revision, effective_toml=as_toml(settings.effective())
        )

    async def GetConfigRevision(  # noqa: N802
        self, request: pb.GetConfigRevisionRequest, context: Context
    ) -> pb.GetConfigRevisionResponse:
        """As the proto says."""
        standings, settings = self._reloading.standings, self._settings()
        started = self._configured.started
        whole = started.model_copy(
            update={
                "products": {name: one.products[name] for name, one in settings.items()},
                "recommenders": {k: v for one in settings.values() for k, v in one.recommenders.items()},
            }
        )
        every = [standings.of(one) for one in (EVERYTHING, *standings.names)]
        refused = [mistake for one in every for mistake in one.refused]
        message = pb.GetConfigRevisionResponse(
            revision=whole.revision,
            effective_toml=as_toml(masked(whole.effective())),
            refused_problems=problems(refused, started.root),
            restart_paths=standings.restart,
        )
        loaded = max((one.loaded for one in every), default=0.0)
        if loaded:
            message.load_time.CopyFrom(moment(loaded))
        if refused:
            message.refuse_time.CopyFrom(moment(max(one.refused_at for one in every)))
        return message

    def close(self) -> None:
        """Let idle threads go."""
        self._threads.close()


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Something that is not left half done where the caller goes away."""
    return await asyncio.shield(asyncio.ensure_future(work))


def _page(
    found: list[M], name: Callable[[M], str], size: int, token: str, kind: str, product: str, *, falling: bool = False
) -> tuple[list[M], str]:
    """A page of things in order of their names, and the token of the next one; empty at the end."""
    most = page_size_of(size)
    after = page_after(token, kind, product, "")
    left = [one for one in found if not after or (name(one) < after if falling else name(one) > after)]
    more = len(left) > most
    return left[:most], page_token(kind, product, "", name(left[most - 1])) if more else ""
