"""Where the flags of a store lie: a directory in memory, and one on the disk.

The coordinator is never asked: who opens the directory has its flags.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.buffers.names import check_name, is_name
from jupyter_nq.buffers.refusals import refused

FLAGS = "flags"
"""The directory of pages in a store, and the ending of that of copies."""
OWNER, WATCHER, DRAFT = "owner", "watcher", "part"
_MARK = "@"  # no name has it


@dataclass(frozen=True)
class Places:
    """The two directories of a store's flags."""

    memory: Path
    """`flags` in the directory of the store."""
    disk: Path
    """Beside the directory of its cold copies."""

    def page(self, name: str) -> Path:
        """Return the file of a flag's page."""
        return self.memory / check_name(name)

    def copy(self, name: str) -> Path:
        """Return the file of a flag's copy on the disk."""
        return self.disk / check_name(name)

    def beside(self, name: str, kind: str, own: str = "") -> Path:
        """Return a file beside a flag's page: of its owner, of a watcher, or a draft."""
        return self.memory / f".{check_name(name)}{_MARK}{own}{'.' if own else ''}{kind}"

    def all_beside(self, name: str, kind: str) -> list[Path]:
        """Return the files of a kind that are beside a flag's page, in their order."""
        prefix = f".{check_name(name)}{_MARK}"
        return [self.memory / entry for entry in _listing(self.memory) if _is_beside(entry, prefix, kind)]

    def names(self) -> list[str]:
        """Return the names of the flags, in their order: also of those that only the disk has."""
        return sorted({entry for place in (self.memory, self.disk) for entry in _listing(place) if is_name(entry)})


def _is_beside(entry: str, prefix: str, kind: str) -> bool:
    return entry.startswith(prefix) and entry.endswith(kind)


def _listing(directory: Path) -> list[str]:
    with refused(directory):
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []
