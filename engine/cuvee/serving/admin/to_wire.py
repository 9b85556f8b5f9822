"""Products, recommenders and snapshots as messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from cuvee.artifacts.versions import Manifest
from cuvee.config import Settings
from cuvee.data.catalog import Entities
from cuvee.errors import Mistake
from cuvee.product import Product
from cuvee.queries import Serves
from cuvee.registry import Registered, Registry
from cuvee.serving.admin.operations import Operation
from cuvee.serving.live.products import Served
from cuvee.serving.live.standing import Standing
from cuvee.serving.status import problem_of
from cuvee.v1 import admin_pb2 as pb

__all__ = [
    "SourceFigures",
    "moment",
    "operation_message",
    "problems",
    "product_message",
    "recommenders",
    "snapshot_message",
]

_State = pb.ProductSource


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """How a source has done since this process began."""

    runs: int = 0
    seconds: float = 0.0
    """Of all runs together."""
    degraded: int = 0
    open: bool = False
    """Whether its circuit is."""


def moment(seconds: float) -> Timestamp:
    """Seconds since 1970 as a message."""
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))


def problems(mistakes: Iterable[Mistake], folder: Path) -> list[pb.ConfigProblem]:
    """Mistakes as messages; files below the configuration's folder are named from there."""
    found = []
    for one in mistakes:
        file = Path(one.file)
        name = str(file.relative_to(folder)) if file.is_relative_to(folder) else one.file
        found.append(pb.ConfigProblem(file=name, path=one.path, message=one.message))
    return found


def product_message(
    name: str,
    settings: Settings | None,
    root: Path,
    served: Served | None,
    standing: Standing,
    figures: Mapping[str, SourceFigures],
    *,
    held: bool,
    loading: bool,
) -> pb.Product:
    """A product; ``settings`` are those that it is served under, None where its file is wrong from the start.

    Files below ``root`` are named from there.
    """
    state = pb.Product.STATE_SERVING
    if served is None:
        state = pb.Product.STATE_WARMING if loading else pb.Product.STATE_NOT_SERVING
    message = pb.Product(product=name, state=state, held=held, refused_problems=problems(standing.refused, root))
    if standing.refused:
        message.refuse_time.CopyFrom(moment(standing.refused_at))
    if settings is not None:
        message.MergeFrom(_configured(settings.products[name], settings, served, figures))
    if served is not None:
        catalog = served.snapshot.data.catalog
        message.snapshot_version, message.config_revision = served.snapshot.version, served.revision
        message.item_count, message.user_count = len(catalog.items), len(catalog.users)
        message.item_columns.extend(_columns(catalog.items))
        message.user_columns.extend(_columns(catalog.users))
        message.load_time.CopyFrom(moment(standing.loaded))
    return message


def _configured(
    config: Product, settings: Settings, served: Served | None, figures: Mapping[str, SourceFigures]
) -> pb.Product:
    """What a product's file says."""
    return pb.Product(
        default_page_size=config.page_size.default,
        max_page_size=config.page_size.max,
        fallback_chain=config.fallback.chain,
        segments=[
            pb.Segment(segment=segment, min_event_count=least, weights=config.blend.weights.get(segment, {}))
            for segment, least in sorted(config.blend.segments.items(), key=lambda s: s[1])
        ],
        sources=[_source(use.use, use.candidates, use.timeout, settings, served, figures) for use in config.sources],
    )


def _source(
    name: str,
    candidates: int,
    timeout: float | None,
    settings: Settings,
    served: Served | None,
    figures: Mapping[str, SourceFigures],
) -> pb.ProductSource:
    found = figures.get(name, SourceFigures())
    loaded = served is not None and name in served.snapshot.models
    state = _State.STATE_CIRCUIT_OPEN if found.open else _State.STATE_LIVE
    message = pb.ProductSource(
        source=name,
        recommender=settings.recommenders[name].plugin,
        candidate_count=candidates,
        model_version=served.snapshot.version if served is not None and loaded else "",
        state=state if loaded else _State.STATE_NOT_LOADED,
        run_count=found.runs,
        degraded_count=found.degraded,
    )
    if timeout is not None:
        message.timeout.CopyFrom(_duration(timeout))
    if found.runs:
        message.mean_latency.CopyFrom(_duration(found.seconds / found.runs))
    return message


def _columns(entities: Entities) -> Iterable[pb.Column]:
    for name, dtype in entities.frame.schema.items():
        if name != "id":
            yield pb.Column(column=name, type=_type(dtype))


def _type(dtype: pl.DataType) -> pb.Column.Type.ValueType:
    if dtype == pl.Boolean:
        return pb.Column.TYPE_FLAG
    if dtype.is_numeric():
        return pb.Column.TYPE_NUMBER
    if dtype.is_temporal():
        return pb.Column.TYPE_TIME
    return pb.Column.TYPE_TEXTS if isinstance(dtype, pl.List | pl.Array) else pb.Column.TYPE_TEXT


_KINDS = (
    (Serves.KNOWN_USER, pb.QUERY_KIND_KNOWN_USER),
    (Serves.SESSION, pb.QUERY_KIND_SESSION),
    (Serves.COLD_USER, pb.QUERY_KIND_COLD_USER),
    (Serves.COLD_ITEM, pb.QUERY_KIND_COLD_ITEM),
)


def recommenders(registry: Registry, settings: Mapping[str, Settings]) -> list[pb.Recommender]:
    """Every installed recommender; ``settings`` are those of each product."""
    using: dict[str, set[str]] = {}
    for product, one in settings.items():
        for name in one.products[product].recommenders:
            using.setdefault(one.recommenders[name].plugin, set()).add(product)
    return [_recommender(one, sorted(using.get(name, ()))) for name, one in sorted(registry.recommenders.items())]


def _recommender(one: Registered[object], products: Sequence[str]) -> pb.Recommender:
    serves = getattr(one.component, "serves", None)  # some decide by their settings
    return pb.Recommender(
        name=one.name,
        distribution=one.plugin.distribution,
        version=one.plugin.version,
        serves=[kind for flag, kind in _KINDS if isinstance(serves, Serves) and flag in serves],
        summary=(one.component.__doc__ or "").strip().partition("\n")[0],
        products=products,
    )


def snapshot_message(
    product: str,
    version: str,
    manifest: Manifest | Exception,
    *,
    active: bool,
    since: float = 0.0,
    failed: Sequence[Mistake] = (),
) -> pb.Snapshot:
    """A snapshot; ``failed``: why it could not be taken into use."""
    message = pb.Snapshot(product=product, version=version, state=pb.Snapshot.STATE_AVAILABLE)
    if isinstance(manifest, Exception):
        message.state = pb.Snapshot.STATE_REFUSED
        message.problem.CopyFrom(problem_of(manifest, ""))
        return message
    message.create_time.FromDatetime(manifest.created)
    message.catalogue_digest = f"sha256:{manifest.items_digest}"
    for name, entry in sorted(manifest.models.items()):
        message.artifacts.add(
            source=name,
            recommender=entry.plugin,
            recommender_version=entry.distribution_version,
            config_digest=f"sha256:{entry.config_digest}",
            size_bytes=entry.size,
            fit_duration=_duration(entry.fit_seconds),
            metrics=entry.figures,
        )
    if active:
        message.state = pb.Snapshot.STATE_ACTIVE
        message.activate_time.CopyFrom(moment(since))
    elif failed:
        message.state = pb.Snapshot.STATE_REFUSED
        message.problem.reason = "ARTIFACT_INVALID"
        message.problem.message = "\n".join(one.message for one in failed)
    return message


def operation_message(one: Operation) -> pb.Operation:
    """An operation."""
    message = pb.Operation(
        operation_id=one.id,
        product=one.product,
        kind=pb.Operation.Kind.Value(f"KIND_{one.kind.upper()}"),
        state=pb.Operation.State.Value(f"STATE_{one.state}"),
        create_time=moment(one.began),
        step=one.step,
        step_progress=one.done,
        output=one.output,
    )
    if one.ended:
        message.end_time.CopyFrom(moment(one.ended))
    return message
