"""What a page sends: JSON in a body, from a page of this console and no other."""

from __future__ import annotations

import hmac
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from cuvee.errors import InvalidArgument

__all__ = ["HEADER", "MOST_BYTES", "Refused", "body", "check_own_page"]

M = TypeVar("M", bound=BaseModel)

MOST_BYTES = 256 * 1024
"""Of a request's body."""
HEADER = "x-cuvee-page"
"""The header with the secret that each page of this console holds, and no other page can read."""


class Refused(Exception):
    """What the console itself does not do; ``code`` is one of the texts ``error.*``."""

    def __init__(self, code: str, status: int = 403) -> None:
        super().__init__(code)
        self.code, self.status = code, status


async def body(request: Request, model: type[M], most: int = MOST_BYTES) -> M:
    """Read a request's body.

    Raises:
        InvalidArgument: it is no JSON, too long, or not what the model says; names the field.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise InvalidArgument("content-type", "send application/json")
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > most:
            raise InvalidArgument("body", f"more than {most} bytes")
    try:
        return model.model_validate_json(bytes(read))
    except ValidationError as problem:
        first = problem.errors()[0]
        raise InvalidArgument(".".join(map(str, first["loc"])) or "body", first["msg"]) from None


def check_own_page(request: Request, secret: str) -> None:
    """Refuse what a page of elsewhere has a browser send (CSRF).

    Raises:
        Refused: the secret of this console's pages is missing or wrong, or the browser names another origin.
    """
    headers = request.headers
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    if foreign or headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refused("FOREIGN")
    if not hmac.compare_digest(headers.get(HEADER, "").encode(), secret.encode()):
        raise Refused("STALE")
