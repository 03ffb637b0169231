"""`MemoryManager`: the specification's manager, over the pool, the watch and relief."""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_nq.client.memory.levels import level_of
from jupyter_nq.client.memory.mapped_file import MemoryMappedLoader
from jupyter_nq.client.memory.pool import POOL_GB, SharedMemoryPool
from jupyter_nq.client.memory.relief import Pressure, Relief, relieve
from jupyter_nq.client.memory.report import report
from jupyter_nq.client.memory.sample import MemorySample
from jupyter_nq.client.memory.sampling import take
from jupyter_nq.client.memory.thresholds import Callback, MemoryEvent, Threshold
from jupyter_nq.client.memory.watch import MemoryWatch
from jupyter_nq.client.sections import Config, read_config, section, switch
from jupyter_nq.errors import ConfigError, NQError

if TYPE_CHECKING:
    from jupyter_nq.client.records import Stored
    from jupyter_nq.client.session import Session

_SECTION = "memory_management"
_KEYS = ("shared_pool_size_gb", "enable_monitoring", "monitoring_interval", "optimization_level", "eviction_policy")
_INTERVAL_SECONDS = 5.0
_LEAST_INTERVAL_SECONDS = 0.1
_LEVEL = "balanced"
_ACTIONS = 100  # reliefs that the report shows


class MemoryManager:
    """Share data under names, watch the memory, and have it back when it runs short.

    The data lie in the store that all notebooks share: what one manager stores, every other retrieves.

    Parameters
    ----------
    shared_pool_size_gb
        Gigabytes of 2**30 bytes that this manager may store; None means 4. It can only lower what the store allows,
        which is `pool_bytes` of the settings, for all notebooks together.
    enable_monitoring
        Watch in a thread: thresholds, the forecast, and relief when memory runs short; None means True.
    monitoring_interval
        Seconds between two looks, and the least time between two reliefs; None means 5.
    optimization_level
        How much `optimize_memory`, and relief, may do, by name or number; None means "balanced". 0 "off": nothing. 1
        "conservative": collect this process's own garbage, unasked from 95 % on. 2 "balanced": have the store free what
        nobody needs too, from 90 % on. 3 "aggressive": write to disk what nobody holds or has pinned too, from 80 % on.
    eviction_policy
        "lru", "lfu" or "fifo": what goes to disk first when `store_data(..., force=True)` needs room; None means "lru".
    config
        Mapping with a section `memory_management`, or that section, or the path of a YAML file: what is not given
        above, by the same names.
    session
        Session to work through; None takes the process's own.

    Raises
    ------
    ConfigError, InvalidArgument
        A key that nothing reads, or a value out of range.

    Examples
    --------
    >>> with MemoryManager(enable_monitoring=False) as manager:
    ...     stored = manager.store_data("limits", {"contracts": 3})
    ...     manager.retrieve_data("limits"), manager.get_memory_report()["shared_pool"]["objects"]
    ({'contracts': 3}, 1)
    """

    def __init__(
        self,
        shared_pool_size_gb: float | None = None,
        enable_monitoring: bool | None = None,
        monitoring_interval: float | None = None,
        optimization_level: str | int | None = None,
        eviction_policy: str | None = None,
        config: Config = None,
        *,
        session: Session | None = None,
    ) -> None:
        from jupyter_nq.client.api import connect

        given = section(read_config(config), _SECTION, _KEYS)
        told: tuple[Any, ...] = (
            shared_pool_size_gb,
            enable_monitoring,
            monitoring_interval,
            optimization_level,
            eviction_policy,
        )
        size_gb, monitoring, seconds, level, policy = (
            given.get(key) if value is None else value for key, value in zip(_KEYS, told, strict=True)
        )
        watched, interval = switch("enable_monitoring", monitoring), _interval(seconds)
        self._level = level_of(_LEVEL if level is None else level)
        self._session = session or connect()
        self.pool = SharedMemoryPool(
            POOL_GB if size_gb is None else size_gb, "lru" if policy is None else policy, session=self._session
        )
        self._pressure = Pressure(interval)
        self._reliefs: deque[Relief] = deque(maxlen=_ACTIONS)  # only added to, by whatever thread
        self._watch = MemoryWatch(partial(take, self._session), interval, self._relieve_if_due)
        if watched:
            self._watch.start()

    def __repr__(self) -> str:
        watched = "watching" if self._watch.running else "not watching"
        return f"<MemoryManager of {self._session.store.path}, {self._level.name}, {watched}>"

    def __enter__(self) -> MemoryManager:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cleanup()

    def store_data(self, key: str, data: Any, force: bool = False) -> Stored:
        """Share data under a name, as a new version if the name exists; as `SharedMemoryPool.store`.

        Returns
        -------
        Stored
            Name, version, rows and bytes; it is true.

        Raises
        ------
        InvalidName, UnsupportedData, StoreFull
        """
        return self.pool.store(key, data, force)

    def retrieve_data(self, key: str) -> Any:
        """Return data by its name, whichever notebook stored it, as a read-only view; None when there is none.

        As `SharedMemoryPool.retrieve`.
        """
        return self.pool.retrieve(key)

    def optimize_memory(self) -> Relief:
        """Do at once all that the level allows, and return what came of it; printed, it is a line of figures.

        Raises
        ------
        CoordinatorUnavailable
        """
        done = relieve(self._session, self._level, "it was asked for")
        self._reliefs.append(done)
        self._watch.record(MemoryEvent(done.at, "", None, None, str(done), done.why))
        return done

    def set_optimization_level(self, level: str | int) -> None:
        """Choose how much may be done from now on: 0 "off", 1 "conservative", 2 "balanced", 3 "aggressive".

        Raises
        ------
        InvalidArgument
        """
        self._level = level_of(level)

    def get_memory_report(self) -> dict[str, Any]:
        """Return what the memory is like now, as values that JSON can hold.

        Keys: `system_memory` with `total_gb`, `available_gb`, `used_gb`, `usage_percent`; `cgroup` likewise, None
        without a limit; `shared_pool`, the statistics of `SharedMemoryPool.get_stats`; `kernels`, with the private
        memory of each connected process; `gpus`; `forecast` of the pool: `seconds` until it is full, None when that is
        not known, and `why`; `optimization_level`, `monitoring`; `events`, the newest 100, and `actions`, what was done
        to have memory back and why, the oldest first. A gigabyte has 2**30 bytes.

        Raises
        ------
        CoordinatorUnavailable
        """
        return {
            **report(take(self._session)),
            "shared_pool": self.pool.get_stats(),
            **self._watch.told(),
            "actions": [relief.row() for relief in list(self._reliefs)],
            "optimization_level": self._level.name,
        }

    def add_threshold(self, metric: str, fraction: float, callback: Callback | None = None) -> Threshold:
        """Have a callback called when a metric reaches a fraction; see `MemoryWatch.add_threshold`."""
        return self._watch.add_threshold(metric, fraction, callback)

    def remove_threshold(self, threshold: Threshold) -> None:
        """Forget a threshold; one that is not there is no error."""
        self._watch.remove_threshold(threshold)

    def create_memory_mapped_loader(
        self, path: str | os.PathLike[str], timeframe: str | None = None, symbol: str | None = None
    ) -> MemoryMappedLoader:
        """Return a loader of one bar file: by rows, by spans of time and by chunks, with the memory of what is used.

        Parameters
        ----------
        path
            Text, Parquet, Arrow or Feather, of any size, compressed or not.
        timeframe, symbol
            What the file's name does not tell.

        Raises
        ------
        SourceNotFound, UnreadableSource, UnknownTimeframe, UnknownInstrument
        """
        return MemoryMappedLoader(self._session, path, timeframe, symbol)

    def cleanup(self) -> None:
        """End the watch. What was stored stays, because others use it: `pool.clear()` removes it.

        Cleaning up twice is fine, and so is storing afterwards.
        """
        self._watch.close()

    def _relieve_if_due(self, sample: MemorySample) -> MemoryEvent | None:
        """Do what the level allows when something is as full as it suffers, in the watch's thread."""
        level = self._level
        need = self._pressure.need(sample, level)
        if need is None:
            return None
        freed, said = 0, ""
        try:
            done = relieve(self._session, level, need.why, need.excess_bytes)
        except NQError as exc:  # no coordinator, a full disk: it is told, and tried again later
            said = f"relief failed: {exc}"
        else:
            self._reliefs.append(done)
            freed, said = done.freed_bytes, str(done)
        finally:
            self._pressure.relieved(sample.seconds, freed, need.excess_bytes)
        return MemoryEvent(sample.at, need.metric, need.value, need.mark, said, need.why)


def _interval(seconds: Any) -> float:
    if seconds is None:
        return _INTERVAL_SECONDS
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= _LEAST_INTERVAL_SECONDS:
        raise ConfigError(
            f"monitoring_interval={seconds!r} is no interval. Pass seconds, {_LEAST_INTERVAL_SECONDS} or more."
        )
    return float(seconds)
