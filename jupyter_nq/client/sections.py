"""The `config` argument of the specification's classes: a mapping or a YAML file, with a section for each class."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_nq.errors import ConfigError, nearest

Config = Mapping[str, Any] | str | os.PathLike[str] | None
"""A mapping, or the path of a YAML file; None is an empty one."""


def read_config(config: Config) -> Mapping[str, Any]:
    """Return a configuration as a mapping.

    Raises
    ------
    ConfigError
        It is the path of no file, or of none that can be read.
    """
    if config is None or isinstance(config, Mapping):
        return config or {}
    from jupyter_nq.yaml_file import read_yaml

    path = Path(config).expanduser()
    if not path.is_file():
        raise ConfigError(f"config={str(config)!r} is no file. Pass the path of a YAML file, or a mapping.")
    return read_yaml(path)


def section(
    config: Mapping[str, Any], name: str, keys: Sequence[str], beside: Collection[str] = ()
) -> Mapping[str, Any]:
    """Return the keys about one class, and refuse one that nothing would read.

    Without a section of their own they stand among the sections of others, and the keys `beside` them.

    Raises
    ------
    ConfigError
    """
    given: Any
    if name in config:
        given = config[name]
        if not isinstance(given, Mapping):
            raise ConfigError(f"{name} is {given!r}; it holds {', '.join(keys)}.")
    else:
        others = {key for key, value in config.items() if key in beside or isinstance(value, Mapping)}
        given = {key: value for key, value in config.items() if key not in others}
    for key in given:
        if key not in keys:
            raise ConfigError(f"{name} has no key {key!r}.{nearest(str(key), keys)} It has {', '.join(keys)}.")
    return given  # type: ignore[no-any-return]


def switch(name: str, value: Any) -> bool:
    """Return a switch, on when it is None; raise `ConfigError` when it is neither True nor False."""
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r} is neither True nor False.")
    return value is not False
