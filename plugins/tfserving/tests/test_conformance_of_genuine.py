"""``make conformance`` is one command; here with a stand-in for Docker that runs the embedded server."""

import os
import re
import subprocess
import sys
from pathlib import Path

GENUINE = Path(__file__).parents[1] / "conformance" / "genuine.py"

DOCKER = f"""#!{sys.executable}
import os, re, signal, subprocess, sys, time
from pathlib import Path
command, *given = sys.argv[1:]
here = Path(__file__).parent
if command == "run":
    folder, inside, mode = given[given.index("--volume") + 1].split(":")
    assert (inside, mode) == ("/models", "ro") and given[given.index("--volume") + 2] == "genuine:1"
    assert "--model_config_file=/models/models.config" in given
    config = here / "models.config"
    config.write_text((Path(folder) / "models.config").read_text().replace("/models/", folder + "/"))
    server = [sys.executable, "-m", "cuvee_tfserving.model_server", "--port", "0", "--model_config_file", str(config)]
    with (here / "log").open("w") as log:
        process = subprocess.Popen(server, stdout=log, stderr=log)
    (here / "pid").write_text(str(process.pid))
    print("c0ffee")
elif command == "port":
    assert given == ["c0ffee", "8500/tcp"]
    while not (found := re.search(r'"address": "([^"]+)"', (here / "log").read_text())):
        time.sleep(0.05)
    print(found[1] + "\\n[::1]:1")
elif command == "rm":
    os.kill(int((here / "pid").read_text()), signal.SIGTERM)
    (here / "removed").touch()
"""


def run(path: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, GENUINE, "--image", "genuine:1"],
        check=False, capture_output=True, text=True, timeout=200, env={**os.environ, "PATH": path},
    )  # fmt: skip


def test_one_command_makes_serves_asks_and_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    done = run(f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 40  # type: ignore[index]
    assert (tmp_path / "removed").exists()


def test_without_docker_it_says_what_it_needs(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert done.returncode == 2
    assert "needs Docker" in done.stderr
