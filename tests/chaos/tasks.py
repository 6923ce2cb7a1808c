"""What the tasks and actors of a random program do: functions of their arguments alone, so that a serial run of the
same functions tells what comes out, however often one begins.

NumPy is imported where arrays are made: a worker that needs it lives through its import first.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from zlib import crc32

import raylite

ENDS = ("exit", "segfault", "kill", "abort")
FANOUT = 3


def digest(number, *values):
    """A number that depends on every byte of the values."""
    for value in values:
        number = crc32(repr(value).encode() if isinstance(value, int | str) else value, number)
    return number


def slow_digest(number, seconds, *values):
    """The same, in a time in which a process may well be killed."""
    time.sleep(seconds)
    return digest(number, *values)


def block(number, n_bytes, *values):
    """An array that depends on every byte of the values."""
    import numpy as np

    pattern = np.frombuffer(digest(number, *values).to_bytes(4, "little") * 64, np.uint8)
    return np.resize(pattern, n_bytes)


def merge(number, *values):
    """An array with a part of each value, those being arrays or numbers."""
    import numpy as np

    parts = [value[:: len(values)] if isinstance(value, np.ndarray) else block(value, 100) for value in values]
    return np.concatenate([np.array([number % 251], np.uint8), *parts])


def pair(number, *values):
    """Two values."""
    return digest(number, *values), block(number, 200_000, *values)


def tree(number, depth, *values):
    """A number that as many tasks make as a tree of this depth has leaves."""
    if depth == 0:
        return digest(number, *values)
    return digest(number, *(tree(number + child, depth - 1, *values) for child in range(FANOUT)))


def tree_of_tasks(number, depth, *values):
    """The same by tasks, each of which waits for its own."""
    if depth == 0:
        return digest(number, *values)
    task = raylite.remote(max_retries=-1)(tree_of_tasks)  # of this run: one that stays would be held by the worker
    refs = [task.remote(number + child, depth - 1, *values) for child in range(FANOUT)]
    if number % 2:
        raylite.wait(refs, num_returns=len(refs))
    return digest(number, *raylite.get(refs))


def items(number, n_items, *values):
    """A stream."""
    for item in range(n_items):
        yield digest(number + item, *values) if item % 4 else block(number + item, 120_000, *values)


def read_items(number, n_items, *values):
    """A number that depends on all items of a stream, which a task of its own makes."""
    stream = raylite.remote(max_retries=-1, num_returns="streaming")(items).remote(number, n_items, *values)
    return digest(number, *map(raylite.get, stream))


def box(number, references):
    """References as a value."""
    return [number, *references]


def unbox(boxed):
    """A number that depends on what the references in a value stand for."""
    number, *references = boxed
    return digest(number, *raylite.get(references))


def dies(marker, how, number, *values):
    """End the process the first time, and in one of these ways."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return block(number, 150_000, *values)
    end(how)


def end(how):
    """End this process, from inside."""
    if how == "exit":
        os._exit(3)
    elif how == "segfault":
        ctypes.string_at(8)
    elif how == "abort":
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        os.abort()
    os.kill(os.getpid(), signal.SIGKILL)


def plant_bomb(number, seconds):
    """Have this process end itself some time later, whatever it does then."""
    threading.Timer(seconds, os._exit, (4,)).start()
    return number


class Chain:
    """Its state depends on all calls and on their order."""

    def __init__(self, number):
        self.state = number
        self.kept = 0

    def add(self, number, *values):
        self.state = digest(self.state + number, *values)
        if number % 3 == 0:
            self.kept = block(self.state, 150_000)
        return self.state

    def large(self, number, *values):
        self.add(number, *values)
        return merge(self.state, self.kept, block(number, 120_000))

    def fail(self, number, *values):
        raise ValueError(self.add(number, *values))


class SavedChain(Chain):
    """The same with checkpoints of its own."""

    def __raylite_save__(self):
        return self.state, self.kept

    def __raylite_restore__(self, saved):
        self.state, self.kept = saved


class Echo:
    """Has no state that matters: it begins anew."""

    def answer(self, number, *values):
        return digest(number, *values)

    def answer_large(self, number, *values):
        return block(number, 130_000, *values)


class AsyncEcho:
    """The same on an event loop."""

    async def answer(self, number, *values):
        return digest(number, *values)

    async def answer_large(self, number, *values):
        return block(number, 130_000, *values)
