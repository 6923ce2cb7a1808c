"""sim.cluster: any program inside, in a virtual cluster that can be asked, hurt, and made to settle."""

from __future__ import annotations

import time

import numpy as np
import pytest

import raylite
from raylite import sim


@raylite.remote(max_retries=-1)
def large(n):
    return np.full(50_000, n)


@raylite.remote(max_retries=-1)
def slow(n):
    sim.cost(1.0)
    return n


def test_a_program_inside_and_what_it_is_asked():
    nodes = [sim.Node(num_cpus=3, num_gpus=2, resources={"disk": 1})]
    with sim.cluster(seed=7, nodes=nodes, record=True) as c:
        assert raylite.get([slow.remote(n) for n in range(3)]) == [0, 1, 2]
        assert 1 < c.now() < 2 and c.n_events() == len(c.events()) > 6 and len(c.trace_hash()) == 32
        assert {"client", "running"} <= c.workers()[0].keys() and c.occurred() == []
        trace_hash = c.trace_hash()
        resources = raylite.cluster_resources()
        assert (resources["CPU"], resources["GPU"], resources["disk"]) == (3, 2, 1)
    with sim.cluster(seed=7, nodes=nodes) as c:
        raylite.get([slow.remote(n) for n in range(3)])
        assert c.trace_hash() == trace_hash
    assert not raylite.is_initialized()


def test_it_is_the_same_run_by_every_door(monkeypatch):
    def program():
        return raylite.get([slow.remote(n) for n in range(9)]), sim.current().trace_hash()

    how = {"nodes": [sim.Node(num_cpus=2)], "faults": "worker_crash=0.1"}
    with sim.cluster(seed=5, **how):
        inside = program()
    with raylite.init(mode="sim", seed=5, **how):
        assert program() == inside
    assert sim.run(program, seed=5, **how).value == inside
    for name, text in (
        ("RAYLITE_MODE", "sim"),
        ("RAYLITE_SIM_SEED", "5"),
        ("RAYLITE_SIM_NODES", '[{"num_cpus": 2}]'),
        ("RAYLITE_SIM_FAULTS", "worker_crash=0.1"),
    ):
        monkeypatch.setenv(name, text)
    try:
        assert program() == inside
    finally:
        raylite.shutdown()


def test_killing_the_worker_that_runs_the_task():
    with sim.cluster() as c:
        ref = slow.remote(4)
        raylite.wait([ref], timeout=0.5)
        [busy] = [worker["client"] for worker in c.workers() if worker["running"]]
        assert c.kill_worker() == busy
        assert raylite.get(ref) == 4 and 1.5 < c.now() < 3
        with pytest.raises(ValueError, match="no worker 999"):
            c.kill_worker(999)


def test_a_lost_value_is_made_again_and_one_that_is_read_cannot_be_lost():
    with sim.cluster() as c:
        ref = large.remote(3)
        with pytest.raises(ValueError, match="there is no value yet"):
            c.lose(ref)
        raylite.wait([ref])
        c.settle()
        c.lose(ref)
        array = raylite.get(ref)
        assert array.sum() == 150_000 and "has to run again" in c.story(ref)
        with pytest.raises(ValueError, match="client 1 reads its bytes"):
            c.lose(ref)
        small, put = raylite.put(1), raylite.put(np.arange(50_000))
        c.settle()
        with pytest.raises(ValueError, match="travels inside messages"):
            c.lose(small)
        c.lose(put)
        with pytest.raises(raylite.exceptions.ObjectLostError, match="made by put"):
            raylite.get(put)


def test_a_reader_of_lost_bytes_would_notice():
    """What is lost is overwritten at once: who looks without a pin, sees rubbish and not a value that is still there."""
    with sim.cluster() as c:
        ref = large.remote(3)
        address = raylite.get(ref).__array_interface__["data"][0]
        c.settle()
        import ctypes

        before = ctypes.string_at(address, 8)
        c.lose(ref)
        assert (before, ctypes.string_at(address, 8)) == ((3).to_bytes(8, "little"), b"\xdd" * 8)


def test_the_story_of_a_task():
    with sim.cluster(num_cpus=1) as c:
        refs = [slow.remote(n) for n in range(2)]
        raylite.wait(refs, timeout=0.5)
        c.kill_worker()
        raylite.get(refs)
        first, second, both = c.story(refs[0]), c.story(refs[1]), c.story()
    assert "slow #1 was interrupted in attempt 0" in first and "attempt 1" in first
    assert "interrupted" not in second and second.splitlines()[-1].endswith("s  slow #1 has ended after 1.000000 s")
    assert "worker_crash by command: worker" in first and "worker_crash by command: worker" in second
    assert len(both.splitlines()) == len(first.splitlines()) + len(second.splitlines()) - 1
    times = [float(line.split()[0]) for line in both.splitlines()]
    assert times == sorted(times)


def test_settling_empties_the_tables():
    with sim.cluster(faults="all", seed=3) as c:
        raylite.get([large.remote(n) for n in range(20)])
        c.settle()
        sizes = c.sizes()
    assert sizes.pop("functions") == sizes.pop("objects") == 1 and sizes.pop("inline_bytes")
    assert not any(sizes.values())


def test_faults_stop_in_time():
    with sim.cluster(faults=sim.Faults(worker_crash=1.0), faults_for_s=5.0) as c:
        assert raylite.get(slow.remote(1)) == 1
        assert 5 < c.now() < 10 and all(fault["time_s"] < 5.1 for fault in c.occurred())
        assert len(c.occurred()) > 10
    with sim.cluster(faults=sim.Faults(worker_crash=1.0)) as c:
        raylite.wait([slow.remote(1)], timeout=5.0)
        n_before = len(c.occurred())
        c.stop_faults()
        raylite.get(slow.remote(1))
        assert len(c.occurred()) == n_before > 10


@raylite.remote
def spin():
    never = raylite.remote(num_gpus=1)(lambda: 1).remote()
    while not raylite.wait([never], timeout=0.5)[0]:
        pass


def test_no_progress_after_the_faults_is_an_error():
    with sim.cluster(faults_for_s=10.0) as c:
        with pytest.raises(
            sim.NoProgressError, match=r"virtual minute[^$]*the driver waits in get for the result of spin"
        ):
            raylite.get(spin.remote())
        assert 70 <= c.now() < 140


def test_a_task_that_sleeps_or_a_driver_that_waits_for_nothing_is_no_lack_of_progress():
    with sim.cluster(faults_for_s=0.0) as c:

        @raylite.remote
        def sleep(seconds):
            time.sleep(seconds)

        ref = spin.remote()
        raylite.get(sleep.remote(600))
        sim.cost(600)
        raylite.get([sleep.remote(50) for _ in range(40)])
        assert c.now() > 1500
        raylite.cancel(ref, force=True)


def test_an_error_is_noted_with_seed_and_faults():
    with pytest.raises(KeyError) as caught, sim.cluster(seed=99, faults="eviction=0.5"):
        raise KeyError("mine")
    notes = getattr(caught.value, "__notes__", ["seed 99, Faults(eviction=0.5)"])
    assert "seed 99" in notes[0] and "Faults(eviction=0.5)" in notes[0]
    assert not raylite.is_initialized()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": "seven"}, TypeError, "seed is 'seven'"),
        ({"nodes": 0}, ValueError, "at least one node"),
        ({"nodes": 1001}, ValueError, "up to 1000 nodes, and not 1001"),
        ({"nodes": 10**18}, ValueError, "up to 1000 nodes"),
        ({"nodes": -1}, ValueError, "at least one node"),
        ({"nodes": []}, ValueError, "at least one node"),
        ({"nodes": 1, "faults": "message_loss=0.1"}, ValueError, "needs several nodes, and there is one"),
        ({"nodes": ["big"]}, TypeError, "a node is a sim.Node or a dict"),
        ({"nodes": "4"}, TypeError, "neither a number nor a list"),
        ({"nodes": [{"cpus": 3}]}, ValueError, "it has num_cpus, num_gpus, resources"),
        ({"nodes": [sim.Node(), {"disk": -1}]}, ValueError, "disk of a node is -1"),
        ({"nodes": [sim.Node(num_cpus=3)], "num_cpus": 2}, ValueError, "num_cpus is given for a node"),
        ({"faults_for_s": -1}, ValueError, "from 0 to 1e9 virtual seconds"),
        ({"faults_for_s": "long"}, TypeError, "virtual seconds"),
        ({"num_cups": 3}, TypeError, "num_cups"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(arguments, error, words):
    with pytest.raises(error) as caught:
        sim.cluster(**arguments)
    assert words in str(caught.value) and not raylite.is_initialized()


def test_nodes_say_what_is_wrong_with_them():
    with pytest.raises(ValueError, match=r"num_cpus of a node is -1.*whole number"):
        sim.Node(num_cpus=-1)
    assert repr(sim.Node(num_cpus=2, num_gpus=0)) == "Node(num_cpus=2, num_gpus=0)"
    assert sim.Node(num_cpus=2) == sim.Node(num_cpus=2) != sim.Node()


def test_what_needs_several_nodes_is_refused_with_a_sentence():
    with sim.cluster() as c:
        for call in (lambda: c.kill_node(0), lambda: c.restart_node(0), lambda: c.partition({0}, {1}), c.heal):
            with pytest.raises(ValueError, match="needs several nodes, and this cluster has one"):
                call()


def test_a_cluster_is_there_inside_with_and_once():
    c = sim.cluster()
    with pytest.raises(RuntimeError, match="inside `with"):
        c.now()
    with c, pytest.raises(RuntimeError, match="one is running"):
        sim.cluster().__enter__()
    assert not raylite.is_initialized()
