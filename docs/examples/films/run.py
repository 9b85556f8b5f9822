"""Films: lists for a known user, a session, a declared taste, and a film that nobody has seen yet.

``python docs/examples/films/run.py [FOLDER]``; what it writes lies in FOLDER, by default var/examples/films.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cuvee.client import Client, profile
from cuvee.data.files.fetch import fetch
from cuvee.testing import run_server
from cuvee.v1 import catalog_pb2, recommendation_pb2

HERE = Path(__file__).resolve().parent


def cuvee(*arguments: str | Path) -> None:
    """Run a command of ``cuvee`` in the working folder, and show it."""
    print("\n$ cuvee", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "cuvee.cli", *arguments], check=True)  # noqa: S603 - no shell, our own words


def show(title: str, answer: recommendation_pb2.RecommendResponse | recommendation_pb2.SimilarItemsResponse) -> None:
    """Print each item with its reason and what the sources contributed."""
    print(f"\n{title}")
    for item in answer.items:
        shares = ", ".join(f"{one.source} {one.contribution:+.2f}" for one in item.attributions)
        print(f"  {item.score:5.2f}  {item.title}: {item.reason} ({shares})")


def main() -> None:
    """Import, fit, serve and ask."""
    data = fetch("ml-100k").folder
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "var/examples/films")
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    os.chdir(folder)
    cuvee("import", data, "--dataset", "films", "--replace")
    cuvee("fit", "films")
    with run_server(Path("cuvee.toml")) as server, Client(server.address) as client:
        show("For user 196, who has a history", client.recommend("films", "196", page_size=3))
        clicks = client.recommend("films", context_item_ids=["50", "172", "181"], page_size=3)
        show("For a stranger after three clicks: Star Wars and its two successors", clicks)
        taste = profile(interests={"genres": ["Film-Noir"]})
        show("For a stranger who says that he likes Film-Noir", client.recommend("films", profile=taste, page_size=3))
        item = catalog_pb2.Item(item_id="lighthouse", title="The Lighthouse")
        item.attributes["genres"].texts.values.extend(["Film-Noir", "Mystery"])
        client.catalog.UpsertItem(catalog_pb2.UpsertItemRequest(product="films", item=item), timeout=5)
        found: list[str] = []  # the film is loaded beside the requests, within about a second
        until = time.monotonic() + 60
        while "lighthouse" not in found and time.monotonic() < until:
            mysteries = client.recommend("films", profile=taste, filter="'Mystery' IN genres", page_size=20)
            found = [one.item_id for one in mysteries.items]
        print(f"\nA film that came in a moment ago is number {found.index('lighthouse') + 1} of that taste's mysteries")


if __name__ == "__main__":
    main()
