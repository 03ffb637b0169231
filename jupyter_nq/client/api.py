"""The short public API: module functions over this process's one session.

`_session` is the mutable state; `_lock` guards it. A forked child makes a session of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd
import pyarrow as pa

from jupyter_nq.bars.discovery import parse_name
from jupyter_nq.client.session import Session
from jupyter_nq.config import load_settings
from jupyter_nq.errors import ConfigError, nearest
from jupyter_nq.sizes import counted

_lock = threading.Lock()
_session: Session | None = None
_pid = 0
_P = ParamSpec("_P")
_R = TypeVar("_R")


def connect(where: str | os.PathLike[str] | None = None, require: str | None = None) -> Session:
    """Return this process's session, opened on first use.

    Parameters
    ----------
    where
        Directory of the store; a directory other than the open session's closes that one and opens this.
    require
        "server" fails unless a Jupyter server hosts the coordinator.

    Raises
    ------
    StoreError, CoordinatorUnavailable, VersionMismatch, ConfigError
    """
    global _session, _pid
    with _lock:
        mine = _session if _pid == os.getpid() else None
        if mine is not None and not _asks_for_another(mine, where, require):
            return mine
        fresh = Session(where, require)
        if mine is not None:
            mine.close()
        _session, _pid = fresh, os.getpid()
        return fresh


def opened() -> Session | None:
    """Return this process's session if it is open, and open none."""
    with _lock:
        return _session if _pid == os.getpid() else None


def at_hand() -> Session | None:
    """Return this process's session if it is open, without waiting for a thread that is just opening one."""
    return _session if _pid == os.getpid() else None


def warm_up() -> None:
    """Import and run once what a first load needs beside this module, so that it is as fast as the next one.

    Opens nothing and starts no thread.
    """
    with contextlib.suppress(ConfigError):  # the first real call says what is wrong with the settings
        load_settings()
    parse_name("NQ - 30 min - ETH.csv")
    pd.Index(["close"])  # pandas imports its string machinery with the first column name
    pa.ipc.read_schema(pa.schema([("close", pa.float64())]).serialize())  # and Arrow its reader with the first schema


def disconnect() -> None:
    """Close this process's session; the next call opens one again. Frames stay readable."""
    global _session
    with _lock:
        if _session is not None and _pid == os.getpid():
            _session.close()
        _session = None


def _asks_for_another(mine: Session, where: str | os.PathLike[str] | None, require: str | None) -> bool:
    if where is not None and os.path.realpath(where) != os.path.realpath(mine.store.path):
        return True
    return require == "server" and mine.status().host != "jupyter server"


def through_session(method: Callable[Concatenate[Session, _P], _R]) -> Callable[_P, _R]:
    """Return the function of this process's session that a session's method, or a function over one, is."""

    whole = inspect.signature(method)
    own = whole.replace(parameters=list(whole.parameters.values())[1:])  # without the session

    @functools.wraps(method)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        _refuse_others(method.__name__, own, args, kwargs)
        return method(connect(), *args, **kwargs)

    call.__signature__ = own  # type: ignore[attr-defined]
    call.__qualname__, call.__module__ = method.__name__, __name__
    return call


def _refuse_others(called: str, own: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that a function does not have, in its own words: Python's count the session too."""
    unknown = next((name for name in kwargs if name not in own.parameters), None)
    if unknown is not None:
        raise TypeError(f"{called}() has no argument {unknown!r}.{nearest(unknown, own.parameters)}")
    places = [p for p in own.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    if len(args) > len(places) and not any(p.kind is p.VAR_POSITIONAL for p in places):
        listed = f" ({', '.join(p.name for p in places)})" if places else ""
        takes = f"takes {counted(len(places), 'argument')} by position{listed}"
        raise TypeError(f"{called}() {takes}, not {len(args):,}.")


load = through_session(Session.load)
put = through_session(Session.put)
empty = through_session(Session.empty)
get = through_session(Session.get)
append = through_session(Session.append)
ls = through_session(Session.ls)
drop = through_session(Session.drop)
pin = through_session(Session.pin)
unpin = through_session(Session.unpin)
spill = through_session(Session.spill)
rotate_keys = through_session(Session.rotate_keys)
gc = through_session(Session.gc)
refresh = through_session(Session.refresh)
stream = through_session(Session.stream)
list_streams = through_session(Session.list_streams)
drop_stream = through_session(Session.drop_stream)
status = through_session(Session.status)
notebooks = through_session(Session.notebooks)

atexit.register(disconnect)
