"""Fresh virtual environments: the engine alone, and a plugin as an outsider would write it.

The tests run in order in one environment: first nothing but the engine, then the outsider's
plugin beside it.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTSIDER = ROOT / "tests" / "outsider"

pytestmark = [pytest.mark.installs, pytest.mark.timeout(1800)]


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def run(self, *command: object, cwd: Path = ROOT, **variables: str) -> str:
        """Run one of the environment's programs; its output, or a failure that shows it."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON", "VIRTUAL_ENV", "COV"))}
        program, *arguments = (str(c) for c in command)
        line = [self.bin / program, *arguments]
        done = subprocess.run(line, cwd=cwd, env={**clean, **variables}, capture_output=True, text=True, check=False)
        if done.returncode:
            said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            pytest.fail(f"{program} {' '.join(arguments)} gave {done.returncode}:\n{said}")
        return done.stdout

    def install(self, *arguments: object) -> None:
        """Run pip install."""
        self.run("python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The engine, built and installed as a wheel, what it depends on, and the tools of its tests."""
    made = Environment(tmp_path_factory.mktemp("fresh") / "venv")
    made.install("--require-hashes", "-r", ROOT / "requirements" / "engine.txt")
    made.install("--no-deps", "--no-build-isolation", ROOT)
    return made


def recommenders(environment: Environment) -> set[str]:
    listed = json.loads(environment.run("cuvee", "plugins", "--json"))
    return {p["name"] for p in listed["components"] if p["kind"] == "recommender"}


def test_the_engine_without_any_plugin_passes_its_suite(environment: Environment) -> None:
    assert recommenders(environment) == set()
    # tests of a running server, and of the console before one, take long, and ask toy plugins alone wherever they
    # run: that is looked at instead
    left_out = ["tests/serving", "tests/console", "tests/benchmarks", "tests/deploy"]
    plugins = "|".join(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml"))
    ours = re.compile(rf"\bcuvee_({plugins})\b")
    for file in (file for folder in left_out[:2] for file in (ROOT / folder).rglob("*.py")):
        assert not ours.search(file.read_text()), f"{file} needs a plugin"
    options = ["-q", "-m", "not installs", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", "--reruns", "1"]
    options += [f"--ignore={folder}" for folder in left_out]
    said = environment.run("python", "-m", "pytest", *options, "tests")
    assert " passed" in said


def test_an_outsiders_plugin_installs_blends_and_passes_the_contract(environment: Environment, tmp_path: Path) -> None:
    environment.install("--no-deps", "--no-build-isolation", OUTSIDER)
    assert recommenders(environment) == {"newest"}
    assert " passed" in environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", OUTSIDER)

    (tmp_path / "products").mkdir()
    (tmp_path / "cuvee.toml").write_text(
        '[recommenders.newest]\nplugin = "newest"\n[recommenders.counts]\nplugin = "toy_popular"\n'
    )
    (tmp_path / "products" / "shop.toml").write_text('sources = [{ use = "newest" }, { use = "counts" }]\n')
    (tmp_path / "items.csv").write_text("item,title,year\na,Alder,1990\nb,Birch,2001\nc,Cedar,2010\nd,Date,1975\n")
    (tmp_path / "events.csv").write_text("user,item,time\n1,a,1\n1,b,2\n2,a,3\n2,d,4\n3,a,5\n3,b,6\n")
    toys = {"PYTHONPATH": str(ROOT / "tests" / "toyplugin")}
    asked = ROOT / "tests" / "installs" / "ask.py"
    environment.run("cuvee", "import", "events.csv", "--items", "items.csv", "--dataset", "shop", cwd=tmp_path, **toys)
    environment.run("cuvee", "fit", "shop", cwd=tmp_path, **toys)
    answer = json.loads(environment.run("python", asked, tmp_path / "cuvee.toml", cwd=tmp_path, **toys))
    shares = {a["source"]: a["contribution"] for a in answer["items"][0]["attributions"]}
    assert answer["items"][0]["itemId"] == "c"  # the newest of those not seen
    assert shares["newest"] > 0
    assert shares["counts"] != 0 or len(shares) == 2
    assert not answer.get("degraded")
