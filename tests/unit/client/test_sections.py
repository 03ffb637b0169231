"""Sections of a configuration: by themselves, among others, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nq.client.sections import read_config, section, switch
from jupyter_nq.errors import ConfigError

KEYS = ("size", "enabled")


@pytest.mark.parametrize(
    "config", [{"memory": {"size": 1}}, {"memory": {"size": 1}, "else": {"x": 2}}, {"size": 1, "else": {}, "mine": 3}]
)
def test_a_section_is_found(config: dict[str, Any]) -> None:
    """With its name, or without among the sections and the keys of others."""
    assert section(config, "memory", KEYS, beside=["mine"]) == {"size": 1}


def test_a_key_that_nothing_reads_is_refused() -> None:
    """With the nearest one; a section that is none, too."""
    with pytest.raises(ConfigError, match=r"memory has no key 'sise'\. Did you mean 'size'\? It has size, enabled\."):
        section({"memory": {"sise": 1}}, "memory", KEYS)
    with pytest.raises(ConfigError, match="memory is 3; it holds size, enabled"):
        section({"memory": 3}, "memory", KEYS)


def test_a_configuration_is_a_mapping_or_a_file(tmp_path: Path) -> None:
    """None is an empty one."""
    path = tmp_path / "config.yaml"
    path.write_text("memory:\n  size: 1\n")
    assert read_config(path) == read_config(str(path)) == {"memory": {"size": 1}}
    assert read_config({"a": 1}) == {"a": 1}
    assert read_config(None) == {}
    with pytest.raises(ConfigError, match="is no file"):
        read_config(tmp_path / "absent.yaml")


def test_switches() -> None:
    """On unless said otherwise; only True and False are answers."""
    assert [switch("enabled", value) for value in (None, True, False)] == [True, True, False]
    with pytest.raises(ConfigError, match="enabled='no' is neither True nor False"):
        switch("enabled", "no")
