"""What the machine itself can do, measured in the same rounds as the libraries.

A limit is a function that is given the plan, prepares, and returns a function that takes one sample, like a row's.
Rows name their limits; a name that nothing has registered is passed over. The limits that need raylite's own rings
register themselves from `benchmarks.ring_limits` where that can be imported.
"""

from __future__ import annotations

import mmap
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from benchmarks import processes
from benchmarks.payloads import increment, noop, work
from benchmarks.plan import Plan
from benchmarks.workload import rate

Take = Callable[[], float]
SPILL_FOLDER = "/var/tmp"
SPILLED_VALUES = 16  # that the store holds, in the row about spilling


@dataclass(frozen=True)
class Limit:
    """Something that no library on this machine can pass, or can pass only by not doing it."""

    name: str
    label: str
    unit: str
    prepare: Callable[[Plan], Take]


LIMITS: dict[str, Limit] = {}


def limit(name: str, label: str, unit: str):
    """Decorate the function that measures a limit, and register it."""

    def register(prepare: Callable[[Plan], Take]) -> Callable[[Plan], Take]:
        LIMITS[name] = Limit(name, label, unit, prepare)
        return prepare

    return register


@limit("eventfd_round_trip", "eventfd round trip, two cores", "tasks/s")
def eventfd_round_trip(plan: Plan) -> Take:
    """Two sleeping processes wake each other in turn, each on a core of its own."""
    _require_two_cores(plan)
    return lambda: _eventfd_rate(plan, plan.cpus[0], plan.cpus[-1])


@limit("eventfd_round_trip_one_core", "eventfd round trip, one core", "tasks/s")
def eventfd_round_trip_one_core(plan: Plan) -> Take:
    """The same, both on one core: nobody has to wake an idle core, but nothing runs side by side."""
    return lambda: _eventfd_rate(plan, plan.cpus[0], plan.cpus[0])


@limit("spinning_round_trip", "spinning round trip, two cores", "tasks/s")
def spinning_round_trip(plan: Plan) -> Take:
    """Two Python processes that never sleep answer each other through a word of shared memory."""

    def sample() -> float:
        with mmap.mmap(-1, mmap.PAGESIZE) as memory, memoryview(memory).cast("Q") as words:

            def echo() -> None:
                answered = 0
                while True:
                    asked = words[0]
                    if asked != answered:
                        words[8] = answered = asked

            def round_trip() -> None:
                asked = words[0] + 1
                words[0] = asked
                while words[8] != asked:
                    pass

            with _on_cpu(plan.cpus[0]), _child(echo, plan.cpus[-1]):
                return _round_trips_per_s(round_trip, plan.sample_s)

    _require_two_cores(plan)
    return sample


@limit("pickled_call", "call pickled both ways, one core", "tasks/s")
def pickled_call(plan: Plan) -> Take:
    """Call and result pickled and unpickled with nothing in between: the Python of a task without its journey."""

    def operation() -> None:
        for _ in range(100):
            function, arguments = pickle.loads(pickle.dumps((noop, ()), 5))
            pickle.loads(pickle.dumps(function(*arguments), 5))

    return _on_own_cpu(plan, rate(operation, 100, plan.sample_s))


@limit("plain_map", "plain map in one process", "items/s")
def plain_map(plan: Plan) -> Take:
    """The same function over the same items in a plain loop: what it costs to involve nobody else."""
    items = list(range(plan.map_items))
    return _on_own_cpu(plan, rate(lambda: list(map(increment, items)), len(items), plan.sample_s))


@limit("pickled_value", "small value pickled both ways", "puts/s")
def pickled_value(plan: Plan) -> Take:
    """A small value pickled and unpickled."""

    def operation() -> None:
        for _ in range(100):
            pickle.loads(pickle.dumps(0, 5))

    return _on_own_cpu(plan, rate(operation, 100, plan.sample_s))


@limit("warm_copy", "copy into warm shared memory", "GB/s")
def warm_copy(plan: Plan) -> Take:
    """One thread copies an array into shared memory whose pages were touched before."""
    import numpy

    source = numpy.arange(plan.large_bytes // 8, dtype=numpy.float64)
    shared = numpy.frombuffer(mmap.mmap(-1, source.nbytes), dtype=source.dtype)
    numpy.copyto(shared, source)
    return _on_own_cpu(plan, rate(lambda: numpy.copyto(shared, source), source.nbytes / 1e9, plan.sample_s))


@limit("file_write_read", "write and read of a plain file", "GB/s")
def file_write_read(plan: Plan) -> Take:
    """One thread writes values to a file without a name and reads each back, where spilling would."""
    import numpy

    value = numpy.arange(plan.large_bytes // SPILLED_VALUES // 8).tobytes()
    count = 8 * SPILLED_VALUES

    def sample() -> float:
        with tempfile.TemporaryFile(dir=SPILL_FOLDER, buffering=0) as file:
            start = time.perf_counter()
            for _ in range(count):
                file.write(value)
            file.seek(0)
            for _ in range(count):
                file.readinto(bytearray(len(value)))
            return count * len(value) / 1e9 / (time.perf_counter() - start)

    return _on_own_cpu(plan, sample)


@limit("cores_at_work", "the same work in bare processes", "tasks/s")
def cores_at_work(plan: Plan) -> Take:
    """As many bare processes as workers, each on its core, do 1 ms pieces of work: the ideal of the 1 ms tasks."""

    def sample() -> float:
        pieces = max(1, round(plan.sample_s * 1e3))

        def work_all() -> None:
            for _ in range(pieces):
                work(plan.work_iterations)

        start = time.perf_counter()
        pids = [_fork(work_all, plan.cpus[index % len(plan.cpus)]) for index in range(plan.workers)]
        for pid in pids:
            _, status = os.waitpid(pid, 0)
            if status:
                raise RuntimeError(f"a working process ended with status {status}")
        return pieces * plan.workers / (time.perf_counter() - start)

    return sample


@limit("interpreter_start", "bare interpreter to first line", "s")
def interpreter_start(plan: Plan) -> Take:
    """From the start of `python -c print(2)` to what it prints."""

    def sample() -> float:
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", "print(2, flush=True)"], stdout=subprocess.PIPE) as interpreter:
            interpreter.stdout.readline()
            return time.perf_counter() - start

    return sample


@limit("interpreter_start_to_exit", "bare interpreter, start to exit", "s")
def interpreter_start_to_exit(plan: Plan) -> Take:
    """From the start of `python -c pass` to its end."""

    def sample() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return time.perf_counter() - start

    return sample


@limit("interpreter_pss", "as many bare interpreters", "MB")
def interpreter_pss(plan: Plan) -> Take:
    """What a driver and its workers weigh at the least: bare interpreters that wait for input."""

    def sample() -> float:
        program = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        interpreters = [subprocess.Popen(program, **pipes) for _ in range(1 + plan.workers)]
        for interpreter in interpreters:
            interpreter.stdout.readline()
        pss_bytes = processes.pss_bytes(interpreter.pid for interpreter in interpreters)
        for interpreter in interpreters:
            interpreter.communicate()
        return pss_bytes / 1e6

    return sample


def _eventfd_rate(plan: Plan, own_cpu: int, other_cpu: int) -> float:
    there, back = os.eventfd(0), os.eventfd(0)

    def echo() -> None:
        while True:
            os.eventfd_read(there)
            os.eventfd_write(back, 1)

    def round_trip() -> None:
        os.eventfd_write(there, 1)
        os.eventfd_read(back)

    try:
        with _on_cpu(own_cpu), _child(echo, other_cpu):
            return _round_trips_per_s(round_trip, plan.sample_s)
    finally:
        os.close(there)
        os.close(back)


def _require_two_cores(plan: Plan) -> None:
    if len(plan.cpus) < 2:
        raise RuntimeError("this takes two cores")


def _round_trips_per_s(round_trip: Callable[[], None], duration_s: float) -> float:
    def hundred() -> None:
        for _ in range(100):
            round_trip()

    return rate(hundred, 100, duration_s)()


def _on_own_cpu(plan: Plan, take: Take) -> Take:
    def sample() -> float:
        with _on_cpu(plan.cpus[0]):
            return take()

    return sample


@contextmanager
def _on_cpu(cpu: int) -> Iterator[None]:
    """Keep this process on one core for a while."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def _child(function: Callable[[], None], cpu: int) -> Iterator[None]:
    """Run `function` in a forked process on one core, until the block ends."""
    pid = _fork(function, cpu)
    try:
        yield
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _fork(function: Callable[[], None], cpu: int) -> int:
    """Fork a process that runs `function` and exits; it dies with this one. For processes of a single thread."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with suppress(BaseException):
            processes.die_with_parent()
            os.sched_setaffinity(0, {cpu})
            function()
            status = 0
        os._exit(status)
    return pid


try:
    import benchmarks.ring_limits  # noqa: F401  the limits that need the rings of raylite
except ModuleNotFoundError as missing:
    if missing.name != "benchmarks.ring_limits" and missing.name.partition(".")[0] != "raylite":
        raise
