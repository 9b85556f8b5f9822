"""Snapshots of a product: which serves, and another one in its place."""

from __future__ import annotations

from typing import Any

from cuvee.client import AsyncClient
from cuvee.console.care.items import moment
from cuvee.console.care.messages import AboutProduct, UseSnapshot
from cuvee.v1 import admin_pb2 as pb

__all__ = ["snapshots", "use_snapshot"]

TIMEOUT = 10.0
LOADING = 300.0
"""Seconds that a snapshot may take to load and to be probed."""


async def snapshots(client: AsyncClient, asked: AboutProduct) -> dict[str, Any]:
    """The product as it serves, and its snapshots, the newest first.

    Raises:
        grpc.RpcError: the server cannot answer, or refuses the request.
    """
    product = (await client.admin.GetProduct(pb.GetProductRequest(product=asked.product), timeout=TIMEOUT)).product
    found = await client.admin.ListSnapshots(
        pb.ListSnapshotsRequest(product=asked.product, page_size=100), timeout=TIMEOUT
    )
    return {
        "serving": product.snapshot_version,
        "held": product.held,
        "items": product.item_count,
        "users": product.user_count,
        "problems": [{"path": one.path, "said": one.message, "line": one.line} for one in product.refused_problems],
        "snapshots": [_snapshot(one) for one in found.snapshots],
    }


def _snapshot(one: pb.Snapshot) -> dict[str, Any]:
    return {
        "version": one.version,
        "state": pb.Snapshot.State.Name(one.state).removeprefix("STATE_").lower(),
        "created": moment(one.create_time) if one.HasField("create_time") else "",
        "models": [artifact.source for artifact in one.artifacts],
        "bytes": sum(artifact.size_bytes for artifact in one.artifacts),
        "problem": one.problem.message,
    }


async def use_snapshot(client: AsyncClient, asked: UseSnapshot) -> dict[str, Any]:
    """Activate a version, go back to the one before, or follow the newest again.

    Raises:
        grpc.RpcError: as above.
    """
    product, admin = asked.product, client.admin
    answer: Any
    if asked.action == "activate":
        request = pb.ActivateSnapshotRequest(product=product, version=asked.version)
        answer = await admin.ActivateSnapshot(request, timeout=LOADING)
    elif asked.action == "rollback":
        answer = await admin.RollbackSnapshot(pb.RollbackSnapshotRequest(product=product), timeout=LOADING)
    else:
        answer = await admin.ReleaseSnapshot(pb.ReleaseSnapshotRequest(product=product), timeout=LOADING)
    return {"version": answer.snapshot.version, "previous": answer.previous_version}
