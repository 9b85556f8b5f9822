"""Gather the pages, write the reference, and let Sphinx build all of it. Any warning ends with 1."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs.site import commands, configuration, protocol
from docs.site.gathering import ROOT, gather


def main() -> int:
    """Build the site; return the exit code of Sphinx."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "docs", help="where it is built")
    folder: Path = parser.parse_args().folder
    source, site = folder / "source", folder / "html"
    shutil.rmtree(folder, ignore_errors=True)
    gather(source)
    reference = source / "reference"
    commands.write(reference)
    configuration.write(reference)
    protocol.write(reference)
    code = build_main(["-q", "-W", "--keep-going", "-d", str(folder / "doctrees"), str(source), str(site)])
    if code == 0:
        sys.stdout.write(f"{site / 'index.html'}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
