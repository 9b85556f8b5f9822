"""Every error that Cuvée raises on purpose, as one tree.

::

    CuveeError
    ├── RequestError                the caller must change the request
    │   ├── InvalidArgument         a field is malformed; names the field
    │   ├── NotFound                the named product, item list or snapshot does not exist
    │   ├── PageGone                what a page token pins was replaced; start from the first page
    │   ├── Unauthenticated         no credentials, or none that this server accepts
    │   ├── PermissionDenied        the credentials do not allow this call on this product
    │   └── EtagMismatch            what the caller wants to replace has changed since he read it
    ├── OperatorError               the operator must change something on this machine
    │   ├── ConfigError             cuvee.toml or a product's file; carries every mistake at once
    │   ├── PluginError             two plugins claim one name, or one breaks the contract at start
    │   ├── DataError               an input file cannot be read; names file and line
    │   └── ArtifactError           an artefact is missing, damaged or from another catalogue
    ├── UnavailableError            try again later
    │   ├── NotReady                no snapshot is loaded yet for the product
    │   ├── Overloaded              more requests wait than can be answered in time
    │   │   └── RateLimited         a client, a product or a user has more of them than is granted
    │   └── DeadlineExceeded        the caller's deadline passed before a list could be made
    └── SourceFailure               one recommender cannot answer this batch, with a typed reason;
                                    it never reaches the caller: the answer is marked degraded

This module knows nothing of gRPC; ``cuvee.serving.status`` maps the tree to status codes,
and a test proves that table total.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ArtifactError",
    "ConfigError",
    "CuveeError",
    "DataError",
    "DeadlineExceeded",
    "DegradedReason",
    "EtagMismatch",
    "InvalidArgument",
    "Mistake",
    "NotFound",
    "NotReady",
    "OperatorError",
    "Overloaded",
    "PageGone",
    "PermissionDenied",
    "PluginError",
    "RateLimited",
    "RequestError",
    "SourceFailure",
    "Unauthenticated",
    "UnavailableError",
]


class CuveeError(Exception):
    """The root: catch it to catch everything that Cuvée raises on purpose."""

    reason = "INTERNAL"
    """Machine-readable ``ErrorInfo.reason`` (AIP-193), UPPER_SNAKE_CASE."""


class RequestError(CuveeError):
    """The caller must change the request."""


class InvalidArgument(RequestError):
    """A field of the request is malformed.

    ``field`` is its path as in the proto (``"item_ids[3]"``); ``description`` says what is
    wrong and what would be right.
    """

    reason = "INVALID_ARGUMENT"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


class NotFound(RequestError):
    """The named resource does not exist; ``resource`` is its kind, ``name`` its id."""

    reason = "NOT_FOUND"

    def __init__(self, resource: str, name: str, known: Sequence[str] = ()) -> None:
        hint = f"; there are: {', '.join(known)}" if known else ""
        super().__init__(f"no {resource} named {name!r}{hint}")
        self.resource = resource
        self.name = name


class Unauthenticated(RequestError):
    """The call has no credentials, or none that this server accepts."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(RequestError):
    """The caller's credentials do not allow this call on this product."""

    reason = "PERMISSION_DENIED"


class EtagMismatch(RequestError):
    """What the caller wants to replace has changed since he read it: read it again, and decide anew."""

    reason = "ETAG_MISMATCH"


class PageGone(RequestError):
    """The snapshot or configuration that a page token pins is not served any more; start from the first page."""

    reason = "PAGE_GONE"


class OperatorError(CuveeError):
    """The operator must change something on this machine."""

    reason = "FAILED_PRECONDITION"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a configuration: the file, the path inside it, and what is wrong."""

    file: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.message}" if self.path else f"{self.file}: {self.message}"


class ConfigError(OperatorError):
    """The configuration is wrong; ``mistakes`` holds all of them, not just the first."""

    reason = "CONFIG_INVALID"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(m) for m in mistakes))
        self.mistakes = tuple(mistakes)


class PluginError(OperatorError):
    """Two plugins claim one name, or a plugin breaks the contract at start."""

    reason = "PLUGIN_INVALID"


class DataError(OperatorError):
    """An input cannot be read; the message names the file and, where there is one, the line."""

    reason = "DATA_INVALID"


class ArtifactError(OperatorError):
    """An artefact is missing, damaged, or was fitted on another catalogue."""

    reason = "ARTIFACT_INVALID"


class UnavailableError(CuveeError):
    """The same request may succeed later."""

    reason = "UNAVAILABLE"


class NotReady(UnavailableError):
    """No snapshot is loaded yet for the product."""

    reason = "NOT_READY"


class Overloaded(UnavailableError):
    """Too many requests are waiting to be answered in time; ``retry_after`` is the suggested wait in seconds."""

    reason = "OVERLOADED"

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(Overloaded):
    """A client, a product or a user has used up what is granted; ``retry_after`` is when there is more, in seconds."""

    reason = "RATE_LIMITED"


class DeadlineExceeded(UnavailableError):
    """The caller's deadline passed before a list could be made."""

    reason = "DEADLINE_EXCEEDED"


class DegradedReason(enum.StrEnum):
    """Why a source has no part in an answer, or why an item comes from the fallback chain."""

    COLD_USER = "COLD_USER"
    """No source serves this user, since too little is known of him."""
    COLD_ITEM = "COLD_ITEM"
    """The item is newer than the source's model."""
    TIMEOUT = "TIMEOUT"
    """The source did not answer within its share of the deadline."""
    ERROR = "ERROR"
    """The source raised."""
    INVALID_OUTPUT = "INVALID_OUTPUT"
    """The source broke its contract: a wrong shape, dtype or order, or an infinite score."""
    EMPTY = "EMPTY"
    """The source answered, but with no item that may be shown."""
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    """The source failed so often recently that it is not called for a while."""
    OVERLOADED = "OVERLOADED"
    """All slots of the source are taken by earlier calls."""
    UNAVAILABLE = "UNAVAILABLE"
    """The server behind the source cannot be reached."""


class SourceFailure(CuveeError):
    """Raised by a recommender that cannot answer a batch and knows why.

    ``degraded`` is the typed reason; ``detail`` goes to the caller, so it holds nothing secret.
    Any other exception of a recommender becomes ``ERROR``, and only the log says which it was.
    """

    reason = "SOURCE_FAILED"

    def __init__(self, degraded: DegradedReason, detail: str = "") -> None:
        super().__init__(f"{degraded}: {detail}" if detail else str(degraded))
        self.degraded = degraded
        self.detail = detail
