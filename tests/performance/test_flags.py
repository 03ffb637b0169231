"""What it costs to ask whether one is halted: beside reading a small file, and beside asking a coordinator.

A file is what one would take who has no shared memory; the coordinator's own channel stands for a server on a Unix
socket, as Redis is. All three answer for a flag that is clear, in the same turns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.client.flags import places_of, who_am_i
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.streams.flags import Flag
from jupyter_nq.testing import Child
from tests.performance.measuring import medians

pytestmark = pytest.mark.performance

_HOST = "from jupyter_nq.client.session import Session\nsession = Session(sys.argv[1])\nsay()\ninput()"
_READS = 20_000
_ROUNDS = 7
_MOST_SECONDS = 10e-6  # ten times what is aimed at
_FASTER_THAN_A_FILE = 8
_FASTER_THAN_A_SOCKET = 30


def _times(count: int, call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        for _ in range(count):
            call()

    return calls


def test_reading_a_flag(nq_store_dir: Path) -> None:
    """Clear, set, and with a heartbeat to look at: far less than a file or a socket costs."""
    settings = Settings(store_dir=str(nq_store_dir / "store"), spill_dir=str(nq_store_dir / "disk"))
    places = places_of(nq_store_dir / "store", settings)
    file = nq_store_dir / "file"
    file.write_text("0")
    with (
        Child(_HOST, str(nq_store_dir / "store")) as host,
        Flag(places, "clear", who_am_i) as clear,
        Flag(places, "set", who_am_i) as halted,
        Flag(places, "owned", who_am_i) as owned,
    ):
        host.line()
        halted.set("limit")
        owned.own(60.0)
        with Session(settings=settings) as session:
            calls = {
                "clear": _times(_READS, lambda: clear.is_set),
                "set": _times(_READS, lambda: halted.is_set),
                "with a heartbeat": _times(_READS, lambda: owned.is_set),
                "file": _times(_READS // 20, lambda: file.read_bytes() == b"1"),
                "socket": _times(_READS // 100, lambda: session.channel.request("notebooks")),
            }
            taken = medians(calls, _ROUNDS)
        owned.release()
    each = {name: seconds / _READS for name, seconds in taken.items()}
    each["file"] *= 20
    each["socket"] *= 100
    print(f"\nread of a flag: {', '.join(f'{name} {1e9 * seconds:,.0f} ns' for name, seconds in each.items())}")
    print(f"a file {each['file'] / each['clear']:.1f}x, a socket {each['socket'] / each['clear']:.0f}x of a flag")
    assert each["clear"] < _MOST_SECONDS
    assert each["file"] > _FASTER_THAN_A_FILE * each["clear"]
    assert each["socket"] > _FASTER_THAN_A_SOCKET * each["clear"]


def test_setting_a_flag(nq_store_dir: Path) -> None:
    """How long until the first of three others has it, and until the disk has it; printed alone."""
    settings = Settings(store_dir=str(nq_store_dir / "store"), spill_dir=str(nq_store_dir / "disk"))
    places = places_of(nq_store_dir, settings)
    with Flag(places, "halt", who_am_i) as flag:
        taken = medians({"set": lambda: flag.set("limit"), "clear": lambda: flag.clear("over")}, 20)
        heard = flag.acknowledged(5.0)
    print(f"\nset in {1e3 * taken['set']:.2f} ms, cleared in {1e3 * taken['clear']:.2f} ms, the disk included")
    assert len(heard) == 1
    assert heard[0].seconds is not None
