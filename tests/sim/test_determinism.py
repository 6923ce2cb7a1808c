"""The same seed is the same run, event for event, wherever and however often it runs."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import raylite
from raylite import sim
from tests.sim.programs import run_random

# What pickles differently from process to process: sets of strings, and classes of the program's own.
PROGRAM = """
import random, time
import raylite
from raylite import sim
from tests.sim.programs import run_random

WORDS = {"alpha", "beta", "gamma", "delta"}

class Thing:
    def __init__(self, n):
        self.n = n

def program():
    @raylite.remote(max_retries=-1)
    def shorten(words, thing):
        time.sleep(random.random())
        return {word[:thing.n] for word in words | WORDS}, random.getrandbits(64), time.time()

    return [raylite.get(shorten.remote(WORDS, Thing(n))) for n in (1, 2)], run_random(raylite, 3), random.random()

result = sim.run(program, seed=11, worker_crash=0.05, num_cpus=3)
shorts, numbers, drawn = result.value
print(result.trace_hash, result.n_events, result.virtual_s, [sorted(words) for words, _, _ in shorts],
      [rest for _, *rest in shorts], numbers, drawn)
"""


def in_another_process(hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )


def test_processes_agree_whatever_their_hash_seed():
    outputs = {in_another_process(hash_seed).stdout for hash_seed in ("1", "2")}
    assert len(outputs) == 1 and len(outputs.pop().split()[0]) == 32


def test_a_run_is_repeated_event_for_event():
    first, second = (
        sim.run(run_random, raylite, 5, seed=5, worker_crash=0.05, num_cpus=2, record=True) for _ in range(2)
    )
    assert first.events == second.events and len(first.events) == first.n_events
    assert (first.trace_hash, first.virtual_s) == (second.trace_hash, second.virtual_s)


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
