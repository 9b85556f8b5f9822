"""Compiles the kernels into the package, for wheels and for editable installs alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Cython.Build import cythonize
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

FOLDER = "engine/cuvee/kernels"


class CompiledKernels(BuildHookInterface[Any]):
    """Each ``engine/cuvee/kernels/compiled*.pyx`` becomes a shared library beside it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, and say that the wheel is of this platform."""
        root = Path(self.root)
        # -O3 vectorises the loops; no -march, since a wheel must run on other processors, too
        extensions = [
            Extension(f"cuvee.kernels.{source.stem}", [f"{FOLDER}/{source.name}"], extra_compile_args=["-O3"])
            for source in sorted((root / FOLDER).glob("compiled*.pyx"))
        ]
        build = build_ext(Distribution({"ext_modules": cythonize(extensions, build_dir=str(root / "build"))}))
        build.ensure_finalized()
        build.build_lib, build.build_temp = str(root / "engine"), str(root / "build")
        build.run()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"{FOLDER}/compiled*.so")
