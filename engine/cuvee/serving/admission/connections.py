"""The limits that gRPC itself keeps: sizes, connections, calls of one connection, and pings."""

from __future__ import annotations

from cuvee.config.limits import Limits

__all__ = ["channel_options"]

STRIKES = 2
"""Pings that come too soon, after which a connection is closed."""
AGE_GRACE = 30.0
"""Seconds that calls of a connection may take to end when its time is over."""


def channel_options(limits: Limits) -> list[tuple[str, int]]:
    """The options of a gRPC server."""
    of = limits.connections

    def ms(seconds: float) -> int:
        return int(1000 * seconds)

    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),  # the limits on requests bound the size of answers
        # the same twice: between the two gRPC refuses by chance
        ("grpc.max_metadata_size", limits.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_metadata_bytes),
        ("grpc.max_allowed_incoming_connections", of.max),
        ("grpc.max_concurrent_streams", of.streams),
        ("grpc.server.max_pending_requests", of.unseen * 2 // 3),
        ("grpc.server.max_pending_requests_hard_limit", of.unseen),
        ("grpc.max_connection_idle_ms", ms(of.idle)),
        ("grpc.max_connection_age_ms", ms(of.age)),
        ("grpc.max_connection_age_grace_ms", ms(AGE_GRACE)),
        ("grpc.keepalive_time_ms", ms(of.keepalive)),
        ("grpc.keepalive_timeout_ms", ms(of.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", ms(of.ping_interval)),
        ("grpc.http2.max_ping_strikes", STRIKES),
        ("grpc.server_handshake_timeout_ms", ms(of.handshake)),
        ("grpc.http.tarpit", 0),  # it holds back what gRPC itself refuses for 0.1 to 1 s, and its streams with it
    ]
