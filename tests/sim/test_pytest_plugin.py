"""The pytest plugin, from outside: what a session of pytest prints for tests that are simulated."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from tests.source.tree import ROOT

HEAD = """
import pytest
import raylite
from raylite import sim

@raylite.remote(max_retries=-1)
def add(a, b):
    return a + b

"""
# Each attempt of a task leaves a mark: right as long as no worker dies.
ONCE = """
def marks_of_tasks(path, n):
    @raylite.remote(max_retries=-1)
    def mark(i):
        with open(path, "a") as file:
            file.write("x")
        return i

    raylite.get([mark.remote(i) for i in range(n)])
    return path.read_text()

@pytest.mark.raylite_sim(seeds=400, faults="all")
@pytest.mark.parametrize("n", [1, 6])
def test_once(tmp_path, n):
    assert len(marks_of_tasks(tmp_path / "marks", n)) == n
"""


@pytest.fixture
def pytest_in(tmp_path):
    """A function that runs pytest on a text, in a process of its own; returns its output."""

    def run(text, *arguments, head=HEAD):
        (tmp_path / "test_it.py").write_text(head + text)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp=base", "-v", *arguments]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150"}
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True).stdout

    return run


def outcomes(output):
    return dict(re.findall(r"^test_it\.py::(\S+) ([A-Z]+)", output, re.MULTILINE))


def test_installing_raylite_registers_it():
    [point] = [point for point in entry_points(group="pytest11") if point.name == "raylite_sim"]
    assert point.value == "raylite.sim.pytest_plugin"


def test_it_costs_nothing_until_it_is_used(pytest_in):
    output = pytest_in(
        """
import sys

def test_it():
    late = {"greenlet", "numpy", "cloudpickle", "raylite.lifecycle", "raylite.config", "raylite.sim.faults"}
    assert late & set(sys.modules) == set()
    assert [name for name in sys.modules if name.startswith("raylite")] == RAYLITE
""".replace("RAYLITE", str(["raylite", "raylite.sim", "raylite.sim.pytest_plugin"])),
        head="",
    )
    assert outcomes(output) == {"test_it": "PASSED"}, output


def test_tests_that_hold(pytest_in):
    output = pytest_in(
        """
import time
made = []

@pytest.fixture
def ref():
    made.append(raylite.put(3))  # in the cluster
    return made[-1]

@pytest.mark.raylite_sim(seeds=20, faults="all", num_cpus=2)
def test_marked(ref, tmp_path):
    assert list(tmp_path.iterdir()) == [] and sim.current().seed == len(made) - 1
    (tmp_path / "file").touch()
    assert raylite.cluster_resources()["CPU"] == 2
    assert raylite.get([add.remote(ref, i) for i in range(5)]) == [3, 4, 5, 6, 7]

def test_marked_was_run_under_its_seeds():
    assert len(made) == 20

def test_fixture(raylite_sim):
    time.sleep(3600)
    assert raylite_sim.now() > 3600 and not raylite_sim.faults and raylite_sim.seed == 0

@pytest.mark.raylite_sim(seeds=[5, 9], faults="worker_crash=0.25")
def test_both(raylite_sim):
    assert (raylite_sim.seed, raylite_sim.faults) in [(5, sim.Faults(worker_crash=0.25)), (9, raylite_sim.faults)]

class TestClass:
    @pytest.mark.raylite_sim(seeds=3)
    def test_each_run_has_an_instance(self):
        assert not hasattr(self, "seen")
        self.seen = True

@pytest.mark.raylite_sim(seeds=3)
def test_skipped():
    pytest.skip("not here")

@pytest.mark.raylite_sim(seeds=3)
@pytest.mark.xfail(strict=True)
def test_expected():
    assert sim.current().seed < 2

def test_outside():
    assert not raylite.is_initialized() and time.time() > 10**9
""",
        "--durations=0",
        "-vv",
    )
    assert outcomes(output) == {
        "test_marked": "PASSED",
        "test_marked_was_run_under_its_seeds": "PASSED",
        "test_fixture": "PASSED",
        "test_both": "PASSED",
        "TestClass::test_each_run_has_an_instance": "PASSED",
        "test_skipped": "SKIPPED",
        "test_expected": "XFAIL",
        "test_outside": "PASSED",
    }, output
    assert re.search(r"raylite\.sim: 6 tests under 30 seeds, \d+ a second", output)
    durations = [float(seconds) for seconds in re.findall(r"^(-?[\d.]+)s \w+ +test_it", output, re.MULTILINE)]
    assert durations and all(0 <= seconds < 100 for seconds in durations), "virtual seconds among real ones"


def test_a_failure_is_shrunk_told_and_replayed(pytest_in):
    output = pytest_in(ONCE, "-x")
    assert outcomes(output)["test_once[1]"] == "FAILED" and "test_once[6]" not in outcomes(output), output
    [seed] = re.findall(r"raylite\.sim: seed (\d+)", output)
    assert "wrong result: an assertion does not hold" in output and "assert 2 == 1" in output
    [(rate, number)] = re.findall(r"shrunk to: worker_crash=([\d.]+)@(\d+) \(in \d+ runs\)", output)
    assert re.search(r"s  \*\* worker_crash \d+: worker \d+\n.*mark #1 was interrupted in attempt 0", output)
    [command] = re.findall(r"to run it again:\n  pytest (.*)", output)
    assert (
        command
        == f"'test_it.py::test_once[1]' --raylite-sim-seed={seed} --raylite-sim-faults=worker_crash={rate}@{number}"
    )

    replay = [part.strip("'") for part in command.split()]
    again = pytest_in(ONCE, *replay)
    assert f"raylite.sim: seed {seed}\n" in again.replace("-", "").replace(" raylite", "raylite").replace(
        f"{seed} ", seed
    )
    assert f"faults: worker_crash={rate}@{number}" in again and "1 failed" in again and "under 1 seeds" in again
    without = pytest_in(ONCE, *replay[:2], "--raylite-sim-faults=none")
    assert "1 passed" in without


# On several nodes: what a node has done is done again elsewhere if it dies before anybody knows.
ELSEWHERE = """
@pytest.mark.raylite_sim(seeds=300, nodes=3, num_cpus=1, faults="node_crash=0.02")
def test_once_elsewhere(tmp_path):
    @raylite.remote(max_retries=-1)
    def mark(i):
        sim.cost(0.5)
        with open(tmp_path / "marks", "a") as file:
            file.write("x")

    raylite.get(mark.remote(0))
    raylite.get([mark.remote(i) for i in range(6)])
    assert len((tmp_path / "marks").read_text()) == 7
"""


def test_a_failure_of_several_nodes_is_shrunk_and_replayed(pytest_in):
    output = pytest_in(ELSEWHERE)
    assert "wrong result: an assertion does not hold" in output, output
    [numbers] = re.findall(r"shrunk to: node_crash=0\.02@([\d+]+) \(in \d+ runs\)", output)
    assert re.findall(r"\*\* node_crash (\d+): node [12]\n", output) == numbers.split("+")
    assert re.search(r"\*\* node [12] is gone\n(.*\n)*.*mark #\d runs on worker \d+ of node \d, attempt 1", output)
    [command] = re.findall(r"to run it again:\n  pytest (.*)", output)
    replay = [part.strip("'") for part in command.split()]
    again = pytest_in(ELSEWHERE, *replay)
    assert f"faults: node_crash=0.02@{numbers}" in again and "1 failed" in again and "under 1 seeds" in again
    assert "1 passed" in pytest_in(ELSEWHERE, *replay[:2], "--raylite-sim-faults=none")


def test_kinds_of_failure_are_told_apart(pytest_in):
    output = pytest_in(
        """
@pytest.mark.raylite_sim(seeds=5)
def test_wrong():
    assert raylite.get(add.remote(1, 1)) == 3

@pytest.mark.raylite_sim(seeds=5)
def test_stuck():
    raylite.get(add.options(num_gpus=1).remote(1, 1))

@pytest.mark.raylite_sim(seeds=5)
def test_raises():
    raise KeyError("mine")

@pytest.fixture
def broken():
    raise OSError("no disk")

@pytest.mark.raylite_sim(seeds=5)
def test_broken(broken):
    pass

@pytest.mark.raylite_sim(seeds=5)
def test_changes():
    test_changes.n = getattr(test_changes, "n", 0) + 1
    assert test_changes.n > 1
""",
        "-rA",
    )
    said = dict(
        re.findall(
            r"^_+ (?:ERROR at setup of )?(test_\w+) _+$.*?^(wrong result|no progress|crash): ",
            output,
            re.MULTILINE | re.DOTALL,
        )
    )
    assert said == {
        "test_broken": "crash",
        "test_wrong": "wrong result",
        "test_stuck": "no progress",
        "test_raises": "crash",
        "test_changes": "wrong result",
    }, output
    assert output.count("shrunk to: none (in 1 runs)") == 4
    assert "DeadlockError: nothing can happen any more" in output and "lacks 1 GPU" in output
    assert output.count("It does not fail in the same way each time") == 1
    assert output.count("to run it again") == 5


REFUSED = {
    "seeds=0": "at least one seed",
    "seeds='many'": "how many, or a list of them",
    "seeds=[-1]": "a seed is from 0",
    "nodes=1001": "up to 1000 nodes",
    "nodes=1, faults='partition=0.1'": "partition needs several nodes",
    "faults='often'": "'all', 'none' or name=rate",
    "faults=0.1": "sim.Faults, 'all'",
    "num_cups=2": "unexpected keyword argument 'num_cups'",
    "200": "takes its arguments by name",
}


def test_markers_that_make_no_sense_are_refused_before_the_test_runs(pytest_in):
    output = pytest_in(
        "\n".join(
            f"@pytest.mark.raylite_sim({marker})\ndef test_{number}():\n    print('it ran')\n"
            for number, marker in enumerate(REFUSED)
        )
    )
    for number, (marker, words) in enumerate(REFUSED.items()):
        [said] = re.findall(rf"^test_it.py::test_{number}: (.*)$", output, re.MULTILINE)
        assert words in said, marker
    assert f"{len(REFUSED)} errors" in output and "it ran" not in output


def test_fixtures_of_wider_scope_are_made_once_and_ended(pytest_in):
    output = pytest_in(
        """
events = []

@pytest.fixture(scope="module")
def wide():
    assert not raylite.is_initialized()
    events.append("made")
    yield
    events.append("ended")
    raise RuntimeError(" ".join(events))

@pytest.fixture
def narrow(wide):
    assert raylite.is_initialized()
    events.append("[")
    yield
    events.append("]")

@pytest.mark.raylite_sim(seeds=3)
def test_several(narrow):
    pass

@pytest.mark.raylite_sim(seeds=3)
def test_fails(narrow):
    assert sim.current().seed == 0
""",
        "--raylite-sim-no-shrink",
    )
    assert outcomes(output) == {"test_several": "PASSED", "test_fails": "ERROR"} or "test_fails FAILED" in output
    assert "RuntimeError: made [ ] [ ] [ ] [ ] [ ] [ ] ended" in output, output  # one more: the failure is run again


def test_the_bar_is_for_a_terminal(pytest_in):
    text = (
        "import raylite.sim.pytest_plugin as plugin\nplugin.BAR_PERIOD_S = 0\n"
        "@pytest.mark.raylite_sim(seeds=40)\ndef test_it():\n    raylite.get([add.remote(1, i) for i in range(30)])\n"
    )
    assert "seeds," not in pytest_in(text).replace("40 seeds, ", "", 1)
    assert re.search(r"\d+/40 seeds, \d+ a second", pytest_in(text, "--color=yes", "-s"))
