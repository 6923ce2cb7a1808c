"""Workers die at any call of any task, and programs come out right."""

from __future__ import annotations

import random
import sys
import time

import pytest

import raylite
from raylite import sim
from raylite.exceptions import WorkerCrashedError
from tests.sim import shared
from tests.sim.programs import run_random


def shape(seed):
    """How many CPUs, processes and crashes a seed means, and whether each event is followed by a check."""
    rng = random.Random(seed)
    return {
        "num_cpus": rng.choice((1, 2, 4)),
        "worker_cap": rng.choice((2, 3, 4, 16)),
        "worker_crash": rng.choice((0.0, 0.01, 0.05, 0.1)),
        "check": seed % 4 == 0,
    }


@pytest.mark.timeout(240)
def test_results_are_those_of_a_serial_run():
    attempts = 0
    for seed in range(6):

        def program(seed=seed):
            results = run_random(raylite, seed)
            return results, max((entry["attempt"] for entry in sim.current().story()), default=0)

        (results, expected), last_attempt = sim.run(program, seed=seed, **shape(seed)).value
        assert results == expected, f"seed {seed}"
        attempts += last_attempt
    assert attempts > 3


def test_few_retries_give_the_result_or_say_that_the_worker_died():
    outcomes = set()
    for seed in range(40):
        try:
            results, expected = sim.run(run_random, raylite, seed, 1, seed=seed, worker_crash=0.03, check=True).value
            assert results == expected, f"seed {seed}"
            outcomes.add("right")
        except WorkerCrashedError:  # or a task's that met one
            outcomes.add("died")
    assert outcomes == {"right", "died"}


def test_a_task_that_always_dies_fails_by_name():
    def program():
        @raylite.remote(max_retries=2)
        def doomed():
            return raylite.put(1)

        raylite.get(doomed.remote())

    with pytest.raises(WorkerCrashedError, match=r"doomed.*signal 9.*attempt 3"):
        sim.run(program, worker_crash=1.0)


def test_a_dead_task_runs_its_finally_and_can_do_nothing(log):
    def program():
        @raylite.remote
        def child():
            shared.log.append("child")

        @raylite.remote
        def parent():
            try:
                sim.cost(1.0)
            except Exception:
                shared.log.append("caught")
            finally:
                for call in (child.remote, lambda: raylite.put(1), lambda: sim.cost(1.0)):
                    try:
                        call()
                        shared.log.append("worked")
                    except BaseException as error:
                        shared.log.append(type(error).__name__)
                shared.log.append(sim.current().now_s() < 1.0)

        ref = parent.remote()
        raylite.wait([ref], timeout=0.5)
        raylite.cancel(ref, force=True)
        with pytest.raises(raylite.exceptions.TaskCancelledError):
            raylite.get(ref)
        sim.current().settle()

    sim.run(program)
    assert log == ["ProcessEnded", "ProcessEnded", "ProcessEnded", True]


def test_all_tasks_on_a_dead_workers_stack_unwind_innermost_first(log):
    def program():
        @raylite.remote(max_retries=0)
        def nested(depth):
            try:
                if depth:
                    raylite.get(nested.remote(depth - 1))
                else:
                    sim.cost(10.0)
            finally:
                shared.log.append(depth)

        ref = nested.remote(4)
        raylite.wait([ref], timeout=5.0)
        for worker in sim.current().workers():
            sim.current().kill_worker(worker["client"])
        with pytest.raises(raylite.exceptions.RayError):
            raylite.get(ref)

    sim.run(program, num_cpus=1, worker_cap=1)
    assert log == [0, 1, 2, 3, 4]


def test_leaving_the_process_is_a_crash_with_its_exit_code(capsys):
    def program():
        @raylite.remote(max_retries=0)
        def leave(code):
            sys.exit(code)

        messages = []
        for code in (3, "a reason"):
            with pytest.raises(WorkerCrashedError) as caught:
                raylite.get(leave.remote(code))
            messages.append(str(caught.value))
        return messages

    three, one = sim.run(program).value
    assert "exit code 3" in three and "exit code 1" in one
    assert "a reason" in capsys.readouterr().err


def test_killing_by_command():
    def program():
        @raylite.remote
        def slow():
            sim.cost(1.0)
            return raylite.get_runtime_context().get_attempt_number()

        ref = slow.remote()
        raylite.wait([ref], timeout=0.5)
        [busy] = [worker["client"] for worker in sim.current().workers() if worker["running"]]
        sim.current().kill_worker(busy)
        with pytest.raises(ValueError, match="no worker 999"):
            sim.current().kill_worker(999)
        return raylite.get(ref), sim.current().now_s()

    attempt, elapsed_s = sim.run(program).value
    assert attempt == 1 and 1.5 < elapsed_s < 3.0


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_that_make_no_sense_are_refused(rate):
    with pytest.raises(ValueError, match="worker_crash is from 0 to 1"):
        sim.run(int, worker_crash=rate)
    with pytest.raises(TypeError, match="worker_crash"):
        sim.run(int, worker_crash="often")


@pytest.mark.parametrize("seed", range(5))
def test_a_submission_that_is_interrupted_while_it_is_confirmed_leaves_nothing(seed):
    def cancel_in_second_attempt():
        @raylite.remote
        def child():
            pass

        @raylite.remote(max_retries=-1)
        def parent():
            sim.cost(1.0)
            while raylite.get_runtime_context().get_attempt_number():
                child.remote()  # waits for an answer, as this is not the first attempt

        ref = parent.remote()
        raylite.wait([ref], timeout=0.5)
        [busy] = [worker["client"] for worker in sim.current().workers() if worker["running"]]
        sim.current().kill_worker(busy)
        raylite.wait([ref], timeout=1.05)
        raylite.cancel(ref)
        with pytest.raises(raylite.exceptions.TaskCancelledError):
            raylite.get(ref)

    def program():
        cancel_in_second_attempt()
        sim.current().settle()
        return sim.current().sizes()

    assert not any(sim.run(program, seed=seed).value.values())


def test_delays_between_attempts_take_virtual_time(log):
    """Also of those that are put off while others are."""

    def program():
        @raylite.remote(max_retries=2, retry_delay_s=3600, retry_jitter=0.5)
        def dies_twice(i):
            shared.log.append((i, time.time()))
            if raylite.get_runtime_context().get_attempt_number() < 2:
                sys.exit(1)
            return i

        return raylite.get([dies_twice.remote(i) for i in range(3)])

    assert sim.run(program, num_cpus=4).value == [0, 1, 2]
    delays = []
    for task in range(3):
        first, second, third = [at for i, at in log if i == task]
        delays += [second - first, third - second]
    assert len(set(delays)) == 6  # each its own share
    assert min(delays) >= 3600 and max(delays) < 1.5 * 3600 + 1
