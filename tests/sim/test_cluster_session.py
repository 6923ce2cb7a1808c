"""Real programs on a virtual cluster of several nodes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

import raylite
from raylite import sim
from raylite.sim.errors import DriverLostError
from raylite.sim.faults import Faults
from raylite.util import state
from tests.sim.programs import run_random

LARGE_BYTES = 3_000_000


def run(program, *args, seed=1, nodes=3, rates=None, faults_for_s=None):
    """As sim.run; returns what the program returned, and the ended runtime."""
    with sim.cluster(seed, nodes, Faults(**(rates or {})), faults_for_s=faults_for_s) as c:
        return program(*args), c.session


@raylite.remote
def where(seconds):
    sim.cost(seconds)
    return raylite.get_runtime_context().get_node_id()


def spread(n_tasks):
    """Where tasks run, once the node knows how long they take."""
    raylite.get(where.remote(1.0))
    return raylite.get([where.remote(1.0) for _ in range(n_tasks)])


def test_tasks_go_to_all_nodes():
    value, session = run(spread, 24, nodes=[sim.Node(num_cpus=2) for _ in range(4)])
    assert len(value) == 24 and len(set(value)) == 4
    assert session.now_s() < 8.0  # one node would take 13 seconds


@raylite.remote
def make(number):
    return bytes([number]) * LARGE_BYTES


@raylite.remote
def length(*values):
    return sum(map(len, values))


def pull():
    """Values that are too large for a message, made on one node and read on others."""
    spread(1)
    refs = [make.remote(number) for number in range(6)]
    total = raylite.get(length.remote(*refs))
    return total, [value[0] for value in raylite.get(refs)]


def test_large_values_are_pulled_from_where_they_are():
    value, session = run(pull, nodes=[sim.Node(num_cpus=1) for _ in range(3)])
    assert value == (6 * LARGE_BYTES, list(range(6)))
    assert session.cluster.network.n_bytes > LARGE_BYTES


def test_what_only_another_node_has_is_used_there():
    def program():
        needs_gpu = where.options(num_gpus=1)
        here = raylite.get_runtime_context().get_node_id()
        return here, raylite.get([needs_gpu.remote(0.1) for _ in range(3)])

    (here, there), _ = run(program, nodes=[sim.Node(num_cpus=2), sim.Node(num_cpus=2, num_gpus=1)])
    assert here not in there and len(set(there)) == 1


def test_what_the_cluster_has_is_what_all_nodes_have():
    def program():
        ids = {raylite.get_runtime_context().get_node_id()}
        ids.update(raylite.get([where.options(num_cpus=0, resources={"there": 1}).remote(0.0)]))
        whole = raylite.cluster_resources()
        rows = raylite.nodes()
        sim.current().kill_node(1)
        return ids, whole, rows, raylite.cluster_resources(), raylite.nodes()

    nodes = [sim.Node(num_cpus=2, labels={"zone": "a"}), sim.Node(num_cpus=3, resources={"there": 1})]
    (ids, whole, rows, left, later), _ = run(program, nodes=nodes)
    assert (whole["CPU"], whole["there"], left["CPU"], "there" in left) == (5, 1, 2, False)
    assert {row["NodeID"] for row in rows} == ids and [row["Resources"]["CPU"] for row in rows] == [2, 3]
    assert [row["Labels"] for row in rows] == [{"zone": "a"}, {}]
    assert [row["Alive"] for row in rows] == [True, True] and [row["Alive"] for row in later] == [True, False]


def test_the_state_of_all_nodes():
    with sim.cluster(seed=1, nodes=3) as c:
        c.kill_node(2)
        c.settle()
        rows = sorted(state.list_nodes(), key=lambda row: row.node_name)
        assert [(row.node_name, row.state) for row in rows] == [
            ("node-0", "ALIVE"),
            ("node-1", "ALIVE"),
            ("node-2", "DEAD"),
        ]
        assert [row.is_head_node for row in rows] == [True, False, False]
        assert sorted(row.node_id for row in rows) == sorted(node["NodeID"] for node in raylite.nodes())
        assert [state.get_node(row.node_id).state for row in rows] == [row.state for row in rows]


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_come_out_as_a_serial_run_does(seed):
    (results, expected), _ = run(run_random, raylite, seed, seed=seed, nodes=[sim.Node(num_cpus=1) for _ in range(3)])
    assert results == expected


@raylite.remote(max_concurrency=3, num_cpus=0, resources={"there": 1})
class Threads:
    def wait(self, n):
        time.sleep(1.0)
        return n, raylite.get_runtime_context().get_node_id()


@raylite.remote(num_cpus=0, resources={"there": 1})
class Coroutines:
    async def wait(self, n):
        await asyncio.sleep(1.0)
        return n, raylite.get_runtime_context().get_node_id()


@pytest.mark.parametrize("kind", [Threads, Coroutines])
def test_threads_and_coroutines_of_actors_on_another_node(kind):
    def program():
        actor = kind.remote()
        raylite.get(actor.wait.remote(0))
        begin_s = time.monotonic()
        return raylite.get([actor.wait.remote(n) for n in range(3)]), time.monotonic() - begin_s

    (answers, took_s), session = run(program, nodes=[sim.Node(), sim.Node(resources={"there": 1})])
    assert [n for n, _ in answers] == [0, 1, 2] and {node for _, node in answers} != {session.client.node_id().hex()}
    assert 1.0 <= took_s < 2.0


def test_a_node_that_dies_loses_no_result():
    def program():
        spread(1)
        refs = [where.options(max_retries=-1).remote(2.0) for _ in range(12)]
        raylite.wait(refs, num_returns=1)
        sim.current().kill_node(1)
        first = raylite.get(refs)
        sim.current().restart_node(1)
        return first, spread(12)

    (first, second), session = run(program, nodes=[sim.Node(num_cpus=2) for _ in range(3)])
    assert len(first) == 12 and len(set(first)) >= 2
    assert len(set(second)) == 3
    assert session.cluster.places[1 << 24 | 1].incarnation == 2


def test_the_end_of_its_node_ends_the_program_with_an_error_that_says_so():
    def program():
        refs = [where.remote(2.0) for _ in range(4)]
        sim.current().kill_node(0)
        with pytest.raises(DriverLostError, match=r"node 0 died at 0.*seed 1"):
            raylite.get(refs)
        with pytest.raises(DriverLostError):
            raylite.put(1)
        return True

    assert run(program, nodes=2)[0]


def test_a_program_outlives_replicas_and_head():
    def program():
        spread(1)
        cluster, refs = sim.current(), [where.options(max_retries=-1).remote(2.0) for _ in range(12)]
        for number in range(3):
            cluster.kill_replica(number)
        cluster.kill_head()
        with pytest.raises(ValueError, match="replica 1 is down already"):
            cluster.kill_replica(1)
        with pytest.raises(ValueError, match="there is no replica 3; there are 0 to 2"):
            cluster.kill_replica(3)
        sim.cost(1.0)
        for number in range(3):
            cluster.restart_replica(number)
        cluster.restart_head()
        with pytest.raises(ValueError, match="the head is not down"):
            cluster.restart_head()
        results = raylite.get(refs)
        cluster.kill_node(2, disk=True)
        with pytest.raises(ValueError, match="replica 2 is on node 2, which is down"):
            cluster.restart_replica(2)
        cluster.restart_node(2)
        return results, spread(12)

    (first, second), session = run(program, nodes=[sim.Node(num_cpus=2) for _ in range(3)])
    assert len(set(first)) > 1 and len(set(second)) == 3
    assert [session.cluster.places[address].incarnation for address in session.plane.replicas] == [2, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_crashes_of_replicas_and_head_change_no_result(seed):
    rates = {"replica_crash": 0.04, "head_crash": 0.06, "full_disk": 0.04}
    (results, expected), session = run(run_random, raylite, seed, seed=seed, rates=rates, faults_for_s=20.0)
    assert results == expected
    assert {fault["kind"] for fault in session.occurred()} & {"replica_crash", "head_crash"}


PROGRAM = """
from tests.sim.test_cluster_session import run, run_random, RATES
import pytest

import raylite
_, session = run(run_random, raylite, 3, seed=3, rates=RATES, faults_for_s=20.0)
print(session.trace_hash(), session.n_events())
"""
RATES = {
    "message_loss": 0.02,
    "message_duplication": 0.02,
    "message_delay": 0.02,
    "message_reordering": 0.02,
    "clock_skew": 0.5,
}


@pytest.mark.parametrize("seed", range(4))
def test_replicas_that_crash_as_they_start(seed):
    def program():
        return raylite.get(where.options(num_cpus=0).remote(0.0))

    value, _ = run(program, seed=seed, rates={"replica_crash": 0.3}, faults_for_s=0.05)
    assert value


def test_the_same_seed_is_the_same_run_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": hash_seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("seed", range(6))
def test_a_network_that_fails_changes_no_result(seed):
    (results, expected), _ = run(run_random, raylite, seed, seed=seed, rates=RATES, faults_for_s=20.0)
    assert results == expected


def let_pass(seconds):
    """Let virtual time pass."""
    time.sleep(seconds)


def test_the_masters_journal_is_rewritten_when_it_is_long():
    """What a node says of itself is in it each time that the node starts."""
    label_bytes = 200_000
    with sim.cluster(1, [sim.Node(num_cpus=1), sim.Node(num_cpus=1, labels={"long": "x" * label_bytes})]) as c:
        disk = c.session.cluster.disks[-1]
        for _ in range(12):
            c.kill_node(1)
            c.restart_node(1)
            let_pass(5)
        assert label_bytes < disk.used_bytes < 8 * label_bytes
        c.kill_head()
        c.restart_head()
        let_pass(5)
        assert [node["Alive"] for node in raylite.nodes()] == [True, True]


def test_a_slow_network_at_work_on_one_value_is_no_deadlock():
    """A chunk of a large value takes longer than nothing may happen otherwise."""
    network = sim.Network(bytes_per_s=20_000)
    with sim.cluster(1, [sim.Node(num_cpus=1), sim.Node(num_cpus=1, num_gpus=1)], network=network) as c:
        value = raylite.get(make.options(num_gpus=1).remote(1))
        assert len(value) == LARGE_BYTES
        assert c.now() > LARGE_BYTES / 20_000


@pytest.mark.parametrize("fetch_local", [True, False])
def test_a_wait_brings_a_value_here_unless_it_need_not(fetch_local):
    with sim.cluster(1, [sim.Node(num_cpus=1), sim.Node(num_cpus=1, num_gpus=1)]) as c:
        ref = make.options(num_gpus=1).remote(1)
        ready, _ = raylite.wait([ref], fetch_local=fetch_local)
        assert ready == [ref]
        assert (c.session.cluster.network.n_bytes > LARGE_BYTES) == fetch_local
        assert len(raylite.get(ref)) == LARGE_BYTES
