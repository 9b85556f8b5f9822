"""Which scope each rpc needs, and which products a request is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cuvee.config import Scope

__all__ = ["EVERY_PRODUCT", "RULES", "Rule"]

EVERY_PRODUCT = "-"
"""What a request names instead of a product when it is about all of them (DeleteUser, ExportUser)."""

Products = Callable[[Any], Iterable[str]]


def _one(request: Any) -> Iterable[str]:
    return (request.product,)


def _all(_request: Any) -> Iterable[str]:
    return (EVERY_PRODUCT,)


def _of_batch(request: Any) -> Iterable[str]:
    return {request.product, *(one.product for one in request.requests)}


def _of_events(request: Any) -> Iterable[str]:
    return {event.product for event in request.events}


def _of_message(request: Any) -> Iterable[str]:
    return {request.event.product, *(event.product for event in request.events)}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a caller needs for an rpc."""

    scope: Scope
    products: Products = _one
    """The products that a request names. Empty names are left out of the check: such a request is malformed, or
    means the product that the rest of it names."""


LISTS, EVENTS = "/cuvee.v1.RecommendationService/", "/cuvee.v1.EventService/"
CATALOG, ADMIN = "/cuvee.v1.CatalogService/", "/cuvee.v1.AdminService/"

RULES: Mapping[str, Rule] = {
    LISTS + "Recommend": Rule(Scope.RECOMMEND),
    LISTS + "SimilarItems": Rule(Scope.RECOMMEND),
    LISTS + "Rank": Rule(Scope.RECOMMEND),
    LISTS + "BatchRecommend": Rule(Scope.RECOMMEND, _of_batch),
    # its answers name users whom the caller has not named
    LISTS + "RecommendUsers": Rule(Scope.PRIVACY),
    EVENTS + "WriteEvents": Rule(Scope.WRITE, _of_events),
    EVENTS + "StreamEvents": Rule(Scope.WRITE, _of_message),
    EVENTS + "MergeUsers": Rule(Scope.WRITE),
    CATALOG + "UpsertItem": Rule(Scope.WRITE),
    CATALOG + "BatchUpsertItems": Rule(Scope.WRITE),
    # lists name the same items with the same titles
    CATALOG + "GetItem": Rule(Scope.RECOMMEND),
    CATALOG + "ListItems": Rule(Scope.RECOMMEND),
    CATALOG + "DeleteItem": Rule(Scope.WRITE),
    CATALOG + "UpsertUser": Rule(Scope.WRITE),
    CATALOG + "BatchUpsertUsers": Rule(Scope.WRITE),
    CATALOG + "GetUser": Rule(Scope.PRIVACY),
    CATALOG + "ListUsers": Rule(Scope.PRIVACY),
    CATALOG + "DeleteUser": Rule(Scope.PRIVACY),
    CATALOG + "ExportUser": Rule(Scope.PRIVACY),
    ADMIN + "GetProduct": Rule(Scope.ADMIN),
    ADMIN + "ListProducts": Rule(Scope.ADMIN, _all),
    ADMIN + "ListRecommenders": Rule(Scope.ADMIN, _all),
    ADMIN + "ListSnapshots": Rule(Scope.ADMIN),
    ADMIN + "ActivateSnapshot": Rule(Scope.ADMIN),
    ADMIN + "RollbackSnapshot": Rule(Scope.ADMIN),
    ADMIN + "ReleaseSnapshot": Rule(Scope.ADMIN),
    ADMIN + "PruneSnapshots": Rule(Scope.ADMIN),
    ADMIN + "GetConfig": Rule(Scope.ADMIN),
    ADMIN + "ApplyConfig": Rule(Scope.ADMIN),
    ADMIN + "RollbackConfig": Rule(Scope.ADMIN),
    ADMIN + "StartFit": Rule(Scope.ADMIN),
    ADMIN + "StartTune": Rule(Scope.ADMIN),
    ADMIN + "ListOperations": Rule(Scope.ADMIN),
    # they name no product, so credentials for single products are not enough
    ADMIN + "GetOperation": Rule(Scope.ADMIN, _all),
    ADMIN + "CancelOperation": Rule(Scope.ADMIN, _all),
    ADMIN + "ValidateConfig": Rule(Scope.ADMIN, _all),
    ADMIN + "GetConfigRevision": Rule(Scope.ADMIN, _all),
}
"""Every rpc of proto/cuvee/v1: a test walks the descriptors, so that a new one cannot be forgotten."""
