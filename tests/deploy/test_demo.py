"""The demo's own judgement: what it counts as lost. The demo itself is run by ``make demo``."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from cuvee.config import load_settings
from cuvee.registry import Registry
from cuvee.v1 import recommendation_pb2 as pb
from rich.console import Console

pytest.importorskip("cuvee_tfserving")

from deploy.demo import narration
from deploy.demo.place import CONFIG, Place
from deploy.demo.traffic import PAGE, Seen, deep_of, in_words, reasons

ROOT = Path(__file__).parents[2]


def test_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "--keep" in done.stdout


@pytest.mark.parametrize("width", [40, 60, 80])
def test_headings_and_narration_are_whole_in_a_narrow_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=width)
    monkeypatch.setattr(narration, "console", console)
    for text in ("Short", "x" * (width - 2), "x" * (width - 1), "a heading-of-words " * 7, "x" * 2 * width):
        narration.heading(text)
        narration.say(text)
        assert isinstance(console.file, io.StringIO)
        lines = [line for line in console.file.getvalue().splitlines() if line]
        said = " ".join(line.replace("─", " ").strip() for line in lines).split()
        assert said == text.split() * 2
        assert sum("─" in line for line in lines) == 1
        console.file = io.StringIO()


def test_an_error_or_a_short_list_is_a_lost_request() -> None:
    assert Seen(0.0, 0.1, "", PAGE, "circuit open", "1").whole
    assert not Seen(0.0, 0.1, "", PAGE - 1).whole
    assert not Seen(0.0, 0.1, "DEADLINE_EXCEEDED").whole


def test_reasons_are_counted_and_told_in_words() -> None:
    degraded = pb.SourceStatus(
        source="deep",
        status=pb.SourceStatus.STATUS_DEGRADED,
        reason=pb.DegradedReason.DEGRADED_REASON_CIRCUIT_OPEN,
    )
    answer = pb.RecommendResponse(sources=[pb.SourceStatus(source="ease"), degraded])
    assert in_words(deep_of(answer)) == "circuit open"
    assert not in_words(pb.SourceStatus(source="deep", status=pb.SourceStatus.STATUS_LIVE))
    seen = [Seen(0.0, 0.1, "", 10, reason) for reason in ("circuit open", "", "unavailable", "circuit open")]
    assert reasons(seen) == "2 circuit open, 1 unavailable"


def test_a_run_has_a_folder_without_models_and_the_settings_that_move_the_configuration_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUVEE_DEMO_DIR", str(tmp_path))
    (tmp_path / "models/deep/7").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    place = Place.make(usual_ports=False)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
    for name, value in place.settings.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(CONFIG, Registry.load())
    assert settings.data_dir == place.data
    assert settings.server.listen == place.address
    deep = settings.recommenders["deep"].config
    assert deep.address == place.model_server
    assert {Path(settings.artifact_url).parent, deep.model_root.parent} == {tmp_path}
    assert settings.store.url == f"sqlite:///{tmp_path}/store.db"
