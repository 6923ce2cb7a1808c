"""The same seed is the same run, event for event, wherever and however often it runs."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time

import pytest

import raylite
from raylite import sim
from tests.sim.programs import run_random
from tests.source.tree import ROOT

# What pickles differently from process to process: sets of strings, and classes of the program's own; what has an order
# that depends on where it lies in memory: sets of asyncio's tasks and futures, threads that wait for a lock.
PROGRAM = """
import asyncio, queue, random, threading, time
import raylite
from raylite import sim
from tests.sim.programs import run_random

WORDS = {"alpha", "beta", "gamma", "delta"}

class Thing:
    def __init__(self, n):
        self.n = n

@raylite.remote(max_restarts=-1, max_task_retries=-1)
class Async:
    async def race(self, n):
        tasks = {asyncio.ensure_future(self.nap(i)) for i in range(n)}
        order = []
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            order += [task.result() for task in done]
            if tasks:
                next(iter(tasks)).cancel()
        return order

    async def nap(self, i):
        try:
            await asyncio.sleep(random.randrange(3) / 100)
        except asyncio.CancelledError:
            return -i
        return i

@raylite.remote(max_concurrency=4, max_restarts=-1, max_task_retries=-1)
class Threaded:
    def __init__(self):
        self.lock, self.items, self.order = threading.RLock(), queue.Queue(maxsize=2), []

    def work(self, i):
        with self.lock:
            time.sleep(0.01)
            self.order.append(i)
        if i % 2:
            self.items.put(i)
        else:
            try:
                self.order.append(self.items.get(timeout=0.05))
            except queue.Empty:
                pass
        return list(self.order)

def program():
    @raylite.remote(max_retries=-1)
    def shorten(words, thing):
        time.sleep(random.random())
        return {word[:thing.n] for word in words | WORDS}, random.getrandbits(64), time.time()

    naps, threads = Async.remote(), Threaded.remote()
    refs = [naps.race.remote(8) for _ in range(3)] + [threads.work.remote(i) for i in range(8)]
    shorts = [raylite.get(shorten.remote(WORDS, Thing(n))) for n in (1, 2)]
    future = shorten.remote(WORDS, Thing(1)).future()
    return shorts, run_random(raylite, 3), random.random(), raylite.get(refs), future.result()[1:]

result = sim.run(program, seed=11, worker_crash=0.02, num_cpus=3)
shorts, *rest = result.value
print(result.trace_hash, result.n_events, result.virtual_s, [sorted(words) for words, _, _ in shorts],
      [rest for _, *rest in shorts], *rest)
"""

# The same on every version of Python: only numbers go into it, and what the interpreter draws from them is ours.
PLAIN = """
from raylite import sim
from tests.sim.programs import run_random
import raylite

results = [sim.run(run_random, raylite, seed, seed=seed, worker_crash=0.02, num_cpus=2) for seed in range(3)]
print([(result.trace_hash, result.n_events, result.virtual_s, result.value) for result in results])
"""


# Several nodes, under every kind of fault that a seed draws.
SEVERAL = """
from raylite.sim.trials import WorkloadTrials
from raylite.sim.workloads import WORKLOADS

trials = [WorkloadTrials(name, 30, 2 + seed % 3, "all").run(seed) for seed, name in enumerate(WORKLOADS)]
for trial in trials:
    print(trial.trace_hash, trial.n_events, trial.virtual_s, trial.came_to, [fault["kind"] for fault in trial.occurred])
"""

# The same where no code of Python's runs in tasks, or none but sums of numbers.
SEVERAL_PLAIN = """
from raylite.sim.trials import WorkloadTrials

for seed, name in enumerate(("synthetic", "diamond", "effects")):
    trial = WorkloadTrials(name, 60, 3, "all").run(seed)
    print(trial.trace_hash, trial.n_events, trial.virtual_s, trial.came_to)
"""


def output_of(program, hash_seed, python=sys.executable, path=None):
    """What a program prints, run in a process of its own."""
    paths = sys.path if path is None else path
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(paths)}
    return subprocess.run(
        [python, "-c", program], env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def test_processes_agree_whatever_their_hash_seed():
    outputs = {output_of(PROGRAM, hash_seed) for hash_seed in ("1", "2")}
    assert len(outputs) == 1 and len(outputs.pop().split()[0]) == 32


def test_processes_agree_on_several_nodes_under_faults():
    first, second = (output_of(SEVERAL, hash_seed) for hash_seed in ("1", "2"))
    assert first.splitlines() == second.splitlines()
    hashes = [line.split()[0] for line in first.splitlines()]
    assert len(set(hashes)) == len(hashes) > 8 and "message_loss" in first and "crash" in first


def test_a_run_is_repeated_event_for_event():
    first, second = (
        sim.run(run_random, raylite, 5, seed=5, worker_crash=0.05, num_cpus=2, record=True) for _ in range(2)
    )
    assert first.events == second.events and len(first.events) == first.n_events
    assert (first.trace_hash, first.virtual_s) == (second.trace_hash, second.virtual_s)


def other_pythons():
    """Interpreters of other versions that have raylite, as `make test-pythons` leaves them."""
    for python in sorted(ROOT.glob(".venv-3.*/bin/python")):
        asked = [python, "-c", "import sys, raylite.sim.session; print(sys.version_info[:2])"]
        found = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
        if found.returncode == 0 and found.stdout.strip() != str(sys.version_info[:2]):
            yield str(python)


def test_versions_of_python_agree():
    others = list(other_pythons())
    if not others:
        pytest.skip("raylite is installed for one version of Python only: see make test-pythons")
    for program in (PLAIN, SEVERAL_PLAIN):
        outputs = {output_of(program, "0", python, [str(ROOT)]) for python in others[:1]}
        assert outputs == {output_of(program, "0", path=[str(ROOT)])}


FIRST_AND_LATER = """
import raylite
from raylite import sim
from tests.sim.programs import run_random
print(*[sim.run(run_random, raylite, 5, seed=5, worker_crash=0.05, num_cpus=2).trace_hash for _ in range(2)])
"""


def test_the_first_run_of_a_process_is_as_the_later_ones():
    """What these have imported since, and what is cached, makes no difference."""
    first, later = output_of(FIRST_AND_LATER, "0").split()
    assert first == later


def test_what_went_before_in_the_process_does_not_matter():
    before = sim.run(run_random, raylite, 5, seed=5, worker_crash=0.05).trace_hash
    random.seed(1)
    random.gauss(0, 1)
    cycle: list = []
    cycle.append(cycle)
    sim.run(run_random, raylite, 6, seed=6)
    assert sim.run(run_random, raylite, 5, seed=5, worker_crash=0.05).trace_hash == before


def test_seeds_differ():
    runs = [sim.run(run_random, raylite, 5, seed=seed) for seed in range(10)]
    assert len({run.trace_hash for run in runs}) == 10
    assert len({run.virtual_s for run in runs}) == 10
    assert len({str(run.value) for run in runs}) == 1


def test_tasks_draw_the_same_in_every_order():
    def program(num_tasks):
        @raylite.remote
        def draw():
            return random.random(), random.randrange(10**9), random.sample(range(100), 3)

        return raylite.get([draw.remote() for _ in range(num_tasks)])

    drawn = sim.run(program, 8, seed=1, num_cpus=1).value
    assert sim.run(program, 8, seed=1, num_cpus=4).value == drawn
    assert len(set(map(str, drawn))) == 8
    assert sim.run(program, 8, seed=2, num_cpus=1).value != drawn


def test_clocks_begin_anew():
    def program():
        return time.time(), time.monotonic(), time.perf_counter_ns()

    assert sim.run(program).value == sim.run(program).value


def test_sets_of_tasks_and_futures_have_one_order():
    """Wherever these lie in memory."""

    def program():
        async def main():
            loop = asyncio.get_running_loop()
            tasks = [asyncio.ensure_future(asyncio.sleep(1, i)) for i in range(50)]
            futures = [loop.create_future() for _ in range(50)]
            done, _ = await asyncio.wait(tasks)
            return [task.result() for task in done], [futures.index(future) for future in set(futures)]

        return asyncio.run(main())

    orders, kept = set(), []
    for seed in range(6):
        kept.append([bytearray(size) for size in range(20, 900 + seed, 7)])
        orders.add(str(sim.run(program, seed=seed).value))
        del kept[-1][seed::3]
    assert len(orders) == 1
