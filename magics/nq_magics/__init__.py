"""The IPython edge: `%load_ext jupyter_nq` registers the magics and their completion, and no more.

Loading starts no thread, opens no store and imports no plotting or tensor library. It does import
what a load needs (pandas, pyarrow, the session), because that import costs a hundred times more than
a warm `%nq_load`, and a user who times the cell should time the load.
"""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING

from jupyter_nq.bars import compiled
from jupyter_nq.client.api import warm_up
from jupyter_nq.client.processing import concurrent
from nq_magics import completion
from nq_magics.arguments import parse
from nq_magics.bar_magics import BarMagics
from nq_magics.between_cells import BetweenCells
from nq_magics.flag_magics import FlagMagics
from nq_magics.live_magics import LiveMagics
from nq_magics.magics import NQMagics
from nq_magics.memory_magics import MemoryMagics
from nq_magics.notebook_magics import NotebookMagics
from nq_magics.progress import ProgressLine
from nq_magics.refresh_magics import RefreshMagics
from nq_magics.set_magics import SetMagics
from nq_magics.snapshot_magics import SnapshotMagics
from nq_magics.stream_magics import StreamMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "BarMagics",
    "FlagMagics",
    "LiveMagics",
    "MemoryMagics",
    "NQMagics",
    "NotebookMagics",
    "RefreshMagics",
    "SetMagics",
    "SnapshotMagics",
    "StreamMagics",
    "load_ipython_extension",
    "unload_ipython_extension",
]


_MAGICS = (
    NQMagics,
    BarMagics,
    RefreshMagics,
    MemoryMagics,
    StreamMagics,
    LiveMagics,
    NotebookMagics,
    FlagMagics,
    SnapshotMagics,
    SetMagics,
)

_around: weakref.WeakKeyDictionary[InteractiveShell, BetweenCells] = weakref.WeakKeyDictionary()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and their completion with a shell."""
    shell.register_magics(*_MAGICS)
    completion.register(shell)
    _around[shell] = BetweenCells(shell)
    _around[shell].register()
    warm_up()
    compiled.announce = print
    concurrent.display = functools.partial(ProgressLine, after_seconds=2.0)
    parse(NQMagics.nq_load, "NQ 30min as bars", assigns=True)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take back what `load_ipython_extension` registered; variables, datasets and streams stay."""
    completion.unregister(shell)
    if shell in _around:
        _around.pop(shell).unregister()
    manager = shell.magics_manager
    for known in _MAGICS:
        magics = manager.registry.pop(known.__name__, None)
        if isinstance(magics, (StreamMagics, NotebookMagics, LiveMagics)):
            magics.stop_all()
        for kind in ("line", "cell"):
            for name in magics.magics[kind] if magics is not None else ():
                manager.magics[kind].pop(name, None)
