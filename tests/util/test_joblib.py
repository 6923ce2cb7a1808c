"""joblib and scikit-learn run on raylite's tasks: results, batches, nesting, errors, abort, arrays."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score

import raylite
from raylite.util.joblib import RayliteBackend, register_ray, register_raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@pytest.fixture(autouse=True)
def on_raylite():
    register_raylite()
    with joblib.parallel_config("raylite"):
        yield


def square(x):
    return x * x


def inverse(x):
    return 1 / x


def pid_of(_):
    return os.getpid()


def pass_gate(gate, tally, value):
    tally.add(value)
    gate.pass_through()
    return value


def nested(n):
    return Parallel(n_jobs=2, batch_size=1)(delayed(square)(i) for i in range(n))


def job_name(_):
    return raylite.get_runtime_context().get_task_name()


def test_results_in_order_and_from_workers():
    assert Parallel(n_jobs=-1)(delayed(square)(i) for i in range(1000)) == [i * i for i in range(1000)]
    pids = set(Parallel(n_jobs=2)(delayed(pid_of)(i) for i in range(4)))
    assert os.getpid() not in pids


def test_both_names():
    register_ray()
    for name in ("ray", "raylite"):
        with joblib.parallel_config(name):
            assert Parallel(n_jobs=2)(delayed(job_name)(i) for i in range(2)) == ["joblib"] * 2


def test_small_calls_are_sent_in_batches():
    tasks = Parallel(n_jobs=2)(delayed(task_id)(i) for i in range(2000))
    assert len(set(tasks)) < 1000


def task_id(_):
    return raylite.get_runtime_context().get_task_id()


@pytest.mark.parametrize(("n_jobs", "effective"), [(None, 1), (1, 1), (2, 2), (7, 7), (-1, 2), (-2, 1), (-9, 1)])
def test_how_many_jobs(n_jobs, effective):
    assert RayliteBackend().effective_n_jobs(n_jobs) == effective
    assert Parallel(n_jobs=n_jobs)._effective_n_jobs() == effective


def test_no_jobs_are_refused():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(square)(i) for i in range(2))


def test_no_more_batches_are_under_way_than_dispatched(new_gate, tally, wait_until):
    gate = new_gate()
    taken = []

    def calls():
        for i in range(20):
            taken.append(i)
            yield delayed(pass_gate)(gate, tally, i)

    results = []
    thread = threading.Thread(
        target=lambda: results.extend(Parallel(2, "raylite", pre_dispatch=3, batch_size=1)(calls()))
    )
    thread.start()
    wait_until(lambda: len(tally) == 2, what="two jobs at a time")
    n_taken = len(taken)
    gate.open()
    thread.join()
    assert n_taken == 3
    assert results == list(range(20))


def test_parallel_inside_parallel_waits_without_a_cpu(all_freed):
    """More outer calls than CPUs, each of more inner ones than are dispatched at once."""
    expected = [[i * i for i in range(n)] for n in (30, 31, 32)]
    assert Parallel(n_jobs=3, batch_size=1)(delayed(nested)(n) for n in (30, 31, 32)) == expected
    all_freed()


def test_the_error_of_a_call_is_raised():
    with pytest.raises(ZeroDivisionError):
        Parallel(n_jobs=2)(delayed(inverse)(i) for i in (2, 1, 0, 1))


@pytest.mark.parametrize("position", [0, 90])
def test_an_argument_that_does_not_pickle_is_an_error_and_no_hang(position):
    calls = (delayed(square)(threading.Lock() if i == position else i) for i in range(100))
    with pytest.raises(TypeError, match="cannot be pickled"):
        Parallel(n_jobs=2, batch_size=1)(calls)


def test_after_an_error_nothing_more_runs_and_the_backend_goes_on(gate, tally, wait_until, all_freed):
    calls = [delayed(pass_gate)(gate, tally, "waits"), *[delayed(inverse)(0)], *[delayed(tally.add)("late")] * 50]
    with Parallel(n_jobs=2, batch_size=1, pre_dispatch=2) as parallel:
        with pytest.raises(ZeroDivisionError):
            parallel(calls)
        assert parallel(delayed(square)(i) for i in range(3)) == [0, 1, 4]
    assert len(tally.notes()) < 5, "the calls after the error"
    all_freed()  # also the task at the gate, which is closed: it was cancelled


def test_generators_of_results():
    for return_as in ("generator", "generator_unordered"):
        assert sorted(Parallel(n_jobs=2, return_as=return_as)(delayed(square)(i) for i in range(50))) == [
            i * i for i in range(50)
        ]


def test_a_call_that_takes_too_long(gate, tally):
    with pytest.raises(multiprocessing.TimeoutError):  # as joblib's own backends
        Parallel(n_jobs=2, timeout=0.1)(delayed(pass_gate)(gate, tally, i) for i in range(2))


def address_and_flag(array):
    return array.ctypes.data, array.flags.writeable, float(array.sum())


def test_a_large_array_is_stored_once(monkeypatch, all_freed):
    puts = []
    put = raylite.api.put
    monkeypatch.setattr("raylite.api.put", lambda value: puts.append(value.nbytes) or put(value))
    array = np.ones(1 << 18)
    small = np.ones(10)
    seen = Parallel(n_jobs=2, batch_size=1)(delayed(address_and_flag)(array) for _ in range(20))
    assert puts == [array.nbytes]
    assert {(writeable, total) for _, writeable, total in seen} == {(False, float(1 << 18))}
    Parallel(n_jobs=2)(delayed(address_and_flag)(array=array) for _ in range(4))
    Parallel(n_jobs=2)(delayed(address_and_flag)(small) for _ in range(4))
    assert puts == [array.nbytes] * 2
    all_freed()


def test_arrays_that_come_one_by_one_are_freed_one_by_one(node_sizes):
    most = []

    def calls():
        for i in range(20):
            most.append(node_sizes()["arena_bytes"])
            yield delayed(np.sum)(np.full(1 << 17, i))

    assert Parallel(n_jobs=2, batch_size=1)(calls()) == [i << 17 for i in range(20)]
    assert max(most) <= 8 << 20


def test_options_of_the_tasks():
    with joblib.parallel_config("raylite", ray_remote_args={"name": "mine"}):
        assert Parallel(n_jobs=2)(delayed(job_name)(i) for i in range(2)) == ["mine"] * 2
    own = Parallel(n_jobs=2, ray_remote_args={"name": "own"})
    assert own(delayed(job_name)(i) for i in range(2)) == ["own"] * 2
    with pytest.raises(ValueError, match="Invalid option keyword num_cpu "):
        joblib.parallel_config("raylite", ray_remote_args={"num_cpu": 1})


# ---- scikit-learn ----


@pytest.fixture(scope="module")
def data():
    return make_classification(600, 10, random_state=0)


def test_cross_val_score(data):
    model = LogisticRegression()
    assert cross_val_score(model, *data, n_jobs=2).tolist() == cross_val_score(model, *data, n_jobs=1).tolist()


def test_grid_search_over_forests_that_are_parallel_themselves(data):
    grid = {"max_depth": [2, 4]}

    def search(n_jobs):
        model = RandomForestClassifier(n_estimators=4, random_state=0, n_jobs=n_jobs)
        return GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(*data)

    ours, alone = search(2), search(1)
    assert ours.best_params_ == alone.best_params_
    assert ours.cv_results_["mean_test_score"].tolist() == alone.cv_results_["mean_test_score"].tolist()


def test_what_needs_shared_memory_gets_threads():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(Parallel(n_jobs=2, require="sharedmem")(delayed(pid_of)(i) for i in range(2))) == {os.getpid()}


# ---- without ----


def test_a_wrong_name_is_refused():
    with pytest.raises(TypeError, match="name must be a string, not 5"):
        register_raylite(5)


def test_without_joblib_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['joblib'] = None; import raylite.util.joblib"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: raylite.util.joblib needs joblib: pip install 'raylite[joblib]'"
    )
