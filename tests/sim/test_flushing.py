"""Lineage that nothing can need again leaves the memory of nodes and store, and is written down if that is wanted."""

from __future__ import annotations

import raylite
from raylite import sim
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
