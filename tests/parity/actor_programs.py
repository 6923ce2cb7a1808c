"""Programs with actors that must give the same on every host (see programs)."""

from __future__ import annotations

import sys

import numpy as np

from tests.parity.programs import outcome, raised

PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


@program
def counts(raylite):
    @raylite.remote
    class Counter:
        def __init__(self, start=0, *, step=1):
            self.n = start
            self.step = step

        def next(self, more=0):
            self.n += self.step + more
            return self.n

    first, second = Counter.remote(), Counter.remote(100, step=10)
    refs = [counter.next.remote() for _ in range(20) for counter in (first, second)]
    return raylite.get(refs), raylite.get(first.next.remote(second.next.remote()))


@program
def keeps_the_order_of_each_caller(raylite):
    @raylite.remote
    class Log:
        def __init__(self):
            self.seen = []

        def note(self, caller, i, after=None):
            self.seen.append((caller, i))

        def read(self, caller):
            return [i for who, i in self.seen if who == caller]

    @raylite.remote
    def wait_for(x):
        return x

    @raylite.remote
    def call(log, caller):
        raylite.get([log.note.remote(caller, i, wait_for.remote(i)) for i in range(5)])

    log = Log.remote()
    callers = [call.remote(log, caller) for caller in "ab"]
    for i in range(6):
        log.note.remote("driver", i, wait_for.remote(i) if i % 3 == 0 else None)
    raylite.get(callers)
    return [raylite.get(log.read.remote(caller)) for caller in ("a", "b", "driver")]


@program
def passes_handles_on(raylite):
    @raylite.remote
    class Cell:
        def __init__(self, value=None):
            self.value = value

        def set(self, value):
            self.value = value

        def get(self):
            return self.value

        def sibling(self, value):
            return Cell.remote(value)

    @raylite.remote
    def make(value):
        return {"cell": Cell.remote(value)}

    @raylite.remote
    def read(cell, boxes):
        return raylite.get([cell.get.remote(), *(box["cell"].get.remote() for box in boxes)])

    cell = Cell.remote(1)
    made = raylite.get(make.remote(2))
    holder = Cell.remote({"inside": cell})
    inner = raylite.get(holder.get.remote())["inside"]
    raylite.get(inner.set.remote(3))
    sibling = raylite.get(cell.sibling.remote(4))
    captured = raylite.remote(lambda: raylite.get(cell.get.remote()))
    return (
        raylite.get(read.remote(cell, [made])),
        raylite.get(sibling.get.remote()),
        inner == cell,
        raylite.get(captured.remote()),
    )


@program
def finds_actors_by_name(raylite):
    @raylite.remote
    class Named:
        def __init__(self, x):
            self.x = x

        def get(self):
            return self.x

    first = Named.options(name="one").remote(1)
    again = Named.options(name="one", get_if_exists=True).remote(2)
    elsewhere = Named.options(name="one", namespace="elsewhere").remote(3)
    found = raylite.get_actor("one"), raylite.get_actor("one", namespace="elsewhere")
    values = raylite.get([each.get.remote() for each in (first, again, elsewhere, *found)])
    taken = raised(lambda: Named.options(name="one").remote(4))[0]
    raylite.kill(first)
    outcome(raylite, first.get.remote())
    return values, taken, raised(lambda: raylite.get_actor("one"))[0], raised(lambda: raylite.get_actor("none"))[0]


@program
def dies(raylite):
    @raylite.remote
    class Mortal:
        def __init__(self, fail=False):
            if fail:
                raise ValueError("not born")

        def work(self):
            return "worked"

        def leave(self):
            raylite.actor.exit_actor()

        def crash(self):
            sys.exit(3)

    @raylite.remote
    def bad():
        raise KeyError("bad")

    unborn, killed, leaver, crasher = Mortal.remote(fail=True), Mortal.remote(), Mortal.remote(), Mortal.remote()
    refused = Mortal.remote(bad.remote())
    raylite.get([killed.work.remote(), crasher.work.remote(), leaver.work.remote()])
    raylite.kill(killed)
    shown = [type_of(raylite, each.work.remote()) for each in (unborn, killed, refused)]
    shown += [type_of(raylite, ref) for ref in (leaver.leave.remote(), crasher.crash.remote())]
    return shown, [type_of(raylite, each.work.remote()) for each in (unborn, leaver, crasher)]


def type_of(raylite, ref):
    """The type of error that a result is, and whether its text tells what `__init__` raised."""
    try:
        return raylite.get(ref)
    except raylite.exceptions.RayError as error:
        return type(error).__name__, "not born" in str(error)


@program
def comes_back(raylite):
    @raylite.remote(max_restarts=2, max_task_retries=1)
    class Phoenix:
        def __init__(self):
            self.n = 0
            self.reborn = raylite.get_runtime_context().was_current_actor_reconstructed

        def count(self):
            self.n += 1
            return self.n, self.reborn

        def crash(self):
            sys.exit(1)

    phoenix = Phoenix.remote()
    before = raylite.get([phoenix.count.remote() for _ in range(3)])
    crashed = type_of(raylite, phoenix.crash.remote())  # and once more, being tried again
    after = raylite.get([phoenix.count.remote() for _ in range(2)])
    last = type_of(raylite, phoenix.crash.remote())
    return before, crashed, after, last, type_of(raylite, phoenix.count.remote())


@program
def has_methods_of_every_kind(raylite):
    class Base:
        def inherited(self):
            return "inherited"

    @raylite.remote
    class Kinds(Base):
        @raylite.method(num_returns=2)
        def two(self):
            return 1, 2

        def stream(self, n, fail=False):
            yield from range(n)
            if fail:
                raise ValueError("ended")

        @classmethod
        def by_class(cls):
            return cls.__name__

        @staticmethod
        def static(x):
            return x + 1

        def large(self, array):
            return array * 2, array.flags.writeable

        def fail(self):
            raise KeyError("missing")

    actor = Kinds.remote()
    doubled, writeable = raylite.get(actor.large.remote(np.ones(300_000)))
    return (
        raylite.get(actor.two.remote()),
        [raylite.get(ref) for ref in actor.stream.remote(3)],
        [outcome(raylite, ref) for ref in actor.stream.remote(1, fail=True)],
        raylite.get([actor.inherited.remote(), actor.by_class.remote(), actor.static.remote(1)]),
        (float(doubled.sum()), writeable),
        outcome(raylite, actor.fail.remote()),
        raised(lambda: actor.unknown)[0],
        raised(lambda: actor.two.remote(1))[0],
    )


@program
def uses_tasks_and_actors_inside(raylite):
    @raylite.remote
    def square(x):
        return x * x

    @raylite.remote(num_cpus=1)
    class Worker:
        def __init__(self):
            self.start = raylite.get(square.remote(3))

        def sum(self, n):
            return self.start + sum(raylite.get([square.remote(i) for i in range(n)]))

        def ask(self, other, n):
            return raylite.get(other.sum.remote(n))

    first, second = Worker.remote(), Worker.remote()
    return raylite.get([first.sum.remote(4), first.ask.remote(second, 5)])


@program
def ends_after_its_last_call(raylite):
    @raylite.remote
    class Adder:
        def add(self, x, y):
            return x + y

    @raylite.remote
    def one():
        return 1

    adder = Adder.remote()
    refs = [adder.add.remote(one.remote(), i) for i in range(5)]
    del adder
    return raylite.get(refs), raylite.get(Adder.remote().add.remote(3, 4))


@program
def holds_gpus(raylite):
    @raylite.remote(num_gpus=1)
    class OnGpu:
        def which(self):
            return raylite.get_gpu_ids()

    first, second = OnGpu.remote(), OnGpu.remote()
    return sorted(raylite.get(first.which.remote()) + raylite.get(second.which.remote()))


@program
def cancels_calls(raylite):
    @raylite.remote
    class Slow:
        def work(self, x):
            return x

    @raylite.remote(num_gpus=3)
    def never():
        pass

    slow = Slow.remote()
    waiting, behind = slow.work.remote(never.remote()), slow.work.remote(2)
    raylite.cancel(waiting)
    return type_of(raylite, waiting), raylite.get(behind)


@program
def comes_back_as_it_was(raylite):
    @raylite.remote(recovery="replay", checkpoint_interval=3, checkpoint="pickle")
    class Sums:
        def __init__(self):
            self.total = 0

        def add(self, n):
            self.total += n
            return self.total

    sums = Sums.remote()
    results = []
    for n in range(7):
        results.append(raylite.get(sums.add.remote(n)))
        raylite.kill(sums, no_restart=False)
    return results
