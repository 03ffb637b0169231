"""Files elsewhere, on a real S3 server: fetched once, read like local ones, without secrets and within bounds."""

from __future__ import annotations

import os
import stat
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from jupyter_nq.bars.sample import sample_bars, write_sample
from jupyter_nq.client.bars import fetch
from jupyter_nq.client.bars.checks import sniff, validate
from jupyter_nq.client.bars.chunks import iterate
from jupyter_nq.client.bars.fetch import Remote, address_of, local_path
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import InvalidArgument, SourceNotFound, StoreError, StoreFull, UnreadableSource

BARS = sample_bars("30min", rows=2_000, seed=2)
Put = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The endpoint of an S3 server."""
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Path:
    """Credentials as a user has them, and a cache directory of the test's own; gives the directory of copies."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server,
        "JUPYTER_NQ_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return fetch.fetch_dir(Settings())


@pytest.fixture
def put(server: str) -> Put:
    """Give a function that writes bars to the bucket, and returns their address."""
    system = fs.S3FileSystem(endpoint_override=server, region="us-east-1", allow_bucket_creation=True)
    system.create_dir("bars")
    system.delete_dir_contents("bars")

    def put(name: str = "NQ_30min.parquet", table: pa.Table = BARS, **options: Any) -> str:
        with system.open_output_stream(f"bars/{name}") as stream:
            if name.endswith(".parquet"):
                pq.write_table(table, stream, **options)
            else:
                stream.write(options["text"])
        return f"s3://bars/{name}"

    return put


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The labels of files whose bytes were asked for."""
    asked: list[str] = []
    pieces = Remote.pieces

    def counted(self: Remote) -> Iterator[bytes]:
        asked.append(self.address.label)
        return pieces(self)

    monkeypatch.setattr(Remote, "pieces", counted)
    return asked


def loaded(session: Session, source: Any, **options: Any) -> tuple[str, str, int, int]:
    """Return how a load was had, its name, version and rows."""
    mapped = session.map(source, **options)
    with mapped.handle as handle:
        return mapped.how, handle.info.name, handle.version, handle.rows


def test_file_is_fetched_once_and_then_mapped(session: Session, put: Put, place: Path, reads: list[str]) -> None:
    """The first load fetches and parses, the next asks only for the file's state; the copy is private."""
    address = put()
    assert loaded(session, address) == ("parsed", "NQ.30min", 1, 2_000)
    assert loaded(session, address) == ("mapped", "NQ.30min", 1, 2_000)
    assert reads == ["s3://bars/NQ_30min.parquet"]
    [copy] = place.glob("*/NQ_30min.parquet")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, copy.parent, copy)] == [0o700, 0o700, 0o600]
    session.drop("NQ.30min")
    assert loaded(session, address)[0] == "parsed"
    assert len(reads) == 1
    table = session.load(address, as_="arrow").select(BARS.column_names)
    assert table.replace_schema_metadata(None).cast(BARS.schema).equals(BARS)


def test_changed_file_is_a_new_version(session: Session, put: Put, reads: list[str]) -> None:
    """Other bytes at the address, of the same size and second too, are the next version."""
    loaded(session, put())
    put(table=BARS.slice(0, 1_500))
    assert loaded(session, "s3://bars/NQ_30min.parquet") == ("parsed", "NQ.30min", 2, 1_500)
    assert len(reads) == 2


def test_text_elsewhere_is_sniffed_checked_and_iterated(session: Session, put: Put, data: Path) -> None:
    """Everything that reads a file reads one elsewhere."""
    write_sample(data, rows=2_000, seed=3, layouts=["30min"])
    text = next(data.glob("NQ - 30 min*")).read_bytes()
    address = put("NQ - 30 min - ETH.csv", text=text)
    assert sniff(session, address).profile.tz == "Asia/Jerusalem"
    assert validate(session, address).is_valid
    assert sum(batch.num_rows for batch in iterate(session, address, rows=300)) == 2_000
    assert loaded(session, address) == ("parsed", "NQ.30min", 1, 2_000)


def test_text_elsewhere_that_has_grown(session: Session, put: Put, data: Path, reads: list[str]) -> None:
    """New rows at the end are appended to the same object, and the load after that asks only for the state."""
    write_sample(data, rows=2_000, seed=3, layouts=["30min"])
    lines = next(data.glob("NQ - 30 min*")).read_bytes().splitlines(keepends=True)
    address = put("NQ_30min.csv", text=b"".join(lines[:1_901]))
    assert loaded(session, address) == ("parsed", "NQ.30min", 1, 1_900)
    put("NQ_30min.csv", text=b"".join(lines))
    told = session.refresh("NQ.30min")
    assert (told.source, told.added, told.changed) == (address, 100, 0)
    session.settings.fetch_bytes = 0
    assert loaded(session, address) == ("mapped", "NQ.30min", 2, 2_000)
    assert len(reads) == 2


def test_copies_are_kept_for_who_iterates(session: Session, put: Put, data: Path, place: Path) -> None:
    """Until the iterator ends or is closed no copy goes that it reads, of one file or of a series."""
    write_sample(data, rows=2_000, seed=3, layouts=["30min"])
    lines = next(data.glob("NQ - 30 min*")).read_bytes().splitlines(keepends=True)
    first = put("NQ_30min_a.csv", text=b"".join(lines[:1_001]))
    second = put("NQ_30min_b.csv", text=b"".join([lines[0], *lines[1_001:]]))
    told: dict[str, Any] = {"timeframe": "30min", "symbol": "NQ"}
    session.settings.fetch_bytes = int(len(b"".join(lines)) * 0.7)
    one = iterate(session, first, rows=300, **told)
    for source in (second, [first, second]):
        with pytest.raises(StoreFull, match="copies in use leave no room"):
            iterate(session, source, **told)
    again = iterate(session, first, rows=300, **told)
    assert sum(batch.num_rows for batch in one) == sum(batch.num_rows for batch in again) == 1_000
    session.settings.fetch_bytes *= 2
    both = iterate(session, [first, second], rows=300, **told)
    fetch.clear(session.settings)
    assert sum(batch.num_rows for batch in both) == 2_000
    closed = iterate(session, first, rows=300, **told)
    next(closed)
    fetch.clear(session.settings)
    assert len(list(place.glob("*/*.csv"))) == 1
    closed.close()
    fetch.clear(session.settings)
    assert not place.exists()


def test_file_that_changes_while_it_is_read_in_place(session: Session, put: Put, place: Path) -> None:
    """What comes of other bytes than the first is not given out."""
    batches = iterate(session, put(row_group_size=50), rows=64, start=BARS["timestamp"][100].as_py())
    next(batches)
    put(row_group_size=50, table=BARS.slice(10))
    with pytest.raises(UnreadableSource, match=r"s3://bars/NQ_30min\.parquet changed while it was read"):
        list(batches)
    assert not place.exists()


def test_span_of_parquet_is_read_in_place(session: Session, put: Put, place: Path, reads: list[str]) -> None:
    """With a span the row groups are asked for where they lie, and nothing is copied."""
    address = put(row_group_size=50)
    first = BARS["timestamp"][1_000].as_py()
    found = pa.Table.from_batches(list(iterate(session, address, rows=64, start=first)))
    assert found.num_rows == 1_000
    assert found["close"].to_pylist() == BARS["close"].to_pylist()[1_000:]
    assert reads == []
    assert not place.exists()


def test_progress_runs_through_fetching_and_reading(session: Session, put: Put) -> None:
    """It rises from fetching to the last row."""
    shares: list[float] = []
    loaded(session, put(), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupt_leaves_nothing(session: Session, put: Put, place: Path, error: type[BaseException]) -> None:
    """Who gives up while a file is fetched leaves no draft, and the next load fetches it."""

    def give_up(share: float) -> None:
        raise error

    address = put()
    with pytest.raises(error):
        session.map(address, progress=give_up)
    assert [path.suffix for path in place.iterdir()] == [".lock"]
    (place / f"{next(place.iterdir()).stem}.part").write_bytes(b"of a process that was killed")
    assert loaded(session, address)[0] == "parsed"
    assert not list(place.glob("*.part"))


def test_file_that_changes_while_it_is_fetched(
    session: Session, put: Put, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of two states never become one copy."""
    address = put()
    pieces = Remote.pieces

    def overtaken(self: Remote) -> Iterator[bytes]:
        put(table=BARS.slice(0, 1_000))
        return pieces(self)

    monkeypatch.setattr(Remote, "pieces", overtaken)
    with pytest.raises(UnreadableSource, match=r"s3://bars/NQ_30min\.parquet changed while it was fetched"):
        session.load(address)
    assert not list(place.glob("*/*"))
    monkeypatch.undo()


def test_copies_are_bounded(session: Session, put: Put, place: Path) -> None:
    """The copy that was not used for longest goes first, one in use stays, and too large a file is refused."""
    size = len(_bytes(BARS))
    session.settings.fetch_bytes = int(size * 2.5)
    names = ["NQ_30min.parquet", "ES_30min.parquet", "RTY_30min.parquet"]
    for i, name in enumerate(names):
        loaded(session, put(name))
        for copy in place.glob(f"*/{name}"):
            os.utime(copy.parent, (i, i))
    assert sorted(path.name for path in place.glob("*/*")) == ["ES_30min.parquet", "RTY_30min.parquet"]
    assert len(list(place.glob("*.lock"))) == 2
    held = [fetch.local_copy(f"s3://bars/{name}", session.settings) for name in names[1:]]
    with pytest.raises(StoreFull, match="copies in use leave no room"):
        session.load(put("YM_30min.parquet"), symbol="YM")
    assert len(held) == 2
    session.settings.fetch_bytes = size - 1
    with pytest.raises(StoreFull, match=r"fetch_bytes"):
        session.load("s3://bars/YM_30min.parquet")


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def test_full_disk(session: Session, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the disk has no room for is refused before a byte is fetched."""
    address = put()
    monkeypatch.setattr(fetch, "_SPARE_BYTES", 1 << 60)
    with pytest.raises(StoreFull, match="free"):
        session.load(address)


def test_directory_of_somebody_else(session: Session, put: Put, place: Path) -> None:
    """Copies are not put where others could change them."""
    place.mkdir(parents=True, mode=0o777)
    place.chmod(0o777)
    with pytest.raises(StoreError, match="not a directory of yours alone"):
        session.load(put())


def test_series_of_files_elsewhere(session: Session, put: Put, tmp_path: Path, reads: list[str]) -> None:
    """A list may mix addresses and paths; while nothing changed only states are asked for."""
    sources = [put("NQ_30min_2023.parquet", BARS.slice(0, 900)), put("NQ_30min_2024.parquet", BARS.slice(800, 700))]
    pq.write_table(BARS.slice(1_500), tmp_path / "NQ_30min_2025.parquet")
    sources.append(str(tmp_path / "NQ_30min_2025.parquet"))
    assert loaded(session, sources) == ("parsed", "NQ.30min", 1, 2_000)
    assert loaded(session, sources[::-1]) == ("mapped", "NQ.30min", 1, 2_000)
    assert [batch.num_rows for batch in iterate(session, sources, rows=1_500)] == [1_500, 500]
    assert len(reads) == 2
    put("NQ_30min_2024.parquet", BARS.slice(900, 600))
    assert loaded(session, sources) == ("parsed", "NQ.30min", 2, 2_000)
    assert session.refresh("NQ.30min").before == 2
    with pytest.raises(InvalidArgument, match="carries credentials"):
        session.load([*sources, "s3://key:secret@bars/NQ_30min_2026.parquet"])


def test_copies_are_removed_together(session: Session, put: Put, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted and removed, what is not the package's own stays, and so does one in use."""
    held = fetch.local_copy(put(), session.settings)
    fetch.local_copy(put("ES_30min.parquet"), session.settings)
    (place / "mine.txt").write_text("mine")
    assert fetch.usage(session.settings) == (2, 2 * held.path.stat().st_size)
    fetch.clear(session.settings)
    assert fetch.usage(session.settings) == (1, held.path.stat().st_size)
    del held
    fetch.clear(session.settings)
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    monkeypatch.delenv("JUPYTER_NQ_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert fetch.fetch_dir(Settings()) == Path("/caches/jupyter-nq/fetched")


# -- what goes wrong elsewhere ----------------------------------------------------------------------
def test_files_that_are_not_there(session: Session, put: Put) -> None:
    """A missing file or bucket, and a directory, are named."""
    put()
    for address in ("s3://bars/ES_30min.csv", "s3://no-such-bucket/NQ_30min.csv"):
        with pytest.raises(SourceNotFound, match=f"{address} does not exist"):
            session.load(address)
    put("deep/NQ_30min.parquet")
    with pytest.raises((UnreadableSource, SourceNotFound), match="s3://bars/deep "):
        session.load("s3://bars/deep", "30min", symbol="NQ")


def test_credentials_that_are_refused(session: Session, put: Put, server: str) -> None:
    """A refusal says how to sign in, and shows no secret."""
    address = put()
    _ask(server, b"0")
    try:
        with pytest.raises(UnreadableSource, match="AWS_ACCESS_KEY_ID") as caught:
            session.load(address)
    finally:
        _ask(server, b"inf")
    assert "very-secret" not in str(caught.value)
    assert "AKIATEST" not in str(caught.value)


def _ask(server: str, free_requests: bytes) -> None:
    """Have the server check credentials after so many requests."""
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(
        urllib.request.Request(f"{server}/moto-api/reset-auth", data=free_requests, headers=headers)
    ).close()


def test_server_that_does_not_answer(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be reached is said so."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    where = quote("http://127.0.0.1:9", safe="")
    with pytest.raises(UnreadableSource, match=r"s3://bars/NQ_30min\.csv cannot be reached") as caught:
        session.load(f"s3://bars/NQ_30min.csv?endpoint_override={where}&region=us-east-1")
    assert "endpoint_override" not in str(caught.value)


# -- addresses --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "address",
    [
        "s3://key:secret@bars/NQ_30min.csv",
        "s3://key@bars/NQ_30min.csv",
        "s3://bars/NQ_30min.csv?access_key=secret",
        "s3://bars/NQ_30min.csv?X-Amz-Signature=secret",
        "gs://user:secret@bars/NQ_30min.csv",
        "abfss://bars:secret@account.dfs.core.windows.net/NQ_30min.csv",
        "abfss://bars@account.dfs.core.windows.net/NQ_30min.csv?sig=secret",
        "s3://bars/NQ_30min.csv#secret",
    ],
)
def test_addresses_with_credentials_are_refused(session: Session, address: str) -> None:
    """No secret is taken from an address, and none is repeated."""
    with pytest.raises(InvalidArgument, match="sign in with") as caught:
        session.load(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["s3://bars", "s3://bars/", "s3://bars/deep/", "ftp://a/b.csv", "https://a/b.csv"])
def test_addresses_of_no_file(session: Session, address: str) -> None:
    """A bucket, a directory and other kinds of addresses are refused before anything is asked."""
    with pytest.raises(InvalidArgument):
        session.load(address)


def test_what_is_remembered_has_no_options(session: Session, put: Put, server: str) -> None:
    """Label, name and record have bucket and path only."""
    put()
    where = quote(server, safe="")
    mapped = session.map(f"s3://bars/NQ_30min.parquet?endpoint_override={where}&region=us-east-1")
    with mapped.handle as handle:
        known: Any = handle.info.meta["bars"]
    assert known["path"] == "s3://bars/NQ_30min.parquet"
    assert "endpoint_override" not in repr(handle.info.meta)
    assert address_of("abfss://bars@account.dfs.core.windows.net/a/NQ.csv").label == (
        "abfss://bars@account.dfs.core.windows.net/a/NQ.csv"
    )


def test_local_addresses(session: Session, data: Path) -> None:
    """A file:// address is a path."""
    path = next(data.glob("NQ - 30 min*"))
    assert loaded(session, f"file://{quote(str(path))}")[1] == "NQ.30min"
    assert local_path("s3://bars/a.csv") is None
    with pytest.raises(InvalidArgument, match="three slashes"):
        session.load("file://home/me/NQ_5min.csv")


def test_sessions_have_their_own_limits(nq_store_dir: Path, put: Put) -> None:
    """`fetch_bytes=0` fetches none."""
    limited = Settings(store_dir=str(nq_store_dir), fetch_bytes=0)
    with Session(settings=limited) as session, pytest.raises(StoreFull, match="fetch_bytes"):
        session.load(put())
