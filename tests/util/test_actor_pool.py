"""ActorPool: each call goes to an actor that is free; results in order or as they come; actors come and go."""

from __future__ import annotations

import os

import pytest

import raylite
from raylite.util import ActorPool

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote(num_cpus=0)
class Worker:
    def double(self, x):
        return 2 * x

    def inverse(self, x):
        return 1 / x

    def pass_gate(self, gate, value=None):
        gate.pass_through()
        return value

    @raylite.method(num_returns=2)
    def both(self, x):
        return x, -x

    def die(self):
        os._exit(1)


def double(actor, value):
    return actor.double.remote(value)


def pass_gate(actor, gate_and_value):
    return actor.pass_gate.remote(*gate_and_value)


@pytest.fixture
def actors():
    return [Worker.remote() for _ in range(2)]


@pytest.fixture
def pool(actors):
    return ActorPool(actors)


def test_map(pool):
    assert list(pool.map(double, range(20))) == [2 * i for i in range(20)]
    assert sorted(pool.map_unordered(double, range(20))) == [2 * i for i in range(20)]
    assert list(pool.map(double, [])) == []


def test_what_is_there_first_comes_first_unless_in_order(pool, new_gate):
    for in_order in (True, False):
        gates = [new_gate() for _ in range(2)]
        results = (pool.map if in_order else pool.map_unordered)(pass_gate, [(gates[0], 0), (gates[1], 1)])
        gates[1].open()
        if in_order:
            gates[0].open()
            assert list(results) == [0, 1]
        else:
            assert next(results) == 1
            gates[0].open()
            assert list(results) == [0]


def test_a_call_waits_for_an_actor_that_is_free(pool, new_gate):
    gates = [new_gate() for _ in range(3)]
    for i, gate in enumerate(gates):
        pool.submit(pass_gate, (gate, i))
    assert not pool.has_free()
    gates[2].open()
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.05)
    gates[0].open()
    assert pool.get_next() == 0
    assert pool.get_next_unordered() == 2
    gates[1].open()
    assert pool.get_next_unordered() == 1
    assert pool.has_free()
    assert not pool.has_next()


def test_each_method_of_taking_when_there_is_nothing(pool):
    for take in (pool.get_next, pool.get_next_unordered):
        with pytest.raises(StopIteration, match="No more results to get"):
            take()


def test_in_order_after_unordered_is_refused(pool, new_gate):
    gates = [new_gate() for _ in range(2)]
    for i, gate in enumerate(gates):
        pool.submit(pass_gate, (gate, i))
    gates[1].open()
    assert pool.get_next_unordered() == 1
    with pytest.raises(ValueError, match="not allowed to call get_next"):
        pool.get_next()
    gates[0].open()
    assert pool.get_next_unordered() == 0


@pytest.mark.parametrize("take", ["get_next", "get_next_unordered"])
def test_a_result_that_is_late_is_kept_or_dropped(pool, new_gate, take):
    gates = [new_gate() for _ in range(2)]
    for i, gate in enumerate(gates):
        pool.submit(pass_gate, (gate, i))
    with pytest.raises(TimeoutError, match="Timed out waiting for result"):
        getattr(pool, take)(timeout=0.01)
    with pytest.raises(TimeoutError, match="has been ignored"):
        getattr(pool, take)(timeout=0.01, ignore_if_timedout=True)
    for gate in gates:
        gate.open()
    assert getattr(pool, take)() == 1
    assert not pool.has_next()


def test_map_drops_what_was_submitted_before(pool):
    for i in range(5):
        pool.submit(double, 100 + i)
    assert list(pool.map(double, [1, 2])) == [2, 4]
    iterator = pool.map(double, range(5))
    assert next(iterator) == 0
    assert sorted(pool.map_unordered(double, [1, 2])) == [2, 4]


def test_the_error_of_a_call_is_raised_and_the_actor_goes_on(pool):
    results = pool.map(lambda actor, x: actor.inverse.remote(x), [1, 0, 2])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(pool.map(double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_an_actor_that_died_is_left_out(pool):
    pool.submit(lambda actor, _: actor.die.remote(), None)
    with pytest.raises(raylite.exceptions.ActorDiedError):
        pool.get_next()
    assert list(pool.map(double, range(6))) == [0, 2, 4, 6, 8, 10]


def test_actors_come_and_go(actors):
    pool = ActorPool([])
    assert pool.pop_idle() is None
    pool.submit(double, 4)
    assert not pool.has_next()
    pool.push(actors[0])
    assert pool.get_next() == 8
    assert pool.pop_idle() == actors[0]
    assert not pool.has_free()
    pool.push(actors[1])
    with pytest.raises(ValueError, match="Actor already belongs to current ActorPool"):
        pool.push(actors[1])
    pool.submit(double, 1)
    with pytest.raises(ValueError, match="Actor already belongs to current ActorPool"):
        pool.push(actors[1])
    assert pool.get_next() == 2


def test_several_results_of_one_call(pool):
    assert list(pool.map(lambda actor, x: actor.both.remote(x), [1, 2])) == [[1, -1], [2, -2]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda pool: ActorPool([Worker]), "handles of actors"),
        (lambda pool: pool.push(5), "handles of actors"),
        (lambda pool: pool.submit(5, 1), "fn must be a function"),
        (lambda pool: pool.submit(lambda actor, x: x, 1), "fn must give an ObjectRef"),
    ],
)
def test_bad_input_is_refused_at_the_call(pool, call, words):
    with pytest.raises(TypeError, match=words):
        call(pool)
    assert pool.has_free()
    assert list(pool.map(double, range(4))) == [0, 2, 4, 6], "the pool has lost an actor"
