"""Actors under simulation: their processes die at any call, restart, and are told of; the same seed is the same run."""

from __future__ import annotations

import random
import sys

import pytest

import raylite
from raylite import sim
from raylite.exceptions import ActorDiedError, ActorUnavailableError, RayError
from tests.sim import shared


@raylite.remote
class Log:
    """Notes who called in which order, and answers with all that this process has seen."""

    def __init__(self, name):
        self.name = name
        self.seen = []

    def note(self, caller, number, *after):
        self.seen.append((caller, number))
        return list(self.seen)

    def ask(self, other, caller, number):
        """Let another actor note it, in the middle of a call."""
        self.note(caller, number)
        attempt = raylite.get_runtime_context().get_attempt_number()
        raylite.get(other.note.remote((self.name, caller, attempt), number))
        return list(self.seen)

    def stream(self, caller, number):
        self.note(caller, number)
        yield number
        yield list(self.seen)


@raylite.remote(max_retries=-1)
def give(x):
    return x


def run_random(seed, max_restarts, max_task_retries):
    """Actors called by the driver and by tasks, in every way there is: the outcome of each call, in order."""
    rng = random.Random(seed)
    make = Log.options(max_restarts=max_restarts, max_task_retries=max_task_retries)
    logs = [make.remote(name) for name in "xy"]

    def call(logs, caller, number):
        first, second = rng.sample(logs, 2)
        kind = rng.choice(("plain", "plain", "waits", "asks", "streams"))
        if kind == "waits":
            return first.note.remote(caller, number, give.remote(number))
        if kind == "asks" and first is logs[0]:  # x asks y, and never y x: else they may wait for each other
            return first.ask.remote(second, caller, number)
        if kind == "streams":
            return list(first.stream.remote(caller, number))[-1]
        return first.note.remote(caller, number)

    @raylite.remote(max_retries=-1)
    def caller(logs, name):
        attempt = raylite.get_runtime_context().get_attempt_number()
        refs = [logs[i % 2].note.remote((name, attempt), i, give.remote(i)) for i in range(4)]
        return [outcome(ref) for ref in refs]

    refs = [caller.remote(logs, name) for name in "ab"]
    if rng.random() < 0.3:
        raylite.kill(rng.choice(logs), no_restart=False)
    refs += [call(logs, "driver", i) for i in range(12)]
    del logs
    outcomes = [outcome(ref) for ref in refs]
    return [each for group in outcomes[:2] for each in (group if isinstance(group, list) else [group])] + outcomes[2:]


def outcome(ref):
    try:
        return raylite.get(ref)
    except RayError as error:
        return type(getattr(error, "cause", None) or error).__name__


def in_order(seen):
    """Whether a process saw the calls of each caller in the order of their submission."""
    latest = {}
    for caller, number in seen:
        if latest.get(caller, -1) >= number:
            return False
        latest[caller] = number
    return True


def shape(seed):
    rng = random.Random(seed)
    return {
        "num_cpus": rng.choice((1, 2, 4)),
        "worker_cap": rng.choice((1, 2, 4, 16)),
        "worker_crash": rng.choice((0.0, 0.02, 0.05, 0.1)),
        "check": seed % 3 == 0,
    }


@pytest.mark.timeout(240)
def test_with_restarts_and_retries_every_call_is_made_and_each_process_sees_them_in_order():
    n_restarted = 0
    for seed in range(60):
        result = sim.run(run_random, seed, -1, -1, seed=seed, **shape(seed))
        for seen in result.value:
            assert isinstance(seen, list) and seen and in_order(seen), f"seed {seed}: {seen}"
        n_restarted += len(result.value[0]) == 1
    assert n_restarted > 3


@pytest.mark.timeout(240)
def test_with_few_of_them_a_call_is_made_or_says_why_not():
    outcomes = set()
    for seed in range(60):
        for seen in sim.run(run_random, seed, seed % 3, seed % 2, seed=seed, **shape(seed)).value:
            if isinstance(seen, list):
                assert in_order(seen), f"seed {seed}: {seen}"
            outcomes.add(seen if isinstance(seen, str) else "made")
    assert outcomes == {"made", "ActorDiedError", "ActorUnavailableError"}


def test_a_run_is_repeated_event_for_event():
    first, second = (sim.run(run_random, 7, 3, 3, seed=7, worker_crash=0.05, num_cpus=2, record=True) for _ in range(2))
    assert first.events == second.events and len(first.events) > 50
    assert (first.trace_hash, first.virtual_s) == (second.trace_hash, second.virtual_s)
    assert sim.run(run_random, 7, 3, 3, seed=8, worker_crash=0.05, num_cpus=2).trace_hash != first.trace_hash


def test_in_the_end_nothing_is_left():
    def program(seed):
        run_random(seed, -1, -1)
        sim.current().settle()
        sizes = sim.current().sizes()
        return {name: sizes[name] for name in ("actors", "tasks", "requests", "queued")}

    for seed in range(10):
        left = sim.run(program, seed, seed=seed, worker_crash=0.03, check=True).value
        assert left == {"actors": 0, "tasks": 0, "requests": 0, "queued": 0}, f"seed {seed}"


def test_calls_take_virtual_time(log):
    def program():
        @raylite.remote
        class Slow:
            def work(self, seconds):
                sim.cost(seconds)
                shared.log.append(seconds)

            def quick(self):
                pass

        slow = Slow.remote()
        raylite.get([slow.work.remote(2.0), slow.work.remote(3.0)])
        between_s = sim.current().now_s()
        raylite.get([slow.quick.remote() for _ in range(10)])
        return between_s, sim.current().now_s() - between_s

    work_s, quick_s = sim.run(program).value
    assert 5.0 < work_s < 5.5 and 0.0001 < quick_s < 1.0
    assert log == [2.0, 3.0]


def test_a_killed_process_does_nothing_more(log):
    def program(max_restarts):
        @raylite.remote(max_restarts=max_restarts)
        class Slow:
            def work(self):
                try:
                    sim.cost(1.0)
                    shared.log.append("done")
                finally:
                    shared.log.append("finally")

            def quick(self):
                return "quick"

        slow = Slow.remote()
        ref, behind = slow.work.remote(), slow.quick.remote()
        raylite.wait([ref], timeout=0.5)
        raylite.kill(slow, no_restart=False)
        with pytest.raises(ActorUnavailableError if max_restarts else ActorDiedError):
            raylite.get(ref)
        return outcome(behind)

    assert sim.run(program, 1).value == "quick"
    assert sim.run(program, 0).value == "ActorDiedError"
    assert log == ["finally", "finally"]


def test_what_is_behind_an_exit_is_not_made(log):
    def program():
        @raylite.remote
        class Leaver:
            def leave(self):
                raylite.actor.exit_actor()

            def work(self):
                shared.log.append("worked")

        leaver = Leaver.remote()
        refs = [leaver.work.remote(), leaver.leave.remote(), leaver.work.remote(), leaver.work.remote()]
        return [outcome(ref) for ref in refs]

    assert sim.run(program).value == [None, "ActorDiedError", "ActorDiedError", "ActorDiedError"]
    assert log == ["worked"]


def test_a_parent_that_runs_again_makes_its_actor_and_calls_it_again():
    """Also where the result of a call of its first attempt is still held."""

    def program():
        @raylite.remote
        class Counter:
            def __init__(self, n=0):
                self.n = n

            def next(self):
                self.n += 1
                return self.n

        @raylite.remote
        class Keeper:
            def keep(self, refs):
                self.refs = refs

        @raylite.remote(max_retries=1)
        def parent(keeper):
            counter = Counter.remote()
            first = counter.next.remote()
            raylite.get(keeper.keep.remote([first]))
            value = raylite.get(counter.next.remote())
            if raylite.get_runtime_context().get_attempt_number() == 0:
                sim.cost(1.0)
                sys.exit(1)
            return value

        return raylite.get(parent.remote(Keeper.remote()))

    assert sim.run(program).value == 2


def test_who_waits_for_an_actor_is_told_what_for():
    def program():
        @raylite.remote(num_gpus=1)
        class Never:
            def work(self):
                pass

        raylite.get(Never.remote().work.remote())

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(program)
    text = str(caught.value)
    assert "waits for its actor, which is not there yet" in text
    assert "Never.__init__" in text and "lacks 1 GPU" in text


def test_an_actor_that_waits_for_itself_is_shown():
    def program():
        @raylite.remote
        class Self:
            def work(self):
                me = raylite.get_runtime_context().current_actor
                return raylite.get(me.other.remote())

            def other(self):
                return 1

        raylite.get(Self.remote().work.remote())

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(program)
    text = str(caught.value)
    assert "Self.work" in text and "in get for the result of Self.other" in text
    assert "Self.other" in text and "is in the queue of worker" in text
