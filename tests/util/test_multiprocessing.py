"""The Pool is multiprocessing's to whoever uses it: one program sees the same with both. And what is ours alone."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import raylite
from raylite.util.multiprocessing import Pool

PROGRAM = Path(__file__).with_name("pool_program.py")
ROOT = PROGRAM.parents[2]
CHECKS = re.findall(r"^def (check_\w+)", PROGRAM.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """What the program saw, by which Pool and by check."""
    found = {}
    for which in ("standard", "ours"):
        done = subprocess.run(
            [sys.executable, str(PROGRAM), which],
            cwd=tmp_path_factory.mktemp(which),
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        found[which] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_the_same_as_with_multiprocessing(observed, check):
    assert observed["ours"][check] == observed["standard"][check]


def test_some_of_it_literally(observed):
    """So that a program which sees nothing is noticed."""
    ours = observed["ours"]
    assert set(ours) == set(CHECKS)
    assert ours["check_map"][0] == [i * i for i in range(10)]
    assert ours["check_errors"][:2] == [["Special", [7, "seven"], 7, "RemoteTraceback"], True]
    assert ours["check_initializer"] == [list(range(100, 120)), 105, [3, 1, 2, [3, 4]], None, 0]
    assert ours["check_children_end_after_their_tasks"] == [[0, 0, 2, 2, 4, 4], [1, 2, 1, 2]]


# ---- ours alone ----


def square(x):
    return x * x


def pass_gate(gate, tally=None):
    if tally is not None:
        tally.add()
    gate.pass_through()
    return os.getpid()


def end_process(x):
    if x == 1:
        os._exit(3)
    return x


def actor_name(_):
    return raylite.get_runtime_context().get_actor_name()


pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


def test_as_many_processes_as_cpus_each_of_its_own(gate, tally, wait_until):
    with Pool() as pool:
        results = [pool.apply_async(pass_gate, (gate, tally)) for _ in range(4)]
        wait_until(lambda: len(tally) == 2, what="two calls at a time")
        gate.open()
        pids = {result.get() for result in results}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_imap_takes_no_item_before_there_is_a_process_for_it(gate, tally, wait_until):
    taken = []

    def items():
        while True:
            taken.append(1)
            yield gate

    with Pool(2) as pool:
        pool.imap(pass_gate, items())
        wait_until(lambda: len(taken) == 3, what="one item ahead")
        gate.open()
        wait_until(lambda: len(taken) > 10, what="going on")


def test_the_call_of_a_process_that_dies_fails_and_another_takes_its_place():
    with Pool(2) as pool:
        results = [pool.apply_async(end_process, (i,)) for i in range(6)]
        with pytest.raises(raylite.exceptions.ActorDiedError):
            results[1].get()
        assert [result.get() for i, result in enumerate(results) if i != 1] == [0, 2, 3, 4, 5]
        assert pool.map(square, range(10)) == [i * i for i in range(10)]


def test_an_initializer_that_fails_is_an_error_of_each_call():
    def initialize():
        raise OSError("no device")

    with Pool(1, initialize) as pool:
        for _ in range(2):
            with pytest.raises(raylite.exceptions.ActorDiedError, match="no device"):
                pool.apply(square, (1,))


def test_terminate_ends_what_runs_and_fails_what_waits(gate, tally, wait_until):
    told = []
    pool = Pool(1)
    waiting = [pool.apply_async(pass_gate, (gate, tally), error_callback=told.append) for _ in range(3)]
    mapped, iterator = pool.map_async(pass_gate, [gate] * 2), pool.imap(pass_gate, [gate])
    wait_until(lambda: len(tally) == 1)
    pool.terminate()
    pool.join()
    for result in (*waiting, mapped):
        with pytest.raises(RuntimeError, match="the pool was terminated before this call had ended"):
            result.get(timeout=20)
    with pytest.raises(RuntimeError, match="terminated"):
        iterator.next(timeout=20)
    with pytest.raises(StopIteration):
        iterator.next(timeout=20)
    assert told == []


def test_a_callback_that_raises_is_shown_and_stops_nobody(capsys):
    def fail(value):
        raise ValueError(f"in the callback of {value}")

    with Pool(1) as pool:
        assert pool.apply_async(square, (3,), callback=fail).get(timeout=20) == 9
        assert pool.map_async(square, [3], callback=fail).get(timeout=20) == [9]
        assert pool.map(square, [2]) == [4]
    assert capsys.readouterr().err.count("ValueError: in the callback of") == 2


def test_functions_of_every_kind():
    offset = 5
    with Pool(2) as pool:
        assert pool.map(lambda x: x + offset, [1, 2]) == [6, 7]
        assert pool.map("{:03}".format, [1, 2]) == ["001", "002"]


def test_options_of_the_actors():
    with Pool(1, ray_remote_args={"name": "the one"}) as pool:
        assert pool.map(actor_name, [0]) == ["the one"]


@pytest.mark.parametrize("num_cpus", [0, 1])
def test_inside_tasks_that_wait_for_it_and_have_all_cpus(all_freed, tally, num_cpus):
    @raylite.remote
    def outer(n):
        tally.add()
        while len(tally) < 2:
            time.sleep(0.005)
        with Pool(1, ray_remote_args={"num_cpus": num_cpus}) as pool:
            return sum(pool.map(square, range(n), chunksize=1))

    assert raylite.get([outer.remote(10) for _ in range(2)]) == [285] * 2
    all_freed()


def test_a_pool_that_is_let_go_ends(all_freed):
    pool = Pool(2)
    assert pool.map(square, [2]) == [4]
    n_threads = threading.active_count()
    del pool
    gc.collect()
    all_freed()
    assert threading.active_count() < n_threads or threading.active_count() == 1


def test_ten_thousand_calls_and_a_million_items():
    with Pool(2) as pool:
        assert sum(pool.imap_unordered(square, range(10_000))) == sum(i * i for i in range(10_000))
        assert sum(pool.map(square, range(1_000_000))) == sum(i * i for i in range(1_000_000))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"processes": 0}, ValueError, "processes must be a whole number from 1 up or None, not 0"),
        ({"processes": "2"}, TypeError, "processes must be a whole number"),
        ({"maxtasksperchild": 0}, ValueError, "maxtasksperchild must be a whole number from 1 up"),
        ({"initializer": 5}, TypeError, "initializer must be a callable"),
        ({"ray_remote_args": {"num_cpu": 1}}, ValueError, "num_cpu"),
    ],
)
def test_bad_input_is_refused_at_the_call(arguments, error, words):
    with pytest.raises(error, match=words):
        Pool(**arguments)


def test_it_is_a_pool_of_multiprocessing():
    with Pool(1) as pool:
        assert isinstance(pool, multiprocessing.pool.Pool)
        assert repr(pool) == "<raylite.util.multiprocessing.Pool state=RUN pool_size=1>"
