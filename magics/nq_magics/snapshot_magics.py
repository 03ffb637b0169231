"""The magics about snapshots: versions that stay while datasets move on."""
# IPython's decorators carry no types.
# mypy: disable-error-code="no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, kwds, magic_arguments

from jupyter_nq.client.listing import age, plain
from jupyter_nq.client.versions.snapshots import Snapshot, snapshot, snapshot_of, snapshots, taken_line
from jupyter_nq.sizes import size
from nq_magics.arguments import parse
from nq_magics.in_session import InSession
from nq_magics.rows_view import RowsView
from nq_magics.usage import usage_errors


class SnapshotsView(RowsView[Snapshot]):
    """The rows of `%nq_snapshots`: a sequence of snapshots that shows itself as a table."""

    headers = ("label", "datasets", "age", "taken by", "replaced since")
    empty = "There is no snapshot. %nq_snapshot takes one."

    def _cells(self, row: Snapshot) -> tuple[str, ...]:
        listed = ", ".join(f"{name} v{version}" for name, version in row.versions.items())
        kept = size(row.replaced_bytes) if row.replaced_bytes else "nothing"
        return row.label, listed, age(row.taken), plain(row.who), kept


@magics_class
class SnapshotMagics(InSession):
    """The magics about snapshots."""

    @line_magic
    @magic_arguments()
    @kwds(usage="nq_snapshot [NAME ...] [as VAR] [--label L] [--verify] | --release L")
    @argument("names", nargs="*", metavar="NAME", help="Dataset, as %%nq_ls names it; all unless given.")
    @argument("--label", help="By which other notebooks find it; snapshot-1 and so on unless given.")
    @argument("--verify", action="store_true", help="Compare all bytes with their digests.")
    @argument("--release", metavar="L", help="Let the snapshot of this label go.")
    @usage_errors()
    def nq_snapshot(self, line: str) -> Any:
        """Keep the versions that datasets have at this moment, whoever publishes or drops meanwhile.

        %nq_snapshot                                  all datasets
        %nq_snapshot NQ.30min signals --label close   these two, which other notebooks find by the label
        %nq_snapshot signals as before                and before.get("signals") is the frame
        %nq_snapshot --release close

        nq.snapshot_of("close") finds it in another notebook. It stays in memory until it is released.
        """
        args = parse(self.nq_snapshot, line, assigns=True)
        if args.release is not None:
            return self._let_go(args.release, taking=bool(args.names or args.label or args.verify or args.variable))
        taken = snapshot(self._session(), *args.names, label=args.label, verify=args.verify)
        print(f"{taken_line(taken)}; %nq_snapshot --release {taken.label} lets it go")
        if args.variable is not None:
            self._deliver(taken, args.variable)
        return None

    def _let_go(self, label: str, *, taking: bool) -> None:
        if taking:
            raise UsageError("--release takes a label and nothing else.")
        snapshot_of(self._session(), label).release()
        print(f"snapshot {label} is released; frames that are held stay readable.")

    @line_magic
    @magic_arguments()
    @usage_errors()
    def nq_snapshots(self, line: str) -> SnapshotsView:
        """List the snapshots: what each has, who took it, and the memory of what was replaced since.

        %nq_snapshots
        """
        parse(self.nq_snapshots, line)
        return SnapshotsView(snapshots(self._session()))
