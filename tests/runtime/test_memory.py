"""Memory that runs short: what is read of machine and cgroups, when the node is told, and a task that is killed for it."""

from __future__ import annotations

import os

import pytest

from raylite.config import detect_memory_bytes
from raylite.runtime.memory_monitor import MemoryMonitor, memories, private_bytes
from tests.core import protocol as p

GIB = 1 << 30
MACHINE = {"proc/meminfo": f"MemTotal: {16 << 20} kB\nMemFree: 7 kB\nMemAvailable: {4 << 20} kB\n"}
V2 = {
    "proc/self/cgroup": "0::/a/b\n",
    "sys/fs/cgroup/a/b/memory.current": str(3 * GIB),
    "sys/fs/cgroup/a/b/memory.max": str(4 * GIB),
    "sys/fs/cgroup/a/b/memory.stat": f"anon 5\ninactive_file {GIB}\n",
    "sys/fs/cgroup/a/memory.current": str(5 * GIB),
    "sys/fs/cgroup/a/memory.max": "max",
}
V1 = {
    "proc/self/cgroup": "4:memory:/c\n3:cpu:/d\n",
    "sys/fs/cgroup/memory/c/memory.usage_in_bytes": str(2 * GIB),
    "sys/fs/cgroup/memory/c/memory.limit_in_bytes": str(8 * GIB),
    "sys/fs/cgroup/memory/c/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": str(9 * GIB),
    "sys/fs/cgroup/memory/memory.limit_in_bytes": str((1 << 63) - 4096),
}
LARGEST_MACHINE = 64 * GIB  # on which a test may take one percent


@pytest.fixture
def system(tmp_path):
    """A function that makes a folder with these files."""

    def make(*files):
        for name, text in {name: text for each in files for name, text in each.items()}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return str(tmp_path)

    return make


def read(root):
    return [(used / GIB, total / GIB, reclaimable() / GIB) for used, total, reclaimable in memories(root)]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([MACHINE], [(12, 16, 0)]),
        ([MACHINE, V2], [(12, 16, 0), (3, 4, 1)]),
        ([MACHINE, V1], [(12, 16, 0), (2, 8, 1)]),
        ([V2], [(3, 4, 1)]),
        ([], []),
        ([MACHINE, {**V2, "sys/fs/cgroup/a/b/memory.current": "garbage"}], [(12, 16, 0)]),
    ],
    ids=["machine", "v2", "v1", "no meminfo", "nothing", "garbage"],
)
def test_memory_in_use(system, files, found):
    assert read(system(*files)) == found


def test_the_memory_of_this_machine():
    for used, total, reclaimable in memories():
        assert 0 < used <= total and 0 <= reclaimable() <= total
    assert private_bytes(os.getpid()) > 1 << 20


def test_private_memory_leaves_out_what_is_shared(system):
    page = os.sysconf("SC_PAGE_SIZE")
    assert private_bytes(5, system({"proc/5/statm": "1000 300 100 1 0 400 0\n"})) == 200 * page
    assert private_bytes(6, system()) == 0


class Told:
    """A host that notes what it is told."""

    def __init__(self):
        self.said = []

    def workers(self):
        return [{"client": 2, "pid": 5}, {"client": 3, "pid": 0}]

    def memory_short(self, report):
        header = p.MEMORY_HEADER.unpack_from(report)
        uses = p.MEMORY_USE.iter_unpack(report[p.MEMORY_HEADER.size :])
        self.said.append((*header, [(client, size) for client, _, size in uses]))


def said(root, threshold, period_ms=1):
    host = Told()
    MemoryMonitor(host, threshold, period_ms, root).check()
    return host.said


def test_the_node_is_told_beyond_the_threshold(system):
    root = system(MACHINE, {"proc/5/statm": "1000 300 100 1 0 400 0\n"})
    sizes = [(2, 200 * os.sysconf("SC_PAGE_SIZE"))]  # and nothing of a worker that is not there yet
    assert said(root, 0.7) == [(12 * GIB, 16 * GIB, int(0.7 * 16 * GIB), sizes)]
    assert said(root, 0.75) == []
    assert said(root, 0.7, period_ms=0) == []


def test_what_the_kernel_can_take_back_does_not_count(system):
    root = system(MACHINE, V2)
    assert said(root, 0.76) == []
    assert [what[:2] for what in said(system({"sys/fs/cgroup/a/b/memory.stat": "inactive_file 0\n"}), 0.749)] == [
        (12 * GIB, 16 * GIB)
    ]
    busy = system({"sys/fs/cgroup/a/b/memory.current": str(4 * GIB)})
    assert [what[:2] for what in said(busy, 0.9)] == [(4 * GIB, 4 * GIB)]


def test_it_is_not_looked_at_more_often_than_asked_for(system):
    host = Told()
    monitor = MemoryMonitor(host, 0.1, 1_000_000, system(MACHINE))
    for _ in range(3):
        monitor.check()
    assert len(host.said) == 1


@pytest.mark.skipif(detect_memory_bytes() > LARGEST_MACHINE, reason="one percent of the memory is much")
def test_a_task_that_takes_too_much_is_killed_and_tried_again(start):
    """The threshold is one that is always exceeded; who has less than one percent of the memory is left alone."""
    size_bytes = detect_memory_bytes() // 80
    driver = start(
        f"""
@raylite.remote(max_retries=1)
def takes_much_once():
    if raylite.get_runtime_context().get_attempt_number() == 0:
        taken = bytearray(b"x") * {size_bytes}
        time.sleep(1000)
    return "came back"

@raylite.remote(max_retries=0)
def takes_much():
    taken = bytearray(b"x") * {size_bytes}
    time.sleep(1000)

raylite.init(num_cpus=2, memory_usage_threshold=1e-9, memory_monitor_refresh_ms=20)
try:
    raylite.get(takes_much.remote())
except raylite.exceptions.OutOfMemoryError as error:
    say("error", error)
say("value", raylite.get(takes_much_once.remote()))
"""
    )
    error = driver.expect("error")
    assert "takes_much() (pid " in error and "on attempt 1 of 1" in error and "its worker had" in error
    assert driver.expect("value") == "came back"
    driver.succeed()
    assert "Memory runs short, so takes_much_once() (pid " in driver.stderr and "tried again later" in driver.stderr
