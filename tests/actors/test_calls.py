"""Calls of an actor's methods: state, order, results, arguments, handles that travel."""

from __future__ import annotations

import os

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
class Counter:
    def __init__(self, start=0):
        self.n = start

    def add(self, k=1):
        self.n += k
        return self.n

    def get(self):
        return self.n

    def pid(self):
        return os.getpid()


@raylite.remote
class Log:
    """What it was told, in order."""

    def __init__(self):
        self.items = []

    def add(self, item):
        self.items.append(item)

    def get(self):
        return self.items


@raylite.remote
def identity(value):
    return value


def test_state_is_kept_between_calls():
    counter = Counter.remote(5)
    assert raylite.get([counter.add.remote(), counter.add.remote(10), counter.get.remote()]) == [6, 16, 16]


def test_each_actor_has_a_process_and_a_state_of_its_own():
    a, b = Counter.remote(), Counter.remote(100)
    assert raylite.get([a.add.remote(), b.add.remote()]) == [1, 101]
    pids = raylite.get([a.pid.remote(), a.pid.remote(), b.pid.remote()])
    assert pids[0] == pids[1] != pids[2] and os.getpid() not in pids


def test_keyword_arguments_and_defaults():
    assert raylite.get(Counter.remote(start=2).add.remote(k=3)) == 5


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_calls_of_one_caller_run_in_order(n):
    log = Log.remote()
    for i in range(n):
        log.add.remote(i)
    assert raylite.get(log.get.remote()) == list(range(n))


def test_a_call_waits_for_its_arguments_and_later_calls_for_it(gate):
    log = Log.remote()

    @raylite.remote
    def late(gate):
        gate.pass_through()
        return "first"

    log.add.remote(late.remote(gate))
    log.add.remote("second")
    done = log.get.remote()
    assert raylite.wait([done], timeout=0.2) == ([], [done])
    gate.open()
    assert raylite.get(done) == ["first", "second"]


def test_calls_of_other_callers_pass_by_one_that_waits(gate):
    log = Log.remote()

    @raylite.remote
    def late(gate):
        gate.pass_through()
        return "late"

    @raylite.remote
    def other(log):
        return raylite.get(log.add.remote("other"))

    log.add.remote(late.remote(gate))
    raylite.get(other.remote(log))
    gate.open()
    assert raylite.get(log.get.remote()) == ["other", "late"]


def test_out_of_order_execution_by_option(gate):
    log = Log.options(allow_out_of_order_execution=True).remote()

    @raylite.remote
    def late(gate):
        gate.pass_through()
        return "late"

    waiting = log.add.remote(late.remote(gate))
    raylite.get(log.add.remote("soon"))
    gate.open()
    raylite.get(waiting)
    assert raylite.get(log.get.remote()) == ["soon", "late"]


def test_an_argument_that_is_an_error_is_the_calls_error_and_the_next_call_runs():
    @raylite.remote
    def fail():
        raise KeyError("gone")

    counter = Counter.remote()
    with pytest.raises(KeyError, match="gone"):
        raylite.get(counter.add.remote(fail.remote()))
    assert raylite.get(counter.add.remote()) == 1


def test_what_a_method_raises_its_call_raises_and_the_actor_lives():
    @raylite.remote
    class Fails:
        def fail(self):
            raise ValueError("no")

        def works(self):
            return "yes"

    actor = Fails.remote()
    with pytest.raises(ValueError, match="no") as seen:
        raylite.get(actor.fail.remote())
    assert isinstance(seen.value, raylite.exceptions.RayTaskError)
    assert "Fails.fail" in str(seen.value)
    assert raylite.get(actor.works.remote()) == "yes"


def test_num_returns_of_a_method():
    @raylite.remote
    class Pair:
        @raylite.method(num_returns=2)
        def pair(self):
            return 1, 2

        @raylite.method(num_returns=0)
        def nothing(self):
            return None

        def three(self):
            return 1, 2, 3

    pair = Pair.remote()
    assert raylite.get(pair.pair.remote()) == [1, 2]
    assert pair.nothing.remote() is None
    assert raylite.get(pair.three.options(num_returns=3).remote()) == [1, 2, 3]
    assert raylite.get(pair.pair.options(name="other").remote()) == [1, 2]


def test_large_arguments_and_results_are_shared():
    @raylite.remote
    class Holder:
        def __init__(self, array):
            self.array = array

        def swap(self, array):
            self.array, old = array, self.array
            return old

    first, second = np.arange(200_000), np.ones(200_000)
    holder = Holder.remote(first)
    assert np.array_equal(raylite.get(holder.swap.remote(raylite.put(second))), first)
    assert np.array_equal(raylite.get(holder.swap.remote(first)), second)


def test_a_handle_as_argument_result_and_inside_values():
    counter = Counter.remote()

    @raylite.remote
    def add_through(handles):
        return raylite.get(handles["counter"].add.remote())

    @raylite.remote
    def make(start):
        return Counter.remote(start)

    assert raylite.get(add_through.remote({"counter": counter})) == 1
    assert raylite.get(identity.remote(counter)) == counter
    assert raylite.get(raylite.get(raylite.put([counter]))[0].get.remote()) == 1
    made = raylite.get(make.remote(7))
    assert raylite.get(made.add.remote()) == 8


def test_a_handle_in_a_closure_and_in_a_global():
    counter = Counter.remote()

    @raylite.remote
    def add():
        return raylite.get(counter.add.remote())

    assert sorted(raylite.get([add.remote() for _ in range(5)])) == [1, 2, 3, 4, 5]


def test_actors_that_hold_and_make_actors():
    @raylite.remote
    class Parent:
        def __init__(self, child):
            self.child = child
            self.own = Counter.remote(50)

        def both(self):
            return raylite.get([self.child.add.remote(), self.own.add.remote()])

    child = Counter.remote()
    parent = Parent.remote(child)
    assert raylite.get(parent.both.remote()) == [1, 51]
    assert raylite.get(child.add.remote()) == 2


def test_a_call_of_the_actor_itself_is_no_deadlock_if_nobody_waits():
    @raylite.remote
    class Selfish:
        def start(self):
            me = raylite.get_runtime_context().current_actor
            return [me.finish.remote()]

        def finish(self):
            return "finished"

    actor = Selfish.remote()
    assert raylite.get(raylite.get(actor.start.remote())[0]) == "finished"


def test_a_reference_that_a_method_returns():
    @raylite.remote
    class Maker:
        def make(self):
            return [raylite.put("value"), identity.remote("task")]

    maker = Maker.remote()
    assert raylite.get(raylite.get(maker.make.remote())) == ["value", "task"]


def test_inheritance_static_and_class_methods():
    class Base:
        def who(self):
            return type(self).__name__

        def over(self):
            return "base"

    @raylite.remote
    class Derived(Base):
        def over(self):
            return "derived of " + super().over()

        @staticmethod
        def double(x):
            return 2 * x

        @classmethod
        def name(cls):
            return cls.__name__

        def __len__(self):
            return 3

        def __call__(self, x):
            return x

    actor = Derived.remote()
    calls = [actor.who.remote(), actor.over.remote(), actor.double.remote(4), actor.name.remote()]
    assert raylite.get(calls) == ["Derived", "derived of base", 8, "Derived"]
    assert raylite.get([actor.__len__.remote(), actor.__call__.remote(5)]) == [3, 5]


def test_methods_that_every_actor_has():
    counter = Counter.remote(3)
    assert raylite.get(counter.__ray_ready__.remote()) is True
    assert raylite.get(counter.__ray_call__.remote(lambda self, k: self.n * k, 5)) == 15


def test_handles_are_equal_by_actor():
    a, b = Counter.options(name="equal").remote(), Counter.remote()
    same = raylite.get_actor("equal")
    assert a == same and hash(a) == hash(same) and a != b
    assert repr(a).startswith("Actor(Counter, ")
    assert len({a, same, b}) == 2


def test_retries_of_a_method_that_raises(tally):
    @raylite.remote
    class Fails:
        def __init__(self):
            self.n = 0

        @raylite.method(max_task_retries=3, retry_exceptions=[ValueError])
        def third_time(self):
            self.n += 1
            if self.n < 3:
                raise ValueError(self.n)
            return self.n

        @raylite.method(max_task_retries=3, retry_exceptions=[KeyError])
        def other_error(self):
            self.n += 1
            raise ValueError(self.n)

    actor = Fails.remote()
    assert raylite.get(actor.third_time.remote()) == 3
    with pytest.raises(ValueError, match="4"):
        raylite.get(actor.other_error.remote())


def test_nothing_is_left_when_handles_are_gone(all_freed, wait_until, node_sizes):
    handles = [Counter.remote(i) for i in range(3)]
    refs = [handle.add.remote() for handle in handles]
    assert raylite.get(refs) == [1, 2, 3]
    del handles, refs
    all_freed()
    wait_until(lambda: node_sizes()["actors"] == 0)


def test_many_calls_of_many_callers():
    counter = Counter.remote()

    @raylite.remote
    def add(counter, n):
        refs = [counter.add.remote() for _ in range(n)]
        return raylite.get(refs)

    seen = [n for part in raylite.get([add.remote(counter, 500) for _ in range(4)]) for n in part]
    assert sorted(seen) == list(range(1, 2001))
    assert raylite.get(counter.get.remote()) == 2000
