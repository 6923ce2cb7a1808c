"""What all nodes of a cluster find by a string: values by their keys, actors by their names, lists of both."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim
from raylite.util import key_value as kv
from raylite.util import list_named_actors

NODES = [sim.Node(num_cpus=2, resources={f"on {number}": 1}) for number in range(3)]


@raylite.remote(max_retries=-1)
def write(number):
    return kv.put(f"key {number}", b"%d" % number)


@raylite.remote(max_retries=-1)
def read(number):
    return kv.get(f"key {number}"), kv.keys("key"), list_named_actors(all_namespaces=True)


@raylite.remote
class Counter:
    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count


def on(node, what, **options):
    """What is to run, on this node."""
    return what.options(resources={f"on {node}": 0.1}, **options)


def use():
    """Nodes write, others read; names and keys are spread over all shards."""
    assert all(raylite.get([on(number % 3, write).remote(number) for number in range(12)]))
    actors = [on(number % 3, Counter, name=f"counter {number}", max_restarts=-1).remote() for number in range(6)]
    raylite.get([actor.add.remote() for actor in actors])
    namespace = raylite.get_runtime_context().namespace
    names = [{"name": f"counter {number}", "namespace": namespace} for number in range(6)]
    keys = sorted(f"key {number}" for number in range(12))
    for node in range(3):
        for number in (0, 7):
            assert raylite.get(on(node, read).remote(number)) == (b"%d" % number, keys, names)
    assert list_named_actors() == [row["name"] for row in names]
    return actors


def test_values_and_names_are_known_on_every_node():
    def program():
        actors = use()
        assert raylite.get(actors[4].add.remote()) == 2
        assert raylite.get(raylite.get_actor("counter 4").add.remote()) == 3
        raylite.kill(actors[4])
        sim.cost(1.0)
        assert "counter 4" not in list_named_actors()
        return True

    with sim.cluster(1, NODES):
        assert program()


def test_values_outlive_the_nodes_that_wrote_them_and_the_replicas():
    with sim.cluster(1, NODES) as c:
        raylite.get([on(number % 3, write).remote(number) for number in range(12)])
        c.kill_node(2, disk=True)
        sim.cost(3.0)
        c.kill_replica(1)
        sim.cost(0.1)
        c.restart_replica(1)
        assert [kv.get(f"key {number}") for number in range(12)] == [b"%d" % number for number in range(12)]
        assert len(kv.keys()) == 12
        assert kv.delete("key 3") and not kv.exists("key 3") and len(kv.keys()) == 11
        assert not kv.put("key 4", b"", overwrite=False) and kv.put("key 3", b"", overwrite=False)


@pytest.mark.parametrize("seed", range(6))
def test_each_write_is_done_once_whatever_befalls(seed):
    rates = {"message_loss": 0.02, "replica_crash": 0.01, "head_crash": 0.01, "partition": 0.001, "worker_crash": 0.01}
    with sim.cluster(seed, NODES, sim.Faults(**rates), faults_for_s=20.0):
        use()
        won = [kv.put("owner", b"%d" % number, overwrite=False) for number in range(5)]
        assert won == [True] + [False] * 4 and kv.get("owner") == b"0"
        for number in range(20):
            kv.put("log", b"%d" % number)
            assert kv.get("log") == b"%d" % number
