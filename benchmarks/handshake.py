"""One byte of shared memory by which a nested submitter and its driver agree on when to measure."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable

from benchmarks.workload import repeat_for

_STARTING, _READY, _GO, _DONE = range(4)
_POLL_S = 0.0005


class Handshake:
    """Steps from starting over ready (the task) and go (the driver) to done (the task); a context manager."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._step = mmap.mmap(file.fileno(), 1)

    @classmethod
    def create(cls, path: str) -> Handshake:
        with open(path, "wb") as file:
            file.write(bytes([_STARTING]))
        return cls(path)

    def __enter__(self) -> Handshake:
        return self

    def __exit__(self, *_exception) -> None:
        self._step.close()

    @property
    def done(self) -> bool:
        return self._step[0] == _DONE

    def go(self) -> None:
        """The driver: measure now. A task that has failed already stays done; its result will say why."""
        if not self.done:
            self._step[0] = _GO

    def await_ready(self, timeout_s: float) -> None:
        """The driver: wait for the task to run; TimeoutError if it does not."""
        self._await(_READY, timeout_s)

    def measure(self, operation: Callable[[], object], amount: float, window_s: float) -> float:
        """The task: warm up, wait for the driver, repeat `operation` for a while; `amount` of each per second."""
        try:
            repeat_for(window_s / 2, operation)
            self._step[0] = _READY
            self._await(_GO, timeout_s=60)
            repeats, elapsed_s = repeat_for(window_s, operation)
        finally:
            self._step[0] = _DONE
        return amount * repeats / elapsed_s

    def _await(self, step: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._step[0] < step:
            if time.monotonic() > deadline:
                raise TimeoutError("the nested submitter and its driver lost each other")
            time.sleep(_POLL_S)


def measure_in_task(path: str, operation: Callable[[], object], amount: float, window_s: float) -> float:
    """What a library's nested submitter calls; see `Handshake.measure`."""
    with Handshake(path) as handshake:
        return handshake.measure(operation, amount, window_s)
