"""What every table of rows has: it is a sequence, says when it is empty, and escapes what it shows."""

from __future__ import annotations

from nq_magics.rows_view import RowsView


class _Words(RowsView[str]):
    headers = ("word", "length")
    empty = "No word <yet>."
    figures = frozenset({1})

    def _cells(self, row: str) -> tuple[str, ...]:
        return row, str(len(row))


def test_rows_are_a_sequence_and_a_table() -> None:
    """In text the figures are to the right; in HTML nothing of a row is markup."""
    view = _Words(["<b>", "a" * 12])
    assert (len(view), view[0], list(view)) == (2, "<b>", ["<b>", "a" * 12])
    assert [line.split() for line in repr(view).splitlines()] == [["word", "length"], ["<b>", "3"], ["a" * 12, "12"]]
    assert repr(view).splitlines()[1].endswith("     3")
    assert "<td>&lt;b&gt;</td><td>3</td>" in view._repr_html_()


def test_no_rows_are_a_sentence() -> None:
    """Escaped, too."""
    assert (repr(_Words([])), _Words([])._repr_html_()) == ("No word <yet>.", "<p>No word &lt;yet&gt;.</p>")
