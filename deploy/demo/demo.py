"""Cuvée from nothing to five answers: ``make demo``.

Imports MovieLens 100k, fits the product ``movies``, adds a film that nobody has seen, starts the
server as its own process and asks it over gRPC. With ``--keep`` (``make serve``) the server goes on
until Ctrl-C. Everything it writes lies in ``var/demo``, or in ``$CUVEE_DEMO_DIR``.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from cuvee.cli.asking import ask
from cuvee.cli.render import show_answer
from cuvee.client import Client, profile
from cuvee.data.fetch import cache_root
from cuvee.v1 import recommendation_pb2 as pb
from grpc_health.v1 import health_pb2
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
DEPLOY = HERE.parent
WORK = Path(os.environ.get("CUVEE_DEMO_DIR", DEPLOY.parent / "var" / "demo")).resolve()
CONFIG = WORK / "cuvee.toml"
NEW_FILM = HERE / "new.csv"
PRODUCT = "movies"
STAR_WARS = ("50", "172", "181")
"""Oldest click first."""
PATIENCE = 60.0
"""Seconds that the server has to be ready in."""

console = Console(highlight=False)


def title(text: str) -> None:
    """The head of a step."""
    console.print()
    console.rule(Text(text, "bold"), align="left", style="dim")


def say(text: str) -> None:
    """A line of narration."""
    console.print(text, style="italic", highlight=False)


def command(*arguments: str | Path) -> list[str]:
    """The ``cuvee`` command of this very Python."""
    return [sys.executable, "-m", "cuvee.cli", *map(str, arguments)]


def run(*arguments: str | Path) -> None:
    """Show a command, run it, and stop the demo if it fails."""
    console.print(Text("$ cuvee " + " ".join(short(a) for a in arguments), "bold cyan"), soft_wrap=True)
    done = subprocess.run(command(*arguments), check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(done.returncode)


def short(argument: str | Path) -> str:
    """A path as seen from here, where that is shorter."""
    here = Path.cwd()
    path = Path(argument)
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else str(argument)


def prepare(port: int) -> None:
    """Copy the configuration into the work folder, its own data and port in it."""
    WORK.mkdir(parents=True, exist_ok=True)
    text = (DEPLOY / "cuvee.toml").read_text()
    text = text.replace("../var/", "").replace("127.0.0.1:50051", f"127.0.0.1:{port}")
    CONFIG.write_text(text)
    shutil.rmtree(WORK / "products", ignore_errors=True)
    shutil.copytree(DEPLOY / "products", WORK / "products")
    shutil.rmtree(WORK / "artifacts", ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def learn() -> None:
    """Import, fit, and only then add the new film."""
    title("Data: MovieLens 100k, 943 people and 1,682 films")
    run("dataset", "ml-100k")
    run("import", cache_root() / "ml-100k", "--dataset", PRODUCT, "--data-dir", WORK / "data", "--replace")
    title("Fit: five recommenders, published as one version")
    run("fit", PRODUCT, "--config", CONFIG)
    title("A new film comes in, after the fit: nobody has rated it, no model has seen it")
    console.print(Text(NEW_FILM.read_text().strip(), "dim"))
    run("import", "--dataset", PRODUCT, "--data-dir", WORK / "data", "--items", NEW_FILM)


@contextmanager
def server(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """The server as its own process, ready; ended by SIGTERM, which must end it well."""
    arguments = ("serve", "--config", CONFIG)
    console.print(Text("$ cuvee " + " ".join(short(a) for a in arguments) + " &", "bold cyan"), soft_wrap=True)
    log = WORK / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command(*arguments), stdout=out, stderr=out)  # noqa: S603 - our own command
    try:
        started = time.perf_counter()
        wait_until_ready(address, process, log)
        say(f"SERVING at {address} after {time.perf_counter() - started:.1f} s; its log is {short(log)}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)


def wait_until_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask ``grpc.health.v1`` until it says SERVING."""
    serving = health_pb2.HealthCheckResponse.SERVING
    until = time.monotonic() + PATIENCE
    with Client(address) as client:
        while time.monotonic() < until and process.poll() is None:
            try:
                if client.health(timeout=1).status == serving:
                    return
            except grpc.RpcError:
                pass  # nobody listens yet
            time.sleep(0.1)
    ended = f"ended with {process.poll()}" if process.poll() is not None else f"is not ready after {PATIENCE:.0f} s"
    console.print(f"the server {ended}; it says:", style="bold red")
    console.print(Text(log.read_text()[-3000:]))
    sys.exit(1)


def new_user() -> pb.UserProfile:
    """Somebody of whom only this is known."""
    return profile({"age": 24, "occupation": "artist"}, {"genres": ["Film-Noir", "Mystery"]})


def five_answers(address: str) -> None:
    """What the server says to five kinds of question."""
    title("Answer 1: A user with a long history: 196")
    show_answer(ask(address, lambda c: c.recommend(PRODUCT, "196", page_size=10)), console)

    title(
        "Answer 2: A brand-new user: 24 years old, an artist, fond of Film-Noir and Mystery; all of it in the request"
    )
    say("No history, so the weights of the segment 'cold' count, and who needs a history is not asked.")
    show_answer(ask(address, lambda c: c.recommend(PRODUCT, "newcomer", profile=new_user(), page_size=10)), console)

    title("Answer 3: An unknown user after three clicks: Star Wars, The Empire Strikes Back, Return of the Jedi")
    say("The clicks travel in the request (context_item_ids); nothing is stored, yet they change the answer.")
    show_answer(ask(address, lambda c: c.recommend(PRODUCT, context_item_ids=STAR_WARS, page_size=10)), console)

    with NEW_FILM.open() as file:
        film = next(csv.DictReader(file))
    title(f"Answer 4: The new film: {film['title']}, {film['genres'].replace('|', ', ')}; rated by nobody")
    say("For the same new user, whose taste it meets. Who learns from events alone can have no opinion of it.")
    answer = ask(address, lambda c: c.recommend(PRODUCT, profile=new_user(), page_size=20))
    show_answer(answer, console, mark=lambda item: item == film["id"])
    tell_where(answer, film["id"], film["title"])

    title("Answer 5: Rank: the caller's own list, in order for user 196")
    listed = ["1", "50", "98", "100", "181", film["id"]]
    show_answer(ask(address, lambda c: c.rank(PRODUCT, listed, "196")), console, mark=lambda item: item == film["id"])


def tell_where(answer: pb.RecommendResponse, item: str, name: str) -> None:
    """At which place the item stands, and which source put it there."""
    found = next((i for i in answer.items if i.item_id == item), None)
    if found is None:
        console.print(f"{name} is not in this list", style="bold red")
        sys.exit(1)
    best = max(found.attributions, key=lambda a: a.contribution)
    retrieved = ", ".join(a.source for a in found.attributions if a.rank)
    silent = ", ".join(a.source for a in found.attributions if not a.HasField("raw"))
    console.print(
        Text.assemble(
            ("★ ", "bold yellow"), (name, "bold"), f" stands at place {found.position + 1}. Proposed by {retrieved}; ",
            (best.source, "bold"), f" contributed most ({best.contribution:+.3f} of {found.score:.3f}). ",
            f"No opinion, since they never saw it: {silent or 'none'}.",
        )
    )  # fmt: skip


def keep(address: str, process: subprocess.Popen[bytes]) -> None:
    """Leave the server running until Ctrl-C, with something to try."""
    title(f"The server stays at {address}; Ctrl-C ends it. In another terminal:")
    cuvee = short(Path(sys.executable).with_name("cuvee"))
    for line in (
        f"{cuvee} recommend {PRODUCT} --user 196",
        f"{cuvee} recommend {PRODUCT} -a age=24 -a occupation=artist -i genres=Film-Noir,Mystery",
        f'{cuvee} recommend {PRODUCT} --context 50 --context 181 --filter "year >= 1990"',
        f"{cuvee} similar {PRODUCT} 50",
        f"{cuvee} rank {PRODUCT} --user 196 1 50 98 100 harbour",
        f'grpcurl -plaintext -d \'{{"product": "{PRODUCT}", "user_id": "196"}}\' {address} '
        "cuvee.v1.RecommendationService/Recommend",
    ):
        console.print(Text("  " + line, "cyan"), soft_wrap=True)
    try:
        process.wait()
    except KeyboardInterrupt:
        console.print()


def main() -> None:
    """Run the demo."""
    # however it is ended, it takes the server with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--keep", action="store_true", help="leave the server running, on port 50051")
    given = options.parse_args()
    started = time.perf_counter()
    port = 50051 if given.keep else free_port()
    address = f"127.0.0.1:{port}"
    prepare(port)
    learn()
    title("Serve: a process of its own, asked over gRPC")
    with server(address) as process:
        if given.keep:
            keep(address, process)
        else:
            five_answers(address)
    ended = process.returncode
    took = time.perf_counter() - started
    title(f"The server was told to stop (SIGTERM) and ended with {ended}. All of this took {took:.0f} s.")
    sys.exit(ended)


if __name__ == "__main__":
    main()
