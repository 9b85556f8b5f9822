"""The image's server stage: TensorFlow out, its messages in, everything else untouched."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import packaging
import pytest

SLIM = Path(__file__).parents[2] / "deploy" / "slim.py"


def install(site: Path, name: str, requires: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> None:
    """A distribution as pip would have left it."""
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1", *(f"Requires-Dist: {r}" for r in requires)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    for file in files:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text("")
    (info / "RECORD").write_text(
        "".join(f"{f},,\n" for f in (*files, *(f"{info.name}/{n}" for n in ("METADATA", "RECORD"))))
    )


def test_what_only_tensorflow_needs_goes_and_its_messages_stay(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv")
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    shutil.copytree(Path(packaging.__file__).parent, site / "packaging")
    install(
        site,
        "cuvee_deep",
        ("api>=1", "of-an-extra; extra == 'postgres'", "heavy; extra == 'training'"),
        ("cuvee_deep/__init__.py",),
    )
    install(site, "api", ("tensorflow", "Shared.Thing"), ("api/__init__.py",))
    install(site, "shared-thing", (), ("shared/__init__.py",))
    messages = ("tensorflow/core/framework/tensor_pb2.py",)
    install(site, "tensorflow", ("shared-thing", "heavy"), ("tensorflow/__init__.py", "tensorflow/lib.so", *messages))
    install(site, "heavy", (), ("heavy/deep/down.py", "../../../bin/heavy"))
    install(site, "of-an-extra", (), ("of_an_extra.py",))

    said = subprocess.run(
        [tmp_path / "venv/bin/python", SLIM], check=True, capture_output=True, text=True, timeout=60
    ).stdout

    assert "without heavy" in said
    left = {str(p.relative_to(site)) for p in site.rglob("*.py") if not p.is_relative_to(site / "packaging")}
    assert left == {"cuvee_deep/__init__.py", "api/__init__.py", "shared/__init__.py", "of_an_extra.py", *messages}
    assert not [*site.rglob("lib.so"), *(tmp_path / "venv/bin").glob("heavy"), *site.glob("heavy*")]


def test_the_messages_are_all_that_the_plugin_needs(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow_serving").__path__[0]
    package = Path(tensorflow).parent / "tensorflow"
    for file in package.rglob("*_pb2.py"):
        copy = tmp_path / "tensorflow" / file.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    (tmp_path / "tensorflow/__init__.py").write_text("raise ImportError('the messages need no TensorFlow')")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import cuvee_tfserving.plugin, cuvee_tfserving.protos as p\n"
        f"assert sys.modules[p.TensorProto.__module__].__file__.startswith({str(tmp_path)!r})\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
