"""A simulated runtime as a runtime: begun by init or sim.run, asked, and gone without a trace."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import numpy as np
import pytest

import raylite
from raylite import sim
from tests.sim import shared
from tests.sim.programs import run_random


def emptied():
    """The sizes of the node's tables once all that can happen has; functions aside, which live as long as theirs do."""
    sim.current().settle()
    sizes = sim.current().sizes()
    sizes["objects"] -= sizes.pop("functions")
    sizes.pop("inline_bytes")
    return sizes


@pytest.mark.timeout(120)
def test_everything_is_released_in_the_end():
    for seed in range(40):

        def program(seed=seed):
            run_random(raylite, seed)
            return emptied()

        sizes = sim.run(program, seed=seed, worker_crash=0.05 * (seed % 2), check=True).value
        assert not any(sizes.values()), f"seed {seed}: {sizes}"


def test_functions_are_released_with_the_last_that_can_call_them():
    def program():
        @raylite.remote
        def plain():
            return 1

        raylite.get(plain.remote())
        before = sim.current().sizes()["functions"]
        del plain
        sim.current().settle()
        return before, sim.current().sizes()

    before, sizes = sim.run(program).value
    assert before == 1 and not any(sizes.values())


def test_a_function_that_came_with_a_task_taken_back_holds_nothing():
    """The task and the word to forget its function both lie at a worker that is busy, and is done only then."""

    def program():
        @raylite.remote
        def nested():
            return None

        @raylite.remote
        def work(is_long):
            sim.cost(0.05 if is_long else 0.00001)
            return raylite.get(nested.remote()) if is_long else None

        def user_of(captured):
            @raylite.remote
            def use():
                sim.cost(0.0001)
                return raylite.get(captured)

            return use

        raylite.get([work.remote(False) for _ in range(20)])  # so that tasks are queued behind it as behind short ones
        use = user_of(raylite.put("captured"))
        waits = [work.remote(False), work.remote(True)]
        assert raylite.get([use.remote() for _ in range(6)]) == ["captured"] * 6
        del use
        raylite.get(waits)
        del waits
        return emptied()

    for seed in range(5):
        sizes = sim.run(program, seed=seed, num_cpus=2).value
        assert not any(sizes.values()), f"seed {seed}: {sizes}"


@pytest.mark.parametrize("num_cpus", [1, 2])
def test_recursion_of_depth_200(num_cpus):
    def program():
        @raylite.remote
        def down(n):
            return n if n == 0 else 1 + raylite.get(down.remote(n - 1))

        return raylite.get(down.remote(200))

    assert sim.run(program, num_cpus=num_cpus, seed=1).value == 200


def test_init_starts_one_and_shutdown_ends_it():
    with raylite.init(mode="sim", seed=7, num_cpus=3, resources={"disk": 2}) as context:
        assert context["mode"] == "sim"
        results, expected = run_random(raylite, 7)
        assert results == expected
        assert raylite.cluster_resources()["CPU"] == 3 and raylite.nodes()[0]["Resources"]["disk"] == 2
        assert len(sim.current().trace_hash()) == 32 and sim.current().n_events() > 10
        assert any(event["ph"] == "X" for event in raylite.timeline())
        with pytest.raises(RuntimeError, match="twice"):
            raylite.init(mode="sim")
        with pytest.raises(RuntimeError, match="one is running"):
            sim.run(int)
    assert not raylite.is_initialized()
    with pytest.raises(RuntimeError, match="no simulation"):
        sim.current()


def test_init_gives_the_same_run_as_run_does():
    with raylite.init(mode="sim", seed=7, num_cpus=3):
        results = run_random(raylite, 7)
        trace_hash = sim.current().trace_hash()
    result = sim.run(run_random, raylite, 7, seed=7, num_cpus=3)
    assert (result.value, result.trace_hash) == (results, trace_hash)


def test_a_program_that_is_not_changed_runs_simulated(monkeypatch):
    monkeypatch.setenv("RAYLITE_MODE", "sim")
    monkeypatch.setenv("RAYLITE_SIM_SEED", "5")

    @raylite.remote
    def add(a, b):
        time.sleep(3600)
        return a + b

    assert raylite.get(add.remote(1, 2)) == 3
    assert sim.current().seed == 5 and sim.current().now_s() > 3600
    raylite.shutdown()


def test_what_a_program_raises_is_raised_with_its_seed():
    def program():
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        sim.run(program, seed=1234)
    assert not hasattr(caught.value, "add_note") or "seed 1234" in caught.value.__notes__[0]
    assert not raylite.is_initialized()


@pytest.mark.parametrize(("options", "error"), [({"seed": -1}, ValueError), ({"num_cups": 1}, TypeError)])
def test_wrong_arguments_are_refused_before_anything_runs(options, error):
    with pytest.raises(error):
        sim.run(lambda: pytest.fail("it ran"), **options)


def test_tasks_see_a_worker_and_not_the_driver():
    shared.token.set("driver")

    def program():
        @raylite.remote
        def look(x):
            x.append("changed")
            context = raylite.get_runtime_context()
            with pytest.raises(RuntimeError, match="inside a worker"):
                raylite.init()
            raylite.shutdown()
            return shared.token.get(), os.environ.get("COLOUR"), context.get_worker_id(), context.get_task_name()

        mine: list = []
        seen = raylite.get(look.remote(mine))
        return seen, mine, raylite.get_runtime_context().get_worker_id(), raylite.is_initialized()

    result = sim.run(program, runtime_env={"env_vars": {"COLOUR": "red"}}).value
    (of_token, colour, worker_id, name), mine, driver_id, running = result
    assert (of_token, colour, mine, running) == ("none", "red", [], True)
    assert worker_id != driver_id and name.endswith("look")
    assert "COLOUR" not in os.environ and shared.token.get() == "driver"


def test_arrays_outlive_the_session_that_made_them():
    def program():
        @raylite.remote
        def make():
            return np.arange(100_000)

        return raylite.get(make.remote())

    array = sim.run(program).value
    sim.run(program, seed=1)
    assert not array.flags.writeable and array.sum() == sum(range(100_000))


def test_references_from_an_ended_session_say_so():
    ref = sim.run(lambda: raylite.put(1)).value
    with pytest.raises(raylite.exceptions.RaySystemError, match=r"shut down|not running"):
        raylite.get(ref)
    sim.run(lambda: raylite.put(2))
    del ref


def test_cancelling_interrupts_where_the_task_waits(log):
    def program():
        @raylite.remote
        def waiting(how):
            try:
                sim.cost(3600.0) if how == "cost" else raylite.get(never)
            except KeyboardInterrupt:
                shared.log.append(how)
                raise

        @raylite.remote(num_gpus=1)
        def impossible():
            pass

        never = impossible.remote()
        refs = [waiting.remote("cost"), waiting.remote("get")]
        raylite.wait(refs, timeout=1.0)
        for ref in refs:
            raylite.cancel(ref)
            with pytest.raises(raylite.exceptions.TaskCancelledError):
                raylite.get(ref)
        return sim.current().now_s()

    assert sim.run(program).value < 10
    assert log == ["cost", "get"]


def test_other_threads_are_refused():
    def program():
        errors = []

        def call():
            try:
                raylite.put(1)
            except RuntimeError as error:
                errors.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        return errors

    [message] = sim.run(program).value
    assert "one thread" in message


def test_the_process_is_as_it_was(monkeypatch):
    before = gc.isenabled(), signal.getsignal(signal.SIGINT), os.environ.copy(), time.sleep, threading.active_count()

    def program():
        assert not gc.isenabled()
        return run_random(raylite, 1)

    sim.run(program)
    with pytest.raises(ZeroDivisionError):
        sim.run(lambda: 1 / 0)
    after = gc.isenabled(), signal.getsignal(signal.SIGINT), os.environ.copy(), time.sleep, threading.active_count()
    assert after == before


def test_ctrl_c_in_a_task_reaches_the_driver(log):
    def program():
        @raylite.remote
        def task():
            signal.raise_signal(signal.SIGINT)
            shared.log.append("went on")
            return 1

        ref = task.remote()
        with pytest.raises(KeyboardInterrupt):
            raylite.get(ref)
        return raylite.get(ref)

    assert sim.run(program).value == 1
    assert log == ["went on"]


def test_a_fork_of_a_task_ends_without_the_simulation():
    def program():
        @raylite.remote
        def fork():
            begin = time.time()
            pid = os.fork()
            if pid == 0:
                real = time.time() > begin + 10**8
                os._exit(0 if real and not raylite.is_initialized() else 1)
            return os.waitpid(pid, 0)[1]

        return raylite.get(fork.remote())

    assert sim.run(program).value == 0


def test_memory_of_sessions_is_given_back():
    def program():
        return len(raylite.get(raylite.put(b"x" * 50_000_000)))

    def resident_bytes():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    sim.run(program)
    gc.collect()
    before = resident_bytes()
    for seed in range(5):
        assert sim.run(program, seed=seed).value == 50_000_000
        gc.collect()
    assert resident_bytes() < before + 60_000_000
