"""Sphinx's configuration. Nothing of the site is loaded from elsewhere: it works from a folder, without a network."""

import re
from typing import Any

import cuvee
from sphinx.application import Sphinx

project = "Cuvée"
author = "the authors of Cuvée"
version = release = cuvee.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["files"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"no-value": True}
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"Cuvée {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

SLOTS = re.compile(r"^(When|Parameters|Returns|Who implements it): ")


def _slots_apart(_app: Sphinx, _what: str, name: str, _it: object, _options: Any, lines: list[str]) -> None:
    """Each slot of a hook's docstring is a paragraph of its own."""
    if name.startswith("cuvee.hookspecs"):
        parts = (("", SLOTS.sub(r"**\1**: ", line)) if SLOTS.match(line) else (line,) for line in lines)
        lines[:] = [part for pair in parts for part in pair]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _slots_apart, priority=1)
