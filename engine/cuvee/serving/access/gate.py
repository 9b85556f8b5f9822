"""The check that every call passes: who is it, and may he do that?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc.aio

from cuvee.errors import PermissionDenied
from cuvee.serving.access.caller import ANYBODY, Caller
from cuvee.serving.access.rules import EVERY_PRODUCT, RULES, Rule

__all__ = ["Door", "Gate", "Who"]

Context = grpc.aio.ServicerContext[Any, Any]
Who = Callable[[Context], Caller]
"""Finds the caller behind a call, or raises Unauthenticated."""
M = TypeVar("M")


def _anybody(_context: Context) -> Caller:
    return ANYBODY


class Gate:
    """Of one server."""

    def __init__(self, who: Who = _anybody) -> None:
        """Without ``who`` everybody may do everything."""
        self._who = who

    def door(self, method: str) -> Door:
        """The check of ``/package.Service/Method``; one without a rule, such as reflection, takes any known caller."""
        return Door(method, RULES.get(method), self._who, is_open=self._who is _anybody)


class Door:
    """The check of one rpc."""

    def __init__(self, method: str, rule: Rule | None, who: Who, *, is_open: bool) -> None:
        self._name = method.rpartition("/")[2]
        self._rule = rule
        self._who = who
        self._open = is_open

    def caller(self, context: Context) -> Caller:
        """Who makes the call.

        Raises:
            Unauthenticated: there are no credentials, or none that are accepted.
            PermissionDenied: they do not have the rpc's scope.
        """
        caller = self._who(context)
        if self._rule is not None and self._rule.scope not in caller.scopes:
            raise PermissionDenied(
                f"{self._name} needs the scope {self._rule.scope!s}; these credentials do not have it"
            )
        return caller

    def check(self, caller: Caller, request: Any) -> None:
        """Compare what a request is about with the caller's products.

        Raises:
            PermissionDenied: names a product that is not his.
        """
        if caller.products is None or self._rule is None:
            return
        for product in self._rule.products(request):
            if product and product not in caller.products:
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
