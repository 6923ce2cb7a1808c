"""A short program whose worker is killed after the k-th message that it sent or took in, for one k after the other.

The first task or call of the program arms its worker; what the program makes is the same for every k.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import raylite
from raylite import lifecycle
from tests.chaos import tasks
from tests.chaos.campaign import await_empty_tables
from tests.chaos.killer import is_worker

FAR = 1 << 30  # messages: no program gets so far
PATIENCE_S = 120.0
OUTLIVED_MOST = 2  # in a row: which of two workers runs a nested task is nobody's promise


def arm(folder, n_messages):
    """Have this process die so many messages from now, if none has been armed before."""
    try:
        file = os.open(os.path.join(folder, "armed"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return
    os.write(file, b"%d" % os.getpid())
    os.close(file)
    lifecycle.current_client().die_after(n_messages)


def nested(number):
    """What a task of its own makes of a large value that this one puts."""
    put = raylite.put(tasks.block(number, 200_000))
    return raylite.get(raylite.remote(max_retries=-1)(tasks.digest).remote(number, put))


class Armed(tasks.SavedChain):
    """Arms its process; its state depends on all calls."""

    def arm(self, folder, n_messages):
        arm(folder, n_messages)
        return self.state


def task_program(folder: str, n_messages: int):
    """Tasks of every kind on one worker. What they made."""
    task = raylite.remote(max_retries=-1)
    armed = task(arm).remote(folder, n_messages)
    small = task(tasks.digest).remote(1, 2)
    large = task(tasks.block).remote(3, 300_000, small)
    refs = [
        small,
        large,
        task(tasks.merge).remote(4, large, small),
        *task(tasks.pair).options(num_returns=2).remote(5, large),
        task(nested).remote(6),
        task(tasks.read_items).remote(7, 3),
        task(tasks.unbox).remote(task(tasks.box).remote(8, [small, large])),
    ]
    raylite.get(armed, timeout=PATIENCE_S)
    return raylite.get(refs, timeout=PATIENCE_S)


def actor_program(folder: str, n_messages: int):
    """Calls of an actor that replays, with checkpoints."""
    options = {"recovery": "replay", "max_restarts": -1, "checkpoint_interval": 3}
    actor = raylite.remote(Armed).options(**options).remote(1)
    large = raylite.put(tasks.block(2, 200_000))
    refs = [actor.add.remote(1), actor.arm.remote(folder, n_messages)]
    refs += [actor.add.remote(number, large) for number in range(2, 7)]
    refs += [actor.large.remote(7, large), actor.add.remote(8)]
    return raylite.get(refs, timeout=PATIENCE_S)


PROGRAMS: dict[str, Callable] = {"tasks": task_program, "actor": actor_program}


def run(program: Callable, folder: Path, n_messages: int) -> tuple[list, bool]:
    """One run, on the raylite that is there. What was made, and whether the armed worker has died."""
    folder.mkdir()
    made = [np.copy(value) for value in program(str(folder), n_messages)]  # views would keep what is in the arena
    return made, not is_worker(int((folder / "armed").read_text()))


def every_boundary(name: str, folder: Path, *, every: int = 1) -> Iterator[int]:
    """Run a program with its worker killed at each boundary, or at every so many, until it outlives the program;
    yields each number of messages after which it died. Raises AssertionError if anything else is made than without a
    death, LeftBehind if the node does not let go of something."""
    program = PROGRAMS[name]
    expected, _ = run(program, folder / f"{name}-whole", FAR)
    n_outlived = 0
    for n_messages in itertools.count(1, every):
        made, died = run(program, folder / f"{name}-{n_messages}", n_messages)
        same = len(made) == len(expected) and all(map(np.array_equal, made, expected))
        assert same, f"a worker killed after message {n_messages} of {name}: {made}, and not {expected}"
        await_empty_tables()
        if died:
            yield n_messages
        n_outlived = 0 if died else n_outlived + 1
        if n_outlived == OUTLIVED_MOST:
            return
