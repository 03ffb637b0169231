"""Completion behind the magics, in the terminal and in the lab alike.

One matcher is added to IPython's completer. It answers when the line's first word, or what is
assigned, is one of the magics, and then stands alone: Python's own names would only be noise there.
(The older `complete_command` hook cannot do that, nor does it see `bars = %nq_load`.) Options and
their choices come from the magics' own parsers. Names of datasets and streams come from the store's directory,
columns and versions from the objects' headers: pressing Tab makes no store, and starts no coordinator.
"""

from __future__ import annotations

import os
import re
from argparse import Action, ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.error import UsageError

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.buffers.directory import STREAMS
from jupyter_nq.client.api import opened
from jupyter_nq.client.sets.document import names_of_sets
from jupyter_nq.config import default_store_dir, load_settings
from jupyter_nq.coordinator.snapshot_records import SNAPSHOTS_NAME
from jupyter_nq.errors import NQError
from jupyter_nq.streams.directory import names as names_of_streams
from nq_magics.arguments import COLUMNS, STARTS, quoted, raw_words, unquote
from nq_magics.wanted import is_path

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_IDENTIFIER = "nq_magics"
_COMMAND = re.compile(r"\s*(?:[\w.,\s\[\]'\"]+=\s*)?%{0,2}(nq_\w+)\s")
_ABSENT = object()
_OF_STREAMS = ("nq_publish", "nq_subscribe", "nq_on")
_USUAL_TIMEFRAMES = ("1min", "5min", "15min", "30min", "1h", "1D")


def register(shell: InteractiveShell) -> None:
    """Complete the arguments of the magics in this shell."""

    @context_matcher(identifier=_IDENTIFIER)  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        return match(shell, context)

    unregister(shell)
    shell.Completer.custom_matchers.append(matcher)


def unregister(shell: InteractiveShell) -> None:
    """Take the completion back."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [known for known in matchers if getattr(known, "matcher_identifier", "") != _IDENTIFIER]


def match(shell: InteractiveShell, context: CompletionContext) -> SimpleMatcherResult:
    """Return what may stand at the cursor, and silence the other matchers if there is something."""
    typed = context.token
    found = complete(shell, context.text_until_cursor.rpartition("\n")[2])
    fitting = [word for word in found if word.startswith(typed)]
    fitting = fitting or [word for word in found if word.lower().startswith(typed.lower())]
    return {
        "completions": [SimpleCompletion(word) for word in fitting],
        "suppress": bool(fitting),
        "ordered": True,
    }


def complete(shell: InteractiveShell, text: str) -> list[str]:
    """Return the words that may stand at the end of `text`, the line up to the cursor.

    The list is empty where there is nothing to say (a path, a new name, another line), so that
    IPython's own completion goes on.
    """
    found = _COMMAND.match(text)
    magic = shell.magics_manager.magics["line"].get(found[1]) if found else None
    if found is None or magic is None or not hasattr(magic, "parser"):
        return []
    try:
        words = raw_words(text[found.end() :])
    except UsageError:  # an open quotation mark: a path is being typed
        return []
    current = words.pop() if words and not text[-1].isspace() else ""
    return list(_candidates(shell, found[1], magic.parser, [unquote(word) for word in words], current))


def _candidates(
    shell: InteractiveShell, name: str, parser: ArgumentParser, before: list[str], current: str
) -> Iterable[str]:
    if before and before[-1] == "as":
        return ()
    bare = _bare(parser, before)
    option, equals, _ = current.partition("=")
    if equals and option.startswith("--"):
        return _values(name, parser, option, bare)
    if before and _takes_value(parser, before[-1]):
        return _values(name, parser, before[-1], bare)
    if current.startswith("-"):
        return [option for action in parser._actions for option in action.option_strings]
    if current.startswith((".", "~", "/")) or "/" in current:
        return ()
    return _positional(shell, name, bare, assigned="as" in before)


def _positional(shell: InteractiveShell, name: str, words: list[str], *, assigned: bool) -> Iterable[str]:
    then_as = [] if assigned else ["as"]
    if name == "nq_load":
        if not words:
            return [*_symbols(), *_timeframes(None)]
        if len(words) > 1:
            return then_as
        return [*_symbols(), *_timeframes(None), *then_as] if is_path(words[0]) else [*_timeframes(words[0]), *then_as]
    if name in ("nq_drop", "nq_pin", "nq_unpin", "nq_spill", "nq_snapshot"):
        return [known for known in _dataset_names() if known not in words]
    if name == "nq_release" and not words:
        return [*_dataset_names(), *_variables(shell)]
    if name == "nq_sync" and len(words) == 1:
        return _dataset_names()
    if name in ("nq_get", "nq_put", "nq_refresh") and not words:
        return _dataset_names()
    if name in ("nq_put", "nq_publish") and len(words) == 1:
        return _variables(shell)
    if name in _OF_STREAMS and not words:
        return _stream_names()
    if name in ("nq_save", "nq_restore") and not words:
        return names_of_sets()
    if name == "nq_drop_stream":
        return [known for known in _stream_names() if known not in words]
    return then_as if name in ("nq_get", "nq_refresh", "nq_subscribe") else ()


def _option(parser: ArgumentParser, word: str) -> Action | None:
    return next((action for action in parser._actions if word in action.option_strings), None)


def _takes_value(parser: ArgumentParser, word: str) -> bool:
    action = _option(parser, word)
    return action is not None and action.nargs != 0


def _values(name: str, parser: ArgumentParser, option: str, words: list[str]) -> Iterable[str]:
    action = _option(parser, option)
    if action is not None and action.choices:
        return [str(choice) for choice in action.choices]
    if option == "--tz":
        from zoneinfo import available_timezones

        return sorted(available_timezones())
    if option == "--symbol":
        return _symbols()
    if option == "--release":
        return _snapshot_labels()
    if option == "--start" and name in _OF_STREAMS:
        return STARTS
    if name == "nq_get":
        return _of_dataset(option, words[0]) if words else ()
    return COLUMNS if option == "--columns" else ()


def _of_dataset(option: str, name: str) -> Iterable[str]:
    """Return the columns of a dataset, or its versions, the newest first."""
    known = _header(name)
    if known is None:
        return ()
    if option == "--columns" and known.schema is not None:
        return [column for column in known.schema.names if _is_typed(column)]
    return [str(version) for version, _, _ in reversed(known.versions)] if option == "--version" else ()


def _is_typed(column: str) -> bool:
    """Tell whether a column's name can be typed as it is, and is not that of an index without a name."""
    return quoted(column) == column and "," not in column and not column.startswith("__")


def _bare(parser: ArgumentParser, before: list[str]) -> list[str]:
    """Return the positional words: no options, no values of options, no `as VAR`."""
    bare: list[str] = []
    words = iter(before)
    for word in words:
        if word == "as" or _takes_value(parser, word):
            next(words, None)
        elif not word.startswith("-"):
            bare.append(word)
    return bare


# -- what there is; a list that cannot be made is empty, because Tab must not fail -----------------
def _symbols() -> list[str]:
    from jupyter_nq.bars.discovery import symbols
    from jupyter_nq.bars.instruments import INSTRUMENTS

    return sorted({*INSTRUMENTS, *symbols(_data_dir())})


def _timeframes(symbol: str | None) -> list[str]:
    from jupyter_nq.bars.discovery import timeframes

    return timeframes(_data_dir(), symbol) or list(_USUAL_TIMEFRAMES)


def _data_dir() -> Path:
    session = opened()
    try:
        return session.data_dir if session else Path(load_settings().data_dir or os.curdir)
    except NQError:
        return Path(os.curdir)


def _dataset_names() -> list[str]:
    try:
        return sorted(os.listdir(_store_path() / "names"))
    except (NQError, OSError):
        return []


def _stream_names() -> list[str]:
    try:
        return names_of_streams(_store_path() / STREAMS)
    except (NQError, OSError):
        return []


def _snapshot_labels() -> list[str]:
    try:
        return sorted(entry for entry in os.listdir(_store_path() / SNAPSHOTS_NAME) if not entry.startswith("."))
    except (NQError, OSError):
        return []


def _header(name: str) -> ObjectInfo | None:
    """Return what the header of a dataset says, None when it is not in memory."""
    try:
        store = Store(_store_path(), create=False)
        return store.info(store.resolve(name))
    except (NQError, OSError):
        return None


def _store_path() -> Path:
    session = opened()
    return session.store.path if session else Path(load_settings().store_dir or default_store_dir())


def _variables(shell: InteractiveShell) -> list[str]:
    """Return the names that the user assigned."""
    own, hidden = shell.user_ns, shell.user_ns_hidden
    return [name for name in own if not name.startswith("_") and own[name] is not hidden.get(name, _ABSENT)]
