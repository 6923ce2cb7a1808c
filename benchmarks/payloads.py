"""What tasks run and actors are. Light to import: workers of every library import this module."""

from __future__ import annotations

import os
import time


def noop(_argument: object = None) -> None:
    """Nothing at all; takes an argument only because `Pool.map` always passes one."""


def increment(number: int) -> int:
    return number + 1


def work(iterations: int) -> int:
    """A fixed amount of work in pure Python."""
    value = 1
    for _ in range(iterations):
        value = (value * 5 + 3) & 0xFFFF
    return value


def die_first(path: str) -> int:
    """Kill this process, the first time; then say when that was, in nanoseconds."""
    try:
        with open(path) as file:
            return int(file.read())
    except FileNotFoundError:
        with open(path, "w") as file:
            file.write(str(time.monotonic_ns()))
        os.kill(os.getpid(), 9)
        raise


class Server:
    """An actor that answers at once."""

    def answer(self) -> bytes:
        return b"ok"

    def answer_to(self, _argument: object) -> bytes:
        return b"ok"


class AsyncServer:
    """The same by coroutines, which the actor runs on its event loop."""

    async def answer(self) -> bytes:
        return b"ok"

    async def answer_to(self, _argument: object) -> bytes:
        return b"ok"
