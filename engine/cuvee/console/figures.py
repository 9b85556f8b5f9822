"""What the pages show of the server's figures: pure functions over what ``/metrics`` said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Exposed", "point", "quantile", "summary"]

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Exposed:
    """The samples of one look."""

    at: float
    """Unix time in seconds."""
    samples: Mapping[str, list[tuple[Labels, float]]]

    @classmethod
    def read(cls, text: str, at: float) -> Exposed:
        """Read the text format.

        Raises:
            ValueError: it is none.
        """
        found: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name].append((sample.labels, sample.value))
        if not any(name.startswith("cuvee_") for name in found):
            raise ValueError("no figures of Cuvée there: is it the address of [server.metrics]?")
        return cls(at, found)

    def sums(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Values by these labels, added up over all others, such as workers."""
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for named, value in self.samples.get(name, ()):
            found[tuple(named.get(label, "") for label in labels)] += value
        return dict(found)

    def total(self, name: str) -> float:
        """The sum over all labels."""
        return sum(value for _, value in self.samples.get(name, ()))

    def buckets(self, name: str) -> dict[float, float]:
        """Upper bound -> observations up to it, over all labels."""
        return {float(bound): value for (bound,), value in self.sums(f"{name}_bucket", "le").items()}


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """Of a histogram with cumulated buckets, linear within a bucket; None without observations."""
    bounds = sorted(buckets)
    if not bounds or (total := buckets[bounds[-1]]) <= 0:
        return None
    wanted, below, lower = q * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return lower
            inside = buckets[bound] - below
            return lower + (bound - lower) * ((wanted - below) / inside if inside else 1.0)
        below, lower = buckets[bound], bound
    return lower


DURATION = "cuvee_request_duration_seconds"


def point(before: Exposed, now: Exposed) -> dict[str, Any]:
    """Rates between two looks; a counter that fell began anew with the server."""
    seconds = max(now.at - before.at, 1e-3)

    def grown(name: str) -> float:
        was, is_now = before.total(name), now.total(name)
        return is_now - was if is_now >= was else is_now

    older, newer = before.buckets(DURATION), now.buckets(DURATION)
    since = {bound: max(count - older.get(bound, 0.0), 0.0) for bound, count in newer.items()}
    lists = grown("cuvee_lists_total")
    return {
        "at": now.at,
        "rate": grown("cuvee_requests_total") / seconds,
        "errors": grown("cuvee_requests_failed_total") / seconds,
        "p50": _ms(quantile(since, 0.5)),
        "p99": _ms(quantile(since, 0.99)),
        "degraded": grown("cuvee_lists_degraded_total") / lists if lists else None,
        "waiting": now.total("cuvee_queue_rows"),
    }


def summary(now: Exposed) -> dict[str, Any]:
    """Figures since the server's start, and what is so now."""
    shown: dict[str, dict[str, float]] = defaultdict(dict)
    for (product, source), items in now.sums("cuvee_items_shown_total", "product", "source").items():
        shown[product][source] = items
    runs = now.sums("cuvee_source_runs_total", "product", "source")
    failed: dict[tuple[str, ...], dict[str, float]] = defaultdict(dict)
    for (product, source, reason), n in now.sums("cuvee_source_degraded_total", "product", "source", "reason").items():
        failed[product, source][reason.lower().replace("_", " ")] = n
    left_alone = now.sums("cuvee_circuit_open", "product", "source")
    took = now.sums("cuvee_source_duration_seconds_sum", "product", "source")
    models = now.sums("cuvee_model_info", "product", "source", "plugin", "plugin_version", "version")
    configured: dict[str, list[str]] = defaultdict(list)  # models are exposed in the order of the product's sources
    for product, source, *_ in models:
        configured[product].append(source)
    buckets = now.buckets(DURATION)
    return {
        "at": now.at,
        "version": next((labels.get("version", "") for labels, _ in now.samples.get("cuvee_build_info", ())), ""),
        "requests": now.total("cuvee_requests_total"),
        "errors": now.total("cuvee_requests_failed_total"),
        "lists": now.total("cuvee_lists_total"),
        "degraded": now.total("cuvee_lists_degraded_total"),
        "p50": _ms(quantile(buckets, 0.5)),
        "p99": _ms(quantile(buckets, 0.99)),
        "waiting": now.total("cuvee_queue_rows"),
        "store": max((value for _, value in now.samples.get("cuvee_store_up", ())), default=None),
        "shown": [
            {"product": product, "sources": _in_order(of, configured[product])}
            for product, of in sorted(shown.items())
        ],
        "fallback": [
            {"product": product, "level": level, "items": n}
            for (product, level), n in sorted(now.sums("cuvee_fallback_items_total", "product", "level").items())
            if n
        ],
        "sources": [
            {
                "product": key[0],
                "source": key[1],
                "runs": n,
                "milliseconds": 1000 * took[key] / n if n and key in took else None,
                "failed": {reason: times for reason, times in sorted(failed.get(key, {}).items()) if times},
                "left_alone": left_alone.get(key, 0) > 0,
            }
            for key, n in runs.items()
        ],
        "models": [
            {"product": product, "source": source, "plugin": plugin, "plugin_version": release, "version": version,
             "loaded": value > 0}
            for (product, source, plugin, release, version), value in models.items()
        ],
        "snapshots": [
            {"product": product, "version": version, "revision": revision}
            for product, version, revision in sorted(now.sums("cuvee_snapshot_info", "product", "version", "revision"))
        ],
    }  # fmt: skip


def _in_order(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Those of ``names`` first, in that order."""
    first = {name: values.get(name, 0.0) for name in names}
    return first | dict(sorted(item for item in values.items() if item[0] not in first))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
