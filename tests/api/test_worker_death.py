"""What a dying worker leaves behind: a retry in its time, its stack, and nothing half done."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import time

import numpy
import pytest

import raylite
from raylite.exceptions import ActorDiedError, WorkerCrashedError
from raylite.util.state import list_tasks

MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


def read_nowhere():
    ctypes.string_at(0)


# ---- what the error says ----


def test_a_segfault_leaves_its_python_stack():
    @raylite.remote(max_retries=1)
    def crashes():
        os.write(2, b"the last it said")
        read_nowhere()

    with pytest.raises(WorkerCrashedError) as caught:
        raylite.get(crashes.remote())
    error = caught.value
    assert (error.signal, error.function_name, error.attempt, error.max_retries) == (signal.SIGSEGV, "crashes", 1, 1)
    assert error.stack[0].startswith("Fatal Python error: Segmentation fault")
    frames = [line for line in error.stack if "File " in line]
    assert [line.split()[-1] for line in frames] == ["string_at", "read_nowhere", "crashes"]
    assert error.stderr[-1] == "the last it said" and not any("Fatal" in line for line in error.stderr)
    for part in ("crashes()", f"pid {error.pid}", "signal 11 (SIGSEGV", "attempt 2 of 2", "in read_nowhere"):
        assert part in str(error)


def test_the_stack_is_there_whatever_the_task_does_with_stderr():
    @raylite.remote(max_retries=0)
    def crashes():
        os.close(2)
        read_nowhere()

    with pytest.raises(WorkerCrashedError) as caught:
        raylite.get(crashes.remote())
    assert any("in crashes" in line for line in caught.value.stack)


def test_of_an_actor_too():
    @raylite.remote
    class Crashes:
        def crash(self):
            read_nowhere()

    with pytest.raises(ActorDiedError, match=r"signal 11 \(SIGSEGV\)(.|\n)*in read_nowhere"):
        raylite.get(Crashes.remote().crash.remote())


# ---- retries ----


def test_the_next_attempt_keeps_its_distance(tally):
    @raylite.remote(max_retries=2, retry_delay_s=0.15, retry_jitter=1)
    def dies_twice():
        tally.add(time.monotonic())
        if len(tally) < 3:
            os._exit(1)
        return raylite.get_runtime_context().get_attempt_number()

    assert raylite.get(dies_twice.remote()) == 2
    first, second, third = map(float, tally.notes())
    assert second - first >= 0.15 and third - second >= 0.15


def test_a_task_that_is_put_off_can_be_cancelled(tally, wait_until):
    @raylite.remote(max_retries=-1, retry_exceptions=True, retry_delay_s=1000)
    def raises():
        tally.add()
        raise ValueError

    ref = raises.remote()
    wait_until(lambda: [row.attempt_number for row in list_tasks() if row.name == "raises"] == [1])
    raylite.cancel(ref)
    with pytest.raises(raylite.exceptions.TaskCancelledError):
        raylite.get(ref)
    assert len(tally) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"retry_delay_s": -1}, "it is negative"),
        ({"retry_delay_s": 1e9}, "it is more than"),
        ({"retry_delay_s": float("nan")}, "not a finite number"),
        ({"retry_jitter": 1.1}, "not between 0 and 1"),
    ],
)
def test_delays_that_make_no_sense(options, error):
    with pytest.raises(ValueError, match=error):
        raylite.remote(**options)(read_nowhere)


# ---- what it had in hand ----


def test_a_large_result_half_written(tmp_path, all_freed):
    """The worker dies in the middle of the copy (the file behind the array is shorter than it): what others wrote is
    whole, the next attempt's result is, and the block is free again."""
    path = tmp_path / "file"
    path.write_bytes(bytes([7]) * 4 * MIB)
    others = [raylite.put(numpy.full(MIB, i, numpy.uint8)) for i in range(8)]

    @raylite.remote
    def half_written():
        fd = os.open(path, os.O_RDWR)
        os.ftruncate(fd, 4 * MIB)
        array = numpy.frombuffer(mmap.mmap(fd, 4 * MIB), numpy.uint8)
        if raylite.get_runtime_context().get_attempt_number() == 0:
            os.ftruncate(fd, 2 * MIB)
        return array

    ref = half_written.remote()
    array = raylite.get(ref)
    assert array[: 2 * MIB].tobytes() == bytes([7]) * 2 * MIB and not array[2 * MIB :].any()
    [row] = [row for row in list_tasks(detail=True) if row.name == "half_written"]
    assert row.attempt_number == 1
    for i, other in enumerate(others):
        assert (raylite.get(other) == i).all()
    del array, ref, others, other
    all_freed()


@pytest.mark.parametrize(
    "die", [lambda: os._exit(1), lambda: os.kill(os.getpid(), signal.SIGKILL)], ids=["exit", "kill"]
)
def test_dying_while_a_result_is_pickled(die):
    class Bomb:
        def __reduce__(self):
            if raylite.get_runtime_context().get_attempt_number() == 0:
                die()
            return int, (5,)

    @raylite.remote
    def made():
        return numpy.zeros(MIB), Bomb()

    zeros, five = raylite.get(made.remote())
    assert five == 5 and not zeros.any()


def test_what_a_dead_worker_has_put_lives_on(tally):
    """A value belongs to the node, and not to the process that made it."""

    @raylite.remote(max_retries=1)
    def puts():
        refs = [raylite.put(numpy.full(MIB, 3, numpy.uint8)), raylite.put("small")]
        if raylite.get_runtime_context().get_attempt_number() == 0:
            raylite.get(keeper.keep.remote(refs))
            os._exit(1)

    @raylite.remote
    class Keeper:
        def keep(self, refs):
            self.refs = refs

        def read(self):
            large, small = raylite.get(self.refs)
            return int(large.sum()), small

    keeper = Keeper.remote()
    raylite.get(puts.remote())
    assert raylite.get(keeper.read.remote()) == (3 * MIB, "small")
