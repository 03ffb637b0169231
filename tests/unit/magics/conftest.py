"""A real IPython shell over a real store in a private directory, with sample bars beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

import jupyter_nq as nq
from jupyter_nq.bars.sample import write_sample

ROWS = 2_000


@dataclass(frozen=True)
class Ran:
    """What one cell did."""

    out: str
    err: str
    value: object
    failed: bool


class Shell:
    """A shell and the directories that it uses."""

    rows = ROWS

    def __init__(self, ip: InteractiveShell, store: Path, data: Path) -> None:
        self.ip = ip
        self.store = store
        self.data = data

    def run(self, cell: str) -> Ran:
        """Run one cell and return what it printed."""
        with capture_output() as said:
            result = self.ip.run_cell(cell, store_history=True)
        return Ran(said.stdout, said.stderr, result.result, not result.success)

    def complete(self, line: str) -> list[str]:
        """Return what Tab offers at the end of a line, as the terminal and the lab ask for it."""
        with provisionalcompleter():
            return [found.text for found in self.ip.Completer.completions(line, len(line))]

    def stored(self) -> set[str]:
        """Return the objects, names and unfinished files of the store; lock files that nobody holds do not count."""
        return {str(p.relative_to(self.store)) for d in ("obj", "names", "tmp") for p in (self.store / d).glob("*")}


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with sample files in the vendors' layouts."""
    directory = tmp_path_factory.mktemp("data")
    write_sample(directory, rows=ROWS, seed=7)
    return directory


@pytest.fixture
def shell(nq_store_dir: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Give a shell in which `%load_ext jupyter_nq` has run."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", str(nq_store_dir))
    monkeypatch.setenv("JUPYTER_NQ_DATA", str(sample_dir))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    monkeypatch.chdir(tmp_path)
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    InteractiveShell.clear_instance()
    ip = InteractiveShell.instance(config=config)
    ip.run_line_magic("load_ext", "jupyter_nq")
    yield Shell(ip, nq_store_dir, sample_dir)
    nq.disconnect()
    ip.run_line_magic("unload_ext", "jupyter_nq")
    InteractiveShell.clear_instance()
