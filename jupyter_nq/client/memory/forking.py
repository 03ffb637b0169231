"""Locks and threads of the memory classes in a forked child: made anew, because the parent's may be held or gone."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewed(Protocol):
    """What has something to make anew in a child."""

    def after_fork(self) -> None:
        """Forget the parent's locks and threads."""


_renewed: weakref.WeakSet[Renewed] = weakref.WeakSet()


def renew_in_child(found: Renewed) -> None:
    """Have `after_fork` called in every child that is forked while the object lives."""
    _renewed.add(found)


def _renew() -> None:
    for found in list(_renewed):
        found.after_fork()


os.register_at_fork(after_in_child=_renew)
