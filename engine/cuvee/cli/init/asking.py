"""Questions about what the files do not tell."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.text import Text

from cuvee.cli.terminal.tables import say
from cuvee.errors import DataError
from cuvee.starting.plan import Plan, Question

__all__ = ["answered"]


def answered(plan: Plan, *, ask: bool, yes: bool) -> Plan:
    """The plan with every question answered: by a person, or by what is likely, which is then said.

    Raises:
        DataError: something must be said, and nobody can be asked; names the options.
    """
    if not plan.questions:
        return plan
    console = Console(highlight=False)
    must = [one for one in plan.questions if one.must]
    unsure = [one for one in plan.questions if one.about in {"user", "item"}]
    if not ask and (must or (unsure and not yes)):
        lines = [f"\n  {one.text} Say {one.remedy}" for one in (must or unsure)]
        raise DataError("this must be said, as nobody can be asked here:" + "".join(lines))
    console.print()
    for question in plan.questions:
        one = plan.still(question)
        plan = plan.answered(one, _asked(console, one) if ask else _likely(console, one))
    return plan


def _likely(console: Console, question: Question) -> str:
    answer = question.answers[0]
    said = Text.assemble((question.text, ""), " ", (answer, "bold"), (f" is taken; {question.remedy} says it", "dim"))
    say(console, said)
    return answer


def _asked(console: Console, question: Question) -> str:
    say(console, question.text)
    for number, answer in enumerate(question.answers, 1):
        console.print(f"  {number}  {answer}", markup=False)
    while True:
        given = str(typer.prompt("number, or the answer itself", default="1")).strip()
        if given in question.answers:
            return given
        if given.isdigit() and 1 <= int(given) <= len(question.answers):
            return question.answers[int(given) - 1]
        console.print(f"one of 1 to {len(question.answers)}, please")
