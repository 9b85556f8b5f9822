"""How a server can be watched."""

from __future__ import annotations

import re

from pydantic import field_validator

from cuvee.product import Table

__all__ = ["Metrics"]


class Metrics(Table):
    """Figures for Prometheus, by HTTP on a port of their own."""

    listen: str = ""
    """host:port; port 0 takes any free one. Empty: off. There is neither encryption nor a password, and whoever may
    connect reads the names of products and sources: keep the port inside."""

    @field_validator("listen")
    @classmethod
    def _of_a_kind(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if listen and not (host and re.fullmatch(r"[0-9]{1,5}", port) and int(port) < 65536):
            raise ValueError('must be host:port, such as "127.0.0.1:9464", or empty for none')
        return listen
