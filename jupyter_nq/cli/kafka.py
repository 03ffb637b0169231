"""`jupyter nq kafka`: a bridge between a stream and Kafka as a process of its own, until it is interrupted."""

from __future__ import annotations

import os
import signal
import stat
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from jupyter_nq.client.session import Session
from jupyter_nq.client.streams.bridging import kafka_in, kafka_out
from jupyter_nq.config import load_settings
from jupyter_nq.errors import ConfigError, InvalidArgument
from jupyter_nq.streams.kafka import KafkaIn, KafkaOut
from jupyter_nq.streams.kafka.clients import SERVERS, is_secret


def kafka(arguments: Namespace) -> int:
    """Carry messages until an interrupt or SIGTERM, and print what was carried; 2 when the bridge ended by itself."""
    if arguments.out and arguments.foreign:
        raise InvalidArgument("--foreign is for --in: what a stream sends is told by its headers.")
    config = _config(arguments)
    with (
        Session(settings=load_settings(store_dir=arguments.store)) as session,
        _bridge(session, arguments, config) as bridge,
    ):
        print(f"{bridge!r}. Ctrl-C ends it.", flush=True)
        with _terminated_as_interrupted():
            try:
                bridge.wait()
            except KeyboardInterrupt:
                bridge.stop()
        told = ", ".join(f"{name} {value}" for name, value in bridge.stats().items() if value is not None)
        print(told)
    return 0


def _bridge(session: Session, arguments: Namespace, config: dict[str, Any]) -> KafkaIn | KafkaOut:
    told: dict[str, Any] = {"name": arguments.name, "start": arguments.start}
    if arguments.out:
        return kafka_out(session, arguments.stream, arguments.topic, config, **told)
    return kafka_in(session, arguments.topic, arguments.stream, config, foreign=arguments.foreign, **told)


def _config(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of a file, and the brokers of the command line."""
    config = {} if arguments.config is None else _read(Path(arguments.config))
    if arguments.brokers is not None:
        config[SERVERS] = arguments.brokers
    if not config.get(SERVERS):
        raise ConfigError(f"No broker is named: give --brokers HOST:PORT, or {SERVERS} in the file of --config.")
    return config


def _read(path: Path) -> dict[str, Any]:
    """Return the settings of a file, which nobody else may read if there are secrets in it."""
    with path.open(encoding="utf-8") as file:
        mode = os.fstat(file.fileno()).st_mode
        try:
            found = yaml.safe_load(file)
        except (yaml.YAMLError, UnicodeDecodeError):
            found = None  # what is wrong with it could be a secret
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ConfigError(f"{path} is no mapping of settings in YAML, one `name: value` on each line.")
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and any(map(is_secret, found)):
        raise ConfigError(f"{path} has secrets, and others may read it. Run: chmod 600 {path}")
    return found


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the bridge as an interrupt does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
