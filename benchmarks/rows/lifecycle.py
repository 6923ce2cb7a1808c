"""Rows about whole programs: how soon a first result, what an idle pool weighs, how soon all of it is gone.

Each library has a program under `programs/`, as a user would write it, that talks over its standard streams: it
prints its first result, then does what it is told line by line.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import processes
from benchmarks.plan import Plan
from benchmarks.workload import Registry, Row

_LESS = {"more_is_better": False}
_GONE_TIMEOUT_S = 30
_LINES_TOLD = 3

REGISTRY = Registry()


@REGISTRY.workload(
    "lifecycle",
    Row("init_to_first_result", "init to first result", "s", limits=("interpreter_start",), **_LESS),
    Row("idle_pss", "idle memory (PSS)", "MB", limits=("interpreter_pss",), **_LESS),
    Row("idle_cpu", "idle CPU in 1 s", "ms/s", **_LESS),
    Row("shutdown", "shutdown", "s", **_LESS),
    needs=["program"],
    starts_library=False,
)
def lifecycle(library, plan: Plan):
    """One program from its start: first result, idle after both workers have worked, shutdown until all are gone."""

    def sample() -> dict[str, float]:
        start = time.perf_counter()
        with talking_program(library.program, plan) as program:
            _expect(program, "2")
            first_result_s = time.perf_counter() - start
            _tell(program, "settle", answer="settled")
            time.sleep(plan.settle_s)
            pss_bytes, on_cpu_s = idle_figures(program.pid, plan.idle_s)
            workers = processes.descendants(program.pid)
            start = time.perf_counter()
            _tell(program, "shutdown", answer="down")
            if not processes.await_gone(workers, _GONE_TIMEOUT_S):
                raise RuntimeError(f"processes were left {_GONE_TIMEOUT_S} s after shutdown")
            shutdown_s = time.perf_counter() - start
        return {
            "init_to_first_result": first_result_s,
            "idle_pss": pss_bytes / 1e6,
            "idle_cpu": on_cpu_s * 1e3 / plan.idle_s,
            "shutdown": shutdown_s,
        }

    return sample


@REGISTRY.workload(
    "whole_program",
    Row("whole_program", "program, start to exit", "s", limits=("interpreter_start_to_exit",), **_LESS),
    needs=["program"],
    starts_library=False,
)
def whole_program(library, plan: Plan):
    """The same program told nothing: first result, shutdown, exit."""

    def sample() -> dict[str, float]:
        start = time.perf_counter()
        completed = subprocess.run(
            [sys.executable, library.program, str(plan.workers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        elapsed_s = time.perf_counter() - start
        if completed.stdout.split() != ["2", "down"]:
            raise RuntimeError(f"the program printed {completed.stdout!r}")
        return {"whole_program": elapsed_s}

    return sample


def idle_figures(root: int, duration_s: float) -> tuple[int, float]:
    """PSS in bytes of the tree of `root`, and the CPU time that it used while watched for a while."""
    pids = [root, *processes.descendants(root)]
    pss_bytes = processes.pss_bytes(pids)
    before_s = processes.on_cpu_s(pids)
    time.sleep(duration_s)
    return pss_bytes, max(0.0, processes.on_cpu_s(pids) - before_s)


@contextmanager
def talking_program(path: str, plan: Plan) -> Iterator[subprocess.Popen]:
    """The program at `path`, started; ended with everything it started where it does not end by itself.

    A failure tells what the program said last.
    """
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, path, str(plan.workers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as program,
    ):
        try:
            yield program
            program.stdin.close()
            program.wait(timeout=_GONE_TIMEOUT_S)
        except Exception as failure:
            processes.end_tree(program.pid)
            errors.seek(0)
            said = errors.read().strip().splitlines()[-_LINES_TOLD:]
            raise RuntimeError("; ".join([str(failure), *said])) from failure


def _tell(program: subprocess.Popen, word: str, *, answer: str) -> None:
    print(word, file=program.stdin, flush=True)
    _expect(program, answer)


def _expect(program: subprocess.Popen, line: str) -> None:
    if (read := program.stdout.readline()) != f"{line}\n":
        raise RuntimeError(f"the program printed {read!r} where {line!r} was expected")
