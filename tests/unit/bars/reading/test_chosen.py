"""Files of several contracts and of prices in billionths: one contract, exact prices, the same on every path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nq.bars import load_bars
from jupyter_nq.bars.reading.chosen import MOST_EXACT
from jupyter_nq.bars.reading.chunks import iterate
from jupyter_nq.bars.reading.lenient import read_lenient
from jupyter_nq.bars.vendor_samples import vendor_bars, write_vendor
from jupyter_nq.errors import AmbiguousSource, InvalidArgument, UnreadableSource

ROWS = 1500


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Give Databento bars of a contract, of the next one, and of the spread between them."""
    path = write_vendor(tmp_path, "databento", rows=ROWS)
    header, *lines = path.read_text().splitlines()
    out = [header]
    for at, line in enumerate(lines):
        out.append(line)
        if at % 3 == 0:
            out.append(line.replace("NQU0", "NQZ0"))
        if at % 20 < 2:
            cells = line.split(",")
            out.append(",".join([*cells[:4], "-250000000", "0", "-500000000", "-250000000", "3", "NQU0-NQZ0"]))
    path.write_text("\n".join(out) + "\n")
    return path


def plain(path: Path, **options: Any) -> pa.Table:
    """Return the bars of a file without their flags."""
    return load_bars(path, **options).table.drop_columns(["flags"])


def test_several_contracts_are_listed(mixed: Path) -> None:
    """Which there are, with their rows, spreads marked, and the argument to pass."""
    with pytest.raises(AmbiguousSource) as caught:
        load_bars(mixed)
    assert "holds 3 contracts: NQU0 1,500, NQZ0 500, NQU0-NQZ0 150 (a spread)" in str(caught.value)
    assert "contract='NQU0'" in str(caught.value)
    with pytest.raises(InvalidArgument, match="Did you mean 'NQZ0'"):
        load_bars(mixed, contract="NQZ")


def test_one_contract_is_read(mixed: Path) -> None:
    """Its rows alone, prices exact, the others counted; spreads may cost less than nothing."""
    bars = load_bars(mixed, contract="NQU0")
    assert bars.table.drop_columns(["flags"]).equals(vendor_bars(rows=ROWS))
    text = "\n".join(bars.evidence)
    assert "contract: NQU0 in 1,500 rows, as given; not read: 650 rows of 2 others" in text
    assert "prices: whole numbers, divided by 1,000,000,000, as Databento" in text
    spread = load_bars(mixed, contract="NQU0-NQZ0", tz="UTC", edge="start").table
    assert spread.num_rows == 150
    assert spread["low"][0].as_py() == -0.5


def test_every_path_reads_the_same(mixed: Path) -> None:
    """Any block, chunks, a span, and the reader of damaged files give the same bars."""
    bars = load_bars(mixed, contract="NQU0")
    assert load_bars(mixed, contract="NQU0", block_bytes=4096).table.equals(bars.table)
    assert pa.Table.from_batches(iterate(mixed, bars.profile, rows=77)).combine_chunks().equals(bars.table)
    start = bars.table["timestamp"].cast("int64")[700].as_py()
    part = pa.Table.from_batches(iterate(mixed, bars.profile, rows=77, start_ns=start)).combine_chunks()
    assert part.equals(bars.table.slice(700).combine_chunks())
    lenient = read_lenient(mixed, bars.profile)
    assert lenient.table.equals(bars.table)
    assert not lenient.bad


def test_a_fault_names_its_line_among_other_contracts(mixed: Path) -> None:
    """Lines are those of the file, whichever contract is read; a bad row of another contract is a fault too."""
    profile = load_bars(mixed, contract="NQU0").profile
    lines = mixed.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if i > 900 and line.endswith("NQU0"))
    cells = lines[at].split(",")
    for bad, reason in (("x", "not a finite number"), ("16019.5", "no whole number"), (f"{2**60}", "no whole number")):
        damaged = [*lines[:at], ",".join([*cells[:5], bad, *cells[6:]]), *lines[at + 1 :]]
        mixed.write_text("\n".join(damaged) + "\n")
        with pytest.raises(UnreadableSource, match=rf"line {at + 1}: high is .*{reason}"):
            load_bars(mixed, contract="NQU0")
        [found] = read_lenient(mixed, profile).bad
        assert found.line == at + 1
    other = next(i for i, line in enumerate(lines) if i > 900 and line.endswith("NQZ0"))
    damaged = [*lines[:other], lines[other].rpartition(",")[0], *lines[other + 1 :]]
    mixed.write_text("\n".join(damaged) + "\n")
    with pytest.raises(UnreadableSource, match=f"line {other + 1}: the row has 9 columns, not 10"):
        load_bars(mixed, contract="NQU0")


def test_decimal_prices_of_databento_are_prices(tmp_path: Path) -> None:
    """With pretty prices nothing is scaled; whole billionths of anybody else are refused."""
    path = write_vendor(tmp_path, "databento", rows=ROWS)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    pretty = [[*c[:4], *(f"{int(p) / 1e9:.9f}" for p in c[4:8]), *c[8:]] for c in lines[1:]]
    path.write_text("\n".join(",".join(cells) for cells in [lines[0], *pretty]) + "\n")
    assert plain(path).equals(vendor_bars(rows=ROWS))
    other = tmp_path / "NQ_30min.csv"
    rows = "".join(f"{int(c[0]) // 10**9},{','.join(c[4:9])}\n" for c in lines[1:])
    other.write_text("time,open,high,low,close,volume\n" + rows)
    with pytest.raises(UnreadableSource, match=r"another scale.*price_scale"):
        load_bars(other)
    assert plain(other, profile={"price_scale": 10**9}).equals(vendor_bars(rows=ROWS))


def test_a_contract_needs_a_column(tmp_path: Path) -> None:
    """A file that says no contracts has none to choose; a column of another name can be said."""
    path = write_vendor(tmp_path, "tradingview", rows=ROWS)
    with pytest.raises(InvalidArgument, match="has no column of contracts"):
        load_bars(path, contract="NQU0")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0] + ",Root", *(f"{line},NQU0" for line in lines[1:])]) + "\n")
    bars = load_bars(path, profile={"columns": {"contract": "Root"}})
    assert "contract: NQU0 in all 1,500 rows" in bars.evidence
    assert bars.profile.contract is None


def test_spreads_beside_one_contract_are_no_question(mixed: Path) -> None:
    """A file of a contract and of spreads is read as the contract, and the evidence counts what was not read."""
    lines = mixed.read_text().splitlines()
    butterflies = [line.replace("NQU0-NQZ0", "NQ:BF U0-Z0-H1") for line in lines if "NQU0-NQZ0" in line][:9]
    mixed.write_text("\n".join([line for line in lines if "NQZ0" not in line.split("-")[0]] + butterflies) + "\n")
    bars = load_bars(mixed)
    assert bars.table.drop_columns(["flags"]).equals(vendor_bars(rows=ROWS))
    assert bars.table.equals(load_bars(mixed, contract="NQU0").table)
    [told] = [line for line in bars.evidence if line.startswith("contract: ")]
    assert told.startswith(
        "contract: NQU0 in 1,500 rows, the only one that is no spread; not read: 159 rows of 2 others"
    )
    assert read_lenient(mixed, bars.profile).table.equals(bars.table)


def test_a_spread_is_none_of_contracts_that_follow_each_other(tmp_path: Path) -> None:
    """Rows of a spread behind those of a contract are not taken for its continuation, nor between two contracts."""
    path = write_vendor(tmp_path, "databento", rows=ROWS)
    header, *lines = path.read_text().splitlines()
    rolled = [line.replace("NQU0", "NQU0-NQZ0") if at > 900 else line for at, line in enumerate(lines)]
    path.write_text("\n".join([header, *rolled]) + "\n")
    assert plain(path).equals(vendor_bars(rows=ROWS).slice(0, 901))
    rolled = [line.replace("-NQZ0", "") if at > 1200 else line for at, line in enumerate(rolled)]
    rolled = [line.replace("NQU0", "NQZ0") if at > 1200 else line for at, line in enumerate(rolled)]
    path.write_text("\n".join([header, *rolled]) + "\n")
    with pytest.raises(AmbiguousSource, match=r"holds 3 contracts: .*NQU0-NQZ0 300 \(a spread\)"):
        load_bars(path)


def test_names_with_blanks_and_dashes_are_no_spreads(tmp_path: Path) -> None:
    """`NQ 09-20` and `CME_MINI:NQ1!` are contracts, as other vendors write them: a continuous series."""
    path = write_vendor(tmp_path, "databento", rows=ROWS)
    header, *lines = path.read_text().splitlines()
    names = ["NQ 09-20" if at < 900 else "CME_MINI:NQ1!" for at in range(len(lines))]
    rows = [line.replace("NQU0", name) for line, name in zip(lines, names, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    assert plain(path).equals(vendor_bars(rows=ROWS))


def test_a_continuous_series_may_name_its_contracts(tmp_path: Path) -> None:
    """Contracts one after the other are one series, unless their stamps go back."""
    path = write_vendor(tmp_path, "databento", rows=ROWS)
    header, *lines = path.read_text().splitlines()
    rolled = [line.replace("NQU0", "NQZ0") if at > 900 else line for at, line in enumerate(lines)]
    path.write_text("\n".join([header, *rolled]) + "\n")
    bars = load_bars(path)
    assert bars.table.drop_columns(["flags"]).equals(vendor_bars(rows=ROWS))
    assert "contract: 2 contracts one after the other, NQU0 to NQZ0: a continuous series" in bars.evidence
    assert plain(path, contract="NQZ0").num_rows == ROWS - 901
    path.write_text("\n".join([header, *lines, *(line.replace("NQU0", "NQZ0") for line in lines[300:])]) + "\n")
    with pytest.raises(AmbiguousSource, match="holds 2 contracts: NQU0 1,500, NQZ0 1,200"):
        load_bars(path)


@given(whole=st.integers(-MOST_EXACT, MOST_EXACT), places=st.integers(0, 9))
def test_a_scaled_price_is_the_nearest_double(whole: int, places: int) -> None:
    """A whole number divided by a power of ten is what reading its decimal text gives."""
    digits = f"{abs(whole):0{places + 1}d}"
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :] or '0'}"
    assert whole / 10**places == float(("-" if whole < 0 else "") + text)
