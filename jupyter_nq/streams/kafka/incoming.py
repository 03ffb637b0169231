"""From Kafka to a stream: each message once, in the order of its lane, whoever is killed meanwhile.

Offsets are not kept by Kafka but beside the stream; see `record`. What was taken before is dropped and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from jupyter_nq.buffers.names import check_name
from jupyter_nq.errors import BridgeFailed, InvalidArgument, UnreadableMessage
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.kafka import clients
from jupyter_nq.streams.kafka.bridge import Bridge
from jupyter_nq.streams.kafka.dead_letters import DeadLetters
from jupyter_nq.streams.kafka.delivery import Delivery, Planned
from jupyter_nq.streams.kafka.envelope import decode
from jupyter_nq.streams.kafka.foreign import check_foreign, read_foreign
from jupyter_nq.streams.kafka.position import Entry, Position, Verdict
from jupyter_nq.streams.publisher import Publisher
from jupyter_nq.streams.stream import Stream

STARTS = ("earliest", "latest")
_AT_ONCE = 500
_POLL_SECONDS = 0.1
_PARTITIONS_SECONDS = 30.0  # between two looks for new partitions


class KafkaIn(Bridge):
    """What carries a topic to a stream; made by `nq.kafka_in`.

    Parameters
    ----------
    control
        The stream's.
    topic
        Where the messages come from.
    config
        Of librdkafka, or the brokers.
    name
        Under which is kept how far it has read.
    publisher
        Gives it a lane of its own, for a process that began at a time.
    dead_letters
        Opens the stream for what cannot go into this one.
    start
        `earliest` or `latest`, of a partition that was never read.
    foreign
        What the values of other programs are, one of `FOREIGN`; None sends such messages to the dead letters.

    Raises
    ------
    MissingLibrary, InvalidArgument, InvalidName, StreamBusy, ChecksumError, StoreFull
    """

    def __init__(
        self,
        control: MappedControl,
        topic: str,
        config: clients.Config | str,
        *,
        name: str,
        publisher: Callable[[MappedControl, int], Publisher],
        dead_letters: Callable[[], Stream],
        start: str = "earliest",
        foreign: str | None = None,
    ) -> None:
        super().__init__(control.static.name, topic, clients.checked(config))
        if start not in STARTS:
            raise InvalidArgument(f"start={start!r} is none of {', '.join(STARTS)}.")
        check_foreign(foreign)
        self.replayed = 0
        """Messages that came once more, and were left out."""
        self.old = 0
        """Messages that came after later ones of their lane, and were left out."""
        self.missing = 0
        """Messages of a lane that were not there when later ones came."""
        self._lag = 0
        self._foreign = foreign
        self._start_at = start
        self._stream_id = control.static.stream_id
        self._is_tape = control.static.form == "tape"
        self._most_bytes = int(control.static.options["retention_bytes"])  # more than that is never kept
        self._dead_letters = DeadLetters(dead_letters)
        self._client = clients.consumer(self._config, self._on_error)
        try:
            self._delivery = Delivery(control, check_name(name), publisher, self._blocked)
        except BaseException:
            self._client.close()
            raise
        self._start()

    @property
    def lag(self) -> int:
        """Messages of the topic that were not read, as far as brokers have said."""
        return self._lag

    @property
    def dead_letters(self) -> int:
        """Messages that could not go into the stream."""
        return self._dead_letters.count

    def stats(self) -> dict[str, Any]:
        """Return its figures, as `Bridge.stats`, and those of messages that were left out."""
        left_out = {"replayed": self.replayed, "old": self.old, "missing": self.missing}
        return {**super().stats(), **left_out, "dead_letters": self.dead_letters}

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._delivery.close()
        self._dead_letters.close()

    # -- partitions ------------------------------------------------------------------------------
    def _carry(self) -> None:
        while not self._stopping.is_set() and not self._assign():
            self._client.poll(0)  # hears what is the matter; there is no message yet
            self._stopping.wait(self._next_pause())
        looked = time.monotonic()
        while not self._stopping.is_set():
            found = self._client.poll(_POLL_SECONDS)
            if found is not None:
                self._take([found, *self._client.consume(_AT_ONCE - 1, 0.0)])
                continue
            self._delivery.check()
            if self._trouble is not None or time.monotonic() - looked > _PARTITIONS_SECONDS:
                looked = time.monotonic()
                if not self._assign():
                    self._stopping.wait(self._next_pause())
            self._check_refused()

    def _assign(self) -> bool:
        """Read all partitions that are not read yet; False when no broker says which there are."""
        kafka = clients.library()
        found = self._look(self.topic)
        if found is None:
            return False
        topic = found.topics[self.topic]
        if topic.error is not None and topic.error.code() == kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise BridgeFailed(f"The topic {self.topic!r} cannot be read: {topic.error.str()}. Ask for the right to.")
        if topic.error is not None or not topic.partitions:
            self._in_the_way(f"the brokers have no topic {self.topic!r} yet")
            return False
        there = {one.partition for one in self._client.assignment()}
        fresh = [
            kafka.TopicPartition(self.topic, one, self._first(one)) for one in topic.partitions if one not in there
        ]
        if fresh:
            self._client.incremental_assign(fresh)
        self._free()
        return True

    def _first(self, partition: int) -> int:
        """Return the offset at which a partition is read first."""
        kafka = clients.library()
        begin = kafka.OFFSET_BEGINNING if self._start_at == "earliest" else kafka.OFFSET_END
        kept = self._delivery.position.offsets.get(partition)
        return int(begin if kept is None else kept)

    # -- messages --------------------------------------------------------------------------------
    def _take(self, found: Sequence[Any]) -> None:
        """Publish what is new of some messages, and keep how far they go."""
        ahead = self._delivery.position.after(())
        planned = [one for message in found if (one := self._planned(message, ahead)) is not None]
        while planned:
            refused = self._delivery.publish(planned)
            done = planned[: self._delivery.done]
            self.messages += len(done)
            self.bytes += sum(len(one.raw.value() or b"") for one in done)
            if self._stopping.is_set():
                return  # what was not published is read again
            if refused is not None:
                self._dead_letters.put(planned[len(done)].raw, refused)
                self._delivery.pass_by(planned[len(done)].entry)
            planned = planned[len(done) + (refused is not None) :]
        self._delivery.position = ahead
        self._note_lag()

    def _blocked(self, why: str | None) -> bool:
        """Wait a moment because the stream takes nothing now, None when it does again; False when it is to stop."""
        if why is None:
            self._free()
            return True
        self._in_the_way(why)
        return not self._stopping.wait(self._next_pause())

    def _planned(self, message: Any, ahead: Position) -> Planned | None:
        """Return what is to be published of a message; None when nothing is."""
        if message.error() is not None:
            self._on_error(message.error())
            self._in_the_way(clients.without_secrets(message.error().str(), self._config))
            return None
        passed = Entry(message.partition(), message.offset() + 1)
        try:
            planned = self._read(message)
        except UnreadableMessage as exc:
            self._dead_letters.put(message, exc)
            ahead.pass_by(passed)
            return None
        verdict = ahead.judge(planned.entry)
        if verdict is Verdict.NEW:
            self.missing += ahead.take(planned.entry)
            return planned
        self.replayed += verdict is Verdict.REPLAYED
        self.old += verdict is Verdict.OLD
        ahead.pass_by(passed)
        return None

    def _read(self, message: Any) -> Planned:
        """Return a message as it is to be published; `UnreadableMessage` when it is none."""
        place = message.partition(), message.offset() + 1
        source: dict[str, Any] = {"topic": self.topic, "partition": message.partition(), "offset": message.offset()}
        headers = message.headers()
        if self._foreign is not None and "nq.version" not in dict(headers or ()):
            source["key"] = message.key()
            data = read_foreign(message.value(), self._foreign, self._most_bytes)
            return self._plan(Entry(*place), data, {}, source, message)
        found = decode(message.value(), headers, self._most_bytes)
        if found.stream_id == self._stream_id:
            raise BridgeFailed(
                f"The topic {self.topic!r} holds what the stream {self.stream!r} sent itself: it would go round for "
                "ever. Read it into another stream."
            )
        source |= {"stream": found.stream, "lane": found.lane, "sequence": found.sequence}
        source["published_ns"] = found.published_ns
        data = found.data.to_pylist()[0] if found.is_row and self._is_tape else found.data
        entry = Entry(*place, (found.stream_id, found.lane), found.sequence)
        return self._plan(entry, data, found.metadata, source, message)

    def _plan(self, entry: Entry, data: Any, metadata: dict[str, Any], source: dict[str, Any], raw: Any) -> Planned:
        """Say in a log where a message came from; a tape keeps rows alone."""
        return Planned(entry, data, None if self._is_tape else {**metadata, "kafka": source}, raw)

    def _note_lag(self) -> None:
        lag = 0
        for one in self._client.position(self._client.assignment()):
            _, high = self._client.get_watermark_offsets(one, cached=True)
            lag += max(0, high - one.offset) if high >= 0 and one.offset >= 0 else 0
        self._lag = lag
