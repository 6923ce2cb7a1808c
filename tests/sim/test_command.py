"""`python -m raylite.sim`: what it runs, what it says, with which code it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.sim.test_trace_file import check
from tests.source.tree import ROOT


@pytest.fixture
def command(tmp_path):
    """A function that runs the command with these arguments, in an empty folder; returns its code and output."""

    def run(*arguments):
        finished = subprocess.run(
            [sys.executable, "-m", "raylite.sim", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return finished.returncode, finished.stdout

    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The same in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        from raylite.sim.__main__ import main

        result = CliRunner().invoke(main, arguments)
        return result.exit_code, result.output

    return run


@pytest.fixture
def program(tmp_path):
    """A function that writes a program and returns its path."""

    def write(text):
        (tmp_path / "program.py").write_text("import raylite\n" + text)
        return "program.py"

    return write


def test_one_seed_is_told_of_and_is_the_same_again(command):
    first, again = (command("--seed", 3, "--workload", "chain", "--tasks", 20) for _ in range(2))
    assert first == again and first[0] == 0
    assert re.fullmatch(
        r"seed 3: right; faults \S+, of which \d+ happened; \d+ events in \S+ virtual s; trace [0-9a-f]{32}\n", first[1]
    )


def test_many_seeds(command):
    code, output = command("--seeds", 12, "--tasks", 10)
    assert code == 0 and re.search(r"^12 seeds, \d+ a second; \d+ faults; \d+ events in \S+ virtual s$", output, re.M)


def test_the_story_of_a_seed_that_is_right(command):
    code, output = command("--workload", "chain", "--tasks", 3, "--faults", "worker_crash=0.3", "--story")
    assert code == 0 and "** worker_crash 0: worker" in output and "plus #1 has ended" in output


def test_something_to_look_at(command, tmp_path):
    trace, graph = tmp_path / "trace.json", tmp_path / "graph.dot"
    arguments = ("--workload", "chain", "--tasks", 5, "--faults", "worker_crash=0.1", "--seeds", 2)
    code, output = command(*arguments, "--timeline", trace, "--graph", graph)
    assert code == 0, output
    check(json.loads(trace.read_text(encoding="utf-8"))["traceEvents"])
    assert "plus\\n" in graph.read_text(encoding="utf-8")
    code, output = command(*arguments, "--graph", tmp_path / "graph.txt")
    assert code == 2 and "ends in .dot" in output
    code, output = command("--check-determinism", "--graph", graph)
    assert code == 2 and "keeps nothing to draw" in output


def test_runs_repeat_in_two_processes(command):
    code, output = command("--seeds", 2, "--tasks", 10, "--check-determinism")
    assert code == 0 and len(re.findall(r"seed \d is the same run in two processes: [0-9a-f]{32}", output)) == 2


def test_what_differs_between_processes_is_named(command, program):
    path = program(
        """
import time
names = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}  # iterated in an order that differs from process to process
@raylite.remote
def wait(name):
    time.sleep(len(name))
    return name
for name in names:
    raylite.get(wait.remote(name))
"""
    )
    code, output = command("--program", path, "--check-determinism", "--faults", "none")
    assert code == 5 and "is not the same run in two processes: event " in output
    assert re.search(r"at \d+ ns: (finished|get|submit)", output)
    assert "--program program.py --seed 0 --faults none --check-determinism" in output


def test_a_program_that_is_not_changed(command, program):
    path = program(
        """
import sys, time
if __name__ == "__main__":
    with raylite.init(num_cpus=2):
        @raylite.remote
        def f(x):
            time.sleep(1000)
            return x
        print(sys.argv, raylite.get([f.remote(i) for i in range(4)]), round(time.monotonic()))
"""
    )
    code, output = command("--program", path, "--faults", "none", "--seed", 4)
    assert code == 0 and output.startswith("['program.py'] [0, 1, 2, 3] 1002000\nseed 4: right")


# A program with a mistake that only a crash at the right point brings to light: it counts attempts.
COUNTS = """
counted = []
@raylite.remote(max_retries=-1)
def count(box):
    with open(box, "a") as file:
        file.write("x")
    raylite.put(1)
open("box", "w").close()
raylite.get([count.remote("box") for _ in range(5)])
with open("box") as file:
    assert len(file.read()) == 5, "counted twice"
"""


def test_a_wrong_result_is_shrunk_and_the_command_runs_it_again(command, program):
    path = program(COUNTS)
    code, output = command("--program", path, "--seeds", 300, "--faults", "worker_crash=0.01")
    assert code == 1, output
    assert re.search(r"^seed \d+: wrong result\nAssertionError: counted twice$", output, re.MULTILINE)
    [number] = re.findall(r"^shrunk to: worker_crash=0\.01@(\d+) \(in \d+ runs\)$", output, re.MULTILINE)
    assert f"** worker_crash {number}: worker" in output
    [again] = re.findall(r"^to run it again:\n  python -m raylite\.sim (.*)$", output, re.MULTILINE)
    code, output = command(*again.split())
    assert code == 1 and "counted twice" in output
    assert command(*again.split()[:-1], "none")[0] == 0


def test_several_nodes_are_shrunk_and_replayed(command, program):
    path = program(COUNTS)
    code, output = command(
        "--program", path, "--nodes", 3, "--seeds", 100, "--faults", "worker_crash=0.01,message_loss=0.01"
    )
    assert code == 1, output
    assert re.search(r"^shrunk to: worker_crash=0\.01@\d+ \(in \d+ runs\)$", output, re.MULTILINE)
    assert re.search(r"\*\* worker_crash \d+: worker \d+ of node \d", output)
    [again] = re.findall(r"^to run it again:\n  python -m raylite\.sim (.*)$", output, re.MULTILINE)
    assert "--nodes 3" in again
    code, output = command(*again.split())
    assert code == 1 and "counted twice" in output


def test_runs_of_several_nodes_repeat_in_two_processes(command):
    code, output = command("--nodes", 4, "--seeds", 2, "--seed", 100, "--tasks", 10, "--check-determinism")
    assert code == 0 and len(re.findall(r"seed \d+ is the same run in two processes", output)) == 2


def test_what_differs_between_processes_of_several_nodes_is_named(command, program):
    path = program(
        """
names = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}
@raylite.remote(num_cpus=3)
def wait(name):
    from raylite import sim
    sim.cost(len(name))
for name in names:
    raylite.get(wait.options(name=name).remote(name))
"""
    )
    code, output = command("--program", path, "--nodes", 2, "--check-determinism", "--faults", "none")
    assert code == 5 and re.search(r"at \d+ ns: node \d: (finished|get|submit|\w+ \w+ from)", output), output


def test_going_on_after_a_failure(command, program):
    path = program(COUNTS)
    code, output = command(
        "--program", path, "--seeds", 60, "--faults", "worker_crash=0.05", "--keep-going", "--no-shrink"
    )
    assert code == 1 and len(re.findall(r"^seed \d+: wrong result", output, re.MULTILINE)) > 1
    assert "shrunk" not in output and output.splitlines()[-1].startswith("60 seeds")


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("assert raylite.get(raylite.put(1)) == 2", 1, "wrong result"),
        ("raylite.get(raylite.remote(num_gpus=1)(lambda: 1).remote())", 3, "no progress\nDeadlockError: nothing can"),
        ("{}['mine']", 4, "crash\nTraceback"),
        ("raise SystemExit(7)", 4, "exit code 7"),
        ("raise SystemExit(0)", 0, "right"),
    ],
)
def test_failures_end_with_codes_of_their_own(here, program, text, code, words):
    found, output = here("--program", program(text))
    assert (found, words in output) == (code, True), output
    assert code == 0 or "to run it again:" in output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1"], "0<=x<="),
        (["--seed", "x"], "not a valid integer"),
        (["--seeds", "0"], "x>=1"),
        (["--nodes", "1001"], "1<=x<=1000"),
        (["--nodes", "0"], "1<=x<=1000"),
        (["--tasks", "0"], "x>=1"),
        (["--faults", "sometimes"], "'all', 'none' or name=rate"),
        (["--faults", "worker_crash=2"], "from 0 to 1"),
        (["--faults", "node_crash=0.1"], "needs several nodes, and there is one"),
        (["--faults", "replica_crush=0.1"], "no fault 'replica_crush'. There are worker_crash"),
        (["--seed", str((1 << 64) - 1), "--seeds", "2"], "is larger than 18446744073709551615"),
        (["--graph", "graph.txt"], "ends in .dot or .gv or .png"),
        (["--timeline", "nowhere/run.json"], "no folder 'nowhere'"),
        (["--timeline", "run.png"], "ends in .json"),
        (["--workload", "none"], "'map-reduce', 'chain'"),
        (["--program", "nowhere.py"], "does not exist"),
        (["--program", sys.executable, "--workload", "chain"], "exclude each other"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_valid(here, arguments, words):
    code, output = here(*arguments)
    assert code == 2 and words in output
