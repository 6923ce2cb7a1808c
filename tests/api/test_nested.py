"""Tasks that call tasks: recursion, depth, what is lent meanwhile."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import raylite


@pytest.fixture
def one_cpu(leaves_nothing):
    raylite.init(num_cpus=1)
    yield
    raylite.shutdown()


@raylite.remote
def descend(depth):
    return 0 if depth == 0 else 1 + raylite.get(descend.remote(depth - 1))


@raylite.remote
def fib(n, low=2):
    return n if n < low else sum(raylite.get([fib.remote(n - 1), fib.remote(n - 2)]))


def test_recursion(one_cpu):
    assert raylite.get(fib.remote(8)) == 21


@pytest.mark.parametrize("depth", [1, 20, 500])
def test_depth_on_one_cpu(one_cpu, depth, node_sizes, wait_until):
    assert raylite.get(descend.remote(depth)) == depth
    wait_until(lambda: node_sizes()["tasks"] == 0)
    assert raylite.available_resources()["CPU"] == 1.0


@pytest.mark.parametrize("worker_cap", [1, 2])
def test_depth_with_few_processes(worker_cap):
    """The awaited task runs in its waiter's process, on top of it."""
    raylite.init(num_cpus=1, worker_cap=worker_cap)
    assert raylite.get(descend.remote(500)) == 500


def test_a_whole_tree_in_one_process():
    raylite.init(num_cpus=1, worker_cap=1)

    @raylite.remote
    def tree(depth):
        if depth == 0:
            return {os.getpid()}
        return set.union(*raylite.get([tree.remote(depth - 1) for _ in range(3)]))

    assert len(raylite.get(tree.remote(4))) == 1


def test_depth_through_arguments(one_cpu):
    """The awaited task waits for another itself, which must come first."""

    @raylite.remote
    def add(a, b):
        return a + b

    @raylite.remote
    def chain(n):
        ref = raylite.put(0)
        for _ in range(n):
            ref = add.remote(ref, 1)
        return raylite.get(ref)

    assert raylite.get(chain.remote(200)) == 200
    raylite.shutdown()
    raylite.init(num_cpus=1, worker_cap=1)
    assert raylite.get(chain.remote(200)) == 200


def test_errors_from_far_below(one_cpu):
    @raylite.remote
    def dig(depth):
        if depth == 0:
            raise KeyError("bottom")
        return raylite.get(dig.remote(depth - 1))

    with pytest.raises(KeyError, match="bottom") as caught:
        raylite.get(dig.remote(30))
    assert str(caught.value).count("KeyError: 'bottom'") == 1
    assert len(str(caught.value)) < 10_000
    raylite.shutdown()
    raylite.init(num_cpus=1, worker_cap=1)
    with pytest.raises(KeyError, match="bottom"):
        raylite.get(dig.remote(30))


def test_too_deep_for_one_process():
    """There is an end to a stack: the task fails with the error of a recursion, and the runtime goes on."""
    raylite.init(num_cpus=1, worker_cap=1)

    with pytest.raises(RecursionError, match="tasks wait for each other"):
        raylite.get(descend.options(max_retries=0).remote(10_000))
    assert raylite.get(descend.remote(10)) == 10


def test_children_that_outlive_their_parent(one_cpu, gate):
    """A task that has ended, and what it started, are two things."""

    @raylite.remote(num_cpus=0)
    def child():
        gate.pass_through()
        return os.getpid()

    @raylite.remote
    def parent():
        return [child.remote()], os.getpid()

    (ref,), pid_of_parent = raylite.get(parent.remote())
    gate.open()
    assert raylite.get(ref) != os.getpid() != pid_of_parent


def test_large_values_between_nested_tasks(one_cpu):
    @raylite.remote
    def total(array):
        return array.sum()

    @raylite.remote
    def split(array, depth):
        if depth == 0:
            return raylite.get(total.remote(array))
        half = len(array) // 2
        return sum(raylite.get([split.remote(array[:half], depth - 1), split.remote(array[half:], depth - 1)]))

    assert raylite.get(split.remote(np.ones(1 << 18), 2)) == 1 << 18


def test_a_waiting_task_lends_its_cpu_and_takes_it_back(one_cpu, new_gate, wait_until):
    """While the child runs one CPU is in use, not two; so it is again when the parent goes on."""
    in_child, in_parent = new_gate(), new_gate()

    @raylite.remote
    def child():
        in_child.pass_through()
        return 1

    @raylite.remote
    def parent():
        value = raylite.get(child.remote())
        in_parent.pass_through()
        return value

    ref = parent.remote()
    wait_until(lambda: sum(w["running"] for w in raylite.lifecycle.runtime().workers()) == 2)
    assert "CPU" not in raylite.available_resources()
    in_child.open()
    wait_until(lambda: sum(w["running"] for w in raylite.lifecycle.runtime().workers()) == 1)
    assert "CPU" not in raylite.available_resources()
    in_parent.open()
    assert raylite.get(ref) == 1
    wait_until(lambda: raylite.available_resources().get("CPU") == 1.0)


def test_threads_in_a_task_wait_too(one_cpu):
    @raylite.remote
    def child(x):
        return x

    @raylite.remote
    def parent():
        seen = []

        def work(i):
            seen.append(raylite.get(child.options(num_cpus=0).remote(i)))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(seen)

    assert raylite.get(parent.remote()) == list(range(8))


def test_many_parents_wait_at_once(one_cpu):
    assert raylite.get([descend.remote(5) for _ in range(40)]) == [5] * 40


def test_tasks_get_objects_that_others_put(one_cpu):
    @raylite.remote
    def store(depth):
        return [raylite.put(bytes([depth]) * 200_000), *(raylite.get(store.remote(depth - 1)) if depth else ())]

    refs = raylite.get(store.remote(10))
    assert [raylite.get(ref)[-1] for ref in refs] == list(range(10, -1, -1))
