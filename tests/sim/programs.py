"""Random programs: trees of tasks that call each other in every way there is, and what a serial run of them gives.

A task gets a specification, a tree of `(kind, number)` leaves and `(kind, children)` nodes, and a number that it adds.
"""

from __future__ import annotations

import random

LARGE_BYTES = 200_000  # more than what travels inside messages
DEPTH_MOST = 2
LEAVES = ("leaf", "large")
NODES = ("sum", "chain", "wait", "box", "stream", "fail", "timeout", "many", "leaf")


def random_spec(rng: random.Random, depth: int):
    kind = rng.choice(NODES if depth else LEAVES)
    if kind in LEAVES:
        return kind, rng.randrange(100)
    return kind, [random_spec(rng, depth - 1) for _ in range(rng.randrange(1, 4))]


def serial(spec, total=0):
    """The result of a specification, by plain calls."""
    kind, parts = spec
    if kind == "leaf":
        return total + parts
    if kind == "large":
        return total + parts + LARGE_BYTES
    if kind == "chain":
        for part in parts:
            total = serial(part, total)
        return total
    return sum(serial(part, total) for part in parts) + (0 if kind in ("stream", "many") else total)


def run_random(raylite, seed, max_retries=-1):
    """Run the program of this seed; returns (results, what they must be)."""
    rng = random.Random(seed)
    specs = [random_spec(rng, rng.randrange(DEPTH_MOST + 1)) for _ in range(3)]
    at_once = rng.random() < 0.5
    solve = tasks(raylite, max_retries)
    refs = [solve.remote(spec) for spec in specs]
    results = raylite.get(refs) if at_once else [raylite.get(ref) for ref in refs]
    return results, [serial(spec) for spec in specs]


def tasks(raylite, max_retries):
    """The task that solves specifications."""
    remote = raylite.remote(max_retries=max_retries)

    @remote
    def length(data):
        return len(data)

    @remote
    def fail():
        raise ValueError("on purpose")

    @remote
    def read(box, total):
        return sum(raylite.get(box)) + total

    @remote
    def stream(parts, total):
        for part in parts:
            yield raylite.get(solve.remote(part, total))

    @remote
    def solve_all(parts, total):
        return [solve.remote(part, total) for part in parts]

    @remote
    def solve(spec, total=0):
        kind, parts = spec
        if kind == "leaf":
            return total + parts
        if kind == "large":
            return raylite.get(length.remote(raylite.put(b"x" * LARGE_BYTES))) + parts + total
        if kind == "chain":
            ref = raylite.put(total)
            for part in parts:
                ref = solve.remote(part, ref)
            return raylite.get(ref)
        if kind == "stream":
            return sum(raylite.get(ref) for ref in stream.remote(parts, total))
        if kind == "many":
            refs = raylite.get(solve_all.remote(parts, total))
            return sum(raylite.get(refs))
        refs = [solve.remote(part, total) for part in parts]
        if kind == "wait":
            return take_as_they_come(refs) + total
        if kind == "box":
            return raylite.get(read.remote(refs, total))
        if kind == "fail":
            try:
                raylite.get([fail.remote(), *refs])
            except ValueError:
                pass
        if kind == "timeout":
            try:
                raylite.get(refs, timeout=0.002)
            except raylite.exceptions.GetTimeoutError:
                pass
        return sum(raylite.get(refs)) + total

    def take_as_they_come(refs):
        total = 0
        while refs:
            ready, refs = raylite.wait(refs)
            total += raylite.get(ready[0])
        return total

    return solve
