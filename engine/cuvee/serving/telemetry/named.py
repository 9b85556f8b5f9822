"""Every figure that a server exports: its name, what it counts, its labels, and the bounds of its buckets.

Names follow Prometheus' conventions: a unit as suffix (``_seconds``), counters end with ``_total``. Labels take
few values that configuration or code decides, such as products, sources and reasons; never ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMED", "Named"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass(frozen=True, slots=True)
class Named:
    """What is exported under one name."""

    kind: Literal["counter", "gauge", "histogram"]
    text: str
    """Help text."""
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, rising; a bucket without a bound follows them."""


def _counter(text: str, *labels: str) -> Named:
    return Named("counter", text, labels)


def _gauge(text: str, *labels: str) -> Named:
    return Named("gauge", text, labels)


def _histogram(text: str, bounds: tuple[float, ...], *labels: str) -> Named:
    return Named("histogram", text, labels, bounds)


NAMED: Mapping[str, Named] = {
    # requests
    "cuvee_requests_total": _counter("Calls that ended, by rpc and gRPC status code.", "rpc", "code"),
    "cuvee_request_duration_seconds": _histogram(
        "Seconds from a call's arrival to its answer; streams are left out.", SECONDS, "rpc"
    ),
    "cuvee_requests_failed_total": _counter("Calls that ended with an error, by ErrorInfo.reason.", "rpc", "reason"),
    "cuvee_requests_in_flight": _gauge("Calls that are being answered."),
    # admission
    "cuvee_queue_rows": _gauge("Requests that wait for their run.", "product"),
    "cuvee_queue_wait_seconds": _histogram("Seconds that the first of a run's requests waited.", SECONDS, "product"),
    "cuvee_lane_calls": _gauge("Calls by lane, in flight or waiting.", "lane", "state"),
    "cuvee_narrowed_total": _counter("Lists made of fewer candidates, since many waited.", "product"),
    "cuvee_shed_total": _counter("Requests that were refused for lack of room, by lane and reason.", "lane", "reason"),
    # lists
    "cuvee_lists_total": _counter("Lists that were made.", "product"),
    "cuvee_lists_degraded_total": _counter("Lists that were made without a source that was asked.", "product"),
    "cuvee_batch_rows": _histogram("Lists of one run of the pipeline.", ROWS, "product"),
    "cuvee_items_shown_total": _counter(
        "Items shown, by the source that contributed most (place: blend, explored, fallback).",
        "product", "source", "place",
    ),
    "cuvee_fallback_items_total": _counter(
        "Items that the fallback chain filled in, by its level; catalogue is the last resort.", "product", "level"
    ),
    "cuvee_shadow_lists_total": _counter(
        "Lists of shadow variants, by what became of them: made, shed or failed.", "product", "shadow", "outcome"
    ),
    # sources
    "cuvee_source_duration_seconds": _histogram(
        "Seconds that a source took for one run, over all of its calls.", SECONDS, "product", "source"
    ),
    "cuvee_source_runs_total": _counter("Runs in which a source was asked.", "product", "source"),
    "cuvee_source_degraded_total": _counter(
        "Runs in which a source failed, by DegradedReason.", "product", "source", "reason"
    ),
    "cuvee_circuit_open": _gauge("1 while a source is left alone since it kept failing.", "product", "source"),
    "cuvee_opinions_total": _counter("Shown items that a source was asked about.", "product", "source"),
    "cuvee_opinions_missing_total": _counter(
        "Shown items on which a source had no opinion (NaN).", "product", "source"
    ),
    "cuvee_score_drift": _gauge(
        "Population stability index of a source's scores against those of its fit (above 0.25: they moved).",
        "product", "source",
    ),
    # models
    "cuvee_snapshot_created_timestamp_seconds": _gauge("When the models in use were fitted.", "product"),
    "cuvee_snapshot_info": _gauge("1 for the models in use and the configuration.", "product", "version", "revision"),
    "cuvee_model_info": _gauge(
        "1 for a source's model in use, with its plugin and version; 0 where it could not be loaded.",
        "product", "source", "plugin", "plugin_version", "version",
    ),
    "cuvee_catalogue_items": _gauge("Items that may be asked for, new ones included.", "product"),
    # configuration
    "cuvee_config_changes_total": _counter(
        "Changed files and new fits, by what became of them: taken or refused.", "product", "outcome"
    ),
    "cuvee_config_refused": _gauge(
        "1 while the newest files or models of a product are not in use, as something is wrong with them.", "product"
    ),
    "cuvee_config_loaded_timestamp_seconds": _gauge(
        "When the configuration and models in use came into use.", "product"
    ),
    "cuvee_config_restart_needed": _gauge("1 while cuvee.toml has values that only a restart takes up."),
    # store
    "cuvee_store_up": _gauge("1 while the store can be asked."),
    "cuvee_store_duration_seconds": _histogram(
        "Seconds of one call of the store, the wait for a thread included.", SECONDS, "operation"
    ),
    "cuvee_store_failures_total": _counter("Calls of the store that failed or came too late.", "operation"),
    "cuvee_events_written_total": _counter("Events that are stored; sent twice, they count once.", "product"),
    # health
    "cuvee_serving": _gauge("1 while grpc.health.v1 says SERVING of a service or product.", "service"),
    "cuvee_not_serving": _gauge("1 for a service or product that is NOT_SERVING, and why.", "service", "reason"),
    # traces
    "cuvee_spans_total": _counter("Spans by what became of them: sent to the collector, or lost.", "outcome"),
    # the processes
    "cuvee_worker_up": _gauge("1 while a worker tells its figures; 0: it hangs, or is gone."),
    "cuvee_build_info": _gauge("1 for the version of Cuvée.", "version"),
    "cuvee_process_start_timestamp_seconds": _gauge("When this process began."),
    "cuvee_process_cpu_seconds_total": _counter("Seconds of processor time of this process."),
    "cuvee_process_resident_memory_bytes": _gauge("Memory of this process, shared pages included."),
    "cuvee_process_open_fds": _gauge("Open file descriptors of this process."),
    "cuvee_process_threads": _gauge("Threads of this process."),
    "cuvee_log_lines_total": _counter("Log lines that were written, by level.", "level"),
    "cuvee_log_lines_left_out_total": _counter("Log lines that were left out, as like ones were just written."),
    "cuvee_series_left_out_total": _counter("Figures with labels beyond the limit of series of one name.", "name"),
}  # fmt: skip
"""Name -> what it is."""
