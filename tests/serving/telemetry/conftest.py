"""What a server exports, read as Prometheus reads it."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from cuvee.testing.server import RunningServer
from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


class Scraped:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        return {sample.name for sample in self.samples}

    def of(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        """The labels and values of one name's series that have these labels."""
        return [
            (sample.labels, sample.value)
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def sum(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.of(name, **labels))


def address_of(server: RunningServer) -> str:
    return str(server.events("metrics listening")[0]["address"])


def scrape(address: str, path: str = "/metrics") -> Scraped:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return Scraped(answer.read().decode())


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.1)


def chosen(config: Path, name: str, *products: str, more: str = "") -> Path:
    """A configuration with some of the fitted products, and more tables."""
    folder = config.with_name(f"{name}-products")
    folder.mkdir()
    for product in products:
        text = config.with_name("products").joinpath(f"{product}.toml").read_text()
        (folder / f"{product}.toml").write_text(text)
    found = config.with_name(f"{name}.toml")
    found.write_text(f'products = "{name}-products"\n{config.read_text()}\n{more}')
    return found
