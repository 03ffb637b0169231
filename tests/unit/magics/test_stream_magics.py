"""The magics about streams, typed into a real shell."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import jupyter_nq as nq
from jupyter_nq.client.streams.streaming import Listed
from jupyter_nq.streams import Subscription
from jupyter_nq.testing import wait_until
from nq_magics.stream_display import StreamsView
from tests.unit.client.child import session_child
from tests.unit.magics.conftest import Shell

_DATA = """
import numpy as np, pandas as pd, pyarrow as pa
frame = pd.DataFrame({"price": [1.0, 2.0, 3.0]})
table = pa.table({"price": [4.0]})
columns = {"price": np.array([5.0, 6.0])}
limits = {"max": 3, "stops": [1.5, None]}
raw = b"raw"
"""


@pytest.fixture(autouse=True)
def data(shell: Shell) -> None:
    """Give the shell something to publish."""
    assert not shell.run(_DATA).failed


def _subscription(shell: Shell, name: str) -> Subscription:
    found = shell.ip.user_ns[name]
    assert isinstance(found, Subscription)
    return found


def test_each_kind_of_variable_is_published_and_read_as_it_was(shell: Shell) -> None:
    """One line with sequence, rows or bytes, consumers and time; who reads gets the same kind back."""
    amounts = {"frame": "3 rows, ", "table": "1 row, ", "columns": "2 rows, ", "limits": "", "raw": "3 B, "}
    for seq, (variable, amount) in enumerate(amounts.items()):
        out = shell.run(f"%nq_publish signals {variable}").out.splitlines()[-1]
        new = ", the stream is new" if seq == 0 else ""
        assert re.fullmatch(rf"signals: message {seq}, {amount}0 consumers, published in [\d.]+ m?s{new}", out)
    shell.run("%nq_subscribe signals --start earliest")
    found = [message.data for message in _subscription(shell, "signals").get_messages()]
    pd.testing.assert_frame_equal(found[0], pd.DataFrame({"price": [1.0, 2.0, 3.0]}))
    assert found[1].equals(pa.table({"price": [4.0]}))
    assert found[2].to_pydict() == {"price": [5.0, 6.0]}
    assert found[3:] == [{"max": 3, "stops": [1.5, None]}, b"raw"]


def test_publish_counts_who_reads_now(shell: Shell) -> None:
    """Consumers that are there, and not the names of those that are gone."""
    shell.run("%nq_publish signals frame\n%nq_subscribe signals as a --name kept\n%nq_subscribe signals as b")
    assert "2 consumers" in shell.run("%nq_publish signals frame").out
    shell.run("a.close()\ndel a")
    assert "1 consumer," in shell.run("%nq_publish signals frame").out


def test_publish_sees_the_variables_of_a_function(shell: Shell) -> None:
    """Inside a function the local variable is meant."""
    shell.run(
        "def f():\n    mine = {'x': 1}\n    %nq_publish signals mine\nf()\n%nq_subscribe signals --start earliest"
    )
    assert [message.data for message in _subscription(shell, "signals").get_messages()] == [{"x": 1}]


def test_a_message_that_is_dropped_is_told(shell: Shell) -> None:
    """A stream that drops new messages says so, instead of a sequence."""
    shell.run("nq_stream = __import__('jupyter_nq').stream('few', retention_bytes=1 << 17, overflow='drop_new')")
    shell.run("%nq_subscribe few --gating\nlarge = np.zeros(3000)\nmany = {'x': large}")
    out = shell.run("for _ in range(9):\n    %nq_publish few many").out
    assert out.splitlines()[-1] == "few: dropped, because it keeps what a gating consumer has not read"
    shell.run("while few.get_messages(): pass")
    assert "message" in shell.run("%nq_publish few many").out


def test_subscribe_says_what_to_call(shell: Shell) -> None:
    """The variable is called as the stream, or as it is told; what is there to be read is counted."""
    shell.run("%nq_publish signals frame\n%nq_publish signals frame")
    calls = r"{0}.get_messages\(timeout=5\), {0}.read_table\(timeout=5\), or for message in {0}"
    out = shell.run("%nq_subscribe signals").out
    assert re.fullmatch(rf"signals reads signals, 0 messages there: {calls.format('signals')}\n", out)
    out = shell.run("%nq_subscribe signals as mine --start -1 --name risk").out
    kept = r"; mine.ack\(\) keeps the position of risk"
    assert re.fullmatch(rf"mine reads signals, 1 message there: {calls.format('mine')}{kept}\n", out)
    assert shell.run("mine.read_table().num_rows").value == 3
    assert "2 messages there" in shell.run("%nq_subscribe signals as all --start 2024-01").out
    assert "1 message there" in shell.run("%nq_subscribe signals as one --start 1").out


def test_subscribing_again_closes_the_consumer_that_the_variable_held(shell: Shell) -> None:
    """A cell that runs twice leaves one consumer; another variable of the same stream stays."""
    shell.run("%nq_publish signals frame\n%nq_subscribe signals as other\n%nq_subscribe signals")
    former = _subscription(shell, "signals")
    shell.run("%nq_subscribe signals")
    assert not former.usable
    assert _subscription(shell, "signals").usable
    assert _subscription(shell, "other").usable
    assert len(nq.list_streams()[0].consumers) == 2


def test_a_refused_first_message_leaves_no_stream(shell: Shell) -> None:
    """The stream was made for it; one that was there stays."""
    nq.stream("there")
    assert "The set cannot be sent" in shell.run("numbers = {1, 2}\n%nq_publish signals numbers").err
    assert "The set cannot be sent" in shell.run("%nq_publish there numbers").err
    assert [listed.name for listed in nq.list_streams()] == ["there"]
    assert shell.run("%nq_publish signals raw").out.endswith("the stream is new\n")


def test_a_named_consumer_is_subscribed_again(shell: Shell) -> None:
    """A cell that runs twice goes on where the name acknowledged, and is not in its own way."""
    shell.run("%nq_publish signals frame\n%nq_publish signals raw\n%nq_subscribe signals --name risk --start earliest")
    shell.run("first = signals.get_messages(1)\nsignals.ack()")
    assert "signals reads signals, 1 message there" in shell.run("%nq_subscribe signals --name risk").out
    assert (
        "A consumer 'risk' of the stream 'signals' is there" in shell.run("%nq_subscribe signals as b --name risk").err
    )


def test_conflating_reads_the_newest(shell: Shell) -> None:
    """What lies between is skipped, and not lost."""
    shell.run("%nq_publish signals limits\n%nq_subscribe signals --conflate")
    shell.run("for i in range(5):\n    now = {'i': i}\n    %nq_publish signals now")
    found = _subscription(shell, "signals")
    assert [message.data for message in found.get_messages()] == [{"i": 4}]
    assert found.lost == 0


def test_a_cell_runs_for_each_message(shell: Shell) -> None:
    """In a thread of its own, with `message` and `data`, and what it assigns is the notebook's."""
    shell.run("%nq_publish signals limits\nseen = []\ndata = 'my own'")
    said = shell.run("%%nq_on signals\nimport threading\nnewest = [data for _ in range(2)]\nseen.append(message)\n")
    assert said.out == "<Listener running, 0 calls, 0 errors, lost 0> on signals; %nq_on signals --stop ends it\n"
    shell.run("%nq_publish signals limits\nthread = threading.current_thread().name if 'threading' in dir() else None")
    shell.run("%nq_publish signals raw")
    wait_until(lambda: len(shell.ip.user_ns["seen"]) == 2)
    names = shell.ip.user_ns
    assert [message.sequence_number for message in names["seen"]] == [1, 2]
    wait_until(lambda: names["newest"] == [b"raw", b"raw"])
    assert names["data"] == "my own"
    assert names["threading"] is threading
    assert "message" not in names
    assert shell.run("%nq_on signals").out.startswith("<Listener running, 2 calls, 0 errors, lost 0> on signals;")
    assert shell.run("%nq_on signals --stop").out == "<Listener stopped, 2 calls, 0 errors, lost 0> on signals\n"
    wait_until(lambda: nq.list_streams()[0].consumers == ())


def test_a_cell_runs_for_batches(shell: Shell) -> None:
    """On a tape what came together is one batch, and `data` is all there is."""
    shell.run("import jupyter_nq as nq\nticks = nq.stream('ticks', {'price': 'float64'})\nrows = []")
    shell.run("ticks.publish_rows((float(i),) for i in range(100))")
    shell.run("%%nq_on ticks --batches --start earliest\nrows.append(data.num_rows)\nmessage")
    wait_until(lambda: sum(shell.ip.user_ns["rows"]) == 100)
    assert shell.ip.user_ns["rows"] == [100]
    assert "1 error" in shell.run("%nq_on ticks").out, "there is no message"
    shell.run("%nq_on ticks --stop")


def test_running_the_cell_again_replaces_it(shell: Shell) -> None:
    """Each message is handled once, by the newest body; a body that is none leaves the former one."""
    shell.run("%nq_publish signals limits\nold, new = [], []\n")
    shell.run("%%nq_on signals\nold.append(data)")
    shell.run("%%nq_on signals\nnew.append(data)")
    broken = shell.run("%%nq_on signals\nnew.append(data)\nprint(")
    assert broken.err == "UsageError: The cell cannot run for each message: line 3: '(' was never closed.\n"
    shell.run("%nq_publish signals raw")
    wait_until(lambda: shell.ip.user_ns["new"] == [b"raw"])
    assert shell.ip.user_ns["old"] == []
    shell.run("%nq_on signals --stop")


def test_errors_of_a_cell_are_shown_once(shell: Shell, caplog: pytest.LogCaptureFixture) -> None:
    """With the line that failed; the next message is handled all the same."""
    shell.run("%nq_publish signals limits\nbad = True\ndone = []")
    shell.run("%%nq_on signals\nif bad:\n    raise ValueError('no such limit')\ndone.append(data)")
    with caplog.at_level(logging.WARNING, "jupyter_nq"):
        shell.run("%nq_publish signals raw\n%nq_publish signals raw")
        wait_until(lambda: "2 errors" in shell.run("%nq_on signals").out)
    assert caplog.text.count("no such limit") == 2, "in the line of code, and in the error"
    assert "a callback of the stream 'signals' failed, and is called on" in caplog.text
    shell.run("bad = False\n%nq_publish signals raw")
    wait_until(lambda: shell.ip.user_ns["done"] == [b"raw"])
    shell.run("%nq_on signals --stop")


def test_magics_and_functions_work_in_a_cell(shell: Shell) -> None:
    """A body may use magics, nested functions that see `data`, and `return` to skip the rest."""
    shell.run("%nq_publish signals limits\nfound = 0")
    body = "if data == b'raw':\n    return\ndef double():\n    return 2 * data['i']\nfound += double()\n"
    shell.run(f"%%nq_on signals\n{body}%nq_publish out data")
    shell.run("%nq_publish signals raw\nnow = {'i': 21}\n%nq_publish signals now")
    wait_until(lambda: [s.messages for s in nq.list_streams() if s.name == "out"] == [1], message="the second stream")
    assert shell.ip.user_ns["found"] == 42
    shell.run("%nq_on signals --stop")


def test_help_shows_both_ways_to_write_it(shell: Shell) -> None:
    """As a line and as the first line of a cell."""
    assert (
        "%nq_on STREAM [--stop]; or %%nq_on STREAM [options] as the first line of a cell" in shell.run("%nq_on -h").out
    )


def test_streams_are_listed(shell: Shell) -> None:
    """By name, with who publishes and reads; pids become the programs that the coordinator knows."""
    assert repr(shell.run("%nq_streams").value) == "There is no stream yet. %nq_publish or nq.stream makes one."
    shell.run("%nq_publish signals frame\n%nq_subscribe signals as a --name risk --start earliest")
    shell.run("%nq_subscribe signals as b\n%nq_subscribe signals as c\n%nq_publish signals frame")
    view = shell.run("%nq_streams").value
    assert isinstance(view, StreamsView)
    assert [row.name for row in view] == ["signals"]
    assert (len(view), view[0].lag) == (1, 2)
    head, row = repr(view).splitlines()
    assert re.split(r"  +", head) == [
        "name", "form", "messages", "rate", "kept", "published by", "read by", "lag", "lost", "memory"
    ]  # fmt: skip
    (me,) = nq.notebooks()
    process = f"{me.who} (pid {me.pid})"
    cells = re.split(r"  +", row)
    assert cells[:3] + cells[4:6] == ["signals", "log", "2", "2", process]
    assert re.fullmatch(r"[0-2]/s", cells[3])
    assert sorted(cells[6].split(", ")) == sorted([f"{process} (2)", "risk"])
    assert cells[7:9] == ["2", "0"]
    assert re.fullmatch(r"[\d.]+ MiB each", cells[9])
    assert f"<td>{process}</td>" in view._repr_html_()


def test_streams_are_dropped_all_or_none(shell: Shell) -> None:
    """One that is not there, and the others stay; a cell that runs for one ends without a word."""
    shell.run("%nq_publish a frame\n%nq_publish b frame\n%nq_publish a frame\n")
    shell.run("%%nq_on a\npass")
    assert "There is no stream 'x'" in shell.run("%nq_drop_stream a x b").err
    assert shell.run("%nq_drop_stream a b a").out == (
        "a is dropped after 2 messages; batches that are held stay readable.\n"
        "b is dropped after 1 message; batches that are held stay readable.\n"
    )
    assert len(shell.run("%nq_streams").value) == 0
    assert "No cell runs for 'a'" in shell.run("%nq_on a").err


def test_a_cell_whose_stream_was_dropped_says_so(shell: Shell) -> None:
    """By another notebook, which drops it by its function here."""
    shell.run("%nq_publish signals frame")
    shell.run("%%nq_on signals\npass")
    nq.drop_stream("signals")
    wait_until(lambda: "stopped" in shell.run("%nq_on signals").out)
    ended = "<Listener stopped, 0 calls, 0 errors, lost 0: The stream 'signals' was dropped.> on signals\n"
    assert shell.run("%nq_on signals").out == ended


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%nq_subscribe sginals", "There is no stream 'sginals'. Did you mean 'signals'? There are: signals."),
        ("%%nq_on sginals\npass", "There is no stream 'sginals'. Did you mean 'signals'?"),
        ("%nq_subscribe signals --start soon", "'soon' is no start; write latest, earliest, a sequence, -100"),
        ("%nq_subscribe signals --strat 1", "has no option '--strat'. Did you mean '--start'?"),
        ("%nq_subscribe signals as class", "'class' is not a name that a variable can have"),
        ("%nq_publish signals frame + 1", "or write nq.stream('signals').publish(frame + 1)."),
        ("%nq_publish signals fram", "There is no variable 'fram'. Did you mean 'frame'?"),
        ("%nq_publish ../x frame", "../x"),
        ("%nq_publish signals other", "The stream 'signals' has price double; the data have price "),
        ("%nq_publish signals shell", "cannot be sent"),
        ("%nq_on signals", "No cell runs for 'signals'. Write %%nq_on signals as the first line of a cell."),
        ("%nq_on signals --stop", "No cell runs for 'signals'."),
        ("%%nq_on signals\n# nothing", "The cell is empty."),
        ("%%nq_on signals\nawait x", "The cell cannot run for each message: line 2: 'await' outside async function."),
        ("%nq_drop_stream", "the following arguments are required: STREAM"),
    ],
)
def test_errors_are_one_line(shell: Shell, line: str, says: str) -> None:
    """A sentence that says what to do, no traceback, and no variable."""
    shell.run("%nq_publish signals frame\nother = pd.DataFrame({'price': ['high']})\nshell = get_ipython()")
    before = set(shell.ip.user_ns)
    ran = shell.run(line)
    assert ran.err.startswith("UsageError: ")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert {name for name in shell.ip.user_ns if not name.startswith("_")} <= before


def test_a_stream_of_another_name_than_a_variable_needs_one(shell: Shell) -> None:
    """A dotted name is asked for its variable."""
    shell.run("%nq_publish nq.signals frame")
    assert "'nq.signals' is not a name that a variable can have" in shell.run("%nq_subscribe nq.signals").err
    assert "mine reads nq.signals" in shell.run("%nq_subscribe nq.signals as mine").out


def test_unloading_ends_the_cells(shell: Shell) -> None:
    """After `%unload_ext` no cell of the notebook runs for messages any more."""
    shell.run("%nq_publish signals frame\nseen = []")
    shell.run("%%nq_on signals\nseen.append(data)")
    shell.run("%unload_ext jupyter_nq")
    wait_until(lambda: nq.list_streams()[0].consumers == ())
    shell.run("%load_ext jupyter_nq\n%nq_publish signals frame")
    assert shell.ip.user_ns["seen"] == []


def test_another_process_is_named_by_its_pid_until_the_coordinator_knows_it(shell: Shell, nq_store_dir: Path) -> None:
    """A publisher in a process of its own is listed as its program."""
    shell.run("%nq_status")
    with session_child(nq_store_dir, "session.stream('theirs').publish({'x': 1})\nsay('done')\ninput()") as child:
        assert child.line() == "done"
        shown = repr(shell.run("%nq_streams").value)
        assert f"(pid {child.pid})" in shown
        assert f"pid {child.pid}" in repr(StreamsView(nq.list_streams()))


def test_numbers_that_nothing_reads_are_shown() -> None:
    """A stream that nobody uses has no publisher, no consumer and no lag."""
    row = Listed("<b>", "tape", 1_234, 1_000, (), ("feed\x1b", "77"), 12, 3, 1 << 20, 1_500)
    shown = repr(StreamsView([row]))
    assert re.search(r"<b> +tape +1,234 +1,500/s +1,000 +nobody +feed\\x1b, pid 77 +12 +3 +1\.0 MiB each", shown)
    assert "<b>" not in StreamsView([row])._repr_html_()
    assert len(shown.splitlines()) == 2
