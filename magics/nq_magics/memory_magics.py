"""The magics about memory: what stays in it, what may leave it, and what a notebook still holds."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

import gc
import re

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.holding import Ranges, datasets_shown, mapped_as, shows
from jupyter_nq.client.origin import dataset_of
from jupyter_nq.client.session import Session
from jupyter_nq.errors import UnknownDataset
from jupyter_nq.sizes import size
from nq_magics.arguments import parse
from nq_magics.in_session import InSession
from nq_magics.usage import interruptible, usage_errors

_OUTPUT = re.compile(r"_+|_\d+")


@magics_class
class MemoryMagics(InSession):
    """The magics about the memory of shared datasets."""

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_pin NAME [...]")
    @argument("names", nargs="+", metavar="NAME", help="Dataset, as %%nq_ls names it.")
    @usage_errors()
    def nq_pin(self, line: str) -> None:
        """Keep datasets in memory, whatever else needs room; one that left it is brought back.

        %nq_pin NQ.30min

        It holds until %nq_unpin, after this notebook has ended too.
        """
        for name in parse(self.nq_pin, line).names:
            stored = self._session().pin(name)
            print(f"{name} v{stored.version} is pinned: it stays in memory")

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_unpin NAME [...]")
    @argument("names", nargs="+", metavar="NAME", help="Dataset, as %%nq_ls names it.")
    @usage_errors()
    def nq_unpin(self, line: str) -> None:
        """Let datasets leave memory again when room is needed.

        %nq_unpin NQ.30min
        """
        for name in parse(self.nq_unpin, line).names:
            self._session().unpin(name)
            print(f"{name} is not pinned: it may leave memory when room is needed")

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_spill [NAME ...]")
    @argument("names", nargs="*", metavar="NAME", help="Dataset, as %%nq_ls names it; all unless given.")
    @usage_errors()
    def nq_spill(self, line: str) -> None:
        """Write datasets to the disk and free their memory; what is held or pinned stays.

        %nq_spill old_signals
        %nq_spill                 all that nobody holds

        They come back when somebody gets or loads them.
        """
        names = parse(self.nq_spill, line).names
        with interruptible("what was written before has left memory"), self._progress("to disk") as progress:
            gone = self._session().spill(*names, progress=progress)
        for stored in gone:
            print(f"{stored.name} v{stored.version} left memory: {size(stored.bytes)} are free")
        for name in sorted(set(names) - {stored.name for stored in gone}):
            print(f"{name} stays: it is held or pinned, or on the disk already (%nq_ls)")
        if not names and not gone:
            print("Nothing may leave memory: all of it is held or pinned, or spill_bytes is 0.")

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_gc(self, line: str) -> None:
        """Free at once what nobody needs: replaced and dropped versions, leftovers, spare memory.

        %nq_gc

        What a frame somewhere still holds is named, with the process that holds it.
        """
        parse(self.nq_gc, line)
        gc.collect()
        print(self._session().gc().text())

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_release NAME|VAR [--variables]")
    @argument("source", metavar="NAME|VAR", help="Dataset, as %%nq_ls names it, or a variable that shows it.")
    @argument("--variables", action="store_true", help="Delete the variables that show it, too.")
    @usage_errors()
    def nq_release(self, line: str) -> None:
        """Let go of a dataset in this notebook: of the outputs that IPython keeps, and say what else holds it.

        %nq_release bars              the variable, and Out[n] and _ that show the same dataset
        %nq_release NQ.30min          the outputs; the variables that hold it are listed
        %nq_release NQ.30min --variables
        """
        args = parse(self.nq_release, line)
        session = self._session()
        names = self.shell.user_ns  # type: ignore[union-attr]
        is_variable = args.source in names and args.source not in session.store.names()
        name = self._meant(session, args.source)
        ranges = mapped_as(session.store, name)
        if not ranges:
            if name not in session.store.names():
                session.open(name)  # raises with the nearest names
                raise UnknownDataset(f"There is no dataset {name!r}.")
            print(f"{name} is not held here")
            return
        outputs = self._drop_outputs(ranges)
        held = [key for key in names if not _OUTPUT.fullmatch(key) and key != "Out" and shows(names[key], ranges)]
        chosen = [key for key in held if args.variables or (is_variable and key == args.source)]
        for key in chosen:
            del names[key]
        gc.collect()
        for line_ in _told(name, outputs, chosen, [key for key in held if key not in chosen]):
            print(line_)
        if len(chosen) == len(held) and mapped_as(session.store, name):
            print(f"  something else in this kernel still holds {name}: an object that keeps a view of it")

    def _meant(self, session: Session, word: str) -> str:
        """Return the dataset that a word means: its name, or a variable, by its memory, else by what it says."""
        value = self._bars(session, word, {})
        shown = datasets_shown(session.store, value)
        if len(shown) > 1:
            raise UsageError(f"{word} shows several datasets: {', '.join(shown)}. Write one: %nq_release {shown[0]}")
        return shown[0] if shown else dataset_of(value, word)

    def _drop_outputs(self, ranges: Ranges) -> list[str]:
        """Forget the outputs that show memory in these ranges; returns their names."""
        names, hook = self.shell.user_ns, self.shell.displayhook  # type: ignore[union-attr]
        cache = names.get("Out", {})
        dropped = []
        for number in [number for number, value in cache.items() if shows(value, ranges)]:
            del cache[number]
            dropped.append(f"Out[{number}]")
        for key in [key for key in names if _OUTPUT.fullmatch(key) and shows(names[key], ranges)]:
            if key.strip("_"):
                del names[key]
            else:  # _, __ and ___ are always there
                names[key] = ""
        hidden = self.shell.user_ns_hidden  # type: ignore[union-attr]
        for key in [key for key, value in hidden.items() if shows(value, ranges)]:
            hidden[key] = ""
        for key in ("_", "__", "___"):
            if shows(getattr(hook, key, None), ranges):
                setattr(hook, key, "")
        return dropped


def _told(name: str, outputs: list[str], deleted: list[str], left: list[str]) -> list[str]:
    gone = [*outputs, *deleted]
    lines = [f"{name}: let go of {', '.join(gone)}" if gone else f"{name}: no output held it"]
    if left:
        lines.append(f"  still held by {', '.join(sorted(left))}: del them, or %nq_release {name} --variables")
    return lines
