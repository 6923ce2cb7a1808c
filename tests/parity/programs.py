"""Small programs that must give the same on every host: each takes the raylite module and returns something to compare.

They are written as a user would write them. What a program returns says all that it has seen: values, types of errors,
what messages say where that does not depend on the host.
"""

from __future__ import annotations

import asyncio

import numpy as np

OPTIONS = {"num_cpus": 2, "num_gpus": 2, "resources": {"disk": 3}}
PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


@program
def maps_a_function(raylite):
    @raylite.remote
    def square(x):
        return x * x

    return raylite.get([square.remote(i) for i in range(50)])


@program
def passes_results_on(raylite):
    @raylite.remote
    def add(a, b=10, *more, scale=1):
        return (a + b + sum(more)) * scale

    a = add.remote(1)
    b = add.remote(a, 2, scale=3)
    c = add.remote(raylite.put(5), a, b, b, scale=raylite.put(2))
    return raylite.get([a, b, c])


@program
def recurses(raylite):
    @raylite.remote
    def fib(n):
        return n if n < 2 else sum(raylite.get([fib.remote(n - 1), fib.remote(n - 2)]))

    return raylite.get(fib.remote(8))


@program
def returns_many_and_none(raylite):
    @raylite.remote(num_returns=3)
    def three(x):
        return x, x + 1, x + 2

    @raylite.remote
    def last(*values):
        return values[-1]

    a, b, c = three.remote(5)
    return (
        raylite.get([c, a, b]),
        last.options(num_returns=0).remote(1),
        raylite.get(three.options(num_returns=1).remote(1)),
        outcome(raylite, three.options(num_returns=2).remote(1)[0]),
    )


@program
def shares_arrays(raylite):
    array = np.arange(100_000, dtype=np.float64).reshape(100, 1000)
    ref = raylite.put(array)

    @raylite.remote
    def look(given, nested):
        inner = raylite.get(nested[0])
        return float(given.sum()), given.flags.writeable, bool((given == inner).all()), given * 2

    total, writeable, same, doubled = raylite.get(look.remote(ref, [ref]))
    back = raylite.get(ref)
    return total, writeable, same, float(doubled.sum()), back.flags.writeable, back.shape


@program
def streams(raylite):
    @raylite.remote
    def count(n, fail_at=None):
        for i in range(n):
            if i == fail_at:
                raise ValueError(f"at {i}")
            yield {"item": i}

    good = [raylite.get(ref) for ref in count.remote(4)]
    failing = [outcome(raylite, ref) for ref in count.remote(4, fail_at=2)]
    stream = count.remote(3)
    first = raylite.get(next(stream))
    return good, failing, first, raylite.get(list(stream)), list(count.remote(0))


@program
def waits(raylite):
    @raylite.remote
    def identity(x):
        return x

    refs = [identity.remote(i) for i in range(6)]
    ready, rest = raylite.wait(refs, num_returns=6)
    some, others = raylite.wait(refs, num_returns=2)
    never = identity.options(resources={"disk": 4}).remote(0)
    none, waiting = raylite.wait([never], timeout=0)
    got = []
    left = refs
    while left:
        done, left = raylite.wait(left)
        got += raylite.get(done)
    return (
        ready == refs and not rest,
        some == refs[:2] and others == refs[2:],
        none == [] and waiting == [never],
        raylite.wait([never, refs[3]], num_returns=1)[0] == [refs[3]],
        sorted(got),
    )


@program
def carries_references(raylite):
    @raylite.remote
    def make(n):
        return {"refs": [raylite.put(n), child.remote(n)], "n": n}

    @raylite.remote
    def child(n):
        return n * 10

    @raylite.remote
    def read(box):
        return [type(ref).__name__ for ref in box["refs"]], raylite.get(box["refs"])

    box = make.remote(4)
    captured = raylite.put("captured")

    @raylite.remote
    def closes_over():
        return raylite.get(captured)

    return raylite.get(read.remote(box)), raylite.get(raylite.get(box)["refs"]), raylite.get(closes_over.remote())


class BadThing(ValueError):
    def __init__(self, what, code):
        super().__init__(what)
        self.code = code


@program
def raises(raylite):
    @raylite.remote
    def fail(x):
        raise BadThing(f"no {x}", code=7)

    @raylite.remote
    def add_one(x):
        return x + 1

    try:
        raylite.get(add_one.remote(add_one.remote(fail.remote("luck"))))
    except BadThing as error:
        caught = type(error).__name__, isinstance(error, raylite.exceptions.RayTaskError), error.code, error.args
        shown = str(error)
    return caught, shown.count("raise BadThing"), "no luck" in shown, outcome(raylite, add_one.remote("a"))


@program
def raises_what_does_not_pickle(raylite):
    @raylite.remote
    def fail():
        error = RuntimeError("has a lock")
        error.lock = __import__("threading").Lock()
        raise error

    try:
        raylite.get(fail.remote())
    except raylite.exceptions.RayTaskError as error:
        return isinstance(error, RuntimeError), "has a lock" in str(error)


@program
def retries_on_exceptions(raylite):
    @raylite.remote(max_retries=3, retry_exceptions=[KeyError])
    def flaky(error_type, succeed_at):
        attempt = raylite.get_runtime_context().get_attempt_number()
        if attempt < succeed_at:
            raise error_type(f"attempt {attempt}")
        return attempt

    return [outcome(raylite, flaky.remote(*args)) for args in [(KeyError, 2), (ValueError, 2), (KeyError, 9)]]


@program
def counts_resources(raylite):
    @raylite.remote(num_cpus=0.5, resources={"disk": 2})
    def held():
        free = raylite.available_resources()
        return free["CPU"], free["disk"]

    def mine(amounts):
        return {name: amount for name, amount in amounts.items() if name in ("CPU", "GPU", "disk")}

    refs = [held.remote() for _ in range(4)]
    return raylite.get(refs), mine(raylite.cluster_resources())


@program
def hands_out_gpus(raylite):
    import os

    @raylite.remote(num_gpus=1)
    def one(other=None):
        return raylite.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")

    @raylite.remote(num_gpus=2)
    def both():
        return raylite.get_gpu_ids(), os.environ["CUDA_VISIBLE_DEVICES"]

    @raylite.remote
    def none():
        return raylite.get_gpu_ids()

    first = one.remote()
    return raylite.get([first, one.remote(first), both.remote(), none.remote()]), raylite.get_gpu_ids()


@program
def gives_up_and_cancels(raylite):
    @raylite.remote
    def child(x):
        return x

    never = child.options(resources={"disk": 4}).remote(1)
    behind = child.remote(never)
    try:
        raylite.get(behind, timeout=0.05)
        timed_out = False
    except raylite.exceptions.GetTimeoutError:
        timed_out = True
    raylite.cancel(never)
    return timed_out, outcome(raylite, never), outcome(raylite, behind)


@program
def awaits(raylite):
    @raylite.remote
    def double(x):
        return 2 * x

    @raylite.remote
    def fail():
        raise KeyError("gone")

    async def main():
        gathered = await asyncio.gather(*[double.remote(i) for i in range(5)], fail.remote(), return_exceptions=True)
        return gathered[:5], isinstance(gathered[5], KeyError), await double.remote(21)

    return asyncio.run(main()), double.remote(8).future().result()


@program
def awaits_in_a_task(raylite):
    @raylite.remote
    def double(x):
        return 2 * x

    @raylite.remote
    def gather(n):
        async def main():
            return sum(await asyncio.gather(*[double.remote(i) for i in range(n)]))

        return asyncio.run(main())

    return raylite.get([gather.remote(3), gather.remote(4)])


@program
def knows_where_it_runs(raylite):
    @raylite.remote
    def where():
        context = raylite.get_runtime_context()
        return context.get_task_name().rpartition(".")[2], context.get_task_id(), context.get_attempt_number()

    ref = where.options(name="named").remote()
    name, task_id, attempt = raylite.get(ref)
    return name, task_id == ref.task_id().hex(), attempt, raylite.get(where.remote())[0], raylite.is_initialized()


@program
def takes_large_arguments(raylite):
    @raylite.remote
    def measure(text, *more, **named):
        return len(text), [len(each) for each in more], {name: len(each) for name, each in named.items()}

    large = "x" * 300_000
    return raylite.get(measure.remote(large, b"y" * 200_000, small="z", ref=raylite.put(large)))


@program
def refuses_at_the_call(raylite):
    @raylite.remote
    def one(x):
        return x

    attempts = [
        lambda: one(1),
        lambda: one.remote(),
        lambda: one.options(num_cpus=-1),
        lambda: one.options(num_cups=1),
        lambda: raylite.get(3),
        lambda: raylite.wait([one.remote(1)], num_returns=2),
        lambda: raylite.put(one.remote(1)),
        lambda: one.remote(__import__("threading").Lock()),
    ]
    return [raised(attempt) for attempt in attempts], raylite.get(one.remote("still usable"))


def outcome(raylite, ref):
    """The value of a reference, or the type of its error and what its cause says."""
    try:
        return raylite.get(ref)
    except raylite.exceptions.RayTaskError as error:
        return type(error.cause).__name__, str(error.cause)
    except raylite.exceptions.RayError as error:
        return type(error).__name__


def raised(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__, str(error)
