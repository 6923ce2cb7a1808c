"""Random programs: drawn from a seed as plain data, run serially by plain Python, and run on raylite.

A program is a list of steps, each of which takes values that earlier ones made. `serial` gives what each makes; `Run`
submits all, in their order, and compares what each reference stands for with that.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import raylite
from tests.chaos import tasks

PATIENCE_S = 120.0  # with a process killed all the time on a loaded machine
N_RESULTS = {"pair": 2}
KINDS = {
    "digest": 20, "slow_digest": 20, "block": 12, "merge": 10, "pair": 6, "tree": 6, "items": 4, "box": 4, "dies": 3,
    "put": 6, "put_block": 6, "call": 30, "call_large": 8, "call_fail": 4, "echo": 8, "echo_large": 4, "bomb": 2,
}  # fmt: skip
CHAINS = {
    "from the beginning": (tasks.Chain, {}),
    "own checkpoints": (tasks.SavedChain, {"checkpoint_interval": 5}),
    "pickled checkpoints": (tasks.Chain, {"checkpoint_interval": 1, "checkpoint": "pickle"}),
}
ECHOES = (tasks.Echo, tasks.AsyncEcho)


class WrongResult(AssertionError):
    """A reference does not stand for what a serial run gives."""


@dataclass(frozen=True)
class Step:
    """One task, call or put: what it does, its number, the results that it takes as (step, index), and what else."""

    kind: str
    number: int
    takes: tuple[tuple[int, int], ...]
    more: tuple = ()
    actor: int = 0


@dataclass
class Program:
    """Steps and the actors that they call."""

    steps: list[Step]
    chains: list[str]
    dropped: dict[int, list[int]] = field(default_factory=dict)  # before a step: whose results are let go of


def draw_program(seed: str, n_steps: int) -> Program:
    """The program of a seed."""
    draw = random.Random(seed)
    program = Program([], [draw.choice(list(CHAINS)) for _ in range(3)])
    kinds = draw.choices(list(KINDS), list(KINDS.values()), k=n_steps)
    held = []  # the results that later steps may take
    for at, kind in enumerate(kinds):
        takes = tuple(draw.sample(held[-30:], min(len(held), draw.choice((0, 1, 1, 2, 3)))))
        if kind in ("merge", "box") and not takes:
            kind = "block"
        more = ()
        if kind in ("block", "put_block"):
            more = (draw.choice((5_000, 150_000, 400_000, 3_000_000)),)
        elif kind == "slow_digest":
            more = (draw.uniform(0, 0.03),)
        elif kind == "tree":
            more = (draw.choice((1, 1, 2)),)
        elif kind == "items":
            more = (draw.randrange(9),)
        elif kind == "dies":
            more = (draw.choice(tasks.ENDS),)
        elif kind == "bomb":
            more = (draw.uniform(0, 0.1),)
        program.steps.append(Step(kind, draw.randrange(1 << 20), takes, more, draw.randrange(6)))
        if kind != "call_fail":
            held += [(at, index) for index in range(N_RESULTS.get(kind, 1))]
        if draw.random() < 0.1 and len(held) > 10:
            gone = draw.choice(held)[0]
            held = [result for result in held if result[0] != gone]
            program.dropped.setdefault(at + 1, []).append(gone)
    return program


# ---- by plain Python -------------------------------------------------------------------------------------------------


def serial(program: Program) -> list[tuple]:
    """The results of each step."""
    made: list[tuple] = []
    chains = [CHAINS[name][0](number) for number, name in enumerate(program.chains)]
    for step in program.steps:
        values = [made[at][index] for at, index in step.takes]
        made.append(serial_step(step, values, chains[step.actor % len(chains)]))
    return made


def serial_step(step: Step, values: list, chain: tasks.Chain) -> tuple:
    """What one step makes."""
    number = step.number
    match step.kind:
        case "digest" | "echo" | "box":
            return (tasks.digest(number, *values),)
        case "slow_digest":
            return (tasks.digest(number, *values),)
        case "block":
            return (tasks.block(number, *step.more, *values),)
        case "merge":
            return (tasks.merge(number, *values),)
        case "pair":
            return tasks.pair(number, *values)
        case "tree":
            return (tasks.tree(number, *step.more, *values),)
        case "items":
            return (tasks.digest(number, *tasks.items(number, *step.more, *values)),)
        case "dies":
            return (tasks.block(number, 150_000, *values),)
        case "echo_large":
            return (tasks.block(number, 130_000, *values),)
        case "put" | "bomb":
            return (number,)
        case "put_block":
            return (tasks.block(number, *step.more),)
        case "call":
            return (chain.add(number, *values),)
        case "call_large":
            return (chain.large(number, *values),)
        case "call_fail":
            return (chain.add(number, *values),)
    raise ValueError(step.kind)


# ---- on raylite ------------------------------------------------------------------------------------------------------


class Run:
    """One run of a program. Args: folder: an empty one, for what tasks note; draw: for the order of reading."""

    def __init__(self, program: Program, folder: Path, draw: random.Random) -> None:
        self.program = program
        self.folder = folder
        self.draw = draw
        self.made: dict[int, list] = {}

    def check(self, expected: list[tuple]) -> int:
        """Submit everything and compare what comes. How many results there were. Raises WrongResult, and whatever a
        reference stands for that should be a value."""
        chains = [self.chain(number, name) for number, name in enumerate(self.program.chains)]
        echoes = [raylite.remote(cls).options(max_restarts=-1, max_task_retries=-1).remote() for cls in ECHOES]
        for at, step in enumerate(self.program.steps):
            for gone in self.program.dropped.get(at, ()):
                self.compare([gone], expected)
            refs = [self.made[taken][index] for taken, index in step.takes]
            made = self.submit(step, refs, chains[step.actor % len(chains)], echoes[step.actor % len(echoes)])
            self.made[at] = made if isinstance(made, list) else [made]
        left = list(self.made)
        self.draw.shuffle(left)
        self.compare(left, expected)
        return sum(map(len, expected))

    def chain(self, number: int, name: str):
        cls, options = CHAINS[name]
        return raylite.remote(cls).options(max_restarts=-1, recovery="replay", **options).remote(number)

    def submit(self, step: Step, refs: list, chain, echo):
        """The reference or references of one step."""
        number = step.number
        match step.kind:
            case "put":
                return raylite.put(number)
            case "put_block":
                return raylite.put(tasks.block(number, *step.more))
            case "call":
                return chain.add.remote(number, *refs)
            case "call_large":
                return chain.large.remote(number, *refs)
            case "call_fail":
                return chain.fail.remote(number, *refs)
            case "echo":
                return echo.answer.remote(number, *refs)
            case "echo_large":
                return echo.answer_large.remote(number, *refs)
            case "box":
                return self.task(tasks.unbox).remote(self.task(tasks.box).remote(number, refs))
            case "pair":
                return self.task(tasks.pair, num_returns=2).remote(number, *refs)
            case "tree":
                return self.task(tasks.tree_of_tasks).remote(number, *step.more, *refs)
            case "items":
                return self.task(tasks.read_items).remote(number, *step.more, *refs)
            case "dies":
                return self.task(tasks.dies).remote(str(self.folder / str(number)), *step.more, number, *refs)
            case "bomb":
                return self.task(tasks.plant_bomb).remote(number, *step.more)
        return self.task(getattr(tasks, step.kind)).remote(number, *step.more, *refs)

    def task(self, function, **options):
        return raylite.remote(max_retries=-1, **options)(function)

    def compare(self, steps: list[int], expected: list[tuple]) -> None:
        """Read the results of these steps, and let go of them."""
        for at in steps:
            step = self.program.steps[at]
            refs = self.made.pop(at)
            try:
                got = raylite.get(refs, timeout=PATIENCE_S)
            except Exception as error:
                if step.kind != "call_fail" or not isinstance(error, ValueError):
                    error.add_note(f"of step {at}, {step}: {refs}")
                    raise
                got = list(error.args)
            for index, (value, wanted) in enumerate(zip(got, expected[at], strict=True)):
                if not np.array_equal(value, wanted):
                    raise WrongResult(f"result {index} of step {at}, {step}: {value!r}; a serial run gives {wanted!r}")
