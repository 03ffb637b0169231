"""What a worker publishes: a tape of closed bars for each length, the open bar, rows set aside, and notices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.timeframe import timeframe_of
from jupyter_nq.client.live.builder import Forming
from jupyter_nq.client.live.names import CLOSED, FORMING, LATE, NOTICES, is_output
from jupyter_nq.client.live.rows import Rows
from jupyter_nq.errors import StreamBusy

if TYPE_CHECKING:
    from jupyter_nq.bars.features.pipeline import Features
    from jupyter_nq.client.session import Session
    from jupyter_nq.streams import Stream

FORMING_SCHEMA = pa.schema(
    [
        *BAR_SCHEMA,
        pa.field("closes", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("partial", pa.uint8(), nullable=False),
    ]
)
"""Of the open bar: as a closed one, the end at which it will be closed, and a mark that is always 1."""
_RETENTION_BYTES = 8 << 20  # 8 MiB: of 5-minute bars with ten features more than half a year
_MIDDLE_BYTES = 1 << 20  # 1 MiB
_SMALL_BYTES = 128 << 10  # 128 KiB, the least that a stream takes
_SEGMENT_BYTES = 64 << 10  # 64 KiB, the least: each new worker begins a segment
_MOST_ROWS = 2_000  # of a message, which takes half of the retention at most
_WORKER = "live"


class Output:
    """The streams of one length of bars. Used by one thread.

    Parameters
    ----------
    session
        In whose store they are.
    out
        What their names begin with.
    minutes
        Length of a bar.
    features
        Features that are published beside the bars; None for none.
    """

    def __init__(self, session: Session, out: str, minutes: int, features: Features | None) -> None:
        self.label = timeframe_of(minutes).label
        self._features = features
        names = () if features is None else features.columns
        schema = pa.schema([*BAR_SCHEMA, *(pa.field(name, pa.float64(), nullable=False) for name in names)])
        self._schema = schema
        self.closed = _opened(session, f"{out}.{self.label}{CLOSED}", schema, _RETENTION_BYTES)
        self.forming = _opened(session, f"{out}.{self.label}{FORMING}", FORMING_SCHEMA, _SMALL_BYTES)
        self._shown: Forming | None = None
        self.bars = 0
        """Closed bars that this worker published."""

    def __repr__(self) -> str:
        return f"<Output {self.closed.name}, {self.bars:,} bars>"

    @property
    def has_features(self) -> bool:
        """Tell whether features are published beside the bars."""
        return self._features is not None

    def published(self) -> tuple[pa.Table, bool]:
        """Return the bars that are on the tape, and whether these are all that are needed to carry features on."""
        found = []
        with self.closed.subscribe("earliest") as reader:
            first = sum(reader.position.values())
            while (table := reader.read_table()) is not None:
                found.append(table)
        return pa.concat_tables(found or [self._schema.empty_table()]), first == 0 or self._features is None

    def warm(self, bars: pa.Table) -> None:
        """Carry the features over bars that are known."""
        if self._features is not None and bars.num_rows:
            self._features.add(bars)

    def publish(self, bars: pa.Table) -> None:
        """Publish closed bars with their features, as one message, unless they are thousands."""
        if not bars.num_rows:
            return
        data = bars if self._features is None else self._features.add(bars)
        for first in range(0, data.num_rows, _MOST_ROWS):
            self.closed.publish(data.slice(first, _MOST_ROWS))
        self.bars += bars.num_rows

    def show(self, bar: Forming | None) -> None:
        """Publish the open bar, when it is another than the last one shown."""
        if bar is None or bar is self._shown:
            return
        self._shown = bar
        values = (bar.stamp_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.flags, bar.end_ns, 1)
        self.forming.publish_rows([values])

    def close(self) -> None:
        """Let go of the streams here."""
        self.closed.close()
        self.forming.close()


class Journal:
    """What is to be known of the bars of one `out`, and the lock that one worker holds of it. Used by one thread.

    Parameters
    ----------
    session, out
        As for `Output`.
    source_id
        Identity of the source's stream. In a sandbox, bars of an earlier replay are removed, as they are of another.
    sandboxed
        Whether it is one.

    Raises
    ------
    StreamBusy
        Another worker builds them.
    """

    def __init__(self, session: Session, out: str, source_id: str, *, sandboxed: bool) -> None:
        self._session, self._out = session, out
        self._open()
        former = self._last.get("source")
        if sandboxed and former not in (None, source_id):
            self.close()
            for name in session.streaming.names():
                if is_output(name, out):
                    session.drop_stream(name)
            self._open()
        self._source = source_id
        self.cut_ns: int | None = self._last.get("cut_ns")
        """Before which rows are missing, as the last worker wrote it down; None when it did not."""
        self.joined: bool = former == source_id and self._last.get("joined", False)
        """Whether the first rows of this source were seen to join what is known."""
        self.warm_ns: int | None = self._last.get("warm_ns")
        """How far history reached from which features went on; None when they began with the tape."""
        if self._last.get("source") != source_id:
            self._write("source")

    def __repr__(self) -> str:
        return f"<Journal {self.stream.name}>"

    def _open(self) -> None:
        session, out = self._session, self._out
        self.stream = _opened(session, f"{out}{NOTICES}", None, _MIDDLE_BYTES)
        self._late = _opened(session, f"{out}{LATE}", None, _MIDDLE_BYTES)
        try:
            self._lock = self.stream.subscribe("earliest", name=_WORKER)
        except StreamBusy as exc:
            raise StreamBusy(
                f"A worker builds the live bars of {out!r} already. Stop it there (live.stop()), or pass another out=."
            ) from exc
        self._last: Mapping[str, Any] = {}
        with self.stream.subscribe("earliest") as reader:
            while found := reader.get_messages(1_000):
                self._last = max(found, key=lambda one: one.timestamp_ns).data

    def write_gap(self, from_ns: int, to_ns: int, lost: int) -> None:
        """Write down that rows are missing, for whoever reads the bars, and that no bar before `to_ns` is published."""
        self.cut_ns = to_ns
        self._write("gap", from_ns=from_ns, to_ns=to_ns, lost=lost)

    def write_cut(self, cut_ns: int) -> None:
        """Write down that nobody knows what came before."""
        self.cut_ns = cut_ns
        self._write("cut")

    def write_joined(self) -> None:
        """Write down that rows join what is known, so that the next worker does not ask again."""
        self.joined = True
        self._write("joined")

    def write_warm(self, warm_ns: int) -> None:
        """Write down how far the history must reach that the next worker is given."""
        self.warm_ns = warm_ns
        self._write("warm")

    def _write(self, event: str, **fields: Any) -> None:
        """Write a notice with all that the next worker must know: older ones may go."""
        state = {"source": self._source, "cut_ns": self.cut_ns, "joined": self.joined, "warm_ns": self.warm_ns}
        self.stream.publish({"event": event, **fields, **state})

    def set_aside(self, rows: Rows, reason: str, timeframe: str | None = None) -> None:
        """Publish rows that no bar has, or not that of this length, with the reason."""
        for first in range(0, len(rows), _MOST_ROWS):
            self._late.publish(rows.table.slice(first, _MOST_ROWS), {"reason": reason, "timeframe": timeframe})

    def close(self) -> None:
        """Let the next worker in. Closing twice is fine."""
        self._lock.close()
        self.stream.close()
        self._late.close()


def _opened(session: Session, name: str, schema: pa.Schema | None, retention_bytes: int) -> Stream:
    """Open a stream of a worker's, made unless it is there; of other columns it is refused."""
    if name in session.streaming.names():
        return session.stream(name, schema)
    told: dict[str, Any] = {"exclusive": True} if name.endswith((CLOSED, FORMING)) else {}
    return session.stream(name, schema, retention_bytes=retention_bytes, segment_bytes=_SEGMENT_BYTES, **told)
