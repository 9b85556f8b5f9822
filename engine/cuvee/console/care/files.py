"""The file of a product: read, checked, compared, applied, and brought back."""

from __future__ import annotations

import difflib
from typing import Any

import grpc

from cuvee.client import AsyncClient
from cuvee.console.care.messages import AboutFile, AboutProduct, ApplyFile, NewFile
from cuvee.v1 import admin_pb2 as pb

__all__ = ["apply_file", "bring_back_file", "check_file", "read_file"]

TIMEOUT = 30.0
LOADING = 300.0
"""Seconds that a new configuration may take to load and to be probed."""


async def read_file(client: AsyncClient, asked: AboutProduct) -> dict[str, Any]:
    """The text as it is on the server's disk, its etag, and why it is not in use, if it is not.

    Raises:
        grpc.RpcError: the server cannot answer, or refuses the request.
    """
    found: pb.GetConfigResponse = await client.admin.GetConfig(
        pb.GetConfigRequest(product=asked.product), timeout=TIMEOUT
    )
    return {
        "text": found.product_toml,
        "etag": found.etag,
        "revision": found.revision,
        "problems": _problems(found.refused_problems),
    }


async def check_file(client: AsyncClient, asked: NewFile) -> dict[str, Any]:
    """Mistakes by their path in the file, and the lines that differ from the file there is.

    A token for single products may not check the whole configuration; then the server tries the file as it would
    apply it, and tells the first mistake.

    Raises:
        grpc.RpcError: as above.
    """
    running = await read_file(client, asked)
    difference = list(difflib.unified_diff(running["text"].splitlines(), asked.text.splitlines(), lineterm="", n=2))[2:]
    request = pb.ValidateConfigRequest(product_tomls={asked.product: asked.text})
    try:
        found = await client.admin.ValidateConfig(request, timeout=TIMEOUT)
    except grpc.RpcError as problem:
        if problem.code() != grpc.StatusCode.PERMISSION_DENIED:
            raise
        tried = pb.ApplyConfigRequest(product=asked.product, product_toml=asked.text, validate_only=True)
        await client.admin.ApplyConfig(tried, timeout=LOADING)
        return {"problems": [], "difference": difference, "etag": running["etag"]}
    return {"problems": _problems(found.problems), "difference": difference, "etag": running["etag"]}


def _problems(found: Any) -> list[dict[str, Any]]:
    return [{"file": one.file, "path": one.path, "said": one.message, "line": one.line} for one in found]


async def apply_file(client: AsyncClient, asked: ApplyFile) -> dict[str, Any]:
    """Write it, where the file is still the one that the etag is of, and take it into use.

    Raises:
        grpc.RpcError: as above; ABORTED where somebody else has changed the file.
    """
    request = pb.ApplyConfigRequest(product=asked.product, product_toml=asked.text, etag=asked.etag)
    return _applied(await client.admin.ApplyConfig(request, timeout=LOADING))


async def bring_back_file(client: AsyncClient, asked: AboutFile) -> dict[str, Any]:
    """The file as it was before the last one was applied.

    Raises:
        grpc.RpcError: as above; FAILED_PRECONDITION where nothing was applied before.
    """
    request = pb.RollbackConfigRequest(product=asked.product, etag=asked.etag)
    return _applied(await client.admin.RollbackConfig(request, timeout=LOADING))


def _applied(answer: Any) -> dict[str, Any]:
    return {"revision": answer.revision, "previous": answer.previous_revision, "etag": answer.etag}
