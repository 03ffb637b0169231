"""The settings of a server: traitlets configuration over YAML, the environment over both.

Traits take the traitlets configuration by themselves and cannot say afterwards where a value came
from, so the order is restored here: what `c.NQApp` names wins over the file, and a variable of the
environment, which the kernels will see too, wins over what this server alone was told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from traitlets.config import Config

from jupyter_nq.config import (
    FILE_NAME,
    FILE_ONLY,
    Settings,
    apply,
    environment,
    find_yaml,
    setting_names,
)
from jupyter_nq.errors import ConfigError, nearest
from jupyter_nq.yaml_file import read_yaml

_DIRECTORIES = ("store_dir", "data_dir")


def settle(app: Settings, given: Config) -> tuple[Settings, list[str]]:
    """Return the settings that hold for this server, and a sentence for each that was overruled.

    Parameters
    ----------
    app
        The application with its traits as traitlets configured them.
    given
        The section `c.NQApp`, as configured.

    Raises
    ------
    ConfigError
        An unknown name (with the nearest known one) in the section or the file, one that belongs into the file, or a
        bad value.
    """
    _refuse_unknown(given, app)
    chosen = {name: getattr(app, name) for name in setting_names() if name in given}
    settings = Settings()
    found = find_yaml()
    if found is not None:
        apply(settings, read_yaml(found), where=str(found))
    apply(settings, chosen, where="c.NQApp")
    variables = environment()
    apply(settings, variables, where="the environment")
    for name in _DIRECTORIES:
        setattr(settings, name, _absolute(getattr(settings, name)))
    return settings, _overruled(chosen, variables)


def _refuse_unknown(given: Config, app: Settings) -> None:
    known = app.trait_names(config=True)
    for name in given:
        if name in FILE_ONLY:
            raise ConfigError(f"c.NQApp.{name}: write it into {FILE_NAME}, which the kernels of this server read too.")
        if name not in known:
            ours = setting_names()
            raise ConfigError(
                f"c.NQApp.{name}: unknown setting.{nearest(str(name), ours)} The settings are: {', '.join(ours)}."
            )


def _overruled(chosen: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
    return [
        f"The environment sets {name} to {variables[name]}, which overrides c.NQApp.{name} = {chosen[name]}."
        for name in variables
        if chosen.get(name) and _absolute(chosen[name]) != _absolute(variables[name])
    ]


def _absolute(directory: str) -> str:
    """Return a directory as the kernels, which run elsewhere, understand it; empty stays empty."""
    return str(Path(os.path.abspath(Path(directory).expanduser()))) if directory else ""
