"""Lineage that nothing can need again leaves the memory of nodes and store, and is written down if that is wanted."""

from __future__ import annotations

import ctypes

import pytest

import raylite
from raylite import sim
from raylite.sim import virtual_node, workloads
from raylite.sim.journal_host import ARCHIVE

NODES = [sim.Node(num_cpus=2, resources={f"on {number}": 4}) for number in range(3)]


@raylite.remote(max_retries=-1)
def add(*values):
    return sum(values) + 1


@raylite.remote(max_retries=-1)
def large(value):
    return bytes([value % 256]) * 200_000


def churn(cluster, n_rounds):
    """Tasks on all nodes that take each other's results, small and large; the most rows of each table at any round."""
    most: dict[str, int] = {}
    total = add.remote()
    for number in range(n_rounds):
        elsewhere = {"resources": {f"on {number % 3}": 1}}
        parts = [add.options(**elsewhere).remote(number) for _ in range(3)]
        block = large.options(**elsewhere).remote(number)
        assert raylite.get(block)[0] == number % 256
        total = add.options(**elsewhere).remote(total, *parts)  # of a line of tasks that never ends
        assert raylite.get(total) == (number + 1) * (number + 2) * 3 // 2 + number + 2
        for name, size in cluster.sizes().items():
            most[name] = max(most.get(name, 0), size)
    return most


def test_tables_stay_as_small_while_tasks_grow_tenfold():
    most = {}
    for n_rounds in (15, 150):
        with sim.cluster(1, NODES) as c:
            most[n_rounds] = churn(c, n_rounds)
    assert most[15]["store tasks"] > 0
    for name, size in most[150].items():
        assert size <= 2 * most[15][name] + 8, (name, most)


def test_what_is_flushed_is_in_the_archive_of_the_disks_once():
    cluster = sim.cluster(1, NODES)
    cluster.settings["store"] = {"archives": True}
    with cluster as c:
        churn(c, 15)
        c.settle()
        archived = [record[:16] for disk in c.session.cluster.disks for record in disk.read(ARCHIVE)]
    assert len(set(archived)) == len(archived) >= 15


class HeapUse(ctypes.Structure):
    """What the C library says of its heap: mallinfo2(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


libc = ctypes.CDLL(None)


def heap_bytes():
    """What is allocated by all but Python's small objects."""
    libc.mallinfo2.restype = HeapUse
    use = libc.mallinfo2()
    return use.uordblks + use.hblkhd


def highest(n_tasks):
    """The most rows of each table, and bytes of the heap, at any time of a run of synthetic tasks; what the store's
    journals take in the end; and the sizes of the tables then."""
    most: dict[str, int] = {}
    with sim.cluster(1, [sim.Node(num_cpus=2) for _ in range(4)]) as c:
        start_bytes, disks = heap_bytes(), c.session.cluster.disks

        def look():
            for name, size in {**c.sizes(), "heap": heap_bytes() - start_bytes}.items():
                most[name] = max(most.get(name, 0), size)
            c.session.cluster.alarms.after(0.01, look)

        look()
        workloads.run("synthetic", n_tasks, 1)
        most["journals"] = sum(disk.size_bytes(f"replica {number}") for number, disk in enumerate(disks))
        c.settle()
        return most, c.sizes()


@pytest.mark.skipif(not hasattr(libc, "mallinfo2"), reason="the C library does not say what is allocated")
def test_memory_stays_as_small_at_every_instant_while_synthetic_tasks_grow_tenfold(monkeypatch):
    monkeypatch.setattr(virtual_node, "REMEMBERED_TASKS", 2000)  # so that what is remembered is full from the start
    highest(300)  # what is allocated once
    (few, _), (many, left) = highest(2000), highest(20_000)
    for name, size in many.items():
        spare = {"heap": 1 << 18, "journals": 3 << 20}.get(name, 16)  # a journal is rewritten when it is 1 MiB
        assert size <= 1.5 * few[name] + spare, (name, few[name], size)
    assert few["store tasks"] > 0 and few["heap"] > 1 << 19
    assert {name for name, size in left.items() if size} == {"store endpoints"}
