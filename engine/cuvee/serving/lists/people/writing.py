"""The answer of RecommendUsers as a message, and what is noted for it while batches come in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap

import numpy as np

from cuvee.errors import DegradedReason
from cuvee.product import HISTORY_HOOK
from cuvee.ranking.ask import Report, Status
from cuvee.serving.lists.answers import source_status
from cuvee.serving.lists.people.judging import Opinion
from cuvee.serving.live.products import Served
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Told"]

_WORSE = {Status.NOT_SERVING: 0, Status.LIVE: 1, Status.DEGRADED: 2}


@dataclass(slots=True)
class Told:
    """What becomes known about one answer."""

    request: pb.RecommendUsersRequest
    served: Served
    before: int
    """Users on earlier pages."""
    narrowed: bool
    unknown: Sequence[str]
    scored: int = 0
    history_failed: bool = False
    _reports: dict[str, Report] = field(default_factory=dict)
    _last: Sequence[Report] = ()

    def took_part(self, reports: Sequence[Report]) -> None:
        """Note how the sources did in one more batch; all its users come with the same reports."""
        if reports is self._last:
            return
        self._last = reports
        for report in reports:
            old = self._reports.get(report.source)
            if old is None:
                self._reports[report.source] = report
                continue
            worse = report if _WORSE[report.status] > _WORSE[old.status] else old
            self._reports[report.source] = replace(worse, latency=old.latency + report.latency)

    def message(self, best: Sequence[tuple[float, str, Opinion]], token: str, item_known: bool) -> bytes:
        """The RecommendUsersResponse on the wire: the users by falling score."""
        plan = self.served.snapshot.plan
        reports = [
            self._reports.get(source.name) or Report(source.name, Status.NOT_SERVING, model_version=source.version)
            for source in plan.sources
        ]
        if self.history_failed:
            why = "some users' histories could not be loaded"
            reports.append(Report(HISTORY_HOOK, Status.DEGRADED, DegradedReason.ERROR, why))
        made = pb.RecommendUsersResponse(
            degraded=any(report.status is Status.DEGRADED for report in reports),
            recommendation_id=os.urandom(16).hex(),
            snapshot_version=self.served.snapshot.version,
            config_revision=self.served.revision,
            next_page_token=token,
            unknown_user_ids=self.unknown,
            item_known=item_known,
            scored_users=self.scored,
            narrowed=self.narrowed,
            sources=[pb.SourceStatus.FromString(source_status(report)) for report in reports],
            users=starmap(self._user, enumerate(best)),
        )
        return made.SerializeToString()

    def _user(self, place: int, one: tuple[float, str, Opinion]) -> pb.RecommendedUser:
        score, user_id, opinion = one
        user = pb.RecommendedUser(user_id=user_id, position=self.before + place)
        if np.isfinite(score):
            user.score = -score
        if self.request.view == pb.ATTRIBUTION_VIEW_BASIC:
            return user
        plan = self.served.snapshot.plan
        for s, source in enumerate(plan.sources):
            if not opinion.part[s, opinion.b]:
                continue
            said = user.attributions.add(
                source=source.name,
                weight=float(opinion.weights[s, opinion.b]),
                contribution=float(opinion.contributions[s, opinion.b]),
            )
            if not np.isnan(opinion.raw[s, opinion.b]):
                said.raw = float(opinion.raw[s, opinion.b])
                if not plan.blender.ranks_only:
                    said.calibrated = float(opinion.calibrated[s, opinion.b])
        return user
