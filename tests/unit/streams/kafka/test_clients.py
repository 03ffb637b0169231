"""Configurations of librdkafka: what is refused, and that nothing secret is told."""

from __future__ import annotations

import builtins
import logging
from typing import Any

import pytest

from jupyter_nq.errors import InvalidArgument, MissingLibrary
from jupyter_nq.streams.kafka import clients


def _nothing(_error: Any) -> None:
    """Take no note."""


def test_brokers_may_be_a_text() -> None:
    """It is the usual configuration."""
    assert clients.checked("host:9092") == {"bootstrap.servers": "host:9092"}
    assert clients.checked({"bootstrap.servers": "h:1", "acks": "all"})["acks"] == "all"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (7, "Write 'host:9092'"),
        ({1: 2}, "Write 'host:9092'"),
        ("", "names no brokers"),
        ({"security.protocol": "ssl"}, r"names no brokers\. Give 'bootstrap\.servers'"),
        ({"bootstrap.servers": "h:1", "enable.idempotence": False}, "depends: it is always True"),
        ({"bootstrap.servers": "h:1", "enable.auto.commit": "true"}, "depends: it is always False"),
    ],
)
def test_a_bad_configuration_is_refused(config: Any, says: str) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidArgument, match=says):
        clients.checked(config)


@pytest.mark.parametrize("topic", ["", ".", "..", "a b", "é", "x" * 250, "nq/ticks", "ticks\n"])
def test_what_no_broker_takes_as_a_topic_is_refused(topic: str) -> None:
    """At once, and not by a broker in the background."""
    with pytest.raises(InvalidArgument, match="is no name of a topic"):
        clients.check_topic(topic)
    assert clients.check_topic("nq.ticks_5-min") == "nq.ticks_5-min"


@pytest.mark.parametrize("kind", [clients.producer, clients.consumer])
def test_secrets_are_in_no_error(kind: Any) -> None:
    """Nor in its cause; the name of the setting is."""
    pytest.importorskip("confluent_kafka", reason='needs confluent-kafka: pip install "jupyter-nq[kafka]"')
    config = {"bootstrap.servers": "h:1", "sasl.password": "hunter2", "security.protocol": "hunter2"}
    with pytest.raises(InvalidArgument, match=r"Invalid value \"\*\*\*\" for configuration property") as caught:
        kind(config, _nothing)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize(
    "key", ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret", "sasl.username"]
)
def test_what_is_secret(key: str) -> None:
    """What opens a door; where it is may be told."""
    assert clients.is_secret(key)
    assert not clients.is_secret("bootstrap.servers")
    assert not clients.is_secret("ssl.ca.location")
    assert clients.without_secrets("hunter2 at h:1", {key: "hunter2", "bootstrap.servers": "h:1"}) == "*** at h:1"


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The core never needs it."""
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "confluent_kafka":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingLibrary, match=r'pip install "jupyter-nq\[kafka\]"'):
        clients.library()


def test_librdkafka_logs_where_the_package_does(broker: str) -> None:
    """Not to standard error, which a notebook shows."""
    assert logging.getLogger("jupyter_nq.kafka").parent is logging.getLogger("jupyter_nq")
    assert clients.producer(clients.checked(broker), _nothing).flush(10) == 0
