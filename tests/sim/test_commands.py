"""What a program does to its virtual cluster by command, and what the cluster says of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

import raylite
from raylite import sim
from raylite.sim.faults import KINDS

TWO = [sim.Node(num_cpus=1), sim.Node(num_cpus=1, resources={"there": 8})]


@raylite.remote(max_retries=-1)
def slow(seconds):
    sim.cost(seconds)
    return raylite.get_runtime_context().get_node_id()


@raylite.remote(max_retries=-1, num_cpus=0, resources={"there": 1})
def there(n):
    return np.full(n, 1)


def took(refs):
    """The virtual seconds until the values are there."""
    begin_s = sim.current().now_s()
    raylite.get(refs)
    return sim.current().now_s() - begin_s


def kinds(c):
    return [(fault["kind"], fault["number"], fault["node"]) for fault in c.occurred()]


def test_a_slow_node():
    with sim.cluster(nodes=TWO) as c:
        task = slow.options(num_cpus=0, resources={"there": 1})
        raylite.get(task.remote(0.0))
        assert 1.0 <= took([task.remote(1.0)]) < 1.1
        c.slow_node(1, 5)
        assert 5.0 <= took([task.remote(1.0)]) < 5.1
        c.slow_node(1, 1)
        assert 1.0 <= took([task.remote(1.0)]) < 1.1
        assert kinds(c) == [("slow_node", None, 1)]


@raylite.remote(num_cpus=0, resources={"there": 1})
def clock():
    return time.time()


def test_a_clock_that_is_wrong_does_not_change_what_is_told():
    with sim.cluster(nodes=TWO) as c:
        raylite.get(slow.remote(1.0))
        c.skew_clock(1, ahead_s=50.0, rate=2.0)
        raylite.get(slow.options(num_cpus=0, resources={"there": 1}).remote(1.0))
        assert c.now() < 3
        assert [float(line.split()[0]) < 3 for line in c.story().splitlines()] == [True] * len(c.story().splitlines())
        assert "** clock_skew by command: node 1" in c.story()
        assert kinds(c) == [("clock_skew", None, 1)]


def test_a_store_that_is_full_is_an_error_until_it_is_not():
    with sim.cluster(nodes=TWO) as c:
        c.fill_store(1)
        with pytest.raises(raylite.exceptions.ObjectStoreFullError):
            raylite.get(there.options(max_retries=0).remote(100_000))
        raylite.get(raylite.put(np.ones(100_000)))  # which is on node 0
        c.fill_store(1, False)
        assert raylite.get(there.remote(100_000)).sum() == 100_000
        with pytest.raises(ValueError, match="no node 2; there are 0 to 1"):
            c.fill_store(2)
    with sim.cluster() as c:
        c.fill_store()
        with pytest.raises(raylite.exceptions.ObjectStoreFullError):
            raylite.put(np.ones(100_000))


def test_a_disk_that_is_full_refuses_writes():
    ends = []
    with sim.cluster(nodes=[sim.Node(), sim.Node(disk=1000)]) as c:
        disk = c.session.cluster.disks[1]
        disk.append("file", b"x" * 600, ends.append)
        disk.append("file", b"x" * 600, ends.append)  # more than it has
        sim.cost(1.0)
        c.fill_disk(1)
        disk.append("file", b"x", ends.append)
        sim.cost(1.0)
        c.fill_disk(1, False)
        disk.append("file", b"x", ends.append)
        sim.cost(1.0)
    assert ends == [True, False, False, True]


def test_links_have_their_latency_and_bandwidth():
    def seconds(network=None, **link):
        with sim.cluster(nodes=TWO, network=network) as c:
            raylite.get(there.remote(10))
            if link:
                c.set_link(0, 1, **link)
            return took([there.remote(10)]), took([there.remote(1_000_000)])  # 8 MB

    usual = seconds()
    assert usual[0] < 0.01 and usual[1] < 0.05
    far = seconds(latency_s=0.1)
    assert 0.2 < far[0] < 2
    assert 0.2 < seconds(sim.Network(links={(1, 0): {"latency_s": 0.1}}))[0] < 2
    assert seconds({"latency_s": 0.1, "jitter_s": 0.0})[0] > 0.2
    assert seconds(bytes_per_s=2e7)[1] > 0.4 > 0.1 > seconds(bytes_per_s=2e7)[0]
    assert seconds(latency_s=0.1, one_way=True)[0] < far[0]


def test_the_next_occasions_are_faults():
    with sim.cluster(nodes=TWO) as c:
        c.strike("worker_crash", 2)
        c.strike("message_loss", 3)
        assert raylite.get(slow.remote(0.1)) is not None
        sim.cost(5.0)
        assert sorted(kind for kind, number, _ in kinds(c) if number is None) == 3 * ["message_loss"] + 2 * [
            "worker_crash"
        ]
        assert "worker_crash by command: worker" in c.story()


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("slow_node", "clock_skew", "full_store")])
def test_every_kind_of_fault_happens_on_command(kind):
    with sim.cluster(nodes=3, num_cpus=2) as c:
        raylite.get(slow.remote(0.1))
        refs = [raylite.remote(max_retries=-1)(lambda n: np.full(50_000, n)).remote(n) for n in range(6)]
        raylite.wait(refs, num_returns=6)
        c.strike(kind)
        refs.append(slow.remote(0.1))
        sim.cost(20.0)
        c.kill_node(2)  # of which the master writes
        sim.cost(20.0)
        assert [int(each[0]) for each in raylite.get(refs[:6])] == list(range(6))
        assert kind in [fault["kind"] for fault in c.occurred() if fault["number"] is None]


def test_commands_are_left_out_of_what_is_shrunk():
    from raylite.sim.trials import Trial, failing_numbers

    with sim.cluster(nodes=TWO, faults="message_loss=0.1", seed=1) as c:
        raylite.get(slow.remote(1.0))
        c.kill_worker()
        trial = Trial(1, c.faults)
        trial.see(c.session)
    assert ("worker_crash", None) in [(fault["kind"], fault["number"]) for fault in trial.occurred]
    assert {kind for kind, _ in failing_numbers(trial)} == {"message_loss"}


def test_killing_a_worker_of_a_node():
    with sim.cluster(nodes=TWO) as c:
        ref = slow.options(num_cpus=0, resources={"there": 1}).remote(2.0)
        raylite.wait([ref], timeout=1.0)
        [busy] = [(each["node"], each["client"]) for each in c.workers() if each["running"]]
        assert busy[0] == 1 and c.kill_worker() == busy[1]
        raylite.get(ref)
        assert kinds(c) == [("worker_crash", None, 1)] and f"worker {busy[1]} of node 1" in c.story(ref)
        with pytest.raises(ValueError, match="no worker 999 on node 0; there are 2 on node 0, 2 on node 1"):
            c.kill_worker(999, node=0)


def test_a_node_comes_and_goes_in_the_story():
    with sim.cluster(nodes=TWO) as c:
        raylite.get(there.remote(1))
        c.kill_node(1)
        for call in (c.kill_node, c.fill_store):
            with pytest.raises(ValueError, match="node 1 is down"):
                call(1)
        c.restart_node(1)
        with pytest.raises(ValueError, match="node 1 is not down"):
            c.restart_node(1)
        raylite.get(there.remote(1))
        lines = [line.split("s  ", 1)[1] for line in c.story().splitlines()]
    assert lines.index("** node 1 is gone") < lines.index("** node 1 comes back") < len(lines) - 1
    assert any("runs on worker" in line and "of node 1" in line for line in lines[: lines.index("** node 1 is gone")])


def test_a_partition_by_command_and_its_end():
    with sim.cluster(nodes=TWO) as c:
        raylite.get(there.remote(1))
        number = c.partition({0}, {1})
        ready, _ = raylite.wait([ref := there.remote(1)], timeout=0.2)
        assert not ready
        c.heal(number)
        raylite.get(ref)
        assert kinds(c) == [("partition", None, 0)] and "node 0 cut off from node 1" in c.story()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: c.kill_node(7), "no node 7; there are 0 to 1"),
        (lambda c: c.partition({0}, {0}), "both sides"),
        (lambda c: c.partition(set(), {0}), "machines on both sides"),
        (lambda c: c.partition("01"), "a set of nodes"),
        (lambda c: c.slow_node(1, 0.5), "from 1 to 1000 times"),
        (lambda c: c.skew_clock(1, -1.0), "none goes back"),
        (lambda c: c.skew_clock(1, rate=9), "rate is from 0.5 to 2.0"),
        (lambda c: c.set_link(0, 0, latency_s=1), "between two nodes"),
        (lambda c: c.set_link(0, 1, latency=1), "it has latency_s, jitter_s, bytes_per_s"),
        (lambda c: c.set_link(0, 1, latency_s=-1), "from 0 to 3600 seconds"),
        (lambda c: c.set_link(0, 1, bytes_per_s=0), "from 1 to"),
        (lambda c: c.strike("slow_node"), r"slow_node\(\) does it at any time"),
        (lambda c: c.strike("weather"), "no fault 'weather' to strike; there are worker_crash"),
        (lambda c: c.strike("worker_crash", 0), "from 1 up"),
        (lambda c: c.fill_disk(3), "no node 3"),
    ],
)
def test_commands_that_make_no_sense_are_refused(call, words):
    with sim.cluster(nodes=TWO) as c, pytest.raises((TypeError, ValueError), match=words):
        call(c)


def test_with_one_node_what_needs_several_is_refused():
    with sim.cluster() as c:
        for call in (c.slow_node, c.skew_clock, c.fill_disk, c.kill_node):
            with pytest.raises(ValueError, match="needs several nodes"):
                call(0)
        for name, kind in KINDS.items():
            if not kind.alone:
                with pytest.raises(ValueError, match=r"several nodes|at any time"):
                    c.strike(name)


@pytest.mark.parametrize(
    ("network", "error", "words"),
    [
        ({"latency": 1}, ValueError, "a network has no 'latency'; it has latency_s"),
        ({"latency_s": -1}, ValueError, "from 0 to 3600"),
        ({"latency_s": "far"}, TypeError, "a number, not 'far'"),
        ({"links": {(0, 1): {"speed": 1}}}, ValueError, "a link has no 'speed'"),
        ({"links": {(0, 0): {}}}, ValueError, "named by two nodes"),
        ({"links": {"0": {}}}, ValueError, "named by two nodes"),
        ({"links": {"0-9": {}}}, ValueError, "nodes 0 and 9, and there are 0 to 1"),
        ({"links": [1]}, TypeError, "a dict of two nodes"),
        ("fast", TypeError, "sim.Network"),
    ],
)
def test_networks_that_make_no_sense_are_refused(network, error, words):
    with pytest.raises(error, match=words):
        sim.cluster(nodes=TWO, network=network)
