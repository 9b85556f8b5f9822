"""The check that every call passes: who is it, and may he do that?"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc.aio
import structlog

from cuvee.config import Scope
from cuvee.errors import PermissionDenied, Unauthenticated
from cuvee.serving.access.audit import Audit
from cuvee.serving.access.caller import ANYBODY, Caller
from cuvee.serving.access.rules import EVERY_PRODUCT, RULES
from cuvee.serving.tracing.calls import Asked

__all__ = ["Door", "Gate", "Who"]

log = structlog.get_logger(__name__)

AUDITED = frozenset({Scope.ADMIN, Scope.PRIVACY})
Context = grpc.aio.ServicerContext[Any, Any]
Who = Callable[[Context], Caller]
"""Finds the caller behind a call, or raises Unauthenticated."""
M = TypeVar("M")


def _anybody(_context: Context) -> Caller:
    return ANYBODY


class Gate:
    """Of one server process."""

    def __init__(self, who: Who = _anybody, audit: Audit | None = None) -> None:
        """Without ``who`` everybody may do everything."""
        self._who = who
        self._audit = audit
        self._refused: Counter[str] = Counter()

    def door(self, method: str) -> Door:
        """The check of ``/package.Service/Method``; one without a rule, such as reflection, takes any known caller."""
        return Door(method, self._who, self._audit, self._refused, is_open=self._who is _anybody)

    def tell_refused(self) -> None:
        """Log how many callers were refused since the last time, by why."""
        if self._refused:
            log.warning("callers refused", **self._refused)
            self._refused.clear()


class Door:
    """The check of one rpc."""

    def __init__(self, method: str, who: Who, audit: Audit | None, refused: Counter[str], *, is_open: bool) -> None:
        self._name = method.rpartition("/")[2]
        self._rule = RULES.get(method)
        self._who = who
        self._open = is_open
        self._audit = audit if self._rule is not None and self._rule.scope in AUDITED else None
        self._refused = refused

    def caller(self, context: Context) -> Caller:
        """Who makes the call.

        Raises:
            Unauthenticated: there are no credentials, or none that are accepted.
            PermissionDenied: they do not have the rpc's scope.
        """
        try:
            caller = self._who(context)
        except Unauthenticated:
            self._refused["unauthenticated"] += 1
            raise
        if self._rule is not None and self._rule.scope not in caller.scopes:
            self._refused["denied"] += 1
            raise PermissionDenied(
                f"{self._name} needs the scope {self._rule.scope!s}; these credentials do not have it"
            )
        return caller

    def asking(self, context: Context) -> tuple[Caller | None, str] | None:
        """Who calls, if he is known, and from where; None where calls are not noted.

        To be asked as a call begins: gRPC crashes the process when it is asked for the peer of one that has ended.
        """
        if self._audit is None:
            return None
        try:
            return self._who(context), context.peer()
        except Unauthenticated:
            return None, context.peer()

    def note(self, asking: tuple[Caller | None, str], request: Any, outcome: str, asked: Asked) -> None:
        """Write the call into the audit log. ``outcome``: the name of the gRPC code that it ended with."""
        if self._audit is not None:
            caller, peer = asking
            self._audit.note(caller, self._name, request, outcome, asked, peer)

    def check(self, caller: Caller, request: Any) -> None:
        """Compare what a request is about with the caller's products.

        Raises:
            PermissionDenied: names a product that is not his.
        """
        if caller.products is None or self._rule is None:
            return
        for product in self._rule.products(request):
            if product and product not in caller.products:
                self._refused["denied"] += 1
                what = "all products" if product == EVERY_PRODUCT else f"the product {product!r}"
                raise PermissionDenied(f"these credentials are not for {what}")

    async def each(self, requests: AsyncIterator[M], caller: Caller, context: Context, skip: type) -> AsyncIterator[M]:
        """The messages of a stream, each checked: a token may be revoked in mid-stream. ``skip``: not checked."""
        async for request in requests:
            if not self._open:
                caller = self.caller(context)
            if not isinstance(request, skip):
                self.check(caller, request)
            yield request
