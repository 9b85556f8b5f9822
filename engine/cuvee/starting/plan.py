"""How files are to be imported: which one holds what, and what its columns mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from cuvee.data.catalog import Role
from cuvee.data.files.raw import INTERACTION_COLUMNS, Part, ReadOptions, TimeUnit
from cuvee.data.files.readers import BUILT_IN, choose
from cuvee.errors import DataError
from cuvee.starting.columns import (
    NAMES,
    Meaning,
    ambiguity,
    as_ids_text,
    interactions_of,
    liked_from,
    normal,
    title_of,
    unit_of,
)
from cuvee.starting.tables import Layout, Table, opened

__all__ = ["Plan", "Question", "looked_at"]

MEET = 0.05
"""The least share of the interactions' ids that a file of items or users holds."""
LISTS = r"^[^,;|]{1,30}(?:[,;|] ?[^,;|]{1,30})*$"
MOSTLY = 0.9
"""A column is of a kind where this share of its values are."""
AGAIN = 0.7
"""Names come again where fewer than this share of them are different ones."""
FEW_WORDS = 4
"""An author or a brand has at most so many words."""
KINDS = {
    Part.ITEMS: r"item|product|good|movie|film|book|song|track|artist|anime|article|game|catalog|news|job",
    Part.USERS: r"user|customer|member|client|household|demograph|people|reader",
}
"""Words in the names of files, where ids tell nothing."""


@dataclass(frozen=True)
class Question:
    """Something that the files do not tell."""

    about: str
    """``user``, ``item``, ``order``, ``positive_from`` or ``time_format``."""
    text: str
    answers: tuple[str, ...]
    """The first is what is taken if nobody is asked; empty where somebody must say."""
    remedy: str
    """The option that answers it."""
    must: bool = False
    """Whether nothing can be taken without an answer."""


@dataclass(frozen=True)
class Plan:
    """What an import is given."""

    files: Mapping[Part, Path]
    columns: Mapping[str, str] = field(default_factory=dict)
    """As :attr:`ReadOptions.columns`."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    list_separator: str = "|"
    encoding: str | None = None
    time_unit: TimeUnit | None = None
    time_format: str | None = None
    positive_from: float | None = None
    meanings: Mapping[Part, Sequence[Meaning]] = field(default_factory=dict)
    """Of every column, for whoever reads along; empty for a known layout."""
    questions: tuple[Question, ...] = ()

    def reading(self) -> ReadOptions:
        """For the importer."""
        return ReadOptions(
            columns=self.columns,
            roles=self.roles,
            list_separator=self.list_separator,
            encoding=self.encoding,
            time_unit=self.time_unit,
            time_format=self.time_format,
        )

    def still(self, question: Question) -> Question:
        """A question without the answers that others have taken: one column is not the user and the item."""
        if question.about not in {"user", "item"}:
            return question
        own = {f"interactions.{question.about}"}
        if question.about == "user" and any(one.about == "item" for one in self.questions):
            own.add("interactions.item")  # which is asked next
        taken = {theirs for ours, theirs in self.columns.items() if ours not in own}
        free = tuple(answer for answer in question.answers if answer not in taken)
        return replace(question, answers=free or question.answers)

    def answered(self, question: Question, answer: str) -> Plan:
        """The plan after a question was answered."""
        if question.about == "positive_from":
            return replace(self, positive_from=None if answer == "all" else float(answer))
        if question.about == "time_format":
            return replace(self, time_format=answer)
        columns = {ours: theirs for ours, theirs in self.columns.items() if ours != f"interactions.{question.about}"}
        if question.about == "order" and answer == "no":
            return replace(self, columns=columns)
        # who answers that the user is the column that was taken for the item, has not said which is the item
        own = f"interactions.{question.about}"
        old = self.columns.get(own)
        swapped = {ours: old if theirs == answer and old else theirs for ours, theirs in columns.items()}
        return replace(self, columns={**swapped, own: answer})


def looked_at(paths: Sequence[Path], mapped: Mapping[str, str], time_format: str | None = None) -> Plan:
    """Look at all files, and say how to import them.

    Args:
        paths: of interactions, and of items and users, in any order.
        mapped: ours -> the file's column, as ``--map`` says.
        time_format: how times are written, where somebody has said.

    Raises:
        DataError: a file cannot be read, or what it holds cannot be told.
    """
    found = [opened(path) for path in paths]
    events, means = _interactions(found, mapped)
    others = [one for one in found if one is not events]
    if isinstance(events, Layout):
        plan = Plan({Part.INTERACTIONS: events.path})
        items, users = events.items, events.users
    else:
        plan = _plan(events, means, time_format)
        columns = {one.ours: one.column for one in means}
        items, users = (as_ids_text(events.frame[columns[who]]).unique().drop_nulls() for who in ("item", "user"))
    for one in others:
        plan = _with_entities(plan, one, items, users)
    encodings = {one.encoding for one in found if isinstance(one, Table) and one.encoding}
    return replace(plan, encoding=encodings.pop() if encodings else None)


def _interactions(found: Sequence[Table | Layout], mapped: Mapping[str, str]) -> tuple[Table | Layout, list[Meaning]]:
    """The one file of interactions, and the meaning of its columns."""
    layouts = [one for one in found if isinstance(one, Layout) and Part.INTERACTIONS in one.parts]
    tables = [(one, interactions_of(one.frame, mapped)) for one in found if isinstance(one, Table)]
    able = [(one, means) for one, means in tables if means is not None]
    sure = [(one, means) for one, means in able if all(m.sure for m in means if m.ours in {"user", "item"})]
    chosen = sure or (able if not layouts else [])
    if len(chosen) + len(layouts) > 1:
        if not sure:  # guessed by values: the longest is the likeliest
            return max(chosen, key=lambda pair: len(pair[0].frame))
        paths = [*(one.path for one in layouts), *(table.path for table, _ in chosen)]
        names = ", ".join(map(str, paths))
        raise DataError(f"several files look like interactions: {names}; give only one of them, and items and users")
    if layouts:
        return layouts[0], []
    if not chosen:
        columns = "; ".join(f"{one.path}: {', '.join(one.frame.columns)}" for one in found if isinstance(one, Table))
        raise DataError(
            "no file looks like interactions: a row for each event, with a user and an item. Say which columns these "
            f"are, with --map user=COLUMN --map item=COLUMN ({columns})"
        )
    return chosen[0]


def _plan(events: Table, means: list[Meaning], time_format: str | None) -> Plan:
    frame, questions = events.frame, []
    columns = {f"interactions.{one.ours}": one.column for one in means if one.ours}
    for one in (m for m in means if not m.sure):
        if one.ours == "order":
            text = f"Do the numbers of {one.column!r} tell which of a user's events came first?"
            questions.append(Question("order", text, (one.column, "no"), f"--map order={one.column}"))
            continue
        text = f"Which column is the {one.ours}? {one.column!r} is likely: {one.why}."
        remedy = f"--map {one.ours}={one.column}"
        questions.append(Question(one.ours, text, (one.column, *one.others), remedy))
    time = next((one.column for one in means if one.ours == "time"), None)
    unit = None
    if time is not None and time_format is None:
        unit = unit_of(frame[time])
        if problem := ambiguity(frame, time):
            formats = tuple(re.findall(r"--time-format '([^']+)'", problem))
            if not formats:
                raise DataError(problem)
            text = f"{problem.partition(': ')[2] or problem} Which one?"
            questions.append(Question("time_format", text, formats, "--time-format FORMAT", must=True))
    value = next((one.column for one in means if one.ours == "value"), None)
    liked = liked_from(frame[value]) if value is not None else None
    if liked is not None:
        grades = _grades(frame[value or ""])
        text = f"From which {value} on is an event a like? (all: each event is one)"
        answers = (f"{liked:g}", "all", *(g for g in grades if g != f"{liked:g}"))
        questions.append(Question("positive_from", text, answers, f"--positive-from {liked:g}"))
    rest = [Meaning(name, "", "not used") for name in frame.columns if name not in {m.column for m in means}]
    return Plan(
        {Part.INTERACTIONS: events.path},
        columns,
        time_unit=unit,
        time_format=time_format,
        positive_from=liked,
        meanings={Part.INTERACTIONS: [*means, *rest]},
        questions=tuple(questions),
    )


def _grades(column: pl.Series) -> list[str]:
    numbers = column.cast(pl.String).str.replace(",", ".").cast(pl.Float64, strict=False).drop_nulls().unique().sort()
    return [f"{grade:g}" for grade in numbers.to_list()[:11]]


def _with_entities(plan: Plan, one: Table | Layout, items: pl.Series, users: pl.Series) -> Plan:
    """The plan with a file of items or users."""
    if isinstance(one, Layout):
        part = Part.ITEMS if Part.ITEMS in one.parts else Part.USERS
        return _placed(plan, part, one.path)
    shares: dict[tuple[Part, str], float] = {}
    for part, ids, usual in ((Part.ITEMS, items, "item"), (Part.USERS, users, "user")):
        for name in one.frame.columns:
            there = as_ids_text(one.frame[name]).unique()
            share = _share(ids.is_in(there.implode()))
            # ids of both are often 1, 2, 3: a name decides, where it says something
            named = normal(name) in NAMES[usual]
            shares[part, name] = share + (0.5 if named and share > MEET else 0.0)
    best = max(shares, key=lambda key: shares[key])
    part, column = best
    rivals = {p: max(s for (q, _), s in shares.items() if q is p) for p in (Part.ITEMS, Part.USERS)}
    if abs(rivals[Part.ITEMS] - rivals[Part.USERS]) < MEET:
        part = next((p for p, words in KINDS.items() if re.search(words, one.path.name.lower())), part)
        column = max((key for key in shares if key[0] is part), key=lambda key: shares[key])[1]
    share = shares[part, column]
    if share <= MEET:
        raise DataError(
            f"{one.path}: no column of it holds the ids of items or users that the interactions name; leave the file "
            "out, or look whether ids are written in the same way in both"
        )
    own = "item" if part is Part.ITEMS else "user"
    plan = _placed(plan, part, one.path)
    columns = {**plan.columns, f"{part}.{own}": column}
    title = title_of(one.frame.columns) if part is Part.ITEMS else None
    if title not in {None, column}:
        columns[f"{part}.title"] = str(title)
    return _with_roles(replace(plan, columns=columns), part, one, column)


def _placed(plan: Plan, part: Part, path: Path) -> Plan:
    if part in plan.files:
        raise DataError(f"{plan.files[part]} and {path} both look like files of {part}; give one of them")
    return replace(plan, files={**plan.files, part: path})


def _with_roles(plan: Plan, part: Part, one: Table, own: str) -> Plan:
    """Roles of the columns: the importer's guess, but for lists with commas, names and addresses of pictures."""
    raw = choose(one.path, BUILT_IN).read(one.path, replace(plan.reading(), part=part, encoding=one.encoding))
    held = raw.items if part is Part.ITEMS else raw.users
    if held is None:
        raise DataError(f"{one.path} holds no {part}")
    roles, why = dict(held.roles), {}
    separator = plan.list_separator
    for name, role in held.roles.items():
        given = held.frame[name].drop_nulls()
        if role is Role.NUMBER and re.search(r"(?i)(?:^|[^a-z])(?:id|code|zip)$|[a-z]I[dD]$", name):
            roles[name], why[name] = Role.CATEGORY, "its name: numbers that name something"
        if role not in {Role.TEXT, Role.CATEGORY} or given.dtype != pl.String or not len(given) or name == "title":
            continue
        if _share(given.str.contains(r"^https?://")) > 0.5:
            roles[name], why[name] = Role.OTHER, "addresses"
        elif (mark := _listed(given)) is not None:
            roles[name], why[name], separator = Role.CATEGORIES, f"labels with {mark!r} between them", mark
        elif (
            role is Role.TEXT
            and given.n_unique() < AGAIN * len(given)
            and _share(given.str.count_matches(r"\s") < FEW_WORDS) > MOSTLY
        ):
            roles[name], why[name] = Role.CATEGORY, "few words, which come again"
    names = {theirs: ours.partition(".")[2] for ours, theirs in plan.columns.items() if ours.startswith(f"{part}.")}
    means = [Meaning(own, "id", "its ids are those of the interactions")]
    for column in (c for c in one.frame.columns if c != own):
        name = names.get(column, column)
        said = f"{roles[name]}" if name in roles else ""
        means.append(Meaning(column, said, why.get(name, "its values" if said else "not used")))
    given_roles = {f"{part}.{name}": role for name, role in roles.items() if name not in INTERACTION_COLUMNS}
    return replace(
        plan,
        roles={**plan.roles, **given_roles},
        list_separator=separator,
        meanings={**plan.meanings, part: means},
    )


def _share(found: pl.Series) -> float:
    """Of true values."""
    return int(found.sum()) / max(len(found), 1)


def _listed(given: pl.Series) -> str | None:
    """The mark between labels, where texts are lists of few labels that come again and again."""
    for mark in ("|", ",", ";"):
        with_mark = given.filter(given.str.contains(mark, literal=True))
        if len(with_mark) < 0.2 * len(given) or _share(given.str.contains(LISTS)) < MOSTLY:
            continue
        labels = given.str.split(mark).explode(empty_as_null=False).str.strip_chars()
        # "Lee, Ann" is no list: its parts come together alone, so there are more of them than of names
        if labels.n_unique() <= min(given.n_unique(), max(20, len(labels) // 5)):
            return mark
    return None
