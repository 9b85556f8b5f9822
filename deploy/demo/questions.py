"""The kinds of question, the pages, and what the server says to them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from cuvee.cli.ask.calling import Server, ask
from cuvee.cli.ask.people import show_users
from cuvee.cli.ask.render import show_answer
from cuvee.client import profile
from cuvee.v1 import events_pb2
from cuvee.v1 import recommendation_pb2 as pb
from rich.text import Text

from deploy.demo.narration import console, heading, run, say
from deploy.demo.place import BECAUSE, NEWCOMERS, PRODUCT, Place

__all__ = ["NEW_FILM", "STAR_WARS", "answers"]

NEW_FILM = Path(__file__).resolve().parent / "new.csv"
STAR_WARS = ("50", "172", "181")
"""Oldest click first."""


def new_user() -> pb.UserProfile:
    """Somebody of whom only this is known."""
    return profile({"age": 24, "occupation": "artist"}, {"genres": ["Film-Noir", "Mystery"]})


def answers(place: Place) -> None:
    """Ask, and show."""
    server = Server(place.address)
    heading("Answer 1: A user with a long history: 196")
    run("recommend", PRODUCT, "--user", "196", "--explain", environment=place.environment)

    heading(
        "Answer 2: A brand-new user: 24 years old, an artist, fond of Film-Noir and Mystery; all of it in the request"
    )
    say("No history, so the weights of the segment 'cold' count, and who needs a history is not asked.")
    show_answer(ask(server, lambda c: c.recommend(PRODUCT, "newcomer", profile=new_user(), page_size=10)), console)

    heading("Answer 3: An unknown user after three clicks: Star Wars, The Empire Strikes Back, Return of the Jedi")
    say("The clicks travel in the request (context_item_ids); nothing is stored, yet they change the answer.")
    show_answer(ask(server, lambda c: c.recommend(PRODUCT, context_item_ids=STAR_WARS, page_size=10)), console)

    with NEW_FILM.open() as file:
        film = next(csv.DictReader(file))
    heading(f"Answer 4: The new film: {film['title']}, {film['genres'].replace('|', ', ')}; rated by nobody")
    say("For the same new user, whose taste it meets. Who learns from events alone can have no opinion of it.")
    answer = ask(server, lambda c: c.recommend(PRODUCT, profile=new_user(), page_size=20))
    show_answer(answer, console, mark=lambda item: item == film["id"])
    tell_where(answer, film["id"], film["title"])

    heading("Answer 5: Rank: the caller's own list, in order for user 196")
    listed = ["1", "50", "98", "100", "181", film["id"]]
    show_answer(ask(server, lambda c: c.rank(PRODUCT, listed, "196")), console, mark=lambda item: item == film["id"])

    pages(server)

    heading("Answer 9: An event is written, and the next list knows it: somebody new clicks on Star Wars")
    click = events_pb2.Event(
        product=PRODUCT, user_id="clicker", item_id=STAR_WARS[0], type=events_pb2.EVENT_TYPE_CLICK, event_id="1"
    )
    ask(server, lambda c: c.events.WriteEvents(events_pb2.WriteEventsRequest(events=[click]), timeout=2))
    say("The click is in the store, which every server process reads; no model was fitted.")
    show_answer(ask(server, lambda c: c.recommend(PRODUCT, "clicker", page_size=5)), console)


def pages(server: Server) -> None:
    """The other pages on the same films, and whom to tell about one."""
    heading("Answer 6: Another page, because-you-watched, after Star Wars: its own sources, weights and rules")
    say("What goes with it and what follows it, spread out by the rule `diversity`; it has no deep model.")
    show_answer(ask(server, lambda c: c.recommend(BECAUSE, context_item_ids=STAR_WARS[:1], page_size=6)), console)

    heading("Answer 7: A third page, newcomers: popularity twice, with other settings, and the premiere at place 3")
    say("The rule `mixture` keeps every genre to four of ten, and `recent` raises new films.")
    show_answer(ask(server, lambda c: c.recommend(NEWCOMERS, profile=new_user(), page_size=6)), console)

    heading("Answer 8: Whom to tell about the new film: students who were fond of the like")
    found = ask(
        server,
        lambda c: c.recommend_users(PRODUCT, "harbour", filter="occupation = 'student'", page_size=5, timeout=30),
    )
    show_users(found, "harbour", console)


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
