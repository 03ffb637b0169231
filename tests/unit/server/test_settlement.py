"""Tests of the order of a server's settings: environment over `c.NQApp` over YAML over the default."""

from __future__ import annotations

from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_nq.config import Settings
from jupyter_nq.errors import ConfigError
from jupyter_nq.server.settlement import settle


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    for name in ("JUPYTER_NQ_STORE", "JUPYTER_NQ_DATA", "JUPYTER_NQ_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def _app(**given: object) -> tuple[Settings, Config]:
    app = Settings()
    for name, value in given.items():
        if app.has_trait(name):
            setattr(app, name, value)
    return app, Config(given)


def test_nothing_given_means_the_defaults() -> None:
    """Without any source the defaults hold, and empty directories stay empty."""
    settings, overruled = settle(*_app())
    assert (settings.store_dir, settings.pool_bytes, overruled) == ("", 0, [])


def test_yaml_lies_under_the_traits(tmp_path: Path) -> None:
    """The file sets what `c.NQApp` leaves open."""
    (tmp_path / "jupyter_nq.yaml").write_text("pool_bytes: 100\nfeed_hz: 5.0\n")
    settings, _ = settle(*_app(pool_bytes=200))
    assert (settings.pool_bytes, settings.feed_hz) == (200, 5.0)


def test_a_trait_set_to_its_default_still_beats_the_file(tmp_path: Path) -> None:
    """What counts is that the trait was named, not that it differs."""
    (tmp_path / "jupyter_nq.yaml").write_text("pool_bytes: 100\n")
    assert settle(*_app(pool_bytes=0))[0].pool_bytes == 0


def test_environment_beats_the_traits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels see the variable too, so it wins; the overruled trait is named."""
    monkeypatch.setenv("JUPYTER_NQ_STORE", "/dev/shm/a")
    settings, (sentence,) = settle(*_app(store_dir="/dev/shm/b"))
    assert settings.store_dir == "/dev/shm/a"
    assert sentence == "The environment sets store_dir to /dev/shm/a, which overrides c.NQApp.store_dir = /dev/shm/b."
    assert settle(*_app(store_dir="/dev/shm/a/"))[1] == []


def test_directories_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels have other working directories than the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/quant")
    settings, _ = settle(*_app(store_dir="store", data_dir="~/bars"))
    assert (settings.store_dir, settings.data_dir) == (str(tmp_path / "store"), "/home/quant/bars")


def test_unknown_trait_is_an_error_with_the_nearest_name() -> None:
    """A misspelt setting is refused with the name that was meant."""
    with pytest.raises(ConfigError, match=r"c\.NQApp\.pool_byte: unknown setting. Did you mean 'pool_bytes'"):
        settle(*_app(pool_byte=1))


def test_instruments_belong_into_the_file() -> None:
    """What only this server were told, its kernels would not know."""
    with pytest.raises(ConfigError, match=r"c\.NQApp\.instruments: write it into jupyter_nq\.yaml"):
        settle(*_app(instruments={"FDAX": {}}))


def test_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    """The file is held to the same names."""
    (tmp_path / "jupyter_nq.yaml").write_text("feed_herz: 3\n")
    with pytest.raises(ConfigError, match="feed_hz"):
        settle(*_app())
