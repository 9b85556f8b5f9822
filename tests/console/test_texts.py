"""The table of texts, the figures that Watch shows, and reports that are none."""

from __future__ import annotations

import re
from pathlib import Path

import cuvee.console
import pytest
from cuvee.console.care.permissions import REFUSED
from cuvee.console.figures import Exposed, point, quantile, summary
from cuvee.console.reports import read_reports
from cuvee.console.texts import language_of, texts
from hypothesis import given
from hypothesis import strategies as st

HERE = Path(cuvee.console.__file__).parent
SOURCES = "\n".join(file.read_text() for file in [*HERE.glob("static/*.js"), *HERE.glob("templates/*")])


def test_every_text_is_there_in_both_languages_with_the_same_names_in_it() -> None:
    english, chinese = texts("en"), texts("zh")
    for key, said in english.items():
        assert said
        assert re.search(r"[\u4e00-\u9fff]|^\{", chinese[key]) or said == chinese[key], key
        assert sorted(re.findall(r"{\w+}", said)) == sorted(re.findall(r"{\w+}", chinese[key])), key


def test_pages_use_texts_that_there_are_and_no_text_is_left_over() -> None:
    used = set(re.findall(r"""["'`]((?:page|try|watch|understand|care|error)\.\w+)["'`]""", SOURCES))
    assert used <= texts("en").keys()
    words = set(re.findall(r"\w+", SOURCES))
    left = [key for key in texts("en") if key not in used and key.partition(".")[2] not in words]
    of_rows = {"understand.baseline", "understand.member", "understand.without"}  # kinds of rows in a report
    of_rows |= {f"care.{outcome}" for outcome in ("pending", "failed", "nothing_found")}
    of_rows |= {f"care.why_{why}" for why in {*REFUSED.values(), "read_only"}}
    assert [key for key in left if not key.startswith("error.") and key not in of_rows] == []


@pytest.mark.parametrize(
    ("wanted", "accepted", "found"),
    [
        ("", "", "en"),
        ("zh", "en", "zh"),
        ("xx", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("", "zh;q=0.1, en;q=0.5", "en"),
        ("", "fr, zh;q=0.2", "zh"),
        ("", "de;q=x, fr", "en"),
        ("", ";;;,,q=", "en"),
    ],
)
def test_the_language_is_that_of_the_address_or_the_browser(wanted: str, accepted: str, found: str) -> None:
    assert language_of(wanted, accepted) == found


def exposed(at: float, **values: float) -> Exposed:
    return Exposed.read("".join(f"{name} {value}\n" for name, value in values.items()), at)


def test_rates_are_differences_and_a_restart_counts_from_zero() -> None:
    before = exposed(0, cuvee_requests_total=100, cuvee_lists_total=10, cuvee_lists_degraded_total=5)
    now = exposed(10, cuvee_requests_total=150, cuvee_lists_total=30, cuvee_lists_degraded_total=10)
    assert point(before, now) | {"p50": 0, "p99": 0} == {
        "at": 10, "rate": 5, "errors": 0, "degraded": 0.25, "waiting": 0, "p50": 0, "p99": 0,
    }  # fmt: skip
    assert point(now, before)["rate"] >= 0
    again = exposed(20, cuvee_requests_total=7)
    assert point(now, again)["rate"] == pytest.approx(0.7)
    assert point(now, again)["degraded"] is None


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_observation_that_it_is(observed: list[float], q: float) -> None:
    bounds = [0.5, 1.0, 2.5, 10.0, float("inf")]
    found = quantile({bound: sum(o <= bound for o in observed) for bound in bounds}, q)
    wanted = sorted(observed)[max(-(-len(observed) * int(q * 100) // 100) - 1, 0)]
    upper = next(bound for bound in bounds if wanted <= bound)
    lower = max((bound for bound in bounds if bound < wanted), default=0.0)
    assert found is not None
    assert lower <= found <= (upper if upper < float("inf") else lower)


def test_without_observations_there_is_no_quantile_and_no_figure_fails() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0, float("inf"): 0}, 0.5) is None
    assert summary(exposed(0, cuvee_lists_total=0))["shown"] == []


@pytest.mark.parametrize("text", ["", "<html>", "other_total 3\n", "cuvee_lists_total three\n"])
def test_what_is_no_figures_of_cuvee_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Exposed.read(text, 0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file"),
        ("{", "is no JSON"),
        ("[1]", "was not written by"),
        ('{"product": "movies", "rounds": 3}', "was not written by"),
        ("[]", "was not written by"),
        ('[{"shown": 3}]', "was not written by"),
        ('{"product": "movies", "segments": [], "tried": []}', "was not written by"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_file_that_is_no_report_says_so(tmp_path: Path, content: str | None, problem: str) -> None:
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    assert problem in read_reports([file])[0]["problem"]


def test_a_report_with_nan_can_be_sent(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text('{"product": "movies", "rounds": [NaN]}')
    assert read_reports([file])[0]["report"]["rounds"] == [None]
