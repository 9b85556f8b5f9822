"""What the server grants: how much at a time, how much waits, how large, how often."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationInfo, field_validator

from cuvee.product import Duration, Rate, Table

__all__ = ["Connections", "LaneLimits", "Lanes", "Limits"]


class LaneLimits(Table):
    """How many calls of one kind are worked on at a time, how many may wait for that, and how long."""

    in_flight: int = Field(ge=1, le=100_000)
    waiting: int = Field(ge=0, le=100_000)
    patience: Duration
    """A call that would wait longer for its turn is refused at once, however late its deadline is; unless it is
    the only one of its client that waits."""


_LANES: Mapping[str, Mapping[str, object]] = {
    # two batches: one computes, the other gathers
    "reads": {"in_flight": 128, "waiting": 1024, "patience": "100ms"},
    "writes": {"in_flight": 256, "waiting": 1024, "patience": "500ms"},
    "bulk": {"in_flight": 8, "waiting": 64, "patience": "10s"},
    "streams": {"in_flight": 256, "waiting": 0, "patience": "1s"},
    "admin": {"in_flight": 16, "waiting": 128, "patience": "500ms"},
}


class Lanes(Table):
    """Calls of one kind never wait for those of another; ``docs/limits.md`` says which rpc is in which lane."""

    reads: LaneLimits = Field(default_factory=dict, validate_default=True)
    """Lists: Recommend, SimilarItems, Rank."""
    writes: LaneLimits = Field(default_factory=dict, validate_default=True)
    """Events, items and users."""
    bulk: LaneLimits = Field(default_factory=dict, validate_default=True)
    """BatchRecommend, RecommendUsers and ExportUser."""
    streams: LaneLimits = Field(default_factory=dict, validate_default=True)
    """StreamEvents: a stream counts as long as it is open."""
    admin: LaneLimits = Field(default_factory=dict, validate_default=True)
    """AdminService, and reading items and users."""

    @field_validator("*", mode="before")
    @classmethod
    def _over_the_defaults(cls, given: object, info: ValidationInfo) -> object:
        return {**_LANES[info.field_name or ""], **given} if isinstance(given, Mapping) else given


class Connections(Table):
    """What one connection may do, and how long it may last. Of each process that answers."""

    max: int = Field(4096, ge=1, le=1_000_000)
    """Open connections; more are closed as soon as they are accepted."""
    streams: int = Field(400, ge=1, le=1_000_000)
    """Calls of one connection at a time; a client keeps further ones back until others end, and what it sends all
    the same is UNAVAILABLE. Fewer than ``unseen``, so that one connection does not take all of that."""
    unseen: int = Field(450, ge=3, le=1_000_000)
    """Calls that have arrived and that the server has not come to yet: lists of each kind, and all others together.
    From two thirds of it on gRPC ends some by chance, above it all, without a message (CANCELLED): this takes a
    sixth of the time of a refusal with a reason. While many lists wait, the next are left there."""
    idle: Duration = 900.0
    """A connection without calls is closed after this time; the client opens another when it needs one."""
    age: Duration = 3600.0
    """A connection is closed after this time, and its calls may end; so clients spread over new servers."""
    keepalive: Duration = 60.0
    """A silent client is asked so often whether it is still there."""
    keepalive_timeout: Duration = 20.0
    """For how long the answer is waited for."""
    ping_interval: Duration = 10.0
    """Clients that ask more often whether the server is there are cut off (GOAWAY, too_many_pings)."""
    handshake: Duration = 10.0
    """A connection that has not said what it speaks by then is closed."""


class Limits(Table):
    """What the server grants."""

    deadline: Duration = 1.0
    """Deadline for callers that set none, and the longest one that a caller may set."""
    answer_stream: Duration = 600.0
    """How long BatchRecommend, RecommendUsers and ExportUser may take in all, whatever their caller allows."""
    users: int = Field(50_000, ge=1, le=1_000_000)
    """How many users RecommendUsers looks at for one list: those who satisfy the filter and did something last."""
    threads: int = Field(8, ge=1, le=256)
    """Slots of each source's pool."""
    max_message_bytes: int = Field(4 * 2**20, ge=1024)
    """Of one message of a request, unpacked."""
    max_metadata_bytes: int = Field(8192, ge=1024, le=65_536)
    """Of a call's headers, each with 32 bytes on top, as HTTP/2 counts them."""
    narrowest: float = Field(0.5, gt=0, le=1)
    """While lists wait, sources propose fewer candidates, the fewer the more wait: at the least this share of what
    their products say, before any call is refused. 1 never narrows. BatchRecommend always has all."""
    refusals: int = Field(200, ge=1, le=100_000)
    """Calls a second that are refused for lack of room, with a reason. Beyond, the process takes in calls more slowly,
    and gRPC ends those that are too many (``connections.unseen``)."""
    client_rate: Rate | None = None
    """How often one client may ask; by default, as often as there is room. A client is who shows the same
    credentials; without credentials, a connection."""
    clients: dict[str, Rate] = Field(default_factory=dict)
    """The same for single clients by their id, instead of ``client_rate``."""
    lanes: Lanes = Lanes()
    connections: Connections = Connections()
