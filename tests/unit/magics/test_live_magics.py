"""The magics of live bars and of replays, typed into a real shell."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest

import jupyter_nq as nq
from jupyter_nq.client.live import live as live_bars
from jupyter_nq.client.live import replay as replays
from jupyter_nq.testing import wait_until
from tests.unit.magics.conftest import Shell

_DAY = "2020-06-30"


@pytest.fixture(autouse=True)
def ended(shell: Shell) -> Iterator[None]:
    """End what a test leaves running."""
    yield
    for one in [*live_bars.unstopped(), *replays.running()]:
        one.stop()


def test_a_session_is_replayed_and_its_bars_are_those_of_the_file(shell: Shell) -> None:
    """In two lines: one waits for the end, one builds bars of what it fed."""
    out = shell.run(f"%nq_replay NQ {_DAY} --timeframe 5min as session").out.splitlines()[-1]
    assert re.fullmatch(
        r"<Replay replay\.NQ\.5min, done at 2020-06-30 21:01:00Z, 100%, [\d,]+ rows>; "
        r"%nq_live SYMBOL --source replay\.NQ\.5min builds bars from it",
        out,
    )
    out = shell.run("%nq_live NQ --source replay.NQ.5min --bars 30min --warmup NQ.5min --features sma(3) as live").out
    assert out.endswith("on replay.NQ.30min.live; %nq_live --stop replay.NQ ends it\n")
    live = shell.ip.user_ns["live"]
    wait_until(lambda: live.status.bars["30min"] == 46)
    assert shell.run("%nq_live").out == f"replay.NQ: {live.status}\n"
    with nq.stream("replay.NQ.30min.live").subscribe("earliest") as reader:
        found = reader.read_table().to_pandas()
    whole = nq.Features(["sma(3)"]).compute(nq.resample("NQ.5min", "30min"))
    wanted = whole[(whole["timestamp"] >= "2020-06-29 22:00Z") & (whole["timestamp"] < "2020-06-30 21:00Z")]
    for name in ("open", "high", "low", "close", "volume", "sma_3"):
        assert np.array_equal(found[name], wanted[name])
    assert shell.run("%nq_live --stop").out == "replay.NQ is stopped: 46 closed bars; its streams stay\n"
    assert shell.run("%nq_live").out == "No live bars are built here.\n"


def test_live_bars_that_ended_by_themselves_stay_listed_until_they_are_stopped(shell: Shell) -> None:
    """With why: a notebook whose feed was dropped must not look as if it had never built any."""
    shell.run(f"%nq_replay NQ {_DAY} --timeframe 5min")
    shell.run("%nq_live NQ --source replay.NQ.5min --bars 30min as live")
    shell.run("%nq_drop_stream replay.NQ.5min")
    wait_until(lambda: shell.ip.user_ns["live"].status.state == "failed")
    said = shell.run("%nq_live").out
    assert re.match(r"replay\.NQ: failed at .*: The stream 'replay\.NQ\.5min' was dropped\.", said)
    assert shell.run("%nq_live --stop").out.startswith("replay.NQ had ended: The stream 'replay.NQ.5min' was dropped.")
    assert shell.run("%nq_live").out == "No live bars are built here.\n"


def test_a_replay_in_the_background_is_listed_and_stopped(shell: Shell) -> None:
    """Other cells run while it goes on."""
    out = shell.run(f"%nq_replay NQ {_DAY} --timeframe 5min --speed 60x --as replay.mine --background").out
    assert "<Replay replay.mine.NQ.5min, running at 2020-06-29 22:00:00Z, 0%" in out
    assert "replay.mine.NQ.5min, running" in shell.run("%nq_replay").out
    assert "replay.mine.NQ.5min, stopped" in shell.run("%nq_replay --stop").out
    assert shell.run("%nq_replay").out == "No replay runs here.\n"


def test_an_interrupt_stops_a_replay(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell fails with how far it was."""

    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replays.Replay, "wait", interrupted)
    ran = shell.run(f"%nq_replay NQ {_DAY} --timeframe 5min --speed 1x")
    assert ran.failed
    assert "interrupted: <Replay replay.NQ.5min, stopped" in ran.err
    assert replays.running() == []


def test_a_variable_is_replayed(shell: Shell) -> None:
    """Ticks of a frame, with their instrument."""
    shell.run(
        "import pandas as pd\n"
        "at = pd.date_range('2020-06-30 14:00', periods=5, freq='s', tz='UTC')\n"
        "mine = pd.DataFrame({'timestamp': at, 'price': [1.0, 2, 3, 4, 5], 'volume': [1] * 5})"
    )
    assert "5 rows" in shell.run(f"%nq_replay mine {_DAY} --symbol NQ").out
    assert nq.stream("replay.NQ.ticks").stats()["kept"] == 2, "the first when it was, the others a minute later"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%nq_live NQ", "Name the stream: %nq_live NQ --source STREAM."),
        ("%nq_live NQ --source nothing", "There is no stream 'nothing'"),
        ("%nq_live --stop NQ", "No live bars of 'NQ' are built here"),
        ("%nq_live --stop", "No live bars are built here"),
        ("%nq_replay NQ", "Name what is replayed and the day"),
        (f"%nq_replay NQ {_DAY} --timeframe 5min --as NQ", "no sandbox.*Take 'replay.NQ'"),
        (f"%nq_replay NQ {_DAY} --timeframe 5min --speed fast", "--speed fast is neither 'max' nor a speed"),
        ("%nq_replay NQ 2020-07-04 --timeframe 5min", "no session on 2020-07-04"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(shell: Shell, line: str, says: str) -> None:
    """Without a traceback, and nothing is left."""
    ran = shell.run(line)
    assert ran.failed
    assert re.search(says, ran.err)
    assert "Traceback" not in ran.err
    assert nq.list_streams() == []


def test_unloading_ends_what_runs(shell: Shell) -> None:
    """Its streams stay."""
    shell.run(f"%nq_replay NQ {_DAY} --timeframe 5min --speed 1x --background")
    shell.run("%unload_ext jupyter_nq")
    assert replays.running() == []
    assert [one.name for one in nq.list_streams()] == ["replay.NQ.5min", "replay.NQ.5min.clock"]
    shell.run("%load_ext jupyter_nq")
