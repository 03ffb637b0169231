"""Settings: declared once, checked, and told where a wrong one stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.config import FILE_NAME, Settings, load_settings, setting_names, spill_dir_of
from jupyter_nq.errors import ConfigError
from jupyter_nq.yaml_file import read_yaml


@pytest.fixture(autouse=True)
def no_outer_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of the machine out of the tests."""
    for variable in (
        "JUPYTER_NQ_CACHE",
        "JUPYTER_NQ_SPILL",
        "JUPYTER_NQ_CONFIG",
        "JUPYTER_NQ_STORE",
        "JUPYTER_NQ_DATA",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))


def _yaml(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_defaults_without_any_source() -> None:
    """Nothing given means the declared defaults."""
    assert load_settings().trait_values(config=True) == Settings().trait_values(config=True)


def test_sources_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arguments win over the environment, which wins over the file."""
    file = _yaml(tmp_path / "a.yaml", "store_dir: from-file\ndata_dir: from-file\ndefault_symbol: ES\n")
    monkeypatch.setenv("JUPYTER_NQ_STORE", "from-environment")
    monkeypatch.setenv("JUPYTER_NQ_DATA", "from-environment")
    settings = load_settings(file, data_dir="from-argument", store_dir=None)
    assert (settings.store_dir, settings.data_dir, settings.default_symbol) == (
        "from-environment",
        "from-argument",
        "ES",
    )


def test_file_on_the_jupyter_path_is_found(tmp_path: Path) -> None:
    """`jupyter_nq.yaml` in Jupyter's configuration directory needs no variable."""
    (tmp_path / "jupyter").mkdir()
    _yaml(tmp_path / "jupyter" / FILE_NAME, "pool_bytes: 1000000\n")
    assert load_settings().pool_bytes == 1_000_000


def test_named_file_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A variable that names nothing is an error, not a default."""
    monkeypatch.setenv("JUPYTER_NQ_CONFIG", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="not a file"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool_byte: 1", "unknown setting 'pool_byte'. Did you mean 'pool_bytes'"),
        ("pool_bytes: many", "pool_bytes"),
        ("pool_bytes: -1", "pool_bytes"),
        ("- a\n- b", "must hold"),
        ("just words", "must hold"),
        ("pool_bytes: 1\npool_bytes: 2", "given twice"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: " + "[" * 3000, "nesting"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: b: c", "not valid YAML"),
        ("#" * 70_000, "larger than"),
        ("1: 2", "unknown setting 1"),
        ("instruments: [FDAX]", "instruments"),
    ],
)
def test_bad_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    """Whatever is wrong, the message names the file and the place."""
    file = _yaml(tmp_path / "bad.yaml", text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(file)
    assert "bad.yaml" in str(caught.value)


def test_empty_file_is_no_setting(tmp_path: Path) -> None:
    """An empty file changes nothing."""
    assert read_yaml(_yaml(tmp_path / "empty.yaml", "")) == {}


def test_every_setting_says_in_a_sentence_what_it_is() -> None:
    """Each trait has help that ends like a sentence."""
    for name in setting_names():
        assert Settings.class_traits()[name].help.strip().endswith("."), name


def test_durable_data_are_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each store has a directory of its own in the user's data directory, unless a setting names another."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first, second = spill_dir_of("", tmp_path / "a"), spill_dir_of("", tmp_path / "b")
    assert first.parent == second.parent == tmp_path / "jupyter-nq" / "cold"
    assert first != second
    assert spill_dir_of("/disk", tmp_path / "a") == Path("/disk") / first.name
