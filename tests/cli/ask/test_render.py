"""How an answer is printed: bars in proportion, negative contributions, fallback, degraded sources."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from cuvee.cli.ask.render import Palette, bar, show_answer
from cuvee.v1 import recommendation_pb2 as pb
from rich.console import Console

SOURCES = ("ease", "transitions", "content")
LETTERS = Palette.of(SOURCES, coloured=False)


def answer(*contributions: tuple[float, ...]) -> pb.RecommendResponse:
    made = pb.RecommendResponse(snapshot_version="v7", config_revision="abc", segment="warm", user_known=True)
    for position, parts in enumerate(contributions):
        item = made.items.add(item_id=f"i{position}", title=f"Item {position}", position=position, score=sum(parts))
        for source, part in zip(SOURCES, parts, strict=True):
            item.attributions.add(source=source, weight=0.25, contribution=part)
    for source in SOURCES:
        status = made.sources.add(source=source, status=pb.SourceStatus.STATUS_LIVE, candidate_count=200)
        status.latency.FromMicroseconds(1500)
    return made


def shown(
    made: pb.RecommendResponse | pb.SimilarItemsResponse,
    width: int = 120,
    asked: Sequence[str] = (),
    **options: object,
) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)  # type: ignore[arg-type]
    show_answer(made, console, asked=asked)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("parts", "below", "above", "drawn"),
    [
        ((1.0, 0.5, 0.5), 0.0, 2.0, "EEEEETTTCC"),
        ((0.5, 0.0, 0.5), 0.0, 2.0, "EECCC"),
        ((0.0, 0.0, 0.0), 0.0, 2.0, ""),
        ((2.0, 1.0, -1.5), 1.5, 3.0, "ccc│EEEETT"),
        ((1.0, 0.0, -0.5), 1.5, 3.0, "  c│EE"),
        ((-1.0, -0.5, 3.0), 1.5, 3.0, "tee│CCCCCC"),
        ((0.0, 0.0, 0.0), 0.0, 0.0, ""),
    ],
)
def test_bars_are_as_long_as_what_was_contributed(
    parts: tuple[float, ...], below: float, above: float, drawn: str
) -> None:
    named = dict(zip(SOURCES, parts, strict=True))
    assert bar(named, below, above, LETTERS, width=10).plain == drawn


def test_each_source_has_a_colour_of_its_own_and_red_is_none() -> None:
    palette = Palette.of([f"s{n}" for n in range(8)], coloured=True)
    assert len(set(palette.colours.values())) == 8
    assert not any("red" in colour for colour in palette.colours.values())
    drawn = bar({"s0": 1.0, "s1": 1.0}, 0.0, 2.0, palette, width=10)
    assert drawn.plain == "█" * 10
    assert [str(s.style) for s in drawn.spans] == [palette.colours["s0"], palette.colours["s1"]]


def test_letters_are_distinct_whatever_the_names() -> None:
    letters = Palette.of(["ease", "eel", "else", "9", "_"], coloured=False).letters
    assert len(set(letters.values())) == 5


def test_the_list_and_the_sources_below() -> None:
    made = answer((1.0, 0.5, 0.1), (0.6, 0.2, -0.1))
    made.items[0].reason = "because you liked Alien"
    lines = shown(made).splitlines()
    assert lines[0].split() == ["#", "id", "title", "score", "who", "contributed", "what", "why"]
    assert "EEE" in lines[1]
    assert lines[1].rstrip().endswith("because you liked Alien")
    assert "c│" in lines[2]
    assert "E = ease         live      0.25       200   1.5 ms" in shown(made)
    assert [line.strip() for line in lines[-2:]] == ["segment warm · user known", "snapshot v7 · config abc"]


def test_text_from_the_catalogue_is_no_markup() -> None:
    made = answer((1.0, 0.0, 0.0))
    made.items[0].title = "[bold]Alien[/bold]"
    made.items[0].reason = "[red]because"
    assert "[bold]Alien[/bold]" in shown(made)
    assert "[red]because" in shown(made)


def test_fallback_items_say_whence_and_why() -> None:
    made = answer((1.0, 0.0, 0.0))
    item = made.items.add(item_id="i9", title="Item 9", position=1, score=0.1)
    item.fallback.level, item.fallback.source = 2, "popular"
    item.fallback.reason = pb.DEGRADED_REASON_COLD_USER
    assert "fallback 2, popular: cold user" in shown(made)


def test_degraded_sources_are_red_and_say_why() -> None:
    made = answer((1.0, 0.0, 0.0))
    made.degraded = True
    made.sources[1].status = pb.SourceStatus.STATUS_DEGRADED
    made.sources[1].reason = pb.DEGRADED_REASON_TIMEOUT
    made.sources[1].detail = "no answer within 40 ms"
    made.sources[2].status = pb.SourceStatus.STATUS_NOT_SERVING_QUERY
    assert "timeout: no answer within 40 ms" in shown(made)
    assert "degraded: not every source could answer" in shown(made)
    coloured = shown(made, force_terminal=True, color_system="standard")
    assert "\x1b[1;31mdegraded" in coloured
    assert "\x1b[31mtimeout: no answer within 40 ms" in coloured


def test_unknown_ids_and_an_empty_list_are_told() -> None:
    made = answer()
    made.unknown_item_ids.append("i77")
    text = shown(made)
    assert "no item may be shown" in text
    assert "not in the catalogue: i77" in text


def long_answer() -> pb.RecommendResponse:
    made = answer(*[(1.0, 0.5, -0.2)] * 12)
    for item in made.items:
        item.item_id = f"an-item-id-that-is-long-{item.position}"
        item.title = "Strangelove or: How I Learned to Stop Worrying and Love the Bomb (again)"
        item.reason = "because you liked Empire Strikes Back and Return of the Jedi" if item.position % 3 else ""
    made.sources[1].status, made.sources[1].detail = pb.SourceStatus.STATUS_DEGRADED, "no answer in time"
    made.sources[1].reason = pb.DEGRADED_REASON_TIMEOUT
    made.recommendation_id = "0190f0aa-bbbb-cccc-dddd-eeeeffff0000"
    made.unknown_item_ids.append("nobody-knows-it")
    return made


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(len(line.rstrip()) for line in shown(long_answer(), width).splitlines()) <= width


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_word_is_broken_or_cut(width: int) -> None:
    def words(text: str) -> set[str]:
        return {word for word in text.split() if "│" not in word and not word.strip(",").isdigit()}

    wide, narrow = shown(long_answer(), 400), shown(long_answer(), width)
    assert "…" not in narrow
    assert words(narrow) == words(wide)


@pytest.mark.parametrize("width", [60, 80])
def test_a_reason_that_many_items_have_is_told_once_where_there_is_no_room_beside_them(width: int) -> None:
    lines = shown(long_answer(), width).splitlines()
    reasons = lines[next(at for at, line in enumerate(lines) if line.split() == ["#", "why"]) + 1 :]
    assert reasons[0].startswith("2, 3, 5, 6, 8, 9")
    assert "because you liked" in reasons[0]
    assert sum("because" in line for line in lines) == 1
    assert not any("no answer in time" in line and "degraded" in line for line in lines)
    assert "transitions  timeout: no answer in time" in [line.rstrip() for line in lines]


def test_an_empty_list_tells_what_it_is_due_to() -> None:
    nobody = pb.SimilarItemsResponse(unknown_item_ids=["nope", "excluded"])
    assert "the catalogue has none of the items that were asked about" in shown(nobody, asked=["nope"])
    assert "filter, rules and exclusions leave none" in shown(nobody, asked=["nope", "known"])
    assert "filter, rules and exclusions leave none" in shown(pb.RecommendResponse(unknown_item_ids=["nope"]))
    assert "which sources could not answer" in shown(pb.RecommendResponse(degraded=True))
    assert "to show" not in shown(answer((1.0, 0.0, 0.0)), asked=["nope"])
