"""Patches change the lines that they name; every other line and comment of the file stays exactly as it was."""

from __future__ import annotations

import tomllib

import pytest
from cuvee.cli.tune.patch import Patch, patched, write_whole
from cuvee.errors import ConfigError
from hypothesis import given
from hypothesis import strategies as st

FILE = """\
# The film team's own words.
dataset = "movies"      # as imported
sources = [
  { use = "ease", candidates = 200 },   # the best of them
  { use = "popular" },
]

[blend]
method = "weighted"     # a sum
calibrate = "zscore"

[blend.weights]
# newcomers: nothing is known of them
cold = { popular = 1.0 }   # by hand, Anna
new = { ease = 0.5, popular = 0.5 }
similar = { ease = 1.0 }   # SimilarItems

[[rules]]
use = "exclude_seen"    # always
"""


def patch(**changes) -> Patch:
    given = {"head": ["tuned"], "settings": {}, "options": None, "segments": {}, "weights": {}, "tag": "2026-11-24"}
    return Patch(**{**given, **changes})


def test_only_the_lines_that_the_patch_sets_change():
    after = patched(FILE, patch(weights={"new": {"ease": 0.75, "popular": 0.25}}))
    changed = [(a, b) for a, b in zip(FILE.splitlines(), after.splitlines(), strict=True) if a != b]
    assert changed == [
        ("new = { ease = 0.5, popular = 0.5 }", "new = { ease = 0.75, popular = 0.25 } # tuned 2026-11-24")
    ]


def test_a_person_s_comment_stays_and_an_earlier_patch_s_is_replaced():
    first = patched(FILE, patch(weights={"cold": {"ease": 1.0}, "new": {"ease": 1.0}}, tag="2026-11-24"))
    again = patched(first, patch(weights={"cold": {"popular": 1.0}, "new": {"popular": 1.0}}, tag="2027-01-02"))
    lines = again.splitlines()
    assert "cold = { popular = 1 }   # by hand, Anna" in lines
    assert "new = { popular = 1 } # tuned 2027-01-02" in lines


def test_a_segment_without_weights_gets_its_line():
    after = patched(FILE, patch(weights={"warm": {"ease": 0.9, "popular": 0.1}}))
    assert tomllib.loads(after)["blend"]["weights"]["warm"] == {"ease": 0.9, "popular": 0.1}
    assert all(line in after.splitlines() for line in FILE.splitlines())


SPLIT = {"cold": 0, "known": 1, "known_5": 5}


@pytest.mark.parametrize(
    "before",
    [
        FILE,
        f"{FILE}[blend.segments]\ncold = 0   # nobody\nknown = 1\n",
        FILE.replace('zscore"\n', 'zscore"\nsegments = { cold = 0, known = 1 }\n'),
    ],
    ids=["by default", "a table", "in a line"],
)
def test_a_segment_that_was_added_is_set_beside_the_others(before):
    given = patch(segments=SPLIT, weights={"known_5": {"ease": 1.0}})
    after = patched(before, given)
    blend = tomllib.loads(after)["blend"]
    assert blend["segments"] == tomllib.loads(given.text())["blend"]["segments"] == SPLIT
    assert blend["weights"]["known_5"] == {"ease": 1.0}
    assert all(line in after.splitlines() for line in before.splitlines() if not line.startswith("segments"))


def test_another_method_brings_its_own_options():
    before = FILE.replace('method = "weighted"     # a sum', 'method = "rrf"\noptions = { k = 20 }')
    after = tomllib.loads(patched(before, patch(settings={"method": "weighted"}, options={})))
    assert after["blend"]["method"] == "weighted"
    assert "options" not in after["blend"]
    learned = patch(settings={"method": "learned"}, options={"model": "movies.learned.json"})
    assert tomllib.loads(patched(before, learned))["blend"]["options"] == {"model": "movies.learned.json"}


@pytest.mark.parametrize(
    "text",
    [
        'sources = [{ use = "a" }]\n',
        '[blend]\nmethod = "weighted"\n',
        "[blend]\nweights = { cold = { a = 1 } }\n",
        "blend = { weights = { cold = { a = 1 } } }\n",
        "[blend.weights.cold]\na = 1\n\n[blend.weights.warm]\na = 0.5\nb = 0.5\n",
        "blend.weights.cold = { a = 1 }\n",
    ],
    ids=["nothing", "blend", "inline", "all inline", "tables", "dotted"],
)
def test_however_the_file_writes_its_tables(text):
    weights = {"cold": {"a": 0.25, "b": 0.75}, "warm": {"b": 1.0}}
    after = tomllib.loads(patched(text, patch(weights=weights)))
    assert after["blend"]["weights"] == weights


names = st.sampled_from(["cold", "new", "growing", "warm"])
tables = st.dictionaries(
    st.sampled_from(["ease", "popular", "deep"]),
    st.integers(1, 1000).map(lambda n: n / 1000),
    min_size=1,
)


@given(weights=st.dictionaries(names, tables, min_size=1))
def test_a_patch_reads_as_it_applies(weights):
    one = patch(weights=weights, notes=dict.fromkeys(weights, "so many people"))
    alone = tomllib.loads(one.text())
    applied = tomllib.loads(patched(FILE, one))
    assert alone["blend"]["weights"] == weights
    assert {n: applied["blend"]["weights"][n] for n in weights} == weights
    untouched = tomllib.loads(FILE)["blend"]["weights"]
    assert all(applied["blend"]["weights"][n] == t for n, t in untouched.items() if n not in weights)
    assert {k: v for k, v in applied.items() if k != "blend"} == {
        k: v for k, v in tomllib.loads(FILE).items() if k != "blend"
    }


def test_what_is_not_toml_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"movies\.toml: not TOML"):
        patched("[blend", patch(), "movies.toml")


def test_a_file_is_written_as_a_whole_and_keeps_its_mode(tmp_path):
    file = tmp_path / "movies.toml"
    file.write_text(FILE)
    file.chmod(0o640)
    write_whole(file, "new = 1\n")
    assert file.read_text() == "new = 1\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["movies.toml"]
