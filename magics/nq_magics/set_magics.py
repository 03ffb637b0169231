"""`%nq_save` and `%nq_restore`: what a desk works on, as a file."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.sets.restoring import restore
from jupyter_nq.client.sets.saving import save
from nq_magics.arguments import parse
from nq_magics.in_session import InSession
from nq_magics.usage import interruptible, usage_errors


@magics_class
class SetMagics(InSession):
    """The magics about working sets."""

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_save NAME|PATH")
    @argument("name", metavar="NAME|PATH", help="Of the set; or a path, with a directory or ending in .json.")
    @usage_errors()
    def nq_save(self, line: str) -> None:
        """Save what this desk works on: names and versions, where data came from, streams, positions, pins.

        %nq_save desk
        %nq_save ~/desks/friday.json

        The file is JSON and has no data. %nq_restore brings back what can be had again.
        """
        print(save(self._session(), parse(self.nq_save, line).name))

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_restore NAME|PATH [--overwrite]")
    @argument("name", metavar="NAME|PATH", help="Of the set, or the path of its file.")
    @argument("--overwrite", action="store_true", help="Replace what is newer, or another, by what was saved.")
    @usage_errors()
    def nq_restore(self, line: str) -> None:
        """Bring back what %nq_save saved: what is there and the same stays, what cannot be had again is named.

        %nq_restore desk
        %nq_restore desk --overwrite
        """
        args = parse(self.nq_restore, line)
        with interruptible("what was brought back before is there"):
            print(restore(self._session(), args.name, overwrite=args.overwrite))
