"""The magics about streams: publish a variable, read what others publish, run a cell for each message."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, line_magic, magics_class, needs_local_scope
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.session import Session
from jupyter_nq.errors import NQError
from jupyter_nq.streams import Stream, Subscription
from jupyter_nq.streams.background import Listener
from nq_magics.arguments import check_variable, parse, raw_words, variable_to_share
from nq_magics.in_session import InSession
from nq_magics.options import start_option
from nq_magics.stream_cells import callback_of
from nq_magics.stream_display import StreamsView, dropped_line, listener_line, published_line, subscribed_line
from nq_magics.usage import interruptible, usage_errors


@magics_class
class StreamMagics(InSession):
    """The magics about streams."""

    def __init__(self, shell: Any = None, **options: Any) -> None:
        super().__init__(shell, **options)
        self._listeners: dict[str, Listener] = {}  # by stream; only cells change it, one after the other

    @line_magic
    @needs_local_scope
    @magic_arguments()
    @kwds(usage="nq_publish STREAM VAR")
    @argument("stream", metavar="STREAM", help="Letters, digits, dots, dashes and underscores.")
    @argument(
        "source",
        nargs="+",
        metavar="VAR",
        help="Variable that holds a frame, an Arrow table, a dict of arrays, bytes, or what JSON has.",
    )
    @usage_errors()
    def nq_publish(self, line: str, local_ns: dict[str, Any] | None = None) -> None:
        """Publish a variable's data as one message, which every notebook that reads the stream gets.

        %nq_publish signals my_frame

        A stream that is not there is made, as a log: its first frame decides on the columns of all others.
        For rows of fixed columns, fastest one by one, make a tape first: nq.stream(name, {'price': 'float64'}). For
        messages that outlive a restart of the machine: nq.stream(name, durable=True), whose flush() waits for the disk.
        retention_rows= and retention_seconds= limit what is kept; nq.stream(name, schema, evolve=True) begins another
        schema.
        """
        args = parse(self.nq_publish, line)
        variable = variable_to_share(
            raw_words(line)[1:], usage="%nq_publish STREAM VAR", call=f"nq.stream({args.stream!r}).publish("
        )
        data = self._variable(variable, local_ns or {})
        session = self._session()
        is_new = args.stream not in session.streaming.names()
        start = time.perf_counter()
        with interruptible("the message may not be there"), session.stream(args.stream) as stream:
            with _dropped_when_refused(session, stream) if is_new else nullcontext():
                seq = stream.publish(data)
            print(published_line(stream, seq, data, time.perf_counter() - start, is_new=is_new))

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_subscribe STREAM [as VAR] [options]")
    @argument("stream", metavar="STREAM", help="Stream, as %%nq_streams names it.")
    @start_option
    @argument("--name", help="Keeps what was acknowledged with ack(): the next consumer of this name goes on there.")
    @argument(
        "--gating",
        action="store_true",
        help="Publishers wait for this consumer, on a stream that was made with another overflow than drop_oldest.",
    )
    @argument("--conflate", action="store_true", help="Always skip to the newest message of each publisher.")
    @usage_errors()
    def nq_subscribe(self, line: str) -> None:
        """Read a stream: the variable becomes a consumer with a position of its own.

        %nq_subscribe signals                      the variable is called as the stream
        %nq_subscribe signals as mine --start -100
        %nq_subscribe fills --name risk            goes on where the consumer `risk` acknowledged

        signals.get_messages(timeout=5) returns the next messages, signals.read_table(timeout=5) all that
        is there as one table, and `for message in signals` waits for each. A consumer of the same stream
        that the variable held is closed.
        """
        args = parse(self.nq_subscribe, line, assigns=True)
        variable = check_variable(args.variable or args.stream)
        stream = self._session().streaming.existing(args.stream)
        former = self.shell.user_ns.get(variable)  # type: ignore[union-attr]  # a registered magic has its shell
        if args.name and isinstance(former, Subscription):  # it may have the name, as when the cell runs again
            former.close()
        found = stream.subscribe(args.start, name=args.name, gating=args.gating, conflate=args.conflate)
        if isinstance(former, Subscription):
            former.close()
        self._deliver(found, variable)
        print(subscribed_line(args.stream, found, variable, args.name))

    @line_cell_magic
    @magic_arguments()
    @kwds(usage="nq_on STREAM [--stop]; or %%%%nq_on STREAM [options] as the first line of a cell")
    @argument("stream", metavar="STREAM", help="Stream, as %%nq_streams names it.")
    @start_option
    @argument("--batches", action="store_true", help="Run for Arrow batches, on a tape as few as there can be.")
    @argument("--stop", action="store_true", help="End it, after the message that it may be at.")
    @usage_errors()
    def nq_on(self, line: str, cell: str | None = None) -> None:
        """Run the cell's body for each message from now on, while other cells run, too.

        %%nq_on signals
        newest = data                       # data is what was published, message has its metadata and time
        if message.metadata.get("halt"):
            halted = True

        %nq_on signals                      how often it ran, failed and lost messages
        %nq_on signals --stop

        The body sees and assigns the notebook's variables, but for `message` and `data`, which are its own;
        with --batches there is `data` alone. It runs in a thread, one message after the other. An error is
        shown once for each place where it is raised, and ends nothing. Running the cell again replaces it.
        """
        args = parse(self.nq_on, line)
        if args.stop:
            print(listener_line(args.stream, self._stop(args.stream)))
        elif cell is None:
            print(listener_line(args.stream, self._listener(args.stream)))
        else:
            print(listener_line(args.stream, self._listen(args.stream, cell, args.start, batches=args.batches)))

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_streams(self, line: str) -> StreamsView:
        """List the streams: messages, how many in the last second, who publishes and reads, the lag, what was lost.

        %nq_streams
        names = [s.name for s in _]
        """
        parse(self.nq_streams, line)
        session = self._session()
        return StreamsView(session.list_streams(), session.notebooks())

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_drop_stream STREAM [...]")
    @argument("streams", nargs="+", metavar="STREAM", help="Stream, as %%nq_streams names it.")
    @usage_errors()
    def nq_drop_stream(self, line: str) -> None:
        """Remove streams for everybody: who publishes or reads is told. Batches that are held stay readable.

        %nq_drop_stream signals
        """
        names = list(dict.fromkeys(parse(self.nq_drop_stream, line).streams))
        session = self._session()
        for name in names:  # all of them, or none
            session.streaming.existing(name).close()
        for name in names:
            if name in self._listeners:
                self._stop(name)
            print(dropped_line(name, session.drop_stream(name)))

    # -- the cells that run for each message -------------------------------------------------------
    def stop_all(self) -> None:
        """End every cell that runs for messages."""
        for name in list(self._listeners):
            self._stop(name)

    def _listen(self, name: str, cell: str, start: Any, *, batches: bool) -> Listener:
        body = callback_of(self.shell, cell, ["data"] if batches else ["message", "data"])  # type: ignore[arg-type]
        stream = self._session().streaming.existing(name)
        if name in self._listeners:  # before the new one begins, so that no message is handled twice
            self._stop(name)
        callback = body if batches else lambda message: body(message, message.data)
        self._listeners[name] = stream.on_message(callback, start=start, batches=batches)
        return self._listeners[name]

    def _listener(self, name: str) -> Listener:
        found = self._listeners.get(name)
        if found is None:
            raise UsageError(f"No cell runs for {name!r}. Write %%nq_on {name} as the first line of a cell.")
        return found

    def _stop(self, name: str) -> Listener:
        listener = self._listener(name)
        listener.stop()
        del self._listeners[name]
        return listener


@contextmanager
def _dropped_when_refused(session: Session, stream: Stream) -> Iterator[None]:
    """Leave no stream behind that was made for one message, which was refused, and that nobody else uses yet."""
    try:
        yield
    except NQError:
        if not stream.messages and not stream.consumers():
            session.drop_stream(stream.name)
        raise
