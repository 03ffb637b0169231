"""Producer and consumer of confluent-kafka as the bridges use them: imported here alone, and only when one is made.

Nothing secret of a configuration gets into an error, a log line or a representation.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_nq.errors import InvalidArgument, MissingLibrary

SERVERS = "bootstrap.servers"
_SECRET = re.compile(r"password|secret|token|oauth|jaas|credential|\.key|key\.pem|sasl\.username")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_QUEUE_KBYTES = 64 << 10  # 64 MiB
_COMMON = {"client.id": "jupyter-nq", "reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 10_000}
_PRODUCER = {
    "message.timeout.ms": 0,  # never: it is tried again until the broker has it, in its order
    "linger.ms": 5,
    "queue.buffering.max.kbytes": _QUEUE_KBYTES,
}
_PRODUCER_FIXED = {"enable.idempotence": True, "acks": "all"}
_CONSUMER = {"group.id": "jupyter-nq", "queued.max.messages.kbytes": _QUEUE_KBYTES}
_CONSUMER_FIXED = {"enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "earliest"}
# Takes what librdkafka says of itself, which would go to standard error: into the output of a notebook.
_log = logging.getLogger("jupyter_nq.kafka")


def _quieted(record: logging.LogRecord) -> bool:
    """Make a failed connection, which librdkafka repeats several times a second, a line for who debugs.

    The bridge itself says once what is in its way, and `stats()` says it as long as it is.
    """
    if record.getMessage().startswith("FAIL"):
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
    return _log.isEnabledFor(record.levelno)


_log.addFilter(_quieted)

Config = Mapping[str, Any]
OnError = Callable[[Any], None]


def checked(config: Config | str) -> dict[str, Any]:
    """Return a configuration of librdkafka; a text names the brokers.

    Raises
    ------
    InvalidArgument
        It is none, names no brokers, or sets what the bridges depend on.
    """
    if isinstance(config, str):
        config = {SERVERS: config}
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise InvalidArgument("config is none. Write 'host:9092', or a dict of librdkafka's settings.")
    if not config.get(SERVERS):
        raise InvalidArgument(f"config names no brokers. Give {SERVERS!r}: 'host:9092'.")
    for key, value in {**_PRODUCER_FIXED, **_CONSUMER_FIXED}.items():
        if key in config and str(config[key]).lower() != str(value).lower():
            raise InvalidArgument(f"config sets {key!r}, on which the bridge depends: it is always {value!r}.")
    return dict(config)


def check_topic(topic: str) -> str:
    """Return the name of a topic; raises `InvalidArgument` for what no broker takes."""
    if not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise InvalidArgument(
            f"topic={topic[:40]!r} is no name of a topic: up to 249 letters, digits, dots, dashes and underscores."
        )
    return topic


def producer(config: Config, on_error: OnError) -> Any:
    """Return a producer that delivers in order, and each message once to the partition.

    Raises
    ------
    MissingLibrary, InvalidArgument
    """
    return _make("Producer", {**_COMMON, **_PRODUCER, **config, **_PRODUCER_FIXED}, on_error)


def consumer(config: Config, on_error: OnError) -> Any:
    """Return a consumer that keeps no offsets of its own; as `producer`."""
    return _make("Consumer", {**_COMMON, **_CONSUMER, **config, **_CONSUMER_FIXED}, on_error)


def library() -> Any:
    """Return the module confluent_kafka; `MissingLibrary` when it is not there."""
    try:
        import confluent_kafka
    except ImportError as exc:
        raise MissingLibrary('confluent-kafka is not installed here. Run: pip install "jupyter-nq[kafka]"') from exc
    return confluent_kafka


def _make(kind: str, config: dict[str, Any], on_error: OnError) -> Any:
    kafka = library()
    logger = config.pop("logger", _log)
    try:
        return getattr(kafka, kind)({**config, "error_cb": on_error}, logger=logger)
    except (kafka.KafkaException, TypeError, ValueError) as exc:
        said = exc.args[0].str() if isinstance(exc, kafka.KafkaException) else str(exc)
        told = without_secrets(said, config)
    raise InvalidArgument(f"config is refused: {told}.")  # outside: the cause would show what was left out


def without_secrets(text: str, config: Config) -> str:
    """Return a text without the secret values of a configuration.

    >>> without_secrets("hunter2 is wrong", {"sasl.password": "hunter2"})
    '*** is wrong'
    """
    for key, value in config.items():
        if is_secret(key) and str(value):
            text = text.replace(str(value), "***")
    return text


def is_secret(key: str) -> bool:
    """Tell whether the value of a setting is nobody else's business."""
    return _SECRET.search(key) is not None
