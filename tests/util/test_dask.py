"""dask runs on raylite's tasks: arrays, delayed calls, both kinds of graphs, callbacks, errors; data stays out of here."""

from __future__ import annotations

import operator
import os
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask._task_spec import Alias, DataNode, Task, TaskRef
from dask.callbacks import Callback
from dask.diagnostics import ProgressBar

import raylite
from raylite.util.dask import raylite_dask_get

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


def add(x, y):
    return x + y


def inverse(x):
    return 1 / x


def note(tally, value, *needed):
    tally.add(value)
    return value


def worker_pid(*_):
    return os.getpid()


def task_name(*_):
    return raylite.get_runtime_context().get_task_name()


def test_arrays():
    numbers = np.arange(10_000.0).reshape(100, 100)
    array = da.from_array(numbers, chunks=(30, 40))
    result = ((array @ array.T).sum(axis=0) + array.mean()).compute(scheduler=raylite_dask_get)
    np.testing.assert_allclose(result, (numbers @ numbers.T).sum(axis=0) + numbers.mean())


def test_a_reduction_and_a_singular_value_decomposition():
    numbers = np.random.default_rng(0).random((200, 20))
    with dask.config.set(scheduler=raylite_dask_get):
        _, values, _ = da.linalg.svd(da.from_array(numbers, chunks=(50, 20)))
        np.testing.assert_allclose(values.compute(), np.linalg.svd(numbers, compute_uv=False))


def test_delayed():
    total = delayed(sum)([delayed(add)(i, i) for i in range(50)])
    assert total.compute(scheduler=raylite_dask_get) == 2450
    assert dask.compute(total, delayed(add)(total, 1), scheduler=raylite_dask_get) == (2450, 2451)


def test_tasks_run_in_workers_and_bear_names():
    pid, name = dask.compute(delayed(worker_pid)(), delayed(task_name)(), scheduler=raylite_dask_get)
    assert pid != os.getpid()
    assert name == "task_name"


def test_persist():
    array = da.ones((100,), chunks=10).persist(scheduler=raylite_dask_get)
    assert array.sum().compute(scheduler=raylite_dask_get) == 100


def test_a_legacy_graph_and_nested_keys():
    graph = {"x": 1, "y": (add, "x", 2), ("z", 0): (sum, ["x", "y"]), "alias": "y", "list": ["x", ("z", 0)]}
    assert raylite_dask_get(graph, "y") == 3
    assert raylite_dask_get(graph, ["y", [("z", 0), "alias"], "list"]) == (3, (4, 3), [1, 4])
    assert raylite_dask_get(graph, []) == ()


def test_a_graph_of_task_specs():
    graph = {
        "data": DataNode("data", [1, 2]),
        "length": Task("length", len, TaskRef("data")),
        "same": Alias("same", "length"),
        "sum": Task("sum", operator.add, TaskRef("same"), Task(None, add, TaskRef("length"), 1)),
    }
    assert raylite_dask_get(graph, ["sum", "same", "data"]) == (5, 2, [1, 2])


def test_only_what_is_asked_for_runs_and_each_once(tally):
    graph = {
        "a": (note, tally, "A"),
        "b": (note, tally, "B", "a"),
        "c": (note, tally, "C", "a", "b"),
        "other": (note, tally, "other one"),
    }
    assert raylite_dask_get(graph, ["c", "c"]) == ("C", "C")
    assert sorted(tally.notes()) == ["A", "B", "C"]


def test_data_between_tasks_does_not_come_here(monkeypatch, all_freed):
    got = []
    get = raylite.api.get
    monkeypatch.setattr("raylite.api.get", lambda refs: got.append(len(refs)) or get(refs))
    array = da.ones((1_000_000,), chunks=100_000)
    assert (array + array).sum().compute(scheduler=raylite_dask_get) == 2_000_000
    assert got == [1]
    all_freed()


def test_results_that_nobody_needs_any_more_are_freed(start):
    """A chain of fifty arrays of 8 MB where there is room for ten."""
    driver = start("""
import numpy, operator
from raylite.util.dask import raylite_dask_get

raylite.init(num_cpus=1, object_store_memory=80_000_000)
graph = {"x0": (numpy.zeros, 1_000_000), **{f"x{i}": (operator.add, f"x{i - 1}", 1) for i in range(1, 50)}}
say("last", raylite_dask_get(graph, "x49")[0])
""")
    assert driver.expect("last") == "49.0"
    driver.succeed()


def test_a_long_chain():
    graph = {"x0": 0, **{f"x{i}": (add, f"x{i - 1}", 1) for i in range(1, 3001)}}
    assert raylite_dask_get(graph, "x3000") == 3000


def test_the_error_of_a_task_is_raised():
    with pytest.raises(ZeroDivisionError):
        delayed(add)(delayed(inverse)(0), 1).compute(scheduler=raylite_dask_get)


def test_callbacks_see_each_task():
    seen = {"started": 0, "running": [], "done": [], "finished": []}

    class Watcher(Callback):
        def _start(self, dsk):
            seen["started"] += 1

        def _pretask(self, key, dsk, state):
            seen["running"].append(key)

        def _posttask(self, key, result, dsk, state, worker_id):
            seen["done"].append(key)
            assert key in state["finished"]
            assert key not in state["running"]

        def _finish(self, dsk, state, failed):
            seen["finished"].append(failed)

    graph = {"x": 1, "y": (add, "x", 2), "z": (add, "y", "y"), "bad": (inverse, 0)}
    with Watcher():
        assert raylite_dask_get(graph, "z") == 6
        assert (seen["running"], seen["done"]) == (["y", "z"], ["y", "z"])
        with pytest.raises(ZeroDivisionError):
            raylite_dask_get(graph, "bad")
    assert seen["finished"] == [False, True]
    assert seen["started"] == 2
    assert raylite_dask_get(graph, "z") == 6
    assert seen["started"] == 2


def test_a_progress_bar_of_dask_s(capsys):
    with ProgressBar(dt=0.01):
        da.ones((1000,), chunks=10).sum().compute(scheduler=raylite_dask_get)
    assert "| 100% Completed" in capsys.readouterr().out


def test_inside_a_task():
    @raylite.remote
    def outer(n):
        return int(da.ones((n,), chunks=10).sum().compute(scheduler=raylite_dask_get))

    assert raylite.get([outer.remote(n) for n in (100, 200, 300)]) == [100, 200, 300]


def test_options_of_the_tasks():
    options = {"name": "given", "num_cpus": 0.5}
    assert delayed(task_name)().compute(scheduler=raylite_dask_get, ray_remote_args=options) == "given"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: raylite_dask_get({"x": 1}, "y"), KeyError, "'y' is no key of the graph"),
        (lambda: raylite_dask_get({"y": Task("y", add, TaskRef("x"))}, "y"), KeyError, "depends on 'x'"),
        (lambda: raylite_dask_get({"x": 1}, "x", workers=2), TypeError, "takes no 'workers'"),
        (lambda: raylite_dask_get({"x": 1}, "x", ray_remote_args={"cpus": 2}), (TypeError, ValueError), "cpus"),
        (lambda: raylite_dask_get({"x": (add, "y", 1), "y": (add, "x", 1)}, "x"), RuntimeError, "[Cc]ycle"),
    ],
)
def test_bad_input_is_refused_at_the_call(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_dask_s_own_schedulers_take_is_passed_over():
    assert delayed(add)(1, 2).compute(scheduler=raylite_dask_get, num_workers=4) == 3


def test_without_dask_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['dask'] = None; import raylite.util.dask"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'raylite[dask]'" in done.stderr.splitlines()[-1]
