"""What was made, as the proto says it: messages of a batch, written in protobuf's wire format.

Fields that repeat in every item of every answer are joined from pieces that are encoded once; what is rare is
encoded by protobuf itself. A message is the sum of its parts in this format, in any order.
Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cuvee import kernels
from cuvee.errors import DegradedReason
from cuvee.product import CATALOGUE, HISTORY_HOOK, STORE
from cuvee.ranking.ask import Report, Status
from cuvee.ranking.pipeline import Answer
from cuvee.serving.lists.drafts import Row
from cuvee.serving.lists.rule_effects import counts_of, effects_of
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Made", "answers_of", "only_checked", "source_status"]

_STATUS = {
    Status.LIVE: pb.SourceStatus.STATUS_LIVE,
    Status.NOT_SERVING: pb.SourceStatus.STATUS_NOT_SERVING_QUERY,
    Status.DEGRADED: pb.SourceStatus.STATUS_DEGRADED,
}
_SCORE = struct.Struct("<Bf").pack
_NARROWED = b"\x78\x01"
"""``narrowed``, true, with its tag."""
_POSITIONS = [b"", *(b"\x18" + bytes([at]) for at in range(1, 128))]
"""``RecommendedItem.position``, encoded with its tag."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made for one row: row ``b`` of a batch's answer."""

    row: Row
    answer: Answer
    b: int
    recommendation_id: str
    message: bytes
    """A RecommendResponse; or one of the others, which have the same fields in so far as they have them."""


def answers_of(
    rows: Sequence[Row], answer: Answer, reasons: Sequence[Sequence[str]], *, narrowed: bool = False
) -> list[Made]:
    """The messages for the rows of a batch.

    ``reasons`` has B rows, one reason for each item of the blend and then of those that fill it up. ``narrowed``:
    sources proposed fewer candidates than the product says.
    """
    batch = _Batch(rows, answer, reasons, _NARROWED if narrowed else b"")
    return [batch.made(b) for b in range(len(rows))]


def only_checked(row: Row) -> bytes:
    """The answer to a request that asked to be checked and no more."""
    return _stamp(row)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _piece(tag: int, payload: bytes) -> bytes:
    """A field of bytes, text or a message."""
    size = len(payload)
    return (bytes((tag, size)) if size < 128 else bytes((tag,)) + _varint(size)) + payload


def _text(tag: int, text: str) -> bytes:
    return _piece(tag, text.encode()) if text else b""


@lru_cache(maxsize=8192)
def _why(reason: str) -> bytes:
    """``RecommendedItem.reason``: most are given again and again."""
    return _text(0x2A, reason)


def _reason(reason: DegradedReason | None) -> pb.DegradedReason.ValueType:
    if reason is None:
        return pb.DEGRADED_REASON_UNSPECIFIED
    return pb.DegradedReason.Value(f"DEGRADED_REASON_{reason.name}")


def source_status(report: Report) -> bytes:
    """A SourceStatus, but for how many candidates there were."""
    degraded = report.status is Status.DEGRADED
    reason = _reason(report.reason) if degraded else pb.DEGRADED_REASON_UNSPECIFIED
    steady = _steady(report.source, report.status, reason, report.detail, report.model_version)
    if report.latency <= 0:
        return steady
    seconds, nanos = int(report.latency), int(report.latency % 1 * 1e9)
    return steady + _piece(0x2A, _number(0x08, seconds) + _number(0x10, nanos))


@lru_cache(maxsize=4096)
def _steady(source: str, status: Status, reason: pb.DegradedReason.ValueType, detail: str, model_version: str) -> bytes:
    """A SourceStatus without its latency, the only part that changes with each answer."""
    return pb.SourceStatus(
        source=source, status=_STATUS[status], reason=reason, detail=detail, model_version=model_version
    ).SerializeToString()


def _number(tag: int, value: int) -> bytes:
    """A field of a whole number; of 0 nothing is written."""
    return bytes((tag,)) + _varint(value) if value else b""


def _stamp(row: Row) -> bytes:
    """What is true of an answer before anything was made."""
    return b"".join(
        (
            _text(0x2A, row.served.snapshot.version),
            _text(0x32, row.served.revision),
            _text(0x42, row.variant),
            *(_text(0x52, unknown) for unknown in row.unknown_ids),
            b"\x58\x01" if row.user_known else b"",
            *(_text(0x62, unknown) for unknown in row.unknown_keys),
            *(_text(0x6A, unknown) for unknown in row.unknown_values),
        )
    )


class _Batch:
    """The parts of a batch's messages, each encoded once."""

    def __init__(self, rows: Sequence[Row], answer: Answer, reasons: Sequence[Sequence[str]], narrowed: bytes) -> None:
        self._narrowed = narrowed
        self._rows, self._answer, self._reasons = rows, answer, reasons
        self._served = rows[0].served
        self._plan = plan = self._served.snapshot.plan
        blended = answer.blended
        # a source takes part where it was asked and answered; one that failed the chain alone did so, too
        live = np.array([r.status is Status.LIVE for r in answer.reports[: len(plan.sources)]], np.bool_)
        part = answer.served & (live[:, None] | (answer.weights > 0)) & ~np.array([row.basic for row in rows])
        self._attributions = kernels.attributions(
            [_text(0x0A, source.name) for source in plan.sources],
            part,
            blended.raw,
            None if plan.blender.ranks_only else blended.calibrated,
            blended.contributions,
            blended.ranks,
            answer.weights,
            blended.items,
        )
        self._scores = blended.scores.tolist()
        self._explored = answer.explored.tolist()
        self._lengths = (blended.items >= 0).sum(axis=1).tolist()
        self._filled = (answer.fallback.items >= 0).sum(axis=1).tolist() if answer.fallback.items.size else []
        self._proposed, self._asked = answer.proposed.tolist(), answer.served.tolist()
        self._configured = (answer.configured > 0).tolist()
        self._rules = effects_of(plan, answer)
        self._statuses = [source_status(report) for report in answer.reports[: len(plan.sources)]]
        self._unasked = [
            [
                source_status(Report(source.name, Status.NOT_SERVING, detail=why, model_version=source.version))
                for why in ("weight 0 in this segment", "")
            ]
            for source in plan.sources
        ]

    def made(self, b: int) -> Made:
        """The message of one row."""
        row = self._rows[b]
        recommendation_id = os.urandom(16).hex()
        message = b"".join(
            (
                *self._items(b),
                *(counts_of(self._plan, self._answer, b) if row.counts else ()),
                *self._sources(b),
                _text(0x22, recommendation_id),
                self._next(b),
                _text(0x4A, self._segment(b)),
                _stamp(row),
                self._narrowed,
            )
        )
        return Made(row, self._answer, b, recommendation_id, message)

    def _items(self, b: int) -> Sequence[bytes]:
        """The items in the order of the list."""
        n, others = self._lengths[b], self._filled[b] if self._filled else 0
        order = self._answer.order
        if order is None:
            places: Sequence[int] = range(n + others)
            return [*self._blended(b, places), *(self._fillers(b, places) if others else ())]
        width = self._answer.blended.items.shape[1]
        listed = [at if at < width else n + at - width for at in order[b].tolist() if at >= 0]
        places = sorted(range(len(listed)), key=listed.__getitem__)
        pieces = [*self._blended(b, places), *(self._fillers(b, places) if others else ())]
        return [pieces[at] for at in listed]

    def _next(self, b: int) -> bytes:
        """The token for the next page, where this one is full."""
        row, answer = self._rows[b], self._answer
        n, others = self._lengths[b], self._filled[b] if self._filled else 0
        if row.next_token is None or n + others < row.k or not row.k:
            return b""
        items = answer.blended.items[b, :n].tolist()
        if others:
            items = [item for item in answer.items()[b].tolist() if item >= 0]
        return _text(0x3A, row.next_token(items))

    def _blended(self, b: int, places: Sequence[int]) -> Iterator[bytes]:
        """The items of the blend. Position, score and attributions differ from answer to answer, the rest rarely."""
        n = self._lengths[b]
        named = self._served.named(self._answer.blended.items[b, :n].tolist())
        scores, explored = self._scores[b], self._explored[b]
        attributions, reasons = self._attributions[b], self._reasons[b]
        before, rules = self._rows[b].before, self._rules[b] if self._rules else None
        for at, place in zip(range(n), places, strict=False):
            yield _piece(
                0x0A,
                b"".join(
                    (
                        named[at],
                        _SCORE(0x15, scores[at]),
                        _position(before + place),
                        attributions[at],
                        _why(reasons[at]),
                        b"\x38\x01" if explored[at] else b"",
                        rules[place] if rules else b"",
                    )
                ),
            )

    def _fillers(self, b: int, places: Sequence[int]) -> Iterator[bytes]:
        """The items of the fallback chain and the last resort."""
        fallback, plan = self._answer.fallback, self._plan
        columns = np.flatnonzero(fallback.items[b] >= 0)
        first, reasons = self._answer.blended.items.shape[1], self._reasons[b]
        named = self._served.named(fallback.items[b, columns].tolist())
        before, n = self._rows[b].before, self._lengths[b]
        for nth, at in enumerate(columns.tolist()):
            score, level = float(fallback.scores[b, at]), int(fallback.levels[b, at])
            filler = plan.filler(level)
            one = pb.RecommendedItem(
                score=0.0 if np.isnan(score) else score,
                position=before + places[n + nth],
                reason=reasons[first + at],
                fallback=pb.Fallback(
                    level=level,
                    source=filler.name if filler else CATALOGUE,
                    reason=_reason(fallback.reasons[b]),
                ),
            )
            yield _piece(0x0A, named[nth] + one.SerializeToString())

    def _sources(self, b: int) -> Iterator[bytes]:
        """One entry per source in the order of the configuration, and after them what else has a say.

        That is one entry per source that only the fallback chain has and that was asked, one for the
        last resort where it was needed, one for a history that could not be loaded, and one for a
        store that could not be read. And whether any of them is degraded.

        A report is of a batch; of a query that a source was not asked about it says nothing.
        """
        answer, plan, row = self._answer, self._plan, self._rows[b]
        found: dict[str, tuple[bytes, int]] = {}
        degraded = False
        for s, source in enumerate(plan.sources):
            if self._asked[s][b]:
                found[source.name] = self._statuses[s], self._proposed[s][b]
                degraded |= answer.reports[s].status is Status.DEGRADED
            else:
                found[source.name] = self._unasked[s][self._configured[s][b]], self._proposed[s][b]
        more = list(self._chain(b))
        if self._filled and (last := int((answer.fallback.levels[b] > len(plan.fallback)).sum())):
            found[CATALOGUE] = source_status(Report(CATALOGUE, Status.LIVE)), last
        if row.history_failed:
            why = "the user's history could not be loaded"
            more.append(Report(HISTORY_HOOK, Status.DEGRADED, DegradedReason.ERROR, why))
        if (trouble := row.store_failed) is not None:
            more.append(Report(STORE, Status.DEGRADED, trouble.reason, trouble.detail))
        for report in more:
            bad = report.status is Status.DEGRADED
            # what a source did for the blend stands, unless it failed the chain
            if report.source not in found or bad:
                found[report.source] = source_status(report), found.get(report.source, (b"", 0))[1]
                degraded |= bad
        for status, candidates in found.values():
            yield _piece(0x12, status + b"\x38" + _varint(candidates) if candidates else status)
        if degraded:
            yield b"\x18\x01"

    def _chain(self, b: int) -> Iterator[Report]:
        """Reports of the fallback sources that this row needed; the batch may have asked more."""
        answer, row = self._answer, self._rows[b]
        missing = row.k - self._lengths[b]
        for level, report in enumerate(answer.reports[len(self._plan.sources) :], start=1):
            if missing <= 0:
                return
            yield report
            missing -= int((answer.fallback.levels[b] == level).sum())

    def _segment(self, b: int) -> str:
        plan, wanted = self._plan, self._rows[b].segment
        if wanted is not None and wanted in plan.weights:
            return wanted
        return plan.segments[int(self._answer.segments[b])][0]


def _position(at: int) -> bytes:
    return _POSITIONS[at] if at < len(_POSITIONS) else b"\x18" + _varint(at)
