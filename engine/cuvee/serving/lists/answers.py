"""What was made, as the proto says it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator

import numpy as np
from google.protobuf.duration_pb2 import Duration

from cuvee.errors import DegradedReason
from cuvee.product import CATALOGUE, HISTORY_HOOK, STORE
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.plan import Plan
from cuvee.recommender import Floats
from cuvee.serving.lists.edge import Row
from cuvee.serving.lists.runs import Made
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["only_checked", "ranked", "recommended", "similar"]

_STATUS = {
    Status.LIVE: pb.SourceStatus.STATUS_LIVE,
    Status.NOT_SERVING: pb.SourceStatus.STATUS_NOT_SERVING_QUERY,
    Status.DEGRADED: pb.SourceStatus.STATUS_DEGRADED,
}


def _reason(reason: DegradedReason | None) -> pb.DegradedReason.ValueType:
    if reason is None:
        return pb.DEGRADED_REASON_UNSPECIFIED
    return pb.DegradedReason.Value(f"DEGRADED_REASON_{reason.name}")


def _status(report: Report, candidates: int) -> pb.SourceStatus:
    degraded = report.status is Status.DEGRADED
    return pb.SourceStatus(
        source=report.source,
        status=_STATUS[report.status],
        reason=_reason(report.reason) if degraded else pb.DEGRADED_REASON_UNSPECIFIED,
        detail=report.detail,
        latency=Duration(nanos=int(report.latency % 1 * 1e9), seconds=int(report.latency)),
        model_version=report.model_version,
        candidate_count=candidates,
    )


def _chain_reports(made: Made, plan: Plan) -> Iterator[Report]:
    """Reports of the fallback sources that this row needed; the batch may have asked more."""
    answer, b = made.answer, made.b
    missing = made.row.k - int((answer.blended.items[b] >= 0).sum())
    for level, report in enumerate(answer.reports[len(plan.sources) :], start=1):
        if missing <= 0:
            return
        yield report
        missing -= int((answer.fallback.levels[b] == level).sum())


def _configured_weights(row: Row) -> Floats:
    """float32[p]: what the product's configuration gives each source for this request alone."""
    snapshot = row.served.snapshot
    liked = int((row.events.weights[-snapshot.product.history :] > 0).sum())
    return snapshot.plan.mixed_weights(np.array([liked], np.int64), row.segment)[:, 0]


def sources_of(made: Made) -> list[pb.SourceStatus]:
    """One entry per source in the order of the configuration, and after them what else has a say.

    That is one entry per source that only the fallback chain has and that was asked, one for the
    last resort where it was needed, one for a history that could not be loaded, and one for a
    store that could not be read.

    A report is of a batch; of a query that a source was not asked about it says nothing.
    """
    answer, b, plan = made.answer, made.b, made.row.served.snapshot.plan
    found = {}
    configured = _configured_weights(made.row)
    for s, source in enumerate(plan.sources):
        report = answer.reports[s]
        if not answer.served[s, b]:
            why = "" if configured[s] > 0 else "weight 0 in this segment"
            report = Report(source.name, Status.NOT_SERVING, detail=why, model_version=source.version)
        found[source.name] = _status(report, int(answer.proposed[s, b]))
    for report in _chain_reports(made, plan):
        there = found.get(report.source)
        # what a source did for the blend stands, unless it failed the chain
        if there is None or report.status is Status.DEGRADED:
            found[report.source] = _status(report, there.candidate_count if there else 0)
    if last := int((answer.fallback.levels[b] > len(plan.fallback)).sum()):
        found[CATALOGUE] = _status(Report(CATALOGUE, Status.LIVE), last)
    if made.row.history_failed:
        failed = Report(HISTORY_HOOK, Status.DEGRADED, DegradedReason.ERROR, "the user's history could not be loaded")
        found[HISTORY_HOOK] = _status(failed, 0)
    if (trouble := made.row.store_failed) is not None:
        found[STORE] = _status(Report(STORE, Status.DEGRADED, trouble.reason, trouble.detail), 0)
    return list(found.values())


def _attributions(made: Made, shown: list[int]) -> list[list[pb.Attribution]]:
    """For each shown column of the blend, what each source that took part had to say."""
    answer, b, plan = made.answer, made.b, made.row.served.snapshot.plan
    blended, columns = answer.blended, np.asarray(shown, np.int64)
    # a source takes part where it was asked and answered; one that failed the chain alone did so, too
    live = [
        s
        for s in range(len(plan.sources))
        if answer.served[s, b] and (answer.reports[s].status is Status.LIVE or answer.weights[s, b] > 0)
    ]
    # plain numbers: taking them out of arrays one by one is slow
    raw, calibrated, contributions, ranks = (
        a[:, b][:, columns].tolist() for a in (blended.raw, blended.calibrated, blended.contributions, blended.ranks)
    )
    weights = answer.weights[:, b].tolist()
    found = []
    for at in range(len(shown)):
        of_item = []
        for s in live:
            one = pb.Attribution(
                source=plan.sources[s].name,
                weight=weights[s],
                contribution=contributions[s][at],
                rank=ranks[s][at],
            )
            if not math.isnan(raw[s][at]):
                one.raw = raw[s][at]
                if not plan.blender.ranks_only:
                    one.calibrated = calibrated[s][at]
            of_item.append(one)
        found.append(of_item)
    return found


def items_of(made: Made) -> list[pb.RecommendedItem]:
    """The blended items, then those of the fallback chain and the last resort."""
    answer, b, row = made.answer, made.b, made.row
    plan, catalog = row.served.snapshot.plan, row.served.snapshot.data.catalog
    blended = np.flatnonzero(answer.blended.items[b] >= 0)
    filled = np.flatnonzero(answer.fallback.items[b] >= 0)
    items = np.concatenate([answer.blended.items[b, blended], answer.fallback.items[b, filled]])
    names = catalog.items.titles_of(items)
    reasons = [made.reasons[at] for at in (*blended.tolist(), *(filled + answer.blended.items.shape[1]).tolist())]
    found = [
        pb.RecommendedItem(item_id=item_id, position=at, title=names[at], reason=reasons[at])
        for at, item_id in enumerate(catalog.items.ids(items))
    ]
    for one, at in zip(found, blended, strict=False):
        one.score = answer.blended.scores[b, at]
        one.exploration = bool(answer.explored[b, at])
    if not row.basic:
        for one, attributions in zip(found, _attributions(made, blended.tolist()), strict=False):
            one.attributions.extend(attributions)
    for one, at in zip(found[len(blended) :], filled, strict=True):
        score, level = answer.fallback.scores[b, at], int(answer.fallback.levels[b, at])
        one.score = 0 if np.isnan(score) else score
        one.fallback.level = level
        filler = plan.filler(level)
        one.fallback.source = filler.name if filler else CATALOGUE
        one.fallback.reason = _reason(answer.fallback.reasons[b])
    return found


def _segment(made: Made) -> str:
    plan, wanted = made.row.served.snapshot.plan, made.row.segment
    if wanted is not None and wanted in plan.weights:
        return wanted
    return plan.segments[int(made.answer.segments[made.b])][0]


def _fill(into: pb.RecommendResponse | pb.RankResponse | pb.SimilarItemsResponse, made: Made) -> None:
    sources = sources_of(made)
    into.items.extend(items_of(made))
    into.sources.extend(sources)
    into.degraded = any(s.status == pb.SourceStatus.STATUS_DEGRADED for s in sources)
    into.recommendation_id = uuid.uuid4().hex
    into.segment = _segment(made)
    _stamp(into, made.row)


def _stamp(into: pb.RecommendResponse | pb.RankResponse | pb.SimilarItemsResponse, row: Row) -> None:
    """What is true of an answer before anything was made."""
    into.snapshot_version = row.served.snapshot.version
    into.config_revision = row.served.revision
    into.unknown_item_ids.extend(row.unknown_ids)
    if not isinstance(into, pb.SimilarItemsResponse):
        into.user_known = row.user_known
        into.unknown_profile_keys.extend(row.unknown_keys)


def recommended(made: Made) -> pb.RecommendResponse:
    """The answer of Recommend."""
    answer = pb.RecommendResponse()
    _fill(answer, made)
    return answer


def only_checked(row: Row) -> pb.RecommendResponse:
    """The answer to a request that asked to be checked and no more."""
    answer = pb.RecommendResponse()
    _stamp(answer, row)
    return answer


def ranked(made: Made) -> pb.RankResponse:
    """The answer of Rank."""
    answer = pb.RankResponse()
    _fill(answer, made)
    return answer


def similar(made: Made) -> pb.SimilarItemsResponse:
    """The answer of SimilarItems."""
    answer = pb.SimilarItemsResponse()
    _fill(answer, made)
    return answer
