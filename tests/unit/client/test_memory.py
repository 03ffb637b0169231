"""Leaving memory and coming back: room is made, pins and holders are respected, and no byte changes."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.session import Session
from jupyter_nq.config import spill_dir_of
from jupyter_nq.errors import ConfigError, StoreFull, UnknownDataset, UnsupportedData
from jupyter_nq.testing import wait_until
from tests.unit.client.child import session_child
from tests.unit.client.small import MIB, array, small_session

pytestmark = pytest.mark.usefixtures("disk")


def _in_memory(session: Session) -> list[str]:
    return [row.name for row in session.ls() if row.bytes]


def test_what_was_not_used_for_longest_makes_way(nq_store_dir: Path) -> None:
    """Eight datasets pass through room for three; each comes back with its bytes, version and digest."""
    with small_session(nq_store_dir) as session:
        for i in range(8):
            session.put(f"d{i}", array(i))
        assert len(session.ls()) == 8
        assert _in_memory(session) == ["d5", "d6", "d7"]
        for i in range(8):
            got = session.get(f"d{i}", as_="numpy", verify="always")
            assert (got == i).all()
            del got
        assert [row.version for row in session.ls()] == [1] * 8
        assert session.status().pool_used_bytes <= 8 * MIB


@pytest.mark.parametrize(("policy", "gone"), [("lru", "b"), ("lfu", "c"), ("fifo", "a")])
def test_the_policy_says_what_goes_first(nq_store_dir: Path, policy: str, gone: str) -> None:
    """Longest not used, least often used, or oldest."""
    with small_session(nq_store_dir, eviction_policy=policy) as session:
        for name in "abc":
            session.put(name, array(1))
        for name in "abbaabbac":  # beside the uses of their puts, which may be told or not
            with session.open(name):
                wait_until(lambda name=name: name in session.desk().notebooks[0].holds)  # type: ignore[misc]
            wait_until(lambda: not session.desk().notebooks[0].holds)
        if policy == "lru":
            with session.open("a"):
                wait_until(lambda: session.desk().notebooks[0].holds)
            wait_until(lambda: not session.desk().notebooks[0].holds)
        session.put("d", array(1))
        assert sorted({"a", "b", "c"} - set(_in_memory(session))) == [gone]


def test_what_is_held_or_pinned_stays(nq_store_dir: Path) -> None:
    """When nothing may go, the error names the holders; the pin survives the process that made it."""
    with small_session(nq_store_dir) as session:
        session.put("held", array(1))
        session.put("pinned", array(2))
        assert session.pin("pinned").version == 1
        view = session.get("held", as_="numpy")
        session.put("third", array(3))
        session.put("fourth", array(4))
        assert _in_memory(session) == ["fourth", "held", "pinned"]
        with pytest.raises(StoreFull, match=rf"held version 1, 2.0 MiB, held by .*pid {os.getpid()}"):
            session.put("large", array(5, mib=6))
        assert (view == 1).all()
        assert session.spill("held", "pinned") == []
    with small_session(nq_store_dir) as session:
        assert [row.name for row in session.ls() if row.pinned] == ["pinned"]
        session.unpin("pinned")
        assert not any(row.pinned for row in session.ls())
        assert session.spill("pinned")[0].name == "pinned"
        with pytest.raises(UnknownDataset, match="Did you mean 'pinned'"):
            session.pin("pinnd")


def test_a_frame_comes_back_as_it_was(nq_store_dir: Path) -> None:
    """Nulls, text, categories, index and dtypes; older versions and appends too."""
    frame = pd.DataFrame(
        {
            "close": [1.5, np.nan, 3.25],
            "word": pd.array(["a", None, "c"], "string"),
            "side": pd.Categorical(["buy", "sell", "buy"]),
            "n": pd.array([1, None, 3], "Int64"),
        },
        index=pd.date_range("2024-06-12", periods=3, tz="UTC", name="when").as_unit("ns"),
    )
    with small_session(nq_store_dir, append_reserve=4.0) as session:
        session.put("frame", frame)
        session.append("frame", frame)
        (spilled,) = session.spill("frame")
        assert (spilled.version, spilled.rows) == (2, 6)
        (row,) = session.ls()
        assert (row.bytes, row.rows, row.disk_bytes > 0, row.durable) == (0, 6, True, False)
        pd.testing.assert_frame_equal(session.get("frame", version=1), frame, check_freq=False)
        assert session.spill("frame")
        assert session.append("frame", frame).version == 3
        whole = session.get("frame", verify="always")
        pd.testing.assert_frame_equal(whole, pd.concat([frame] * 3), check_freq=False)
        assert session.ls()[0].disk_bytes == 0, "the copy lacks the rows that were appended"


def test_dropping_and_replacing_remove_the_copy(nq_store_dir: Path, disk: Path) -> None:
    """Nothing of a dropped or replaced dataset is left on the disk."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        session.put("b", array(1), durable=True)
        session.spill("a", "b")
        assert len(list(disk.glob("*/*.cold"))) == 2
        session.drop("a")
        session.put("b", array(2), durable=False)
        wait_until(lambda: not list(disk.glob("*/*.cold")), message="the copies to go")
        assert [(row.name, row.version) for row in session.ls()] == [("b", 2)]


def test_durable_data_survives_the_loss_of_all_memory(nq_store_dir: Path, disk: Path) -> None:
    """After the store is gone, as after a restart of the machine, its names, versions and rows are back."""
    with small_session(nq_store_dir) as session:
        session.put("kept", {"x": np.arange(10)}, durable=True)
        session.append("kept", {"x": np.arange(10, 15)})
        session.put("kept2", np.ones(3), durable=True)
        session.put("kept2", np.ones(4))
        session.put("lost", np.ones(3))
        session.put("dropped", np.ones(3), durable=True)
        session.drop("dropped")
    shutil.rmtree(nq_store_dir)
    with small_session(nq_store_dir) as session:
        assert [(r.name, r.version, r.rows, r.bytes) for r in session.ls()] == [("kept", 2, 15, 0), ("kept2", 2, 4, 0)]
        assert session.get("kept", as_="numpy", verify="always")["x"].tolist() == list(range(15))
        assert session.append("kept", {"x": np.arange(2)}).version == 3
        assert session.put("kept2", np.ones(5)).version == 3
        assert all(row.durable for row in session.ls())
    assert spill_dir_of(str(disk), nq_store_dir) == (nq_store_dir / COLD).resolve()


def test_copies_are_encrypted_with_the_key_of_the_environment(
    nq_store_dir: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither rows nor columns can be read from the disk; without the key the error names it."""
    monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(bytes(range(32))).decode())
    with small_session(nq_store_dir) as session:
        session.put("secret", {"alpha_signal": np.arange(1000)})
        session.spill("secret")
        (path,) = disk.glob("*/*.cold")
        assert b"alpha_signal" not in path.read_bytes()
        monkeypatch.delenv("JUPYTER_NQ_KEY")
        with pytest.raises(LookupError, match=r"[0-9a-f]{16}"):
            session.get("secret")
        monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(bytes(range(32))).decode())
        assert session.get("secret", as_="numpy")["alpha_signal"].sum() == 499_500


def test_one_process_may_not_take_it_all(nq_store_dir: Path) -> None:
    """With a quota for each process its own oldest data make way, and nobody else's."""
    with small_session(nq_store_dir, notebook_bytes=5 * MIB) as session:
        code = "session.put('theirs', np.ones(1 << 18)); say('done'); input()"
        with session_child(nq_store_dir, code) as child:
            assert child.line() == "done"
            for i in range(3):
                session.put(f"mine{i}", array(i))
            assert _in_memory(session) == ["mine1", "mine2", "theirs"]
            views = [session.get(f"mine{i}", as_="numpy") for i in (1, 2)]
            with pytest.raises(StoreFull, match=r"one process may have 5.0 MiB in the store \(notebook_bytes\)"):
                session.put("mine3", array(3))
            del views


def test_nothing_leaves_memory_when_it_may_not(nq_store_dir: Path) -> None:
    """Without a share of the disk a full store is an error, as ever."""
    with small_session(nq_store_dir, spill_bytes=0) as session:
        for i in range(3):
            session.put(f"d{i}", array(i))
        with pytest.raises(StoreFull, match="are in use"):
            session.put("d3", array(3))
        assert session.spill() == []


def test_a_full_share_of_the_disk_is_told(nq_store_dir: Path) -> None:
    """The data stay in memory, and the error says what to raise."""
    with small_session(nq_store_dir, spill_bytes=100_000) as session:
        session.put("a", np.random.default_rng(0).random(MIB // 4))
        with pytest.raises(StoreFull, match="raise spill_bytes"):
            session.spill()
        assert _in_memory(session) == ["a"]


def test_a_reader_in_another_process_brings_it_back(nq_store_dir: Path) -> None:
    """Several at once get the same bytes, and it is brought back once."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(7))
        session.spill("a")
        code = "say('ready'); input(); say(int(session.get('a', as_='numpy').sum()))"
        with session_child(nq_store_dir, code) as one, session_child(nq_store_dir, code) as other:
            assert one.line() == other.line() == "ready"
            one.tell()
            other.tell()
            assert one.line() == other.line() == str(7 * 2 * MIB // 8)
        assert _in_memory(session) == ["a"]
        assert len(session.store.scan()) == 1


def test_gc_frees_what_nobody_needs_and_says_who_holds_the_rest(nq_store_dir: Path) -> None:
    """Replaced versions and spare segments go; what a view holds is named with its pid."""
    with small_session(nq_store_dir, spare_share=1.0) as session:
        session.put("a", array(1))
        view = session.get("a", as_="numpy")
        session.put("a", array(2))
        session.put("b", array(3, mib=1))
        session.put("b", array(4, mib=1))
        wait_until(lambda: session.status().pool_spare_bytes > 0)
        found = session.gc()
        assert found.held[0][:2] == ("a", 1)
        assert os.getpid() in found.held[0][3]
        assert found.bytes >= MIB
        assert f"a v1, 2.0 MiB, is held by pid {os.getpid()}" in found.text()
        assert session.status().pool_spare_bytes == 0
        del view
        wait_until(lambda: session.gc().held == ())
        assert session.store.used_bytes() == sum(row.bytes for row in session.ls())


def test_gc_tells_a_holder_that_said_nothing_from_nobody(nq_store_dir: Path) -> None:
    """The first is in the system's list of locks; what nobody published waits for its writer."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        with session.store.open("a") as silent:
            session.put("a", array(2))
            assert session.gc().held == (("a", 1, silent.info.nbytes, (os.getpid(),)),)
        del silent
        session.store.write("b", array(3))
        session.gc()
        wait_until(lambda: bool(session.gc().held))
        assert "b v0, 2.0 MiB, waits a minute for its writer" in session.gc().text()


def test_a_coordinator_that_dies_knows_copies_and_pins_again(nq_store_dir: Path) -> None:
    """The next host reads them from the store and the disk."""
    code = """
session.put("a", np.ones(1 << 18)); session.put("b", np.ones(1 << 18)); session.pin("b")
session.spill("a"); say("done"); input()
"""
    with session_child(nq_store_dir, code) as child:
        assert child.line() == "done"
        session = small_session(nq_store_dir, pool_bytes=0)
        child.kill()
    with session:
        rows = {row.name: row for row in session.ls()}
        assert (rows["a"].bytes, rows["b"].pinned) == (0, True)
        assert session.get("a", as_="numpy").sum() == 1 << 18


def test_a_note_goes_to_the_disk_and_back(nq_store_dir: Path) -> None:
    """Also one that was written after the object had been on the disk before."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        for note in (b"first", b"second"):
            with session.open("a") as handle:
                session.store.annotate(handle.info.id, note)
            wait_until(lambda: session.spill("a"))
            with session.open("a") as handle:
                assert handle.note() == note
            wait_until(lambda: not session.desk().notebooks[0].holds)


def test_replacing_what_is_on_the_disk_does_not_bring_it_back(nq_store_dir: Path) -> None:
    """Its metadata are read there: a put takes no memory for what it replaces, and still refuses parsed data."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1, mib=5))
        session.put("bars", array(1, mib=1))
        session.publish("parsed", array(1, mib=1), meta={"bars": {"path": "/data/NQ.csv"}}).close()
        wait_until(lambda: len(session.spill()) == 0 and not _in_memory(session))
        session.put("a", array(2, mib=5))
        assert _in_memory(session) == ["a"]
        with pytest.raises(UnsupportedData, match=r"parsed holds what /data/NQ.csv holds"):
            session.put("parsed", array(2, mib=1))


def test_what_leaves_memory_stays_durable(nq_store_dir: Path) -> None:
    """Also when its copy had to be written anew, because its writer died before it did."""
    with small_session(nq_store_dir, append_reserve=4.0) as session:
        session.put("a", {"x": np.arange(5)}, durable=True)
        session.store.append(session.store.resolve("a"), {"x": np.arange(2)})  # and no word of it to anybody
        assert session.spill("a")[0].version == 2
        assert session.ls()[0].durable


def test_nothing_plain_is_written_beside_encrypted_data(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lacks the key is told so, and its data stay in memory."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        session.put("b", array(2))
        monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(bytes(32)).decode())
        session.spill("a")
        monkeypatch.delenv("JUPYTER_NQ_KEY")
        with pytest.raises(ConfigError, match=r"encrypted with the key 67cfae28003b9e1b.*JUPYTER_NQ_KEY, or key_file"):
            session.spill("b")
        assert _in_memory(session) == ["b"]


def test_with_a_key_memory_stays_out_of_core_dumps(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's flags of each mapping of an object say so; without a key they do not."""
    with small_session(nq_store_dir) as session:
        session.put("a", array(1))
        plain = session.get("a", as_="numpy")
        assert _dump_flags(nq_store_dir) == [False]
        del plain
        monkeypatch.setenv("JUPYTER_NQ_KEY", base64.b64encode(bytes(32)).decode())
        draft = session.empty("b", "f8", 1000)
        kept = [session.get("a", as_="numpy"), draft.numpy()]
        assert _dump_flags(nq_store_dir) == [True, True]
        draft.publish()
        assert draft.wait()
        assert _dump_flags(nq_store_dir) == [True, True]
        del kept


def _dump_flags(store: Path) -> list[bool]:
    """Tell of each data file that is mapped here whether it is left out of core dumps."""
    found, data = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0]:
            data = f"{store}/obj/" in line or f"{store}/tmp/" in line
        elif line.startswith("VmFlags:") and data:
            found.append(" dd" in line)
    return found


def test_a_drop_while_it_is_brought_back_leaves_nothing(nq_store_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is told that it is gone, and its memory goes with it; the name does not come back."""
    with small_session(nq_store_dir) as session, Session(nq_store_dir) as other:
        session.put("a", array(1))
        session.spill("a")
        ask = session.channel.request

        def dropping(op: str, **arguments: Any) -> Any:
            if op == "appended":
                other.drop("a")
                wait_until(lambda: not other.ls())
            return ask(op, **arguments)

        monkeypatch.setattr(session.channel, "request", dropping)
        with pytest.raises(UnknownDataset):
            session.get("a")
        wait_until(lambda: not session.store.scan())
