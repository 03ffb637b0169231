"""Fuzz the readers: `python -m tests.fuzz --inputs 1000000 --seed 7` (an hour on two cores).

Every input is made from the seed and its number, so `--seed 7 --only 4711` makes and checks one again, in every way
and in this process, and prints it. Ends with 1 when some reader failed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import tempfile
from pathlib import Path

from tests.fuzz.driver import run
from tests.fuzz.inputs import make


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000, help="how many inputs are made")
    parser.add_argument("--seed", type=int, default=None, help="what they are made from; random and printed if absent")
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1, help="child processes at a time")
    parser.add_argument(
        "--every", action="store_true", help="read every input in every way, which takes five times as long"
    )
    parser.add_argument("--only", type=int, default=None, help="check one input again, and print it")
    given = parser.parse_args()
    seed = secrets.randbelow(1 << 31) if given.seed is None else given.seed
    if given.only is not None:
        return _again(seed, given.only)
    print(f"seed {seed}, {given.inputs:,} inputs in {given.lanes} lanes", flush=True)
    found = run(
        given.inputs, seed, lanes=given.lanes, every=given.every, report=lambda at: print(f"at {at:,}", flush=True)
    )
    for failure in found:
        print(f"{failure.number}: {failure.reader}: {failure.what}")
    print(f"seed {seed}: {len(found)} failures in {given.inputs:,} inputs")
    return int(bool(found))


def _again(seed: int, number: int) -> int:
    from tests.fuzz.checks import Checker

    one = make(seed, number)
    print(one.data, one.profile, sep="\n")
    with tempfile.TemporaryDirectory() as directory:
        found = Checker(Path(directory) / "NQ.csv").check(one, number, every=True)
    for failure in found:
        print(f"{failure.reader}: {failure.what}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
