"""Memory limits: read from copies of what kernels show, and from this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_nq.buffers import cgroups


def _cgroup(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_v2_limit_is_the_least_on_the_way_up(tmp_path: Path) -> None:
    """The parent's limit counts, and pages that can be dropped count as free."""
    _cgroup(
        tmp_path,
        {
            "user/job/memory.max": "max\n",
            "user/job/memory.current": "10\n",
            "user/memory.max": "1000\n",
            "user/memory.current": "400\n",
            "user/memory.stat": "anon 100\ninactive_file 150\n",
            "self": "0::/user/job\n",
        },
    )
    assert cgroups.cgroup_rest(tmp_path / "self", tmp_path) == 750


def test_a_v1_limit_is_found(tmp_path: Path) -> None:
    """The memory controller of the old hierarchy has its own tree and names."""
    _cgroup(
        tmp_path,
        {
            "memory/docker/x/memory.limit_in_bytes": "1000\n",
            "memory/docker/x/memory.usage_in_bytes": "1200\n",
            "memory/docker/x/memory.stat": "total_inactive_file 50\n",
            "memory/docker/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/docker/memory.usage_in_bytes": "1200\n",
            "self": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
        },
    )
    assert cgroups.cgroup_rest(tmp_path / "self", tmp_path) == 0


@pytest.mark.parametrize(("line", "folder"), [("4:memory:/host/path", "memory"), ("0::/../host", "")])
def test_inside_a_container_the_root_is_ours(tmp_path: Path, line: str, folder: str) -> None:
    """A path that is the host's is not mounted; the files lie at the root."""
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if folder else ("memory.max", "memory.current")
    _cgroup(tmp_path / "fs" / folder, {names[0]: "500", names[1]: "100"})
    (tmp_path / "self").write_text(line + "\n")
    assert cgroups.cgroup_rest(tmp_path / "self", tmp_path / "fs") == 400


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    """Absent files, or no cgroups at all, mean no limit."""
    assert cgroups.cgroup_rest(tmp_path / "absent", tmp_path) is None
    (tmp_path / "self").write_text("0::/\n")
    assert cgroups.cgroup_rest(tmp_path / "self", tmp_path) is None
    rest = cgroups.cgroup_rest()
    assert rest is None or rest >= 0


def test_the_tightest_limit_tells_its_figures(tmp_path: Path) -> None:
    """Of two limits the one that leaves less, with what is used and what of it can be had back."""
    _cgroup(
        tmp_path,
        {
            "user/job/memory.max": "800\n",
            "user/job/memory.current": "500\n",
            "user/job/memory.stat": "anon 400\ninactive_file 100\n",
            "user/memory.max": "10000\n",
            "user/memory.current": "9900\n",
            "self": "0::/user/job\n",
        },
    )
    found = cgroups.tightest(tmp_path / "self", tmp_path)
    assert found == cgroups.Cgroup(tmp_path / "user", 10_000, 9_900, 0)
    assert (found.rest_bytes, round(found.used_fraction, 6)) == (100, 0.99)
    job = cgroups.Cgroup(tmp_path / "user" / "job", 800, 500, 100)
    assert (job.rest_bytes, job.used_fraction) == (400, 0.5)
    assert cgroups.Cgroup(tmp_path, 0, 0, 0).used_fraction == 1.0, "nothing is allowed there"
