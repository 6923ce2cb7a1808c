"""Programs to try the scheduler on, each with an oracle: what a serial run gives, by plain Python without raylite.

A workload is a function of a number of tasks and a random generator, in one of the tables below. It raises WrongResult
if what it got is not what it must be, and leaves nothing behind.
"""

from __future__ import annotations

import random
from zlib import crc32

import raylite
from raylite import sim
from raylite.actor import ActorClass
from raylite.remote_function import RemoteFunction
from raylite.sim import ledger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGE_BYTES = 110_000  # more than what travels inside messages
LARGEST_BYTES = 1_300_000  # more than what travels between nodes in one piece
SECOND_NS = 1_000_000_000
SYNTHETIC_NS = 2_000_000  # how long a synthetic task takes
DRAWN_MOST = 10_000  # tasks: beyond these the workload is `synthetic` unless another is asked for
SYNTHETIC_LANES = 4  # of them that may run at once, for each CPU of a node

# Virtual processes share the module, so tasks can write down what an oracle wants to know.
runs: dict[int, int] = {}  # how often each task of `effects` has begun
begun: dict[tuple, list] = {}  # actor, caller -> for each call of `callers` that has begun: the actor's life, the call


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
    """A large value that depends on the number, now and then one that travels in several chunks."""
    pattern = bytes((n + i) % 251 for i in range(251))
    return pattern * ((LARGEST_BYTES if n % 50 == 0 else LARGE_BYTES) // 251)


def make_block(n):
    """The same, in a time that makes others wait, so that it is made on several nodes."""
    sim.cost(n % 7 * 0.01)
    return block(n)


def weigh(*blocks):
    """A number that depends on every byte."""
    return sum(map(crc32, blocks)) % 1000


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


def use_resources(number, demand, seconds):
    """Say which resources it uses, for a while."""
    with ledger.Using(demand):
        sim.cost(seconds)
    return number


def grow(spec):
    """A value with references inside, to values that tasks make who may outlive this one: [] for a leaf."""
    number, children = spec
    if not children:
        return make_block(number) if number % 3 == 0 else number
    return [growing.remote(child) for child in children]


def pass_on(references):
    """The same references, from another task."""
    return references


def read_tree(value):
    """A value with all that the references in it stand for."""
    return [read_tree(each) for each in raylite.get(value)] if isinstance(value, list) else value


def read_through(references):
    """What references stand for, and those in there."""
    return read_tree(references)


def converse(teller, caller, n_calls):
    """Call an actor so often, and give its answers; None for a call that came to nothing."""
    refs = [teller.tell.remote(caller, call) for call in range(n_calls)]
    return [answer_to(ref) for ref in refs]


def answer_to(ref):
    """The value of a call, None if its actor died on the way."""
    try:
        return raylite.get(ref)
    except raylite.exceptions.RayActorError:
        return None


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


class TellerState:
    """Writes down which calls it begins."""

    def __init__(self, name):
        self.name = name

    def tell(self, caller, call):
        from raylite.sim.workloads import begun

        life = raylite.get_runtime_context().get_worker_id()
        begun.setdefault((self.name, caller), []).append((life, call))
        sim.cost(0.001)
        return call


class KeeperState:
    """Keeps references."""

    def __init__(self):
        self.kept = []

    def keep(self, references):
        self.kept += references
        return len(self.kept)

    def give(self, number):
        return self.kept[number : number + 1]  # nothing if it has been restarted since


class LedgerState:
    """Notes each call. A call gives how many there were then, here and, if it is passed on, at another one."""

    def __init__(self):
        self.seen = []

    def note(self, caller, call, *further):
        self.seen.append((caller, call))
        if not further:
            return (len(self.seen),)
        first, *others = further
        place = len(self.seen)
        return (place, *raylite.get(first.note.remote(("passed on", caller), call, *others)))

    def read(self):
        return list(self.seen)

    def __raylite_save__(self):
        return self.seen

    def __raylite_restore__(self, seen):
        self.seen = seen


class ScribeState:
    """Calls ledgers; its own calls are replayed, too."""

    def write(self, ledgers, caller, calls):
        return write_calls(ledgers, caller, calls)


def write_calls(ledgers, caller, calls):
    """Call the ledgers of each call, the first of which passes it on to the others; all at once, or one by one."""
    refs = []
    for call, (which, is_awaited) in enumerate(calls):
        first, *others = (ledgers[number] for number in which)
        refs.append(first.note.remote(caller, call, *others))
        if is_awaited:
            raylite.wait(refs[-1:])
    return raylite.get(refs)


# The functions keep names of their own: so they are sent to workers by name, and not as a whole each time.
task = raylite.remote(max_retries=-1)
number_task, plus_task, block_task, weigh_task, merge_task = map(task, (number, plus, make_block, weigh, merge))
solve, sum_boxed, produce, consume = map(task, (solve_tree, sum_of_boxed, produce_items, consume_items))
counted, dawdling, using = map(task, (count_run, dawdle, use_resources))
growing, passed_on, read_by_task = map(task, (grow, pass_on, read_through))
conversing = raylite.remote(max_retries=0)(converse)
restarted = raylite.remote(max_restarts=-1, max_task_retries=-1)
Counter, Keeper, Teller = map(restarted, (CounterState, KeeperState, TellerState))
replayed = raylite.remote(max_restarts=-1, max_task_retries=-1, recovery="replay", num_cpus=0)
Ledger, Scribe = map(replayed, (LedgerState, ScribeState))
writing = task(write_calls)


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
    """Counters that may die: each call at most once per attempt, and in order within a life. With several nodes lives
    may mix: of two calls that a node ran before it died, the store may know the result of the later one only."""
    one_node = len(sim.current().config.nodes) == 1
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
            if one_node and life in lives and life != next(reversed(lives)):
                raise WrongResult(f"actor {which}: a call ran in a life before that of an earlier call")
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


def resources(n_tasks: int, rng: random.Random) -> None:
    """Tasks that ask for resources of every kind: at no instant is more of one in use on a node than it has."""
    ledger.open_anew()
    config = sim.current().config
    refs = []
    for number in range(n_tasks):
        demand = random_demand(rng, config.of_node(rng.randrange(len(config.nodes))).node_resources())
        options: dict[str, Any] = {"num_cpus": demand.get("CPU", 0), "num_gpus": demand.get("GPU", 0)}
        options["resources"] = {name: amount for name, amount in demand.items() if name not in ("CPU", "GPU")}
        refs.append(using.options(**options).remote(number, demand, rng.random() * 0.02))
    expect("the numbers that came back", raylite.get(refs), list(range(n_tasks)))
    if ledger.overdrawn:
        raise WrongResult(ledger.overdrawn[0])


def references(n_tasks: int, rng: random.Random) -> None:
    """Values that contain references, passed on by tasks, values and actors, while who made them ends, or dies: what a
    reference is held of can be read."""
    keeper = Keeper.remote()
    trees = [random_tree(rng, size) for size in parts_of(max(n_tasks, 1), rng)]
    held = [(growing.remote(tree), tree) for tree in trees]
    n_kept = 0
    for _ in range(len(trees) * 2):
        which = rng.randrange(len(held))
        (ref, tree), how = held[which], rng.randrange(5)
        if how == 0:
            held[which] = raylite.get(passed_on.remote([ref]))[0], tree
        elif how == 1:
            held[which] = raylite.get(raylite.put([ref]))[0], tree
        elif how == 2:
            raylite.get(keeper.keep.remote([ref]))
            given = raylite.get(keeper.give.remote(n_kept))
            n_kept += 1
            held[which] = (given or [ref])[0], tree
        elif how == 3 and tree[1]:
            inside = raylite.get(ref)
            expect("how many references a value has", len(inside), len(tree[1]))
            held += zip(inside, tree[1], strict=True)
            del held[which], inside
        else:
            raylite.wait([ref], timeout=rng.random() * 0.01)
        del ref
    through = [read_by_task.remote([ref]) for ref, _ in held]
    for which, ((ref, tree), read) in enumerate(zip(held, through, strict=True)):
        expect(f"value {which} is what it must be", read_tree([ref]) == [grown(tree)], True)
        expect(f"value {which}, read by a task, is what it must be", raylite.get(read) == [grown(tree)], True)


def callers(n_tasks: int, rng: random.Random) -> None:
    """Actors that are called by the driver and by tasks: a call begins at most once for each try that it has, and what
    one caller calls begins in order within a life."""
    begun.clear()
    tellers, retries = {}, [rng.choice((0, 0, 1, 2)) for _ in range(rng.randrange(1, 4))]
    for name, most in enumerate(retries):
        tellers[name] = Teller.options(max_task_retries=most).remote(name)
    talks = [(caller, rng.randrange(len(tellers)), size) for caller, size in enumerate(parts_of(n_tasks, rng))]
    refs = [conversing.remote(tellers[name], caller, size) for caller, name, size in talks if caller]
    answers = [converse(tellers[name], caller, size) for caller, name, size in talks if not caller]
    for ref in refs:
        try:
            answers.append(raylite.get(ref))
        except raylite.exceptions.WorkerCrashedError:
            answers.append([])
    for (caller, name, size), answered in zip(talks, answers, strict=True):
        right = [None if answer is None else call for call, answer in enumerate(answered)]
        expect(f"the answers to caller {caller}", answered, right)
        calls = begun.get((name, caller), [])
        for call in range(size):
            if (n_begun := sum(other == call for _, other in calls)) > 1 + retries[name]:
                raise WrongResult(
                    f"call {call} of caller {caller} began {n_begun} times, and has {retries[name]} retries"
                )
        for life in {life for life, _ in calls}:
            in_life = [call for of, call in calls if of == life]
            if in_life != sorted(set(in_life)):
                raise WrongResult(f"caller {caller} called in order, and one life of the actor began {in_life}")


def ledgers(n_tasks: int, rng: random.Random) -> None:
    """Actors that replay, called by the driver, by tasks, by actors that replay and by each other: each call is made
    once, at the place that it was told, and those of a caller are in order."""
    ways: tuple[dict[str, Any], ...] = ({}, {"checkpoint_interval": 1}, {"checkpoint_interval": 4})
    books = [Ledger.options(**rng.choice(ways)).remote() for _ in range(rng.randrange(1, 4))]
    plans = [
        [(rng.sample(range(len(books)), rng.randrange(1, 1 + len(books))), rng.random() < 0.3) for _ in range(size)]
        for size in parts_of(n_tasks, rng)
    ]
    for plan in plans:  # a ledger that waits for another must not be waited for by that one
        for which, _ in plan:
            which.sort()
    hows = [rng.choice((writing.remote, Scribe.remote().write.remote)) for _ in plans[1:]]
    refs = [how(books, caller, plan) for caller, (how, plan) in enumerate(zip(hows, plans[1:], strict=True), 1)]
    told = [write_calls(books, 0, plans[0]), *raylite.get(refs)] if plans else []
    seen = raylite.get([book.read.remote() for book in books])
    right: list[dict[int, tuple]] = [{} for _ in books]
    for caller, (plan, answers) in enumerate(zip(plans, told, strict=True)):
        for call, ((which, _), places) in enumerate(zip(plan, answers, strict=True)):
            entry: tuple = (caller, call)
            for number, place in zip(which, places, strict=True):
                expect(f"whether place {place} of ledger {number} was told once", place in right[number], False)
                right[number][place] = entry
                entry = ("passed on", entry[0]), call
    expect("what the ledgers have seen", seen, [[notes[place] for place in sorted(notes)] for notes in right])
    for number, notes in enumerate(seen):
        for caller in {caller for caller, _ in notes}:
            calls = [call for of, call in notes if of == caller]
            if not isinstance(caller, tuple) and calls != sorted(calls):
                raise WrongResult(f"caller {caller} called in order, and ledger {number} has {calls}")


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
    branches = [(rng.getrandbits(64), size, whole_node) for size in sizes]
    # Where one task has taken so long, the others are not queued but go to nodes that are free.
    synthetic.run(client, [(rng.getrandbits(64), 1, whole_node)], 1, SECOND_NS)
    lanes = SYNTHETIC_LANES * max(n_cpus, 1)
    expect(
        "the sums of the branches",
        synthetic.run(client, branches, lanes, SYNTHETIC_NS),
        [synthetic.expected(number, size, lanes) for number, size, _ in branches],
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
    "resources": resources,
    "references": references,
    "callers": callers,
    "ledgers": ledgers,
}
LARGE_WORKLOADS = {"synthetic": synthetic_tasks}  # no seed draws them: they are asked for


def let_go() -> None:
    """Let go of the functions of the tasks here, as nodes have them: they would live as long as the module."""
    for each in globals().values():
        if isinstance(each, RemoteFunction):
            each._exports.clear()
        elif isinstance(each, ActorClass) and each._creation is not None:
            each._creation.info.exports.clear()  # it may be a handle's, too
            each._creation = None


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


def grown(tree: tuple[int, list]) -> Any:
    """What `grow` makes of a tree, without references."""
    return [grown(child) for child in tree[1]] if tree[1] else block(tree[0]) if tree[0] % 3 == 0 else tree[0]


def random_demand(rng: random.Random, units: dict[str, int]) -> dict[str, float]:
    """Some of what a node has: resource to amount, whole or a part of one."""
    demand = {}
    for name, has in units.items():
        if "memory" in name or (name != "CPU" and rng.random() < 0.5):
            continue
        parts = [part for part in (0.25, 0.5) if part * ledger.UNIT <= has]
        demand[name] = rng.choice([*parts, *map(float, range(1, has // ledger.UNIT + 1))])
    return demand


def random_work(rng: random.Random, size: int) -> tuple[float, list]:
    """A tree of so many nodes: (seconds, children), of which the leaves take their time."""
    if size <= 1:
        return rng.random() * 0.02, []
    return 0.0, [random_work(rng, part) for part in parts_of(size - 1, rng)]


def n_leaves(spec: tuple[float, list]) -> int:
    """How many leaves a tree has."""
    return sum(map(n_leaves, spec[1])) or 1
