"""Cuvée from nothing to answers, through an outage and a new model: ``make demo``.

Imports MovieLens 100k, fits three pages over it (``movies``, the home page, with the deep model;
``because-you-watched`` and ``newcomers``), adds a film that nobody
has seen, starts the model server and Cuvée's server as their own processes and asks over gRPC. Then
the model server is killed, started again, and given a new model, while requests go on. With
``--keep`` (``make serve``) both servers go on until Ctrl-C instead. Everything that it writes lies in
``var/demo``, or in ``$CUVEE_DEMO_DIR``.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from cuvee.data.files.fetch import cache_root
from rich.text import Text

from deploy.demo.deep import outage_and_swap
from deploy.demo.narration import console, heading, run, say, short
from deploy.demo.place import BECAUSE, CONFIG, NEWCOMERS, PRODUCT, Place
from deploy.demo.processes import model_server, server
from deploy.demo.questions import NEW_FILM, answers


def learn(place: Place) -> None:
    """Import, fit, and only then add the new film."""
    heading("Data: MovieLens 100k, 943 people and 1,682 films")
    run("dataset", "ml-100k", environment=place.environment)
    folder = ("--dataset", PRODUCT, "--data-dir", place.data)
    run("import", cache_root() / "ml-100k", *folder, "--replace", environment=place.environment)
    heading("Fit: three pages, each with its own recommenders, published as one version of the page")
    say("The deep one, of the home page, is published as a SavedModel for the model server, too.")
    run("fit", "--config", CONFIG, environment=place.environment)
    heading("A new film comes in, after the fit: nobody has rated it, no model has seen it")
    console.print(Text(NEW_FILM.read_text().strip(), "dim"))
    run("import", *folder, "--items", NEW_FILM, environment=place.environment)


def keep(place: Place, process: subprocess.Popen[bytes], models: subprocess.Popen[bytes]) -> None:
    """Leave the servers running until Ctrl-C, with something to try."""
    heading(f"The servers stay: Cuvée at {place.address}, the model server at {place.model_server}. Ctrl-C ends both.")
    cuvee = short(Path(sys.executable).with_name("cuvee"))
    settings = " ".join(f"{name}={place.settings[name]}" for name in ("CUVEE_VAR", "CUVEE_MODELS", "CUVEE_STORE"))
    say("In another terminal:")
    for line in (
        f"{cuvee} recommend {PRODUCT} --user 196",
        f"{cuvee} recommend {PRODUCT} -a age=24 -a occupation=artist -i genres=Film-Noir,Mystery",
        f'{cuvee} recommend {PRODUCT} --context 50 --context 181 --filter "year >= 1990"',
        f"{cuvee} recommend {BECAUSE} --context 50",
        f"{cuvee} recommend {NEWCOMERS} -a age=24 -a occupation=artist",
        f"{cuvee} similar {PRODUCT} 50",
        f"{cuvee} users {PRODUCT} 50 --filter \"age < 30 AND occupation = 'student'\"",
        f"{cuvee} rank {PRODUCT} --user 196 1 50 98 100 harbour",
        f"{cuvee} console --address {place.address}    # the same in a browser: docs/console.md",
        f'grpcurl -plaintext -d \'{{"product": "{PRODUCT}", "user_id": "196"}}\' {place.address} '
        "cuvee.v1.RecommendationService/Recommend",
        f"kill {models.pid}; {cuvee} recommend {PRODUCT} --user 196     # without the deep model",
        f"{cuvee} model-server --model-base-path {short(place.folder / 'models' / 'deep')}    # and with it again",
        f"{settings} {cuvee} fit {PRODUCT} --config {short(CONFIG)}    # a new deep model, swapped in",
    ):
        console.print(Text("  " + line, "cyan"), soft_wrap=True)
    try:
        process.wait()
    except KeyboardInterrupt:
        console.print()


def main() -> None:
    """Run the demo."""
    # however it is ended, it takes its servers with it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--keep", action="store_true", help="leave the servers running, on ports 50051 and 8500")
    given = options.parse_args()
    started = time.monotonic()
    place = Place.make(usual_ports=given.keep)
    learn(place)
    heading("Serve: two processes, asked over gRPC")
    nothing_lost = True
    with ExitStack() as running:
        models = running.enter_context(model_server(place))
        process = running.enter_context(server(place))
        if given.keep:
            keep(place, process, models)
        else:
            answers(place)
            nothing_lost = outage_and_swap(place, models, running)
    took = time.monotonic() - started
    heading(
        f"The server was told to stop (SIGTERM) and ended with {process.returncode}. All of this took {took:.0f} s."
    )
    sys.exit(process.returncode or int(not nothing_lost))


if __name__ == "__main__":
    main()
