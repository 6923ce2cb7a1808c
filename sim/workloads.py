"""Programs to try the scheduler on, each with an oracle: what a serial run gives, by plain Python without raylite.

A workload is a function of a number of tasks and a random generator, in one of the tables below. It raises WrongResult
if what it got is not what it must be, and leaves nothing behind.
"""

from __future__ import annotations

import random

import raylite
from raylite import sim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE_BYTES = 110_000  # more than what travels inside messages
SECOND_NS = 1_000_000_000
SYNTHETIC_NS = 2_000_000  # how long a synthetic task takes
DRAWN_MOST = 10_000  # tasks: beyond these the workload is `synthetic` unless another is asked for
SYNTHETIC_LANES = 4  # of them that may run at once, for each CPU of a node


runs: dict[int, int] = {}  # how often each task of `effects` has begun: virtual processes share the module


class WrongResult(AssertionError):
    """A program under simulation came out otherwise than a serial run of it."""


def run(name: str, n_tasks: int, seed: int) -> None:
    """Run a workload on the raylite that is there. Raises WrongResult; KeyError for a name that there is not."""
    {**WORKLOADS, **LARGE_WORKLOADS}[name](n_tasks, random.Random(f"{name} {seed}"))


def expect(what: str, got: Any, expected: Any) -> None:
    """Raise WrongResult unless it is what a serial run gives."""
    if got != expected:
        raise WrongResult(f"{what}: {got!r}, and a serial run gives {expected!r}")


# ---- what the tasks do: a function for the serial run, and beside it the task ----


def number(n):
    """Itself."""
    return n


def plus(*numbers):
    """Their sum."""
    return sum(numbers)


def block(n):
    """A large value that depends on the number."""
    return (n % 251).to_bytes(1, "little") * LARGE_BYTES


def weigh(*blocks):
    """A number that depends on every byte."""
    return sum(each[0] * len(each) for each in blocks)


def merge(*blocks):
    """A part of each."""
    return b"".join(each[: len(each) // len(blocks)] for each in blocks)


def solve_tree(spec):
    """The sum of a tree's leaves, by a task for each node."""
    how, children = spec
    if not children:
        return how
    refs = [solve.remote(child) for child in children]
    if how == 0:
        return sum(raylite.get(refs))
    if how == 1:
        total = 0
        while refs:
            ready, refs = raylite.wait(refs)
            total += raylite.get(ready[0])
        return total
    if how == 2:
        try:
            raylite.get(refs, timeout=0.002)
        except raylite.exceptions.GetTimeoutError:
            pass
        return sum(raylite.get(refs))
    return raylite.get(sum_boxed.remote(refs))


def sum_of_boxed(refs):
    """The sum of what references in a list stand for."""
    return sum(raylite.get(refs))


def produce_items(numbers):
    """A stream of these."""
    yield from numbers


def consume_items(numbers, limit):
    """What a stream of these gives."""
    return [raylite.get(ref) for ref in produce.options(**limit).remote(numbers)]


def count_run(number):
    """Count, by number, how often it ran."""
    from raylite.sim.workloads import runs  # the module's, which is one for all; a global would be sent as it is now

    runs[number] = runs.get(number, 0) + 1
    return number


def dawdle(spec, *before):
    """A task that takes its time, itself or in tasks of its own."""
    seconds, children = spec
    if children:
        return sum(raylite.get([dawdling.remote(child) for child in children])) + sum(before)
    sim.cost(seconds)
    return 1 + sum(before)


class CounterState:
    """A counter."""

    def __init__(self):
        self.n = 0

    def add(self, n):
        self.n += 1
        return raylite.get_runtime_context().get_worker_id(), self.n, n


# The functions keep names of their own: so they are sent to workers by name, and not as a whole each time.
task = raylite.remote(max_retries=-1)
number_task, plus_task, block_task, weigh_task, merge_task = map(task, (number, plus, block, weigh, merge))
solve, sum_boxed, produce, consume = map(task, (solve_tree, sum_of_boxed, produce_items, consume_items))
counted, dawdling = map(task, (count_run, dawdle))
Counter = raylite.remote(max_restarts=-1, max_task_retries=-1)(CounterState)


# ---- workloads ----


def map_reduce(n_tasks: int, rng: random.Random) -> None:
    """A tree of large values: half of the tasks make them, the others merge what comes before, down to one."""
    numbers = [rng.randrange(1000) for _ in range(max(n_tasks // 2, 1))]
    refs = [block_task.remote(n) for n in numbers]
    parts = [block(n) for n in numbers]
    while len(refs) > 1:
        width = rng.choice((2, 2, 3, 4))
        refs = [merge_task.remote(*refs[i : i + width]) for i in range(0, len(refs), width)]
        parts = [merge(*parts[i : i + width]) for i in range(0, len(parts), width)]
    expect("the merged blocks are equal", raylite.get(refs[0]) == parts[0], True)


def chain(n_tasks: int, rng: random.Random) -> None:
    """Each task takes the result of the one before it, small or large."""
    ref, total = raylite.put(0), 0
    for _ in range(max(n_tasks, 1)):
        n = rng.randrange(1000)
        if rng.random() < 0.2:
            ref, total = plus_task.remote(ref, weigh_task.remote(block_task.remote(n))), total + weigh(block(n))
        else:
            ref, total = plus_task.remote(ref, n), total + n
    expect("the end of the chain", raylite.get(ref), total)


def diamond(n_tasks: int, rng: random.Random) -> None:
    """Random layers: each task takes the results of some of the layer before it, and each result goes to several."""
    width = rng.randrange(2, 9)
    values = [rng.randrange(1000) for _ in range(width)]
    refs = [number_task.remote(value) for value in values]
    for _ in range(max(n_tasks // width - 1, 1)):
        picks = [rng.sample(range(width), rng.randrange(1, width + 1)) for _ in range(width)]
        refs = [plus_task.remote(*(refs[i] for i in pick)) for pick in picks]
        values = [sum(values[i] for i in pick) % (1 << 64) for pick in picks]
        if max(values) > 1 << 62:
            break  # integers of any length would be another test
    expect("the last layer", raylite.get(refs), values)


def nested(n_tasks: int, rng: random.Random) -> None:
    """Tasks that submit tasks and wait for them, by get, by wait, with a timeout, or by passing references on."""

    def leaves(spec):
        how, children = spec
        return sum(map(leaves, children)) if children else how

    specs = [random_tree(rng, size) for size in parts_of(max(n_tasks, 1), rng)]
    refs = [solve.remote(spec) for spec in specs]
    expect("the sums of the leaves", raylite.get(refs), [leaves(spec) for spec in specs])


def actors(n_tasks: int, rng: random.Random) -> None:
    """Counters that may die: each call at most once per attempt, and in order within a life. Lives may mix: of two
    calls that a node ran before it died, the store may know the result of the later one only."""
    n_actors = rng.randrange(1, 4)
    counters = [Counter.remote() for _ in range(n_actors)]
    calls = [(rng.randrange(n_actors), rng.randrange(1000)) for _ in range(n_tasks)]
    refs = [counters[which].add.remote(n) for which, n in calls]
    answers = raylite.get(refs)
    expect("the arguments that came back", [n for _, _, n in answers], [n for _, n in calls])
    for which in range(n_actors):
        lives: dict[Any, int] = {}
        for (of, _), (life, count, _) in zip(calls, answers, strict=True):
            if of != which:
                continue
            if count <= lives.get(life, 0):
                raise WrongResult(f"actor {which}: call {count} of a life after call {lives[life]}")
            lives[life] = count


def streams(n_tasks: int, rng: random.Random) -> None:
    """Generators whose items are taken as they come, by the driver and by tasks, with and without backpressure."""
    lists = [[rng.randrange(1000) for _ in range(size)] for size in parts_of(max(n_tasks, 1), rng)]
    limits = [rng.choice(({}, {"_generator_backpressure_num_objects": rng.randrange(1, 6)})) for _ in lists]
    streams = [produce.options(**limit).remote(numbers) for limit, numbers in zip(limits, lists, strict=True)]
    sums = [consume.remote(numbers, limit) for limit, numbers in zip(limits, lists, strict=True)]
    for which, (stream, numbers) in enumerate(zip(streams, lists, strict=True)):
        expect(f"stream {which}, read by the driver", [raylite.get(ref) for ref in stream], numbers)
    expect("streams read by tasks", raylite.get(sums), lists)


def effects(n_tasks: int, rng: random.Random) -> None:
    """Tasks with effects and few retries: none runs more often than these allow, and each ends right or says why."""
    runs.clear()
    retries = [rng.randrange(4) for _ in range(n_tasks)]
    refs = [counted.options(max_retries=most).remote(number) for number, most in enumerate(retries)]
    for number, (ref, most) in enumerate(zip(refs, retries, strict=True)):
        try:
            expect(f"the result of task {number}", raylite.get(ref), number)
        except raylite.exceptions.WorkerCrashedError:
            pass
        else:
            expect(f"whether task {number} has run", number in runs, True)
        if runs.get(number, 0) > 1 + most:
            raise WrongResult(f"task {number} has run {runs[number]} times, and has {most} retries")


def interrupted(n_tasks: int, rng: random.Random) -> None:
    """Trees of tasks of which some are cancelled, gently or not, in the middle: each ends right, or as cancelled."""
    specs = [random_work(rng, size) for size in parts_of(max(n_tasks, 1), rng)]
    refs: list[Any] = []
    sums: list[int] = []
    before: list[list[int]] = []
    for spec in specs:
        picked = rng.sample(range(len(refs)), min(len(refs), rng.choice((0, 0, 1, 2))))
        refs.append(dawdling.remote(spec, *(refs[i] for i in picked)))
        sums.append(n_leaves(spec) + sum(sums[i] for i in picked))
        before.append(picked)
    doomed = rng.sample(range(len(refs)), rng.randrange(1 + len(refs) // 2))
    for number in doomed:
        raylite.wait(refs, num_returns=1, timeout=rng.random() * 0.02)
        raylite.cancel(refs[number], force=rng.random() < 0.5, recursive=rng.random() < 0.5)
    may_fail: set[int] = set()
    for number, picked in enumerate(before):
        if number in doomed or may_fail.intersection(picked):
            may_fail.add(number)
        try:
            expect(f"the sum of tree {number}", raylite.get(refs[number]), sums[number])
        except raylite.exceptions.TaskCancelledError:
            expect(f"whether tree {number} is one that was cancelled", number in may_fail, True)
        except raylite.exceptions.RayTaskError as error:  # of a task below it
            justified = number in may_fail and isinstance(error.cause, raylite.exceptions.TaskCancelledError)
            expect(f"whether tree {number} may fail, by {error.cause!r}", justified, True)


def synthetic_tasks(n_tasks: int, rng: random.Random) -> None:
    """A graph of tasks without code of Python's, a branch of it on each node: for millions of them."""
    from raylite.demand import UNITS_PER_ONE, pack_demand
    from raylite.sim import session, synthetic

    client, config = session.current().client, session.current().config
    n_cpus = min(config.of_node(number).num_cpus for number in range(len(config.nodes)))
    whole_node = pack_demand({"CPU": n_cpus * UNITS_PER_ONE})
    n_branches = min(len(config.nodes), n_tasks)
    sizes = [n_tasks // n_branches + (i < n_tasks % n_branches) for i in range(n_branches)]
    branches = [(rng.getrandbits(64), size) for size in sizes]
    # Where one task has taken so long, the others are not queued but go to nodes that are free.
    synthetic.run(client, [(rng.getrandbits(64), 1)], 1, SECOND_NS, whole_node)
    lanes = SYNTHETIC_LANES * max(n_cpus, 1)
    expect(
        "the sums of the branches",
        synthetic.run(client, branches, lanes, SYNTHETIC_NS, whole_node),
        [synthetic.expected(number, size, lanes) for number, size in branches],
    )


WORKLOADS = {
    "map-reduce": map_reduce,
    "chain": chain,
    "diamond": diamond,
    "nested": nested,
    "actors": actors,
    "streams": streams,
    "effects": effects,
    "interrupted": interrupted,
}
LARGE_WORKLOADS = {"synthetic": synthetic_tasks}  # no seed draws them: they are asked for


def parts_of(total: int, rng: random.Random) -> list[int]:
    """A number as a few random parts, each at least 1."""
    parts = []
    while total > 0:
        parts.append(min(rng.randrange(1, 16), total))
        total -= parts[-1]
    return parts


def random_tree(rng: random.Random, size: int) -> tuple[int, list]:
    """A tree of so many nodes: (how, children), or (number, []) for a leaf."""
    if size <= 1:
        return rng.randrange(1000), []
    children = [random_tree(rng, part) for part in parts_of(size - 1, rng)]
    return rng.randrange(4), children


def random_work(rng: random.Random, size: int) -> tuple[float, list]:
    """A tree of so many nodes: (seconds, children), of which the leaves take their time."""
    if size <= 1:
        return rng.random() * 0.02, []
    return 0.0, [random_work(rng, part) for part in parts_of(size - 1, rng)]


def n_leaves(spec: tuple[float, list]) -> int:
    """How many leaves a tree has."""
    return sum(map(n_leaves, spec[1])) or 1
