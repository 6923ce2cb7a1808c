"""raylite."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.adapters.programs import SPILLING, program_with
from benchmarks.adapters.ray_api import RayApiLibrary


class RayliteLibrary(RayApiLibrary):
    name = module = "raylite"
    distributions = ("raylite",)
    program = program_with(name)
    spilling_program = SPILLING

    def _init(self, workers: int) -> None:
        self._api.init(num_cpus=workers)

    @contextmanager
    def kill_workers(self, interval_s: float) -> Iterator[None]:
        """A random worker is killed every so many seconds."""
        over = threading.Event()
        draw = random.Random(1)

        def kill() -> None:
            while not over.wait(interval_s):
                workers = [row["pid"] for row in self._api.lifecycle.runtime().workers() if row["pid"]]
                if workers:
                    _kill(draw.choice(workers))

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def start_replaying(self, kind: type, *arguments, **options):
        """An actor that comes back with its state."""
        return self._api.remote(kind).options(recovery="replay", num_cpus=0, **options).remote(*arguments)

    def kill_server(self, server) -> None:
        """Kill an actor's process; it comes back."""
        _kill(self._api.get(server.process.remote()))


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass
