"""The magics of live bars and of replays.

What they need is imported when it is needed: an extension that is loaded should cost little.
"""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from nq_magics.arguments import column_list, feature_list, parse
from nq_magics.in_session import InSession
from nq_magics.usage import interruptible, usage_errors

if TYPE_CHECKING:
    from jupyter_nq.client.live.live import Live
    from jupyter_nq.client.live.replay import Replay


@magics_class
class LiveMagics(InSession):
    """The magics about bars that are being built, and sessions that are being fed."""

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self._begun: list[Live | Replay] = []  # only cells change it, one after the other

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_live [SYMBOL --source STREAM [options] [as VAR]] [--stop [OUT]]")
    @argument("symbol", nargs="?", help="Instrument, which says when its sessions are.")
    @argument("--source", metavar="STREAM", help="Stream of ticks (timestamp, price, volume) or of small bars.")
    @argument("--bars", type=column_list, default=["5min"], help="Lengths, for example 5min,30min.")
    @argument("--features", nargs="?", const=True, type=feature_list, metavar="LIST", help="As for %%nq_load.")
    @argument("--warmup", metavar="NAME|VAR", help="Bars that came before, from which features go on.")
    @argument("--out", help="What the names of the streams begin with; the symbol unless given.")
    @argument("--close-after", type=int, metavar="MS", help="How long a bar waits for rows that are under way.")
    @argument("--gap", choices=("error", "keep"), default="error", help="What is done where rows are missing.")
    @argument("--source-timeframe", help="Length of the source's bars, where its name does not end with it.")
    @argument("--stop", nargs="?", const="", metavar="OUT", help="End those of this name, or all of this notebook.")
    @usage_errors()
    def nq_live(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Build bars from a stream of ticks or small bars, and publish them as they close.

        %nq_live NQ --source feed.NQ.ticks --bars 5min,30min
        %nq_live NQ --source feed.NQ.1min --features sma(20),rsi(14) --warmup NQ.1min as live
        %nq_live NQ --source replay.NQ.1min       from a replay, by its clock and in its sandbox
        %nq_live                                  how those of this notebook are doing
        %nq_live --stop [OUT]

        Closed bars are on NQ.5min.live and have the bits of a file of the same rows; the open one is on
        NQ.5min.forming. A row that comes when its bar is closed changes nothing: it is counted, and on
        NQ.late. A hole between the warm-up and the source is an error, or with --gap keep a notice.
        """
        args = parse(self.nq_live, line, assigns=True)
        if args.stop is not None:
            self._stop_live(args.stop)
        elif args.symbol is None:
            self._list_live()
        else:
            self._start_live(args, local_ns or {})

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_replay [PATH|SYMBOL|NAME|VAR DAY [options] [as VAR]] [--stop]")
    @argument("words", nargs="*", metavar="PATH|SYMBOL|NAME|VAR DAY", help="Bars or ticks, and a trade date.")
    @argument("--speed", default="max", metavar="60x|max", help="Seconds of the session in one; max waits for nothing.")
    @argument("--timeframe", help="Length of the bars to look for, where the source does not say it.")
    @argument("--symbol", help="Instrument, where the source does not say it.")
    @argument("--as", dest="prefix", metavar="PREFIX", help="First part of the names: replay, or replay.NAME.")
    @argument("--data-dir", help="Directory to look in; the configured one unless given.")
    @argument("--background", action="store_true", help="Return at once; other cells run while it goes on.")
    @argument("--stop", action="store_true", help="End the replays of this notebook.")
    @usage_errors()
    def nq_replay(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Feed a recorded session into streams of the sandbox, with a clock of its own.

        %nq_replay NQ 2024-06-12 --speed 60x --timeframe 1min
        %nq_replay NQ.30min 2024-06-12 --as replay.mine     a dataset, under names of its own
        %nq_replay NQ 2024-06-12 --background as session    other cells run meanwhile
        %nq_replay                                          how far those of this notebook are
        %nq_replay --stop

        The rows are on replay.NQ.1min, each when it was complete; %nq_live NQ --source replay.NQ.1min
        builds bars from them as from a live stream. A replay never publishes on a live name. The cell
        shows how far it is; an interrupt stops it.
        """
        args = parse(self.nq_replay, line, assigns=True)
        if args.stop or not args.words:
            self._list_replays(stop=args.stop)
        else:
            self._replay(args, local_ns or {})

    # -- what they do ----------------------------------------------------------------------------
    def stop_all(self) -> None:
        """End the live bars and the replays that were begun here."""
        for one in self._begun:
            one.stop()

    def _list_live(self) -> None:
        from jupyter_nq.client.live.live import unstopped

        print("\n".join(map(_line, unstopped())) or "No live bars are built here.")

    def _list_replays(self, *, stop: bool) -> None:
        from jupyter_nq.client.live.replay import running

        found = running()
        for one in found if stop else ():
            one.stop()
        print("\n".join(map(repr, found)) or "No replay runs here.")

    def _start_live(self, args: Namespace, local_ns: dict[str, Any]) -> None:
        if args.source is None:
            raise UsageError(f"Name the stream: %nq_live {args.symbol} --source STREAM.")
        from jupyter_nq.client.live.starting import live

        session = self._session()
        warmup = None if args.warmup is None else self._bars(session, args.warmup, local_ns)
        told = {"features": args.features, "warmup": warmup, "out": args.out, "close_after_ms": args.close_after}
        told |= {"gap": args.gap, "source_timeframe": args.source_timeframe}
        found = live(session, args.symbol, args.source, args.bars, **told)
        self._begun.append(found)
        self._deliver(found, args.variable)
        print(f"{_line(found)}; on {', '.join(found.streams.values())}; %nq_live --stop {found.out} ends it")

    def _stop_live(self, out: str) -> None:
        from jupyter_nq.client.live.live import stopped_line, unstopped

        named = [one for one in unstopped() if out in ("", one.out)]
        if not named:
            what = f"No live bars of {out!r}" if out else "No live bars"
            raise UsageError(f"{what} are built here. %nq_live lists those that are.")
        for one in named:
            print(stopped_line(one, one.stop()))

    def _replay(self, args: Namespace, local_ns: dict[str, Any]) -> None:
        if len(args.words) != 2:
            raise UsageError(
                "Name what is replayed and the day: %nq_replay NQ 2024-06-12. The length of the bars to look for is "
                "an option: --timeframe 5min."
            )
        from jupyter_nq.client.live.recorded import replay

        source, day = args.words
        session = self._session()
        told = {"speed": args.speed, "timeframe": args.timeframe, "symbol": args.symbol, "prefix": args.prefix}
        with interruptible("nothing is replayed"), self._progress(source) as loading:
            data = self._bars(session, source, local_ns)
            found = replay(session, data, day, data_dir=args.data_dir, progress=loading, **told)
        self._begun.append(found)
        self._deliver(found, args.variable)
        if not args.background:
            self._watch(found)
        print(f"{found!r}; %nq_live SYMBOL --source {found.name} builds bars from it")

    def _watch(self, found: Replay) -> None:
        """Show how far a replay is until it is over; an interrupt stops it."""
        try:
            with self._progress(found.name) as progress:
                found.wait(progress)
        except KeyboardInterrupt:
            found.stop()
            raise UsageError(f"interrupted: {found!r}") from None


def _line(found: Live) -> str:
    return f"{found.out}: {found.status}"
