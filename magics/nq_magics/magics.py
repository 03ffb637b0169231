"""The magics: each parses its line, makes one call of the session, and shows the outcome.

An error of this package becomes a `UsageError`, which IPython prints without a traceback. A variable is
assigned last, so a magic that fails leaves the namespace as it was.
"""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import replace
from typing import Any

from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from nq_magics.arguments import column_list, feature_list, moment, parse, raw_words, variable_to_share, version
from nq_magics.between_cells import check_follow, follow_bars
from nq_magics.display import DatasetsView, DeskView, StatusView, got_line, load_lines, stored_line
from nq_magics.in_session import InSession
from nq_magics.options import as_option, reading_of, reading_options
from nq_magics.usage import interruptible, usage_errors
from nq_magics.wanted import Wanted, matching, symbols_in, wanted_bars


@magics_class
class NQMagics(InSession):
    """The magics about shared datasets."""

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_load [PATH|SYMBOL] [TIMEFRAME] [as VAR] [options]")
    @argument(
        "words",
        nargs="*",
        metavar="PATH|SYMBOL TIMEFRAME",
        help="A bar file, with its symbol behind it if its name does not tell; or a symbol to look up in the data "
        "directory, NQ unless given.",
    )
    @argument("--start", type=moment, help="First bar to show, by its UTC start.")
    @argument("--end", type=moment, help="Last bar to show, inclusive; a bare date is the whole day.")
    @argument("--columns", type=column_list, help="Columns to show, for example open,close.")
    @argument(
        "--features",
        nargs="?",
        const=True,
        type=feature_list,
        metavar="LIST",
        help="Columns of features too: alone the usual ones, or for example sma(20),rsi(14).",
    )
    @reading_options
    @argument("--symbol", help="Instrument, where the file name does not tell.")
    @argument("--data-dir", help="Directory to look in; the configured one unless given.")
    @argument("--follow", action="store_true", help="Between cells, move the variable to the newest version.")
    @as_option
    @usage_errors()
    def nq_load(self, line: str) -> Any:
        """Load bars: the first kernel that asks parses the file, all others map the same memory.

        %nq_load NQ 30min as bars                     look up the file, assign the frame
        bars = %nq_load NQ 30min                      the same
        %nq_load "data/NQ - 30 min - ETH.csv" as bars --start 2024-01-01
        %nq_load NQ,ES 30min as both                  several: a dict of frames by symbol
        %nq_load week.csv NQ 30min as week            a file whose name does not tell what it holds
        %nq_load NQ_5min.txt as bars --profile kibot  a file of a vendor; see jupyter_nq.bars.VENDORS
        %nq_load NQ 30min as all --columns timestamp,close,flags
        %nq_load NQ 30min as x --features sma(20),rsi(14),macd(12,26,9)
        %nq_load {path} as closes --columns timestamp,close --as numpy
        %nq_load NQ 30min as bars --follow            and stay at the newest version, between cells

        The frame is read-only, because every notebook sees the same memory; df.copy() is your own.
        """
        args = parse(self.nq_load, line, assigns=True)
        wanted = wanted_bars(args.words, args.symbol)
        several = symbols_in(wanted)
        if args.follow:
            check_follow(args.variable, several)
        if several:
            loaded = {symbol: self._load(replace(wanted, source=symbol), args) for symbol in several}
            return self._deliver(loaded, args.variable)
        return self._deliver(self._load(wanted, args), args.variable)

    def _load(self, wanted: Wanted, args: Namespace) -> Any:
        """Load one series, print how, and return the view that the line asks for."""
        reading = reading_of(args)
        session = self._session()
        label = " ".join(filter(None, [wanted.source, wanted.timeframe])) or "bars"
        with usage_errors(wanted.example("nq_load")), interruptible(), self._progress(label) as progress:
            mapped = session.map(
                wanted.source,
                wanted.timeframe,
                symbol=wanted.symbol,
                data_dir=args.data_dir,
                reading=reading,
                features=args.features,
                progress=progress,
            )
        rows = {"start": args.start, "end": args.end}
        data = session.view(mapped.handle, args.as_, columns=args.columns, **rows)
        stamps = session.view(mapped.handle, "numpy", columns=["timestamp"], **rows)["timestamp"]
        print(*load_lines(mapped, stamps), sep="\n")
        return follow_bars(session, mapped.handle.info.name, args) if args.follow else data

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_get NAME [as VAR] [options]")
    @argument("name", metavar="NAME", help="Dataset, as %%nq_ls names it.")
    @argument("--version", type=version, help="Version; the newest unless given.")
    @argument("--columns", type=column_list, help="Columns to show, for example open,close.")
    @as_option
    @argument(
        "--writable", action="store_true", help="May be written: what is written is a copy of this notebook's own."
    )
    @argument(
        "--verify",
        metavar="first|always",
        choices=("first", "always"),
        default="never",
        help="Compare the bytes with their digest.",
    )
    @usage_errors()
    def nq_get(self, line: str) -> Any:
        """Map a shared dataset, without copying it.

        %nq_get signals as s
        old = %nq_get signals --version 1

        An old version lives only while somebody holds it: a put that replaces it frees its memory
        with the last frame of it. Appending keeps the older versions, they share the memory.
        """
        args = parse(self.nq_get, line, assigns=True)
        start = time.perf_counter()
        session = self._session()
        writable = "private" if args.writable else False
        handle = session.open(args.name, args.version, writable=writable, verify=args.verify)
        data = session.view(handle, args.as_, columns=args.columns)
        print(got_line(handle, time.perf_counter() - start))
        return self._deliver(data, args.variable)

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_put NAME VAR")
    @argument("name", metavar="NAME", help="Letters, digits, dots, dashes and underscores.")
    @argument(
        "source",
        nargs="+",
        metavar="VAR",
        help="Variable that holds a frame, a Series, a table, an array, a dict of arrays, bytes or a JSON value.",
    )
    @usage_errors()
    def nq_put(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Share a variable's data under a name, as a new version if the name exists.

        %nq_put signals my_frame
        """
        args = parse(self.nq_put, line)
        variable = variable_to_share(raw_words(line)[1:], usage="%nq_put NAME VAR", call=f"nq.put({args.name!r}, ")
        data = self._variable(variable, local_ns or {})
        session = self._session()
        start = time.perf_counter()
        replaces = args.name in session.store.names()
        with interruptible(), self._progress(args.name) as progress:
            stored = session.put(args.name, data, progress=progress)
        print(stored_line(stored, time.perf_counter() - start, replaces=replaces))

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_ls(self, line: str) -> DatasetsView:
        """List the shared datasets: name, version, rows, size, age, and who holds them.

        %nq_ls
        names = [d.name for d in _]
        """
        parse(self.nq_ls, line)
        return DatasetsView(self._session().ls())

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_drop NAME|PATTERN [...]")
    @argument("names", nargs="+", metavar="NAME", help="Dataset, as %%nq_ls names it, or a pattern such as NQ.5min-*.")
    @usage_errors()
    def nq_drop(self, line: str) -> None:
        """Remove the names of datasets and all their versions; who holds a frame of one keeps it.

        %nq_drop signals
        %nq_drop signals limits
        %nq_drop NQ.5min-*        all that match, which are listed
        """
        words = parse(self.nq_drop, line).names
        session = self._session()
        known = sorted(row.name for row in session.ls())
        names = list(dict.fromkeys(name for word in words for name in matching(word, known)))
        session.drop(*names)
        print(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} dropped; frames that are held stay readable.")

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_status [--require server]")
    @argument(
        "--require", choices=("server",), metavar="server", help="Fail unless a Jupyter server hosts the coordinator."
    )
    @usage_errors()
    def nq_status(self, line: str) -> StatusView:
        """Show the store, who hosts its coordinator, the pool and the newest problem.

        %nq_status
        %nq_status --require server
        """
        return StatusView(self._session(parse(self.nq_status, line).require).status())

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq(self, line: str) -> DeskView:
        """Show the desk: the datasets, who holds what, the pool, the host and the newest problem.

        %nq
        """
        parse(self.nq, line)
        return DeskView(self._session().desk())
