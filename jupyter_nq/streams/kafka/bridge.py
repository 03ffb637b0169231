"""What both bridges have in common: a thread that carries messages until it is stopped, and says how it is."""

from __future__ import annotations

import abc
import logging
import os
import threading
import weakref
from typing import Any

from jupyter_nq.errors import BridgeFailed
from jupyter_nq.streams.kafka import clients
from jupyter_nq.streams.waiting import Bell

_log = logging.getLogger("jupyter_nq")
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_LOOK_SECONDS = 1.0  # how long a broker is asked, and at most how long a stop waits for that
_CONNECTING = "it is connecting"
_live: weakref.WeakSet[Bridge] = weakref.WeakSet()
_of_the_parent: list[Any] = []  # in a forked child: closing a client there would wait for threads that it lacks


class Bridge(abc.ABC):
    """A bridge between a stream and a topic of Kafka, at work until it is stopped.

    Parameters
    ----------
    stream, topic
        Their names.
    config
        Of librdkafka.

    Raises
    ------
    InvalidArgument
        No topic has this name.
    """

    def __init__(self, stream: str, topic: str, config: clients.Config) -> None:
        # The thread alone writes the figures, _trouble, _refused and _client; the two events are anybody's.
        self.stream = stream
        self.topic = clients.check_topic(topic)
        self.error: BaseException | None = None
        """Why it ended by itself."""
        self.messages = 0
        """Carried over."""
        self.bytes = 0
        """Of their values as Kafka has them."""
        self.errors = 0
        """Errors of the connection; it goes on after them."""
        self._config = config
        self._trouble: str | None = _CONNECTING
        self._last_error = ""
        self._refused: str | None = None
        self._client: Any = None
        self._bell: Bell | None = None  # that the thread waits for
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._thread = threading.Thread(target=self._run, name=f"jupyter-nq-kafka-{topic}", daemon=True)

    def __repr__(self) -> str:
        ends = [f"stream {self.stream}", f"topic {self.topic}"]
        way = " to ".join(ends if self._is_out else reversed(ends))
        return f"<{type(self).__name__} {way}, {self.state}, {self.messages:,} messages>"

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    _is_out = False

    # -- for everybody ---------------------------------------------------------------------------
    @property
    def state(self) -> str:
        """`running`; `waiting` while something is in its way that it tries again; `stopped`; or `failed`."""
        if self.error is not None:
            return "failed"
        if self._ended.is_set():
            return "stopped"
        return "running" if self._trouble is None else "waiting"

    @property
    @abc.abstractmethod
    def lag(self) -> int:
        """Messages that are there and were not carried over."""

    def stats(self) -> dict[str, Any]:
        """Return its figures: state, what is in its way, messages, bytes, lag, and errors of each kind."""
        return {
            "stream": self.stream,
            "topic": self.topic,
            "state": self.state,
            "trouble": str(self.error) if self.error is not None else self._trouble,
            "messages": self.messages,
            "bytes": self.bytes,
            "lag": self.lag,
            "errors": self.errors,
        }

    def stop(self, timeout: float | None = 10.0) -> bool:
        """End it; returns whether it has ended in time. What was not acknowledged is carried by the next one."""
        self._stopping.set()
        if self._bell is not None:
            self._bell.ring()
        return self._ended.wait(timeout)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; returns whether it has ended in time, and raises why, if it did so by itself.

        Raises
        ------
        BridgeFailed, SchemaMismatch, UnknownStream, ChecksumError
        """
        ended = self._ended.wait(timeout)
        if ended and self.error is not None:
            raise self.error
        return ended

    # -- the thread ------------------------------------------------------------------------------
    def _start(self) -> None:
        _live.add(self)
        self._thread.start()

    @abc.abstractmethod
    def _carry(self) -> None:
        """Carry messages until it is to stop."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Let go of the stream."""

    def _run(self) -> None:
        try:
            try:
                self._carry()
            finally:
                self._close()
        except Exception as exc:  # it is shown in `error`, and raised by `wait`
            self.error = exc
            _log.warning("%r: %s", self, exc)
        finally:
            self._client = None
            self._ended.set()

    def _on_error(self, error: Any) -> None:
        """Take note of what librdkafka says; called by the thread while it polls."""
        self.errors += 1
        kafka = clients.library().KafkaError
        told = clients.without_secrets(error.str(), self._config)
        if error.fatal():
            self._refused = f"Kafka has given up: {told}"
        elif error.code() == kafka._ALL_BROKERS_DOWN:
            self._in_the_way(f"no broker can be reached ({self._last_error or told})")
        else:
            self._last_error = told
            if error.code() in (kafka._AUTHENTICATION, kafka._SSL, kafka._RESOLVE):
                self._in_the_way(told)

    def _in_the_way(self, what: str) -> None:
        if self._trouble in (None, _CONNECTING):
            _log.warning("%r waits: %s; it tries again", self, what)
        self._trouble = what

    def _free(self) -> None:
        """Take note that nothing is in the way."""
        self._trouble = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS

    def _next_pause(self) -> float:
        """Return the seconds before another attempt: longer each time, until nothing is in the way."""
        pause, self._pause_seconds = self._pause_seconds, min(2 * self._pause_seconds, _LONGEST_PAUSE_SECONDS)
        return pause

    def _check_refused(self) -> None:
        if self._refused is not None:
            between = f"the stream {self.stream!r} and the topic {self.topic!r}"
            raise BridgeFailed(f"The bridge between {between} ended: {self._refused}. Mend that and start it again.")

    def _look(self, topic: str | None = None) -> Any:
        """Ask a broker what it has: of one topic, or of all; None when none answers."""
        kafka = clients.library()
        wanted = () if topic is None else (topic,)
        try:
            found = self._client.list_topics(*wanted, timeout=_LOOK_SECONDS)
        except kafka.KafkaException as exc:
            told = clients.without_secrets(self._last_error or exc.args[0].str(), self._config)
            self._in_the_way(f"no broker answers ({told})")
            return None
        finally:
            self._check_refused()
        return found


def _part_in_child() -> None:
    for bridge in list(_live):
        _of_the_parent.append(bridge._client)
        bridge._stopping, bridge._ended = threading.Event(), threading.Event()  # somebody may hold the others' locks
        bridge._stopping.set()
        bridge._ended.set()
    _live.clear()


os.register_at_fork(after_in_child=_part_in_child)
