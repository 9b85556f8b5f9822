"""How a client spreads its calls over several servers, and leaves alone those that are down, slow or about to end.

A gRPC connection stays with one server, so a balancer of connections leaves some servers idle and
others overloaded, and a new one gets nothing. The client itself knows better: it keeps a connection to each address
that the target's name has, and takes them in turn. Such a target is a headless Service of Kubernetes, or
``ipv4:10.0.0.1:50051,10.0.0.2:50051``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Replicas"]

LISTS = ("cuvee.v1.RecommendationService", "Recommend", "SimilarItems", "Rank")
"""The calls that are over soon, and may be repeated."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """The target is several servers that answer alike."""

    attempt: float = 1.0
    """Seconds after which a call that may be repeated is asked of another server."""

    def options(self, service_config: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Channel options for a service config that says what may be repeated.

        - Servers take turns, as long as they say SERVING (``grpc.health.v1``): one that is told to end says so first.
        - One whose calls fail or take too long is left alone for five seconds, longer each time; at most half of them.
        - A single list that does not come within ``attempt`` is asked again elsewhere. gRPC's core does this by an
          option that it calls experimental; other languages' clients have all but this.
        """
        config: dict[str, Any] = copy.deepcopy(dict(service_config))
        config["loadBalancingConfig"] = [
            {
                "outlier_detection_experimental": {
                    "interval": "0.5s",
                    "baseEjectionTime": "5s",
                    "maxEjectionPercent": 50,
                    "failurePercentageEjection": {
                        "threshold": 50,
                        "enforcementPercentage": 100,
                        "minimumHosts": 2,
                        "requestVolume": 2,
                    },
                    "childPolicy": [{"round_robin": {}}],
                }
            }
        ]
        config["healthCheckConfig"] = {"serviceName": ""}
        # with one server of three gone, a third of the calls fail once until it is left alone
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
        for found in list(config["methodConfig"]):
            if any(name["service"] == LISTS[0] for name in found["name"]):
                # single lists alone: a batch may be long in coming
                quick = {"name": [{"service": LISTS[0], "method": method} for method in LISTS[1:]]}
                policy = {**found["retryPolicy"], "perAttemptRecvTimeout": f"{self.attempt:g}s"}
                config["methodConfig"].append({**found, **quick, "retryPolicy": policy})
        return [("grpc.service_config", json.dumps(config)), ("grpc.experimental.enable_hedging", 1)]
