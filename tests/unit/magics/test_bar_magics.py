"""The magics about bars, typed into a real shell."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

import jupyter_nq as nq
from jupyter_nq.bars.vendor_samples import write_vendor
from nq_magics.options import profile_of
from nq_magics.wording import as_typed
from tests.unit.bars.sessions.test_contracts import THREE
from tests.unit.client.bars.test_contracts import iso
from tests.unit.magics.conftest import Shell


@pytest.fixture
def bars(shell: Shell) -> Shell:
    """Give a shell that has loaded bars as `bars`, and their three-hour bars as `slow`."""
    shell.run("%nq_load NQ 30min as bars")
    shell.run("import jupyter_nq as nq; slow = nq.resample(bars, '3h')")
    return shell


def test_join(bars: Shell) -> None:
    """Names of datasets and variables; the line counts what has no partner."""
    ran = bars.run("%nq_join NQ.30min slow as both")
    frame = bars.ip.user_ns["both"]
    missing = frame["close_3h"].isna().sum()
    assert ran.out.strip() == f"{len(frame):,} bars, {missing:,} of them without one that had closed"
    assert isinstance(bars.run("%nq_join bars slow --suffix _s --at open").value, pd.DataFrame)
    assert "close_s" in bars.run("%nq_join bars slow --suffix _s").value
    bars.run("bare, bare_slow = bars.assign(), slow.assign(); bare.attrs = bare_slow.attrs = {}")
    assert "Pass" in bars.run("%nq_join bare bare_slow").err
    both = bars.run("%nq_join bare bare_slow --timeframe 30min --right-timeframe 3h").value
    assert both["close_3h"].notna().sum() > 0
    strict = bars.run("%nq_join bars slow --tolerance 0")
    alone = strict.value["close_3h"].isna().sum()
    assert alone > missing
    line = strict.out.splitlines()[0]
    assert line == f"{len(frame):,} bars, {alone:,} of them without one that had closed at most 0 minutes before"


def test_validate(bars: Shell, tmp_path: Path) -> None:
    """What was loaded, by variable, name, symbol or path; a rule of one's own; a report in a file."""
    first = bars.run("%nq_validate NQ 30min").value
    for source in ("bars", "NQ.30min", "30min"):
        found = bars.run(f"%nq_validate {source}").value
        assert [(f.rule, f.rows) for f in found.findings] == [(f.rule, f.rows) for f in first.findings]
    report = bars.run('%nq_validate bars --rule "volume > 1" --report out.json').value
    assert any(f.rule == "volume > 1" for f in report.findings)
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == bars.rows
    bars.run("bare = bars.assign(); bare.attrs = {}")
    assert bars.run("%nq_validate bare 30min --symbol NQ").value.not_checked == ()
    assert bars.run("%nq_validate bare 30 min --symbol NQ").value.not_checked == ()
    bars.run("%nq_validate bars as found")
    assert bars.ip.user_ns["found"].rows == bars.rows


def test_roll(bars: Shell) -> None:
    """A line for each roll date, or a sentence when there is none."""
    out = bars.run("%nq_roll NQ.30min").out
    assert out.startswith(("roll of ", "The bars span no roll date."))
    assert bars.run("few = bars[:10]\n%nq_roll few").out.endswith("The bars span no roll date.\n")


def test_rolls_of_contract_files(shell: Shell, tmp_path: Path) -> None:
    """Files whose names say the contract, or a name before each: the roll table, which shares nothing."""
    for name, table in THREE.items():
        iso(table, tmp_path / f"{name}_1h.csv")
    shell.run("%nq_ls")
    lines = shell.run("%nq_roll NQM25_1h.csv NQZ24_1h.csv NQH25_1h.csv --tz UTC --edge start").out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in lines] == ["NQZ24 -> NQH25", "NQH25 -> NQM25"]
    assert "+10.00 points, after more volume (460 and 9,200 contracts" in lines[0]
    named = shell.run("%nq_roll a=NQZ24_1h.csv b=NQH25_1h.csv --tz UTC --edge start --symbol NQ").out
    assert named.strip() == lines[0].replace("NQZ24", "a").replace("NQH25", "b")
    assert nq.ls() == []
    few = "%nq_roll NQZ24_1h.csv NQM25_1h.csv --tz UTC --edge start --contract NQZ24"
    assert "takes several files" in shell.run(few).err
    told = "--tz UTC --edge start"
    for name in THREE:
        (tmp_path / f"{name}_1h.csv").rename(tmp_path / f"{name}.csv")
    for line in ("%nq_roll NQZ24.csv NQH25.csv", "%nq_roll NQZ24.csv NQH25.csv 1h", "%nq_roll NQZ24.csv NQH25.csv 1 h"):
        assert shell.run(f"{line} {told}").out.strip() == lines[0]
    assert "Two timeframes" in shell.run("%nq_roll NQZ24.csv NQH25.csv 1h --timeframe 1h").err
    assert "NQ.1h" in shell.run(f"%nq_load NQZ24.csv 1h as december {told}").out
    assert shell.run(f"%nq_validate NQZ24.csv 1h {told}").value.rows == THREE["NQZ24"].num_rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%nq_roll bars --tz UTC", "these bars have been read"),
        ("%nq_roll a.csv b.csv", "does not say which contract"),
        ("%nq_join bars", "RIGHT"),
        ("%nq_join bars nothing", "nothing"),
        ("%nq_join bars slow --at noon", "noon"),
        ("%nq_join bars slow --tolerance x", "not a whole number"),
        ("%nq_validate bars --report out.pdf", "does not end in .html, .json, .csv"),
        ("%nq_validate bars --report /nowhere/out.csv", "cannot be written: No such file"),
        ("%nq_validate bars --tz UTC", "these bars have been read"),
        ("%nq_validate NQ 30min --day-first --month-first", "exclude each other"),
        ('%nq_validate bars --rule "open("', "is no expression"),
        ("%nq_roll nothing", "nothing"),
        ("%nq_sniff NQ 30min --edge begin", "'begin' is neither start nor end of a bar. Did you mean 'start'?"),
        ("%nq_load NQ 30min --edge close", "Did you mean 'end'?"),
        ("%nq_put zz bars --foo", "has no option '--foo'. It has none: write %nq_put NAME VAR."),
        ("%nq_load NQ 1week", "weeks are not supported"),
        ("%nq_load nothing.csv 1week", "weeks are not supported"),
        ("%nq_load NQ.30min", "is a dataset, not a file: %nq_get NQ.30min maps it"),
        (
            "%nq_validate bars --action flat=quarantine",
            "--action flat=quarantine needs a file: pass --quarantine rows.csv",
        ),
    ],
)
def test_mistakes_are_one_sentence(bars: Shell, line: str, message: str) -> None:
    """A usage error without a traceback, that names what is wrong."""
    ran = bars.run(line)
    assert ran.failed
    assert message in ran.err + ran.out
    assert "Traceback" not in ran.err + ran.out


def test_unloading_takes_them_back(shell: Shell) -> None:
    """Both kinds of magics are gone afterwards."""
    shell.run("%unload_ext jupyter_nq")
    assert shell.run("%nq_join a b").failed
    assert not [name for name in shell.ip.magics_manager.magics["line"] if name.startswith("nq")]


def test_features(shell: Shell) -> None:
    """Alone the option means the usual ones; a list may have commas in its calls."""
    shell.run("%nq_load NQ 30min as x --features sma(20),macd(12,26,9)")
    names = list(shell.ip.user_ns["x"].columns)
    assert names[6] == "sma_20"
    assert any(name.startswith("macd") for name in names[7:])
    assert "rsi_14" in shell.run("%nq_load NQ 30min --features").value.columns
    assert "an empty name" in shell.run("%nq_load NQ 30min --features sma(20),,rsi").err
    assert "Did you mean" in shell.run("%nq_load NQ 30min --features rsj(14)").err
    for words in ("sma(20), rsi(14)", "[sma(20), rsi(14)]", "sma( 20 ) ,rsi(14)", '"sma(20), rsi(14)"'):
        shown = shell.run(f"%nq_load NQ 30min --features {words} as y").out
        assert list(shell.ip.user_ns.pop("y").columns[6:]) == ["sma_20", "rsi_14"], shown


def test_several_symbols(shell: Shell) -> None:
    """A dict of frames by symbol; a symbol that is not there fails the whole line, and names itself."""
    ran = shell.run("%nq_load NQ,ES 30min as both")
    assert [line.partition(" ")[0] for line in ran.out.splitlines() if line.startswith(("NQ.", "ES."))] == [
        "NQ.30min",
        "ES.30min",
    ]
    both = shell.ip.user_ns["both"]
    assert list(both) == ["NQ", "ES"]
    assert len(both["NQ"]) == len(both["ES"]) == shell.rows
    failed = shell.run("%nq_load NQ,CL 30min as three")
    assert failed.failed
    assert "no CL file" in failed.err
    assert "three" not in shell.ip.user_ns
    for line in ("NQ, 30min", "NQ,nq 30min"):
        assert shell.run(f"%nq_load {line}").failed


def test_a_dirty_file_is_cleaned_on_request(shell: Shell, tmp_path: Path) -> None:
    """Bad rows are named by line; with actions the report has the bars that remain, and the others lie in a file."""
    path = next(path for path in shell.data.iterdir() if "30 min" in path.name)
    lines = path.read_text().splitlines()[:400]
    lines.insert(50, lines[49].rpartition(",")[0] + ",7777")
    lines[100] = lines[100].replace(",", ",x", 1)
    (tmp_path / "dirty.csv").write_text("\n".join(lines) + "\n")
    ran = shell.run("%nq_validate dirty.csv NQ 30min")
    assert ran.err == ""
    report = ran.value
    assert not report.is_valid
    assert any("line 101" in error for error in report.errors)
    assert report.table is None
    ran = shell.run(
        "%nq_validate dirty.csv NQ 30min as clean --action duplicate=quarantine --action text=drop --quarantine bad.csv"
    )
    clean = shell.ip.user_ns["clean"]
    assert ran.err == ""
    assert "7777" in (tmp_path / "bad.csv").read_text()
    assert clean.table.num_rows == 398
    shell.run("table = clean.table\n%nq_put clean_bars table")
    assert shell.run("%nq_get clean_bars").value["volume"].max() != 7777
    for wrong in ("--action duplicate", "--action duplicte=drop", "--action duplicate=remove"):
        assert shell.run(f"%nq_validate dirty.csv NQ 30min {wrong}").failed


def test_adjusted_prices_are_not_judged_by_the_tick(shell: Shell) -> None:
    """The magic takes what `nq.validate` takes."""
    shell.run("%nq_load NQ 30min as bars\nbars = bars.assign(open=bars.open + 0.1)")
    assert any(found.rule == "off tick" for found in shell.run("%nq_validate bars --symbol NQ").value.findings)
    report = shell.run("%nq_validate bars --symbol NQ --adjusted").value
    assert not any(found.rule == "off tick" for found in report.findings)
    assert "because the prices are adjusted" in report.not_checked[0]


def test_sniff(shell: Shell, tmp_path: Path) -> None:
    """The evidence is shown, nothing is loaded, and the line at the end loads the file as it says."""
    ran = shell.run("%nq_sniff NQ 30min")
    text = repr(ran.value)
    assert "zone: " in text
    assert "Asia/Jerusalem" in text
    assert shell.stored() == set()
    line = next(line for line in text.splitlines() if "%nq_load" in line).partition(": ")[2]
    assert "parsed" in shell.run(line).out
    assert len(shell.ip.user_ns["bars"]) == shell.rows
    path = next(path for path in shell.data.iterdir() if "30 min" in path.name)
    (tmp_path / "export.csv").write_bytes(path.read_bytes())
    text = repr(shell.run("%nq_sniff export.csv NQ 30min").value)
    line = next(line for line in text.splitlines() if "%nq_load" in line).partition(": ")[2]
    assert "as bars" in line
    assert not shell.run(line.replace("as bars", "as other")).failed
    call = next(line for line in text.splitlines() if "nq.load(" in line).partition(": ")[2]
    assert len(shell.run(f"import jupyter_nq as nq\n{call}").value) == shell.rows
    assert "no such file" in shell.run("%nq_sniff nothing.csv").err
    shell.run("%nq_load NQ 30min as plain")
    (tmp_path / "export.csv").rename(tmp_path / "week 1.csv")
    text = repr(shell.run("%nq_sniff week 1.csv").value)
    line = next(line for line in text.splitlines() if "%nq_load" in line).partition(": ")[2]
    assert f'"{tmp_path / "week 1.csv"}" 30min --symbol SYMBOL' in line
    assert not shell.run(line.replace("SYMBOL", "NQ").replace("as bars", "as named")).failed
    assert '`%nq_validate "week 1.csv" --symbol NQ`' in shell.run('%nq_validate "week 1.csv"').err
    bad = "\n".join(f"2024-01-0{n} 10:00,1,2,1,1,7" for n in range(1, 9))
    (tmp_path / "few_NQ.csv").write_text(f"time,open,high,low,close,volume\n{bad}\n")
    [error] = shell.run("%nq_validate few_NQ.csv NQ 1D").value.errors
    assert "Pass --tz America/New_York and --edge start (or --edge end)" in error


def test_a_compressed_file_is_found_by_its_name(shell: Shell, tmp_path: Path) -> None:
    """`NQ_30min.csv.gz` is loaded by path and looked up by symbol, with the bars of the plain file."""
    path = next(path for path in shell.data.iterdir() if "30 min" in path.name)
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "NQ_30min.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    plain = shell.run("%nq_load NQ 30min").value
    found = shell.run("%nq_load NQ 30min --data-dir packed").value
    pd.testing.assert_frame_equal(found, plain)
    assert not shell.run('%nq_load "packed/NQ_30min.csv.gz" as again').failed
    batches = list(nq.iterate(packed / "NQ_30min.csv.gz", rows=700, start=plain["timestamp"].iloc[900].isoformat()))
    assert sum(batch.num_rows for batch in batches) == shell.rows - 900


def test_profiles_in_a_line(shell: Shell, tmp_path: Path) -> None:
    """A vendor, single answers and a contract; the lines of the evidence load the file as they say."""
    path = write_vendor(tmp_path, "databento", rows=900)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1].replace("NQU0", "NQZ0")]) + "\n")
    assert "--contract NQU0" in shell.run(f"%nq_sniff {path.name}").err
    text = repr(shell.run(f"%nq_sniff {path.name} --contract NQU0 --profile databento").value)
    assert "profile: Databento, as given" in text
    line = next(line for line in text.splitlines() if "%nq_load" in line).partition(": ")[2]
    assert "--profile databento --contract NQU0" in line or "--contract NQU0 --profile databento" in line
    assert not shell.run(line).failed
    assert len(shell.ip.user_ns["bars"]) == 900
    assert shell.run(f"%nq_validate {path.name} --contract NQU0").value.rows == 900
    raw = write_vendor(tmp_path / "raw", "tradestation", rows=900)
    raw.write_text(raw.read_text().partition("\n")[2])
    assert "read in 2 ways" in shell.run(f"%nq_load raw/{raw.name}").err
    one = shell.run(f'%nq_load raw/{raw.name} --profile columns.volume=7 --profile "layouts=MM/DD/YYYY HH:MM"')
    both = shell.run(f"%nq_load raw/{raw.name} --profile tradestation")
    assert (one.value["volume"] <= both.value["volume"]).all()
    assert "NQ.30min-tradestation" in both.out
    text = repr(shell.run(f"%nq_sniff raw/{raw.name} --profile columns.volume=7").value)
    line = next(line for line in text.splitlines() if "%nq_load" in line).partition(": ")[2]
    assert not shell.run(line).failed
    wrong = shell.run(f"%nq_load raw/{raw.name} --profile kibott")
    assert "Did you mean 'kibot'" in wrong.err
    assert "--profile edge=end" in wrong.err or "profile" in wrong.err


def test_answers_of_a_profile_as_they_are_typed() -> None:
    """Numbers, lists and nested names become what `profile=` takes, and messages name them so."""
    assert profile_of([]) is None
    assert profile_of(["kibot"]) == "kibot"
    assert profile_of(["kibot", "edge=end"]) == {"vendor": "kibot", "edge": "end"}
    words = ["minutes=5", "header=no", "columns.timestamp=Date+Time", "columns.volume=7", "layouts=epoch s|DD/MM/YYYY"]
    assert profile_of(words) == {
        "minutes": 5,
        "header": False,
        "columns": {"timestamp": ["Date", "Time"], "volume": [7]},
        "layouts": ["epoch s", "DD/MM/YYYY"],
    }
    assert as_typed("profile={'columns': {'volume': 7}}") == "--profile columns.volume=7"
    assert as_typed("Pass profile={'century': 2000} or profile='kibot'.") == (
        "Pass --profile century=2000 or --profile kibot."
    )
