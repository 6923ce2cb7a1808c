"""Synthetic tasks: right under faults, the same each time, and no more work for each when there are many."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim
from raylite.sim import synthetic, workloads
from raylite.sim.faults import Faults
from raylite.sim.trials import WorkloadTrials

NODES = [sim.Node(num_cpus=2) for _ in range(4)]
CRASHES = "worker_crash=0.005,message_loss=0.01,message_duplication=0.01,message_delay=0.01"


def trial(n_tasks, seed=3, nodes=NODES, faults="none"):
    """What comes of the workload, which compares with a serial run and sees that nothing is left."""
    done = WorkloadTrials("synthetic", n_tasks, nodes, faults).run(seed)
    assert done.error is None, done.error_text
    return done


@pytest.mark.parametrize("n_tasks", [1, 2, 31, 32, 33, 500])
@pytest.mark.parametrize("nodes", [1, NODES], ids=["one node", "several"])
def test_they_give_what_a_serial_run_gives(n_tasks, nodes):
    assert trial(n_tasks, nodes=nodes).n_events > n_tasks


@pytest.mark.parametrize("seed", range(3))
def test_they_do_so_though_workers_die_and_messages_are_lost(seed):
    done = trial(400, seed, faults=CRASHES)
    assert {"worker_crash", "message_loss"} <= {fault["kind"] for fault in done.occurred}


def test_every_task_counts():
    sums = {synthetic.expected(7, n_tasks, 4) for n_tasks in range(1, 20)}
    assert len(sums) == 19
    assert synthetic.expected(7, 19, 4) != synthetic.expected(8, 19, 4) != synthetic.expected(8, 19, 5)


def test_the_same_seed_is_the_same_run():
    first, again, other = trial(400, 5, faults=CRASHES), trial(400, 5, faults=CRASHES), trial(400, 6, faults=CRASHES)
    assert first.trace_hash == again.trace_hash != other.trace_hash


def test_many_tasks_are_no_more_work_each():
    few, many = (trial(n_tasks, nodes=1).n_events for n_tasks in (1000, 10000))
    assert 9 * few < many < 11 * few


def test_they_run_on_all_nodes():
    with sim.cluster(1, NODES) as c:
        workloads.run("synthetic", 800, 1)
        busy = {row["node"] for row in c.session.story() if row["duration_ns"] > 0}
    assert busy == {0, 1, 2, 3}


def test_python_tasks_run_on_the_same_workers():
    @raylite.remote
    def square(x):
        return x * x

    with sim.cluster(2, NODES, Faults(worker_crash=0.002)):
        for _ in range(3):
            workloads.run("synthetic", 60, 2)
            assert raylite.get([square.options(max_retries=-1).remote(x) for x in range(20)]) == [
                x * x for x in range(20)
            ]


def test_very_many_tasks_are_synthetic_by_default():
    assert WorkloadTrials(None, workloads.DRAWN_MOST + 1).name_for(0) == "synthetic"
    assert WorkloadTrials(None, workloads.DRAWN_MOST).name_for(0) != "synthetic"
