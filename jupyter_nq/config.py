"""Every setting, declared once: traits for the server (`c.NQApp.<name>`), the same names in YAML.

A process takes a setting from, in this order: the explicit argument of a call, the environment
variable named in the trait's help, the traitlets configuration (server only), the YAML file, the
default below. The YAML file is `$JUPYTER_NQ_CONFIG`, else the first `jupyter_nq.yaml` on Jupyter's
configuration path.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any

from traitlets import Dict, Enum, Float, HasTraits, Int, TraitError, Unicode

from jupyter_nq.errors import ConfigError, nearest

FILE_NAME = "jupyter_nq.yaml"
FILE_ONLY = frozenset({"instruments"})
"""Settings that the YAML file alone gives: every process reads it, whether it knows a server or not."""
HOST_APPLIES = ("pool_bytes", "spare_share", "notebook_bytes", "eviction_policy")
"""Settings that count as the host of the coordinator has them, for all processes of its store."""


class Settings(HasTraits):
    """The settings of one process; the server extension inherits them as `c.NQApp.<name>`."""

    store_dir = Unicode(
        "",
        help="Directory of the shared store. $JUPYTER_NQ_STORE wins; empty means /dev/shm/nq-<uid>, one per user.",
    ).tag(config=True)
    data_dir = Unicode(
        "",
        help="Directory that holds the bar files. $JUPYTER_NQ_DATA wins; empty means the current directory.",
    ).tag(config=True)
    default_symbol = Unicode("NQ", help="Symbol that a load means when only a timeframe is given.").tag(config=True)
    instruments = Dict(
        help="Instruments to add to the table or to change in it, by symbol, each with any of name, tick, point_value, "
        "calendar, regular_hours, roll and negative_prices; in the YAML file alone, which every process reads.",
    ).tag(config=True)
    pool_bytes = Int(
        0,
        min=0,
        help="Byte quota of all shared objects together. 0 means 80 % of what is free in the store and its cgroup.",
    ).tag(config=True)
    spare_share = Float(
        0.25,
        min=0.0,
        max=1.0,
        help="Share of pool_bytes (or of free memory, if that is less) that freed datasets may keep for half a minute, "
        "and that a process that writes may prepare when it pauses, for whoever writes next. 0 gives all memory back "
        "at once.",
    ).tag(config=True)
    notebook_bytes = Int(
        0,
        min=0,
        help="Byte quota of what one process may have written and not dropped. 0 means none beside pool_bytes.",
    ).tag(config=True)
    eviction_policy = Enum(
        ("lru", "lfu", "fifo"),
        "lru",
        help="Which datasets leave memory first when room is needed: those not used for longest (lru), those used "
        "least often (lfu), or the oldest (fifo). Pinned ones and those that somebody holds stay.",
    ).tag(config=True)
    spill_dir = Unicode(
        "",
        help="Directory, on a disk, of datasets that left memory and of durable ones, each store in a directory of its "
        "own there. $JUPYTER_NQ_SPILL wins; empty means jupyter-nq/cold in the user's data directory.",
    ).tag(config=True)
    spill_bytes = Int(
        20 << 30,  # 20 GiB
        min=0,
        help="Byte limit of spill_dir; durable datasets count, and are written beyond it. 0 lets nothing leave memory.",
    ).tag(config=True)
    key_file = Unicode(
        "",
        help="File of mode 0600 with master keys, `id:base64` a line, the current one first: what is written to "
        "spill_dir is encrypted. $JUPYTER_NQ_KEY holds one key itself. Empty, without that, means no encryption.",
    ).tag(config=True)
    key_service = Unicode(
        "",
        help="Service in the user's keyring whose entry `master key` holds such lines; empty means none.",
    ).tag(config=True)
    append_reserve = Float(
        0.25,
        min=0.0,
        max=16.0,
        help="Share of a dataset's rows that is reserved for appending in place, without using memory. 0 means none.",
    ).tag(config=True)
    read_block_bytes = Int(
        512 << 10,  # 512 KiB
        min=4 << 10,
        max=64 << 20,
        help="Size in bytes of the blocks in which a text file is read.",
    ).tag(config=True)
    cache_dir = Unicode(
        "",
        help="Directory of the archives of parsed files. $JUPYTER_NQ_CACHE wins; empty means jupyter-nq/bars in the "
        "user's cache directory.",
    ).tag(config=True)
    cache_bytes = Int(
        2 << 30,  # 2 GiB: some 400 million bars
        min=0,
        help="Byte limit of the archives of parsed files; what was not used for longest goes first. 0 keeps none.",
    ).tag(config=True)
    fetch_bytes = Int(
        20 << 30,  # 20 GiB
        min=0,
        help="Byte limit of the copies of files elsewhere (s3:// and the like) in `fetched` of cache_dir, or beside "
        "the archives; what was not used for longest goes first. 0 fetches none.",
    ).tag(config=True)
    feed_hz = Float(
        10.0,
        min=0.1,
        max=60.0,
        help="Largest number of updates per second that the server sends to a lab panel.",
    ).tag(config=True)
    identity_seconds = Float(
        2.0,
        min=0.1,
        help="Seconds between two looks of a server at which notebook each of its kernels belongs to.",
    ).tag(config=True)
    connect_seconds = Float(
        5.0,
        min=0.1,
        help="Seconds that a process waits for the coordinator before it gives up with an error.",
    ).tag(config=True)


def default_store_dir() -> Path:
    """Return the user's store on tmpfs, or in the user's cache directory where there is no /dev/shm."""
    shared = Path("/dev/shm")
    if shared.is_dir():
        return shared / f"nq-{os.getuid()}"
    return Path.home() / ".cache" / "jupyter-nq"


def default_cache_dir() -> Path:
    """Return the directory of archives in the user's cache directory, as XDG_CACHE_HOME names it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jupyter-nq" / "bars"


def spill_dir_of(setting: str, store_path: Path) -> Path:
    """Return the directory on a disk that is one store's alone, in the one that the setting names."""
    own = hashlib.blake2b(os.fsencode(os.path.realpath(store_path)), digest_size=8).hexdigest()
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")  # durable: no cache
    return (Path(setting) if setting else data / "jupyter-nq" / "cold") / own


@functools.cache
def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, in the order of their declaration."""
    declared = set(Settings.class_trait_names(config=True))
    return tuple(name for name in vars(Settings) if name in declared)


def load_settings(path: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
    """Return the settings of this process.

    Parameters
    ----------
    path
        The YAML file; None looks it up as the module says, and no file is no error.
    overrides
        Explicit values; None means "not given".

    Raises
    ------
    ConfigError
        An unknown key (with the nearest name), a wrong type, a value out of range.
    """
    settings = Settings()
    found = Path(path) if path is not None else find_yaml()
    if found is not None:
        from jupyter_nq.yaml_file import read_yaml  # most processes have no file, and save importing a parser

        apply(settings, read_yaml(found), where=str(found))
    apply(settings, environment(), where="the environment")
    apply(settings, {k: v for k, v in overrides.items() if v is not None}, where="the arguments")
    return settings


def apply(settings: HasTraits, values: dict[str, Any], *, where: str) -> None:
    """Set each value on `settings`; `where` names their origin in errors."""
    known = setting_names()
    for key, value in values.items():
        if key not in known:
            raise ConfigError(
                f"{where}: unknown setting {key!r}.{nearest(str(key), known)} The settings are: {', '.join(known)}."
            )
        try:
            setattr(settings, key, value)
        except TraitError as exc:
            raise ConfigError(f"{where}: {key}: {exc}") from exc


def find_yaml() -> Path | None:
    """Return the YAML file of this process, or None when there is none.

    Raises `ConfigError` when `$JUPYTER_NQ_CONFIG` names a file that does not exist.
    """
    explicit = os.environ.get("JUPYTER_NQ_CONFIG")
    if explicit:
        path = Path(explicit)
        if not path.is_file():
            raise ConfigError(f"JUPYTER_NQ_CONFIG names {path}, which is not a file. Create it or unset the variable.")
        return path
    from jupyter_core.paths import jupyter_config_path

    return next((p for d in jupyter_config_path() if (p := Path(d) / FILE_NAME).is_file()), None)


def likely_yaml() -> Path:
    """Return the YAML file of this process, or where a user would write one."""
    found = find_yaml()
    if found is not None:
        return found
    from jupyter_core.paths import jupyter_config_dir

    return Path(jupyter_config_dir()) / FILE_NAME


def environment() -> dict[str, Any]:
    """Return the settings that environment variables name."""
    names = {
        "store_dir": "JUPYTER_NQ_STORE",
        "data_dir": "JUPYTER_NQ_DATA",
        "cache_dir": "JUPYTER_NQ_CACHE",
        "spill_dir": "JUPYTER_NQ_SPILL",
    }
    return {key: value for key, variable in names.items() if (value := os.environ.get(variable))}
