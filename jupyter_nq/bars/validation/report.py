"""The report of a validation: findings with severity, count and rows, as text, HTML, JSON and CSV."""

from __future__ import annotations

import csv
import html
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import SEVERITIES, Action, Severity
from jupyter_nq.bars.validation.cells import safe_cell

HANDLED = ("drop", "repair", "quarantine")
"""The actions after which a row is no longer in the bars as it was."""
_STYLE = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto}td,th{text-align:left;padding:.2em .8em;"
    "vertical-align:top}.error{color:#b00020}.warning{color:#8a5300}"
)


def _none() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Finding:
    """What one rule found."""

    rule: str
    severity: Severity
    """An error cannot be real, a warning needs a look, a note is worth knowing."""
    count: int
    """Bars that break the rule, or spans and sessions, as the sentence says."""
    sentence: str
    rows: tuple[int, ...] = ()
    """The first rows, counted from 0."""
    lines: tuple[int, ...] = ()
    """The same rows as lines of the file, counted from 1; empty when the bars come from no file."""
    action: Action = "flag"
    """What was done with what breaks the rule."""
    all_rows: Ints = field(default_factory=_none, repr=False, compare=False)
    """Every row that was left out or mended because of it, increasing, counted from 0; empty when nothing was done."""
    all_lines: Ints = field(default_factory=_none, repr=False, compare=False)
    """The same rows as lines of the file, counted from 1; empty when the bars come from no file."""

    @property
    def handled(self) -> bool:
        """Whether it was taken out or mended, and so is no longer in the bars."""
        return self.action in HANDLED

    def __str__(self) -> str:
        return f"{self.severity}: {self.sentence}{self.where()}{self.done()}"

    def done(self) -> str:
        """Return what was done, `; dropped`, or nothing."""
        words = {"drop": "dropped", "repair": "repaired", "quarantine": "moved to quarantine"}
        return f"; {words[self.action]}" if self.action in words else ""

    def plain(self) -> dict[str, Any]:
        """Return what it has as lists, numbers and text."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    def where(self) -> str:
        """Return the first places, `; lines 3, 17 and more`, or nothing."""
        places, what = (self.lines, "line") if self.lines else (self.rows, "row")
        if not places:
            return ""
        more = " and more" if self.count > len(places) else ""
        return f"; {what}{'s' if len(places) > 1 else ''} {', '.join(f'{place:,}' for place in places)}{more}"


@dataclass(frozen=True)
class Report:
    """The outcome of a validation."""

    name: str
    rows: int
    findings: tuple[Finding, ...]
    """In the order of severity."""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    not_checked: tuple[str, ...] = ()
    """Rules that could not be applied, and why, a sentence each."""
    table: pa.Table | None = field(default=None, repr=False, compare=False)
    """The bars after the actions that were asked for, with their `flags`; None when none was. It is as large as
    the source, and lives as long as the report."""
    quarantined: int = 0
    """Rows that were written to the quarantine file."""
    notices: tuple[str, ...] = ()
    """What is to be known of how the bars were read, a sentence each."""

    @property
    def is_valid(self) -> bool:
        """Whether nothing that cannot be real is left in the bars."""
        return not self.errors

    @property
    def handled(self) -> list[str]:
        """The sentences of what was dropped, repaired or moved to quarantine."""
        return [f.sentence + f.where() + f.done() for f in self.findings if f.handled]

    @property
    def errors(self) -> list[str]:
        """The sentences of errors that are left."""
        return self._sentences("error")

    @property
    def warnings(self) -> list[str]:
        """The sentences of warnings."""
        return self._sentences("warning")

    @property
    def notes(self) -> list[str]:
        """The sentences of notes."""
        return self._sentences("note")

    def _sentences(self, severity: Severity) -> list[str]:
        return [f.sentence + f.where() for f in self.findings if f.severity == severity and not f.handled]

    def text(self) -> str:
        """Return the report in lines."""
        sessions = [f"  {self._sessions()}"] if self._sessions() else []
        return "\n".join([self._heading(), *sessions, *(f"  {each}" for each in (*self.findings, *self._asides()))])

    def _heading(self) -> str:
        return f"{self.name}: {self.rows:,} bars, {'valid' if self.is_valid else 'NOT valid'}{self._counts()}"

    def _asides(self) -> list[str]:
        return [*(f"not checked: {sentence}" for sentence in self.not_checked), *self.notices]

    def _sessions(self) -> str:
        return str(self.statistics.get("sessions") or "")

    def _counts(self) -> str:
        counts = {s: sum(f.severity == s for f in self.findings) for s in SEVERITIES}
        named = [f"{n} {s}{'s' if n > 1 else ''}" for s, n in counts.items() if n]
        return f" ({', '.join(named)})" if named else ""

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td class="{f.severity}">{f.severity}</td><td>{html.escape(f.rule)}</td><td>{f.count:,}</td>'
            f"<td>{html.escape(f.sentence + f.where() + f.done())}</td></tr>"
            for f in self.findings
        )
        asides = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self._asides())
        head = "<thead><tr><th></th><th>rule</th><th>count</th><th></th></tr></thead>"
        table = f"<table>{head}<tbody>{rows}</tbody></table>"
        lines = [self._heading(), *filter(None, [self._sessions()])]
        heading = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
        return heading + (table if rows else "") + (f"<ul>{asides}</ul>" if asides else "")

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as a page that needs no other file; with `path` it is written there too."""
        title = html.escape(self.name)
        page = (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{_STYLE}</style></head><body>{self._repr_html_()}</body></html>\n"
        )
        return _written(page, path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the report as JSON; with `path` it is written there too."""
        content = {
            "name": self.name,
            "rows": self.rows,
            "is_valid": self.is_valid,
            "findings": [finding.plain() for finding in self.findings],
            "statistics": dict(self.statistics),
            "not_checked": list(self.not_checked),
            "quarantined": self.quarantined,
            "notices": list(self.notices),
        }
        return _written(json.dumps(content, indent=2, allow_nan=False) + "\n", path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return a line for each finding; a cell that a spreadsheet would take for a formula begins with a quote.

        `rows` and `lines` are the first; `all_rows` and `all_lines` are all that were left out or mended, in spans
        such as `7 10-12` that have both ends in them.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["severity", "rule", "count", "sentence", "rows", "lines", "action", "all_rows", "all_lines"])
        for f in self.findings:
            places = (" ".join(map(str, f.rows)), " ".join(map(str, f.lines)))
            every = (_spans(f.all_rows), _spans(f.all_lines))
            writer.writerow([f.severity, safe_cell(f.rule), f.count, safe_cell(f.sentence), *places, f.action, *every])
        return _written(out.getvalue(), path)


def _spans(numbers: Ints) -> str:
    """Return increasing numbers as text, those without a gap as one span."""
    if not len(numbers):
        return ""
    cuts = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = numbers[np.append(0, cuts + 1)], numbers[np.append(cuts, len(numbers) - 1)]
    return " ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True))


def _written(content: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(content, encoding="utf-8")
    return content
