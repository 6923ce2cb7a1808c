"""Rounds of random programs, with workers killed all the time, until the time is up.

A session is a runtime from init to shutdown, with a killer beside it; a round is one program in it. After each round
the node has nothing left in its tables; after each session the process and the machine are as they were before.
"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import raylite
from raylite import lifecycle
from tests import leaks
from tests.chaos.programs import Run, draw_program, serial

N_STEPS = 150
SESSION_ROUNDS = 10
SETTLE_S = 30.0
STORY_LINES = 40
N_CPUS = 4
STORE_BYTES = 256 << 20
ROOT = Path(__file__).resolve().parents[2]


class LeftBehind(AssertionError):
    """Something is still there that should have gone."""


@dataclass
class Tally:
    """What a campaign has done so far."""

    n_rounds: int = 0
    n_results: int = 0
    killed: Counter = field(default_factory=Counter)  # by the way


class Campaign:
    """Args: seed: of the programs and of who is killed; interval_s: mean time from one kill to the next; seconds: for
    how long; first_round: where to begin, to see one again."""

    def __init__(self, seed: int, interval_s: float, seconds: float, first_round: int = 0) -> None:
        self.seed = seed
        self.interval_s = interval_s
        self.deadline = time.monotonic() + seconds
        self.tally = Tally(first_round)

    def run(self) -> Iterator[Tally]:
        """All rounds; yields after each one. Raises what a round raises, with its number in the notes."""
        while time.monotonic() < self.deadline:
            before = leaks.Footprint.now()
            yield from self.session()
            if found := [*leaks.leaks_after(before), *map(leaks.describe, leaks.orphans())]:
                raise LeftBehind(f"after round {self.tally.n_rounds} of seed {self.seed}: {'; '.join(found)}")

    def session(self) -> Iterator[Tally]:
        """Some rounds in one runtime."""
        raylite.init(num_cpus=N_CPUS, object_store_memory=STORE_BYTES)
        try:
            with killing(self.interval_s, self.seed + self.tally.n_rounds, self.tally.killed):
                for _ in range(SESSION_ROUNDS):
                    self.round(self.tally.n_rounds)
                    yield self.tally
                    if time.monotonic() >= self.deadline:
                        break
        finally:
            raylite.shutdown()

    def round(self, number: int) -> None:
        """One program. What a round does depends on seed and number alone."""
        name = f"{self.seed} {number}"
        program = draw_program(name, N_STEPS)
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.tally.n_results += Run(program, Path(folder), random.Random(name)).check(serial(program))
            await_empty_tables()
        except Exception as error:
            error.add_note(f"in round {number} of seed {self.seed}; {state_of_node()}")
            raise
        self.tally.n_rounds += 1


@contextmanager
def killing(interval_s: float, seed: int, killed: Counter) -> Iterator[None]:
    """A killer of this process's workers, at work within the context; its deeds are added to `killed`."""
    command = [sys.executable, "-m", "tests.chaos.killer", str(leaks.os.getpid()), str(interval_s), str(seed)]
    killer = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        deeds, _ = killer.communicate()
        killed.update(json.loads(deeds))


def state_of_node() -> str:
    """What the node has to do, to find out why it is not done: its tables, its workers, and its last transitions."""
    runtime = lifecycle.runtime()
    unfinished: dict[str, dict] = {}
    for row in runtime.story():
        unfinished[row["task"]] = row
    lines = [str(row) for row in unfinished.values() if row["to"] not in ("FINISHED", "FAILED", "CANCELLED")]
    return "\n".join([f"tables {runtime.sizes()}", *map(str, runtime.workers()), *lines[-STORY_LINES:]])


def await_empty_tables() -> None:
    """Return once the node holds nothing of what has been let go of."""
    deadline = time.monotonic() + SETTLE_S
    while left := {name: size for name, size in lifecycle.runtime().sizes().items() if size}:
        if time.monotonic() > deadline:
            raise LeftBehind(f"in the node's tables, of a program that has ended: {left}")
        gc.collect()
        time.sleep(0.01)
