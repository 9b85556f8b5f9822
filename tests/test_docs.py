"""The documents say what is true: hooks, capabilities, commands, the public names."""

import ast
import importlib
import inspect
import re
import shlex
import textwrap
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import cuvee
import pytest
import typer.main
from cuvee import hookspecs
from cuvee.cli import program
from cuvee.recommender import Serves
from cuvee.registry import Registry

from . import names

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted(ROOT.glob("docs/*.md"))
EXAMPLES = sorted(ROOT.glob("docs/examples/*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES, *EXAMPLES, *sorted(ROOT.glob("plugins/*/README.md"))]
SNIPPETS = [
    pytest.param(kind, textwrap.dedent(text), id=f"{document.relative_to(ROOT)}:{number}")
    for document in DOCUMENTS
    for number, (kind, text) in enumerate(
        re.findall(r"^ *```(\w+)\n(.*?)^ *```$", document.read_text(), re.M | re.S), 1
    )
    if kind in ("python", "toml", "sh")
]
HOOKS = [name for name in vars(hookspecs) if name.startswith(("register_", "load_", "on_"))]


EXTEND = (ROOT / "docs/extend.md").read_text()


def test_the_page_on_plugins_lists_every_hook_with_its_arguments_in_the_order_in_which_they_fire() -> None:
    there = [f"{name}({', '.join(inspect.signature(getattr(hookspecs, name)).parameters)})" for name in HOOKS]
    assert re.findall(r"^\| `([a-z_]+\([a-z_, ]*\))` \| [^|]+ \|$", EXTEND, re.M) == there


def test_the_page_of_public_names_is_current() -> None:
    assert names.PAGE.read_text() == names.page(), "run `python tests/names.py`, and commit docs/names.md"


@pytest.mark.parametrize("module", names.MODULES)
def test_every_public_name_is_told(module: str) -> None:
    for name in names.names_of(module):
        assert hasattr(importlib.import_module(module), name), name
        assert len(names.said_of(module, name).split()) >= 3, f"{module}.{name} has no docstring"


def test_plugins_use_public_names_alone() -> None:
    """Those of this repository, the outsider and what `cuvee plugin new` writes. Messages of the API are no names."""
    files = [
        *ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("tests/outsider/*.py"),
        *ROOT.glob("engine/cuvee/cli/plugin/templates/**/*.py.template"),
    ]  # fmt: skip
    form = re.compile(r"^from (cuvee(?:\.\w+)*) import (\([^)]*\)|.+)$", re.M)
    used = [
        (file, module, name.split()[0])
        for file in files
        for module, given in form.findall(file.read_text())
        for name in given.strip("()").replace("\n", " ").split(",")
        if name.strip()
    ]
    assert len(used) > 100
    for file, module, name in used:
        if not module.startswith("cuvee.v1"):
            allowed = {"cuvee.kernels": cuvee.kernels.__all__}.get(module) or names.names_of(module)
            assert name in allowed, f"{file} imports {name} of {module}"


def test_the_picture_of_a_request_names_what_there_is() -> None:
    picture = (ROOT / "docs/extend/life.svg").read_text()
    titles = re.findall(r'<text class="title"[^>]*>([^<]+)</text>', picture)
    methods = [title.split(".") for title in titles if re.fullmatch(r"[A-Z]\w+\.\w+", title)]
    assert len(methods) >= 7
    for owner, method in methods:
        assert callable(getattr(getattr(cuvee, owner), method)), f"{owner}.{method}"
    assert {title for title in titles if "_" in title} == {name for name in HOOKS if not name.startswith("register_")}


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_says_when_what_and_who(name: str) -> None:
    said = getattr(hookspecs, name).__doc__
    for slot in ("When:", "Returns:", "Who implements it:"):
        assert slot in said


def test_the_capability_table_is_what_installed_plugins_declare() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(plugins/\w+\) \| [^|]+\| (\w+) \| (\w+) \| (\w+) \| (\w+) \|$", README, re.M)
    assert rows
    installed = Registry.load().recommenders
    for name, *said in rows:
        if name in installed:
            serves = installed[name].component.serves
            assert said == ["yes" if flag in serves else "no" for flag in Serves], name


def test_every_command_in_the_documents_exists() -> None:
    commands = typer.main.get_command(program()).commands  # type: ignore[attr-defined]
    used = {
        name
        for text in (README, *(page.read_text() for page in PAGES))
        for name in re.findall(r"^cuvee ([a-z-]+)", text, re.M)
    }
    installed = {d.name for d in distributions()}
    plugins = [tomllib.loads(file.read_text())["project"] for file in ROOT.glob("plugins/*/pyproject.toml")]
    absent = [p.get("entry-points", {}).get("cuvee.commands", {}) for p in plugins if p["name"] not in installed]
    assert used
    assert used <= commands.keys() | {name for brought in absent for name in brought}


def test_every_link_in_the_documents_leads_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *PAGES, *EXAMPLES):
        for target in re.findall(r"\]\((?!http|#)([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_readme_names_every_page() -> None:
    for language in ("README.md", "README.zh.md"):
        text = (ROOT / language).read_text()
        pages = [page.relative_to(ROOT).as_posix() for page in (*PAGES, *EXAMPLES)]
        assert [page for page in pages if f"]({page})" not in text] == [], language


def test_the_site_has_every_page() -> None:
    index = (ROOT / "docs/site/index.md").read_text()
    pages = [page.relative_to(ROOT / "docs").with_suffix("").as_posix() for page in (*PAGES, *EXAMPLES)]
    assert [page for page in pages if not re.search(rf"^{page}$", index, re.M)] == []


@pytest.mark.parametrize(("kind", "text"), SNIPPETS)
def test_each_snippet_can_be_read_by_what_it_is_for(kind: str, text: str) -> None:
    if kind == "python":
        ast.parse(text)
    elif kind == "toml":
        tomllib.loads(text)
    else:
        root = typer.main.get_command(program())
        for line in re.findall(r"^\s*(?:\w+=\S+ )*cuvee (.*)$", text.replace("\\\n", " "), re.M):
            assert_options_exist(root, shlex.split(line, comments=True))


def assert_options_exist(command: object, words: list[str]) -> None:
    """Each option of a command line is one of its command, or of the plugin that brings the command."""
    inner = getattr(command, "commands", {})
    while words and words[0] in inner:
        command, words = inner[words[0]], words[1:]
        inner = getattr(command, "commands", {})
    if inner:  # a command that an absent plugin brings
        return
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}  # type: ignore[attr-defined]
    for word in words:
        if word in {"|", ">", "&&", "&", ";"}:
            return
        if word.startswith("--"):
            assert word.partition("=")[0] in known, (word, sorted(known))


def test_all_public_names_are_there() -> None:
    assert all(hasattr(cuvee, name) for name in cuvee.__all__)


def test_no_file_names_a_package_registry() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org")
    for path in [*ROOT.glob("*.*"), *ROOT.glob("requirements/*"), *ROOT.glob("deploy/**/*"), *ROOT.glob(".ci/*")]:
        if path.is_file():
            assert not any(host in path.read_text(errors="ignore") for host in hosts), path
