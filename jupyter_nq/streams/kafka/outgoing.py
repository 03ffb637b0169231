"""From a stream to Kafka: a named consumer that acknowledges what a broker has confirmed.

A bridge that dies sends again what was on its way. Sequence headers tell those messages apart. Of a durable stream it
sends what the disk has: after a restart of the machine, sequences that were not there are those of other messages.
"""

from __future__ import annotations

from typing import Any

from jupyter_nq.errors import BridgeFailed, Lagged, NotDurable
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.durable.durability import is_durable
from jupyter_nq.streams.durable.keeping import Keys, flush, no_keys
from jupyter_nq.streams.forms import Epochs
from jupyter_nq.streams.kafka import clients
from jupyter_nq.streams.kafka.bridge import Bridge
from jupyter_nq.streams.kafka.envelope import Sent, encode
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.starting import Start
from jupyter_nq.streams.subscription import Subscription

_AT_ONCE = 1000
_IDLE_SECONDS = 1.0
_POLL_SECONDS = 0.05
_DISK_SECONDS = 1.0  # a stop waits no longer for a disk


class KafkaOut(Bridge):
    """What carries a stream to a topic; made by `nq.kafka_out`.

    Parameters
    ----------
    control
        The stream's.
    topic
        Where its messages go.
    config
        Of librdkafka, or the brokers.
    name
        Of the consumer: the next bridge of that name goes on behind what a broker has confirmed.
    start, gating
        As of a subscription.
    keys
        Gives the master keys with which a durable stream is encrypted on the disk.

    Raises
    ------
    MissingLibrary, InvalidArgument, StreamBusy
    """

    _is_out = True

    def __init__(
        self,
        control: MappedControl,
        topic: str,
        config: clients.Config | str,
        *,
        name: str,
        start: Start = "earliest",
        gating: bool = False,
        keys: Keys = no_keys,
    ) -> None:
        super().__init__(control.static.name, topic, clients.checked(config))
        self.lost = 0
        """Messages that the stream let go of before they were read."""
        self._control = control
        self._epochs = Epochs(control)
        self._keys = keys
        self._missed = {lane.number: lane.get(layout.MISSED) for lane in control.lanes()}
        self._awaited = 0
        self._client = clients.producer(self._config, self._on_error)
        self._subscription = Subscription(control, start, name=name, gating=gating, keys=keys)
        self._bell = self._subscription.bell
        self._start()

    @property
    def lag(self) -> int:
        """Messages that no broker has confirmed."""
        return self._awaited + (self._subscription.lag if self._subscription.usable else 0)

    def stats(self) -> dict[str, Any]:
        """Return its figures, as `Bridge.stats`, and the messages that were `lost`."""
        return {**super().stats(), "lost": self.lost}

    def _close(self) -> None:
        self._subscription.close()

    # -- the thread ------------------------------------------------------------------------------
    def _carry(self) -> None:
        try:
            while not self._stopping.is_set():
                seen = self._subscription.bell.seen()
                found = self._read()
                if not found:
                    self._idle(seen)
                elif self._on_disk():
                    self._send(found)
        finally:
            self._client.purge()  # what no broker has yet: it was not acknowledged
            self._client.poll(0)

    def _read(self) -> list[Message]:
        while True:
            try:
                return self._subscription.get_messages(_AT_ONCE)
            except Lagged as exc:
                self.lost += exc.lost

    def _on_disk(self) -> bool:
        """Wait until the disk has what was read, of a durable stream; False when the bridge is to stop."""
        while is_durable(self._control) and not self._stopping.is_set():
            try:
                flush(self._control, self._keys, _DISK_SECONDS, self._missed)
                break
            except NotDurable as exc:
                self._in_the_way(str(exc))
                self._stopping.wait(self._next_pause())
        return not self._stopping.is_set()

    def _idle(self, seen: int) -> None:
        self._client.poll(0)
        self._check_refused()
        if self._trouble is not None and self._look() is not None:
            self._free()
        self._subscription.bell.wait(seen, _IDLE_SECONDS if self._trouble is None else self._next_pause())

    def _send(self, messages: list[Message]) -> None:
        """Have messages delivered, and acknowledge them then; those that a stop comes before are sent again."""
        nbytes = 0
        for message in messages:
            nbytes += self._produce(message)
        while self._awaited and not self._stopping.is_set():
            self._client.poll(_POLL_SECONDS)
            self._check_refused()
        self._check_refused()  # also of what came back while there were more to send
        if self._stopping.is_set():
            return
        self._subscription.ack()
        self._free()
        self.messages += len(messages)
        self.bytes += nbytes

    def _produce(self, message: Message) -> int:
        """Hand a message to librdkafka, when that has room for it; returns its bytes."""
        static = self._control.static
        schema = self._epochs.form(message.epoch).known()
        sent = encode(message, static.stream_id, schema, tape=static.form == "tape")
        while not self._stopping.is_set() and not self._handed(sent, message):
            self._client.poll(_POLL_SECONDS)
            self._check_refused()
        self._client.poll(0)
        return len(sent.value)

    def _handed(self, sent: Sent, message: Message) -> bool:
        """Tell whether librdkafka had room."""
        kafka = clients.library()
        options = {"key": sent.key, "headers": sent.headers, "on_delivery": self._delivered}
        try:
            self._client.produce(self.topic, sent.value, **options)
        except BufferError:
            return False
        except kafka.KafkaException as exc:
            raise self._failed(message, exc.args[0].str()) from exc
        self._awaited += 1
        return True

    def _failed(self, message: Message, why: str) -> BridgeFailed:
        where = f"Message {message.sequence_number} of lane {message.lane} of the stream {self.stream!r}"
        return BridgeFailed(
            f"{where} was not sent to the topic {self.topic!r}: {why}. It was not acknowledged: mend that (a large "
            "message needs 'message.max.bytes' in the configuration, and of the broker), and start the bridge again."
        )

    def _delivered(self, error: Any, _message: Any) -> None:
        self._awaited -= 1
        kafka = clients.library().KafkaError
        if error is not None and error.code() not in (kafka._PURGE_QUEUE, kafka._PURGE_INFLIGHT):
            self._refused = f"a message was not delivered: {clients.without_secrets(error.str(), self._config)}"
