"""`kafka`: a bridge as a process of its own, ended by an interrupt or a signal, with secrets that stay secret."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.testing import wait_until
from tests.unit.streams.kafka.conftest import broker

from .conftest import Run

__all__ = ["broker"]


def _bridge(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "jupyter_nq.cli", "kafka", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_carry_a_stream(nq_store_dir: Path, broker: str) -> None:
    """One to Kafka and one from there; both end with what they carried when they are told to."""
    topic = f"cli-{os.urandom(4).hex()}"
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        near, far = session.stream("near"), session.stream("far")
        for number in range(20):
            near.publish({"n": number})
        common = ("--brokers", broker, "--store", nq_store_dir)
        processes = [_bridge("--out", "near", topic, *common), _bridge("--in", "far", topic, *common)]
        try:
            wait_until(lambda: far.messages == 20, 60)
        finally:
            for process, how in zip(processes, (signal.SIGINT, signal.SIGTERM), strict=True):
                process.send_signal(how)
            said = [process.communicate(timeout=30) for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert said[0][0].startswith("<KafkaOut stream near to topic")
        assert "messages 20" in said[1][0]
        assert [message.data["n"] for message in far.subscribe("earliest").get_messages(99)] == list(range(20))


def test_what_cannot_be_done_is_one_line(run: Run, nq_store_dir: Path) -> None:
    """With exit code 2."""
    store = ("--store", nq_store_dir)
    assert run("kafka", "--out", "s", "t", *store) == (
        2,
        "",
        "jupyter nq: No broker is named: give --brokers HOST:PORT, or bootstrap.servers in the file of --config.\n",
    )
    code, _, error = run("kafka", "--out", "s", "t", "--brokers", "h:1", "--foreign", "json", *store)
    assert (code, "--foreign is for --in" in error) == (2, True)
    code, _, error = run("kafka", "--in", "s", "t", "--config", nq_store_dir / "none.yaml", *store)
    assert (code, "none.yaml" in error) == (2, True)


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("sasl.password: hunter2", 0o644, "has secrets, and others may read it. Run: chmod 600"),
        ("hunter2: [", 0o600, "no mapping of settings in YAML"),
        ("- hunter2", 0o600, "no mapping of settings in YAML"),
        ("bootstrap.servers: h:1\nsecurity.protocol: hunter2\nsasl.password: hunter2", 0o600, "config is refused"),
    ],
)
def test_a_bad_file_is_refused(
    run: Run, nq_store_dir: Path, tmp_path: Path, content: str, mode: int, says: str
) -> None:
    """And nothing of it is shown."""
    pytest.importorskip("confluent_kafka", reason='needs confluent-kafka: pip install "jupyter-nq[kafka]"')
    path = tmp_path / "kafka.yaml"
    path.write_text(content)
    path.chmod(mode)
    brokers = () if "h:1" in content else ("--brokers", "h:1")
    with Session(settings=Settings(store_dir=str(nq_store_dir))) as session:
        session.stream("s")
        code, _, error = run("kafka", "--out", "s", "t", "--config", path, *brokers, "--store", nq_store_dir)
    assert (code, says in error, "hunter2" in error) == (2, True, False)
