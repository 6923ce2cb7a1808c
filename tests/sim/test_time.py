"""Time and chance inside a simulation are its own, and outside it nobody notices."""

from __future__ import annotations

import asyncio
import concurrent.futures
import random
import threading
import time
from time import monotonic, sleep

import pytest

import raylite
from raylite import sim

HOUR_S = 3600.0


def test_an_hour_of_sleep_takes_no_time():
    def program():
        @raylite.remote
        def nap():
            time.sleep(HOUR_S)
            sleep(HOUR_S)
            return monotonic()

        begin = time.monotonic()
        time.sleep(HOUR_S)
        return raylite.get(nap.remote()) - begin

    begin = time.monotonic()
    result = sim.run(program)
    assert time.monotonic() - begin < HOUR_S / 10
    assert result.value == pytest.approx(3 * HOUR_S, abs=10.0)
    assert result.virtual_s == pytest.approx(3 * HOUR_S, abs=10.0)


def test_tasks_sleep_side_by_side_as_resources_allow():
    def program():
        @raylite.remote
        def nap():
            time.sleep(10)

        raylite.get([nap.remote() for _ in range(8)])

    assert sim.run(program, num_cpus=4).virtual_s == pytest.approx(20, abs=2)
    assert sim.run(program, num_cpus=1).virtual_s == pytest.approx(80, abs=2)


def test_a_task_costs_what_it_says_else_a_drawn_time():
    def program():
        @raylite.remote
        def work(cost_s):
            if cost_s is not None:
                sim.cost(cost_s)

        times = []
        for cost_s in (None, 0, 5.0):
            begin = time.monotonic()
            raylite.get(work.remote(cost_s))
            times.append(time.monotonic() - begin)
        return times

    drawn, nothing, said = zip(*[sim.run(program, seed=seed).value for seed in range(20)], strict=True)
    assert sorted(drawn)[10] > 2 * sorted(nothing)[10]
    assert all(5.0 < time_s < 5.2 for time_s in said)


@pytest.mark.parametrize("cost", [-1, float("nan")])
def test_a_cost_that_makes_no_sense_is_refused_everywhere(cost):
    with pytest.raises(ValueError, match="0 or more seconds"):
        sim.cost(cost)


def test_a_cost_is_nothing_outside_a_simulation():
    begin = time.monotonic()
    sim.cost(HOUR_S)
    assert time.monotonic() - begin < HOUR_S / 10


def test_a_loop_that_waits_for_a_time_ends():
    def program():
        @raylite.remote
        def spin():
            until = time.perf_counter() + 0.01
            while time.perf_counter() < until:
                pass
            return True

        return raylite.get(spin.remote())

    assert sim.run(program).value


def test_timeouts_are_virtual():
    def program():
        @raylite.remote
        def nap():
            time.sleep(HOUR_S)
            return "slept"

        ref = nap.remote()
        with pytest.raises(raylite.exceptions.GetTimeoutError):
            raylite.get(ref, timeout=HOUR_S / 2)
        assert raylite.wait([ref], timeout=60) == ([], [ref])
        return raylite.get(ref, timeout=HOUR_S)

    assert sim.run(program).value == "slept"


def test_what_is_ready_is_ready_without_a_timeout_to_spare():
    def program():
        ref = raylite.put(1)

        @raylite.remote
        def look(box):
            return raylite.get(box[0], timeout=0), raylite.wait(box, timeout=0)[0] == box

        return raylite.get(look.remote([ref])), raylite.get(ref, timeout=0)

    for seed in range(20):
        assert sim.run(program, seed=seed).value == ((1, True), 1)


def test_asyncio_waits_in_virtual_time():
    def program():
        @raylite.remote
        def nap(seconds):
            time.sleep(seconds)
            return seconds

        @raylite.remote
        def coroutines():
            async def main():
                loop = asyncio.get_running_loop()
                begin = loop.time()
                ref = nap.remote(HOUR_S)
                await asyncio.gather(asyncio.sleep(HOUR_S), asyncio.sleep(HOUR_S / 2), ref)
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(nap.remote(HOUR_S).as_future(), HOUR_S / 4)
                return loop.time() - begin

            return asyncio.run(main())

        return raylite.get([coroutines.remote(), coroutines.remote()])

    assert sim.run(program).value == pytest.approx([1.25 * HOUR_S] * 2, abs=10.0)


def test_futures_are_completed_while_others_run():
    def program():
        @raylite.remote
        def fail():
            raise KeyError("gone")

        @raylite.remote
        def nap(seconds):
            time.sleep(seconds)
            return seconds

        @raylite.remote
        def race():
            futures = [nap.remote(seconds).future() for seconds in (HOUR_S, 1, 60)]
            with pytest.raises(concurrent.futures.TimeoutError):
                futures[1].result(timeout=0.5)
            assert not any(future.done() for future in futures)
            return [future.result() for future in concurrent.futures.as_completed(futures)]

        called: list = []
        future = raylite.put(5).future()
        future.add_done_callback(lambda done: called.append((done.result(), raylite.get(raylite.put(6)))))
        with pytest.raises(KeyError):
            fail.remote().future().result(timeout=60)
        return future.result(timeout=60), called, raylite.get(race.remote()), race.remote().future().result()

    for seed in range(3):
        value, called, *raced = sim.run(program, seed=seed, num_cpus=4).value
        assert (value, called, raced) == (5, [(5, 6)], [[1, 60, HOUR_S]] * 2)


def test_a_future_has_its_value_at_once_where_locks_are_real():
    assert sim.run(lambda: raylite.put(5).future().result(timeout=0), virtual_time=False).value == 5


def test_random_is_seeded_and_the_programs_own_is_left_alone():
    def program():
        @raylite.remote
        def draw(seed=None):
            if seed is not None:
                random.seed(seed)
            state = random.getstate()
            values = random.random(), random.choice(range(1000))
            random.setstate(state)
            return values == (random.random(), random.choice(range(1000))), values

        return raylite.get([draw.remote(), draw.remote(3), draw.remote(3)]), random.random()

    random.seed(99)
    expected = random.random()
    random.seed(99)
    draws, of_driver = sim.run(program, seed=4).value
    assert random.random() == expected
    assert all(repeated for repeated, _ in draws)
    assert draws[1] == draws[2] != draws[0]
    assert sim.run(program, seed=4).value == (draws, of_driver) != sim.run(program, seed=5).value


def test_other_threads_and_what_comes_after_have_real_time():
    def program():
        times = []
        thread = threading.Thread(target=lambda: times.append(time.time()))
        thread.start()
        thread.join()
        return time.time(), times[0]

    begin = time.time()
    virtual, real = sim.run(program).value
    assert virtual < begin <= real <= time.time()


def test_time_can_be_left_as_it_is():
    def program():
        @raylite.remote
        def look():
            return time.time(), random.random()

        return raylite.get(look.remote())

    begin = time.time()
    random.seed(5)
    expected = random.random()
    random.seed(5)
    now, drawn = sim.run(program, virtual_time=False).value
    assert begin <= now <= time.time() and drawn == expected


@pytest.mark.parametrize("seconds", [-1, "1", None])
def test_sleep_refuses_what_it_refuses_elsewhere(seconds):
    def kind_of_error():
        try:
            time.sleep(seconds)
        except Exception as error:
            return type(error)

    assert sim.run(kind_of_error).value is kind_of_error() is not None
