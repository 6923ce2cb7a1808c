"""Rows about a task that submits tasks, while its driver sits still, holds the GIL, or competes for the CPUs.

The submitting task times itself. It and the driver agree on when by way of one shared byte (`Handshake`): the driver
takes up its attitude, the task then measures for a while, and the driver keeps its attitude until the task is done.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.handshake import Handshake
from benchmarks.plan import Plan
from benchmarks.workload import Registry, Row

_UNIT = "tasks/s"
_NAP_US = 10_000

REGISTRY = Registry()


@REGISTRY.workload(
    "nested",
    Row("nested_quiet", "nested, driver in get", _UNIT, limits=("pickled_call",)),
    Row("nested_gil_asleep", "nested, driver sleeps on GIL", _UNIT),
    Row("nested_beside_spinner", "nested, beside a spinner", _UNIT),
    Row("nested_driver_spins", "nested, driver spins", _UNIT),
    needs=["submit_nested", "result"],
)
def nested(library, plan: Plan):
    """A task submits 100 no-op tasks and gets them, over and over; four attitudes of the driver in turn."""

    def tasks_per_s(attitude: Callable[[Handshake], None]) -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "handshake")
            with Handshake.create(path) as handshake:
                submitter = library.submit_nested(path, plan.nested_batch, plan.window_s)
                handshake.await_ready(timeout_s=60)
                handshake.go()
                attitude(handshake)
                return library.result(submitter)

    def beside_spinner() -> float:
        with unrelated_spinning_process():
            return tasks_per_s(quiet)

    return lambda: {
        "nested_quiet": tasks_per_s(quiet),
        "nested_gil_asleep": tasks_per_s(holding_gil_asleep),
        "nested_beside_spinner": beside_spinner(),
        "nested_driver_spins": tasks_per_s(spinning),
    }


def quiet(_handshake: Handshake) -> None:
    """Nothing: the driver goes on to wait for the result."""


def holding_gil_asleep(handshake: Handshake) -> None:
    """Sleep in C without letting go of the GIL, like an extension that forgets to."""
    usleep = ctypes.PyDLL(None).usleep
    while not handshake.done:
        usleep(_NAP_US)


def spinning(handshake: Handshake) -> None:
    """A busy driver in pure Python."""
    while not handshake.done:
        pass


@contextmanager
def unrelated_spinning_process() -> Iterator[None]:
    """A process of its own that competes for the CPUs just as a spinning driver does."""
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()
