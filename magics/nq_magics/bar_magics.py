"""The magics about bars: each parses its line, makes one call of the library, and shows the outcome."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.sizes import counted
from nq_magics.arguments import parse, rule_action, whole_number
from nq_magics.in_session import InSession
from nq_magics.options import reading_of, reading_options
from nq_magics.usage import interruptible, usage_errors
from nq_magics.wanted import Wanted, timeframe_behind, wanted_bars
from nq_magics.wording import as_typed

if TYPE_CHECKING:
    from jupyter_nq.bars.validation.report import Finding, Report
    from jupyter_nq.client.bars.checks import Evidence
    from jupyter_nq.client.session import Session


@magics_class
class BarMagics(InSession):
    """The magics about bars."""

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_join LEFT RIGHT [as VAR] [options]")
    @argument("left", metavar="LEFT", help="Dataset, as %%nq_ls names it, or a variable that holds bars.")
    @argument("right", metavar="RIGHT", help="The same; usually of a longer timeframe.")
    @argument(
        "--at",
        metavar="close|open",
        choices=("close", "open"),
        default="close",
        help="Join what is known when the left bar closes, or when it opens.",
    )
    @argument("--timeframe", help="Length of the left bars, where they do not say so themselves.")
    @argument("--right-timeframe", metavar="TIMEFRAME", help="Length of the right bars, where they do not say so.")
    @argument("--suffix", help="Behind the names of the right columns; the right timeframe unless given: close_3h.")
    @argument(
        "--tolerance",
        metavar="MINUTES",
        type=whole_number,
        help="Do not join a bar that closed longer ago.",
    )
    @usage_errors()
    def nq_join(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Join timeframes without looking ahead: each left bar with the last right bar that had closed.

        %nq_join NQ.30min NQ.3h as both
        both = %nq_join bars slow --tolerance 240

        A bar is known when it has closed. Joined on the stamps of their starts, a long bar would tell
        the short ones their future.
        """
        from jupyter_nq.client.bars.timeframes import asof

        args = parse(self.nq_join, line, assigns=True)
        session = self._session()
        sides = [self._bars(session, word, local_ns or {}) for word in (args.left, args.right)]
        lengths = {"timeframe": args.timeframe, "right_timeframe": args.right_timeframe}
        joined = asof(session, *sides, at=args.at, suffix=args.suffix, tolerance_minutes=args.tolerance, **lengths)
        ages = [name for name in joined.columns if name.startswith("age")]
        alone = int(joined[ages[-1]].isna().sum())
        print(f"{counted(len(joined), 'bar')}, {alone:,} of them without one that had closed{_within(args.tolerance)}")
        return self._deliver(joined, args.variable)

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_validate PATH|NAME|VAR|SYMBOL [TIMEFRAME] [as VAR] [options]")
    @argument("words", nargs="+", metavar="SOURCE", help="A file, a dataset, a variable, or a symbol and timeframe.")
    @reading_options
    @argument("--symbol", help="Instrument, where the bars do not say so themselves.")
    @argument(
        "--rule",
        dest="rules",
        action="append",
        metavar="EXPRESSION",
        help='A rule of your own: what is true is broken, for example --rule "high - low > 50"; may be repeated.',
    )
    @argument(
        "--action",
        dest="actions",
        action="append",
        type=rule_action,
        metavar="RULE=ACTION",
        help="keep, flag, drop, repair or quarantine what breaks a rule, in the report's table; may be repeated.",
    )
    @argument("--quarantine", metavar="FILE", help="CSV file for the rows whose action is quarantine.")
    @argument(
        "--adjusted", action="store_true", help="The prices were adjusted at rolls, so they need not lie on the tick."
    )
    @argument("--report", metavar="FILE", help="Write the report there: .html, .json or .csv.")
    @usage_errors()
    def nq_validate(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Check bars: rows, sessions, contracts and rolls; the bars are not changed, nor shared.

        %nq_validate NQ 30min
        report = %nq_validate bars --rule "volume > 500000"
        %nq_validate frame 30min --symbol NQ
        %nq_validate "NQ - 30 min - ETH.csv" --report checked.html
        %nq_validate dirty.csv NQ 30min as clean --action duplicate=quarantine --quarantine bad.csv

        The last one's clean.table has the bars that remain, as an Arrow table that %nq_put can share.
        """
        from jupyter_nq.client.bars.checks import validate

        args = parse(self.nq_validate, line, assigns=True)
        session = self._session()
        source, timeframe, symbol = self._source(session, args, local_ns or {})
        own = {rule: rule for rule in args.rules or ()}
        answers: dict[str, Any] = dict(reading_of(args).given())
        example = Wanted(source, timeframe=timeframe).example("nq_validate") if isinstance(source, str) else None
        with usage_errors(example), interruptible("nothing was changed"):
            report = validate(
                session,
                source,
                timeframe,
                symbol=symbol,
                rules=own,
                actions=dict(args.actions or ()),
                quarantine=args.quarantine,
                adjusted=args.adjusted,
                **answers,
            )
        report = replace(report, findings=tuple(map(_typed, report.findings)))
        if args.report is not None:
            _write(report, args.report)
        return self._deliver(report, args.variable)

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_sniff PATH|SYMBOL [TIMEFRAME] [options]")
    @argument("words", nargs="+", metavar="SOURCE", help="A file, or a symbol and timeframe to look up.")
    @reading_options
    @argument("--symbol", help="Instrument, where the file name does not tell.")
    @usage_errors()
    def nq_sniff(self, line: str) -> Evidence:
        """Show how a file would be read, and why, without loading it; the last lines load it.

        %nq_sniff "NQ - 30 min - ETH.csv"
        %nq_sniff export.txt                 the last lines say what its name does not tell
        %nq_sniff export.txt NQ 5min
        """
        from jupyter_nq.client.bars.checks import sniff

        args = parse(self.nq_sniff, line)
        wanted = wanted_bars(args.words, args.symbol)
        answers: dict[str, Any] = dict(reading_of(args).given())
        with usage_errors(wanted.example("nq_sniff")), interruptible("nothing was read in"):
            source = wanted.source or wanted.timeframe or ""
            return sniff(self._session(), source, wanted.timeframe, symbol=wanted.symbol, **answers)

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_roll NAME|VAR [options]\n  nq_roll FILE FILE [FILE ...] [TIMEFRAME] [options]")
    @argument(
        "sources",
        nargs="+",
        metavar="NAME",
        help="Dataset, as %%nq_ls names it, or a variable that holds bars; or the files of contracts, whose names say "
        "which, NQH25.csv, or with it before: NQH25=march.csv.",
    )
    @argument("--symbol", help="Instrument, where the bars do not say so themselves.")
    @argument("--timeframe", help="Length of the bars, where they do not say so themselves.")
    @reading_options
    @usage_errors()
    def nq_roll(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Print the rolls of a continuous series, each with what shows it.

        %nq_roll NQ.30min
        %nq_roll NQZ24.csv NQH25.csv
        %nq_roll NQZ24.csv NQH25.csv 1min

        A series without jumps is adjusted already, or spliced where both contracts had one price. Of the files of
        contracts it is the volume that decides, and the prices of both are there to compare.
        """
        from jupyter_nq.client.bars.checks import rolls
        from jupyter_nq.client.bars.contracts import roll_table

        args = parse(self.nq_roll, line)
        session, reading = self._session(), reading_of(args)
        sources, timeframe = timeframe_behind(args.sources)
        if timeframe is not None and args.timeframe is not None:
            raise UsageError(
                f"Two timeframes are given, {timeframe!r} and --timeframe {args.timeframe}; leave one out."
            )
        told = {"timeframe": timeframe or args.timeframe, "symbol": args.symbol}
        contracts = contracts_of(sources)
        if contracts is not None:
            answers = reading.given()
            if answers.pop("contract", None) is not None:
                raise UsageError("--contract names one contract, %nq_roll takes several files.")
            with interruptible("nothing was read in"):
                table = roll_table(session, contracts, **told, **answers)
            print("\n".join(map(str, table)) or "No contract has taken over from another.")
            return
        if reading.given():
            raise UsageError("--tz and the like say how a file is read; these bars have been read.")
        found = rolls(session, self._bars(session, sources[0], local_ns or {}), **told)
        print("\n".join(map(str, found)) or "The bars span no roll date.")

    def _source(
        self, session: Session, args: Namespace, local_ns: dict[str, Any]
    ) -> tuple[Any, str | None, str | None]:
        """Return what is to be validated (a value, a dataset, a file or symbol), its timeframe and its symbol."""
        words, timeframe = timeframe_behind(args.words)
        if len(words) == 1:
            known = self._bars(session, words[0], local_ns)
            if known is not words[0] or words[0] in session.store.names():
                return known, timeframe, args.symbol
        wanted = wanted_bars(args.words, args.symbol)
        if wanted.source is None:
            return wanted.timeframe, None, wanted.symbol
        return wanted.source, wanted.timeframe, wanted.symbol


def contracts_of(words: Sequence[str]) -> dict[str, str] | list[str] | None:
    """Return the files of contracts that a line names; None when it names one series.

    >>> contracts_of(["NQZ24=a.csv", "NQH25=b.csv"]), contracts_of(["NQZ24.csv", "NQH25.csv"]), contracts_of(["bars"])
    ({'NQZ24': 'a.csv', 'NQH25': 'b.csv'}, ['NQZ24.csv', 'NQH25.csv'], None)
    """
    pairs = [word.partition("=") for word in words]
    if all(equals and name.isalnum() for name, equals, _ in pairs):
        return {name: file for name, _, file in pairs}
    return list(words) if len(words) > 1 else None


def _typed(finding: Finding) -> Finding:
    """Return a finding that says what to do as it is typed in a line."""
    return replace(finding, sentence=as_typed(finding.sentence))


def _within(minutes: int | None) -> str:
    return "" if minutes is None else f" at most {minutes} minutes before"


def _write(report: Report, path: str) -> None:
    writers = {".html": report.to_html, ".json": report.to_json, ".csv": report.to_csv}
    writer = writers.get(Path(path).suffix.lower())
    if writer is None:
        raise UsageError(f"{path!r} does not end in {', '.join(writers)}, which say how the report is written.")
    try:
        writer(path)
    except OSError as exc:
        raise UsageError(f"{path} cannot be written: {exc.strerror}.") from None
