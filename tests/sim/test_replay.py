"""Actors that replay, under simulation: their processes die anywhere, and each call has been made once, in order."""

from __future__ import annotations

import random

import pytest

import raylite
from raylite import sim
from raylite.sim.faults import Faults

HARSH = Faults(worker_crash=0.08, eviction=0.1)
HARDER = Faults(
    worker_crash=0.01,
    node_crash=0.005,
    message_loss=0.02,
    message_reordering=0.03,
    partition=0.002,
    replica_crash=0.002,
)
WAYS = ({}, {"checkpoint_interval": 1}, {"checkpoint_interval": 4}, {"checkpoint_interval": 3, "checkpoint": "pickle"})


class Ledger:
    """Notes who called it, with which number. A call gives how many there were then."""

    def __init__(self, other=None):
        self.seen = []
        self.other = other

    def note(self, caller, number, *values):
        self.seen.append((caller, number))
        return len(self.seen)

    def fail(self, caller, number):
        self.seen.append((caller, number))
        raise LookupError(len(self.seen))

    def items(self, caller, number):
        self.seen.append((caller, number))
        yield len(self.seen)

    def pass_on(self, caller, number):
        """Have the other one note it, in the middle of the call."""
        self.seen.append((caller, number))
        there = raylite.get(self.other.note.remote(("passed on", caller), number, give.remote(number)))
        return len(self.seen), there

    def read(self):
        return list(self.seen)

    def __raylite_save__(self):
        return self.seen, self.other

    def __raylite_restore__(self, state):
        self.seen, self.other = state


class Heavy(Ledger):
    """Its checkpoints are large."""

    def __raylite_save__(self):
        return self.seen, b"x" * 1_000_000

    def __raylite_restore__(self, state):
        self.seen, _ = state


def n_begun(nodes):
    """How many tasks and calls have begun on these nodes."""
    return sum(change["to"] == "RUNNING" for node in nodes for change in node.node.story())


@raylite.remote(max_retries=-1)
def give(value):
    return value


def fails(ledger, caller, number):
    """A call that raises where it came in."""
    ref = ledger.fail.remote(caller, number)
    try:
        raylite.get(ref)
    except LookupError as error:
        return error.args[0]
    raise AssertionError("the call has not raised")


def make_calls(ledgers, caller, n_calls):
    """Calls of one caller. Returns (which ledger, number of the call, the place that it says it has)."""
    rng = random.Random(f"{caller} {n_calls}")
    places, under_way = [], []
    for number in range(n_calls):
        which = rng.randrange(len(ledgers))
        ledger = ledgers[which]
        how = rng.choice(("note", "note", "waits", "large", "fail", "pass_on"))
        if how == "fail":
            places.append((which, number, fails(ledger, caller, number)))
        elif how == "pass_on" and which == 0:
            place, there = raylite.get(ledger.pass_on.remote(caller, number))
            places.append((which, number, place))
            places.append((1, ("passed on", number), there))
        else:
            more = {"waits": [give.remote(number)], "large": [raylite.put(b"x" * 120_000)]}.get(how, [])
            under_way.append((which, number, ledger.note.remote(caller, number, *more)))
    return places + [(which, number, raylite.get(ref)) for which, number, ref in under_way]


call_task = raylite.remote(max_retries=-1)(make_calls)


def program(seed, n_callers=3, n_calls=8):
    """Two ledgers, called by the driver and by tasks. Returns what each has seen, and the calls."""
    rng = random.Random(seed)
    second = raylite.remote(Ledger).options(recovery="replay", max_task_retries=-1, **rng.choice(WAYS)).remote()
    first = raylite.remote(Ledger).options(recovery="replay", max_task_retries=-1, **rng.choice(WAYS)).remote(second)
    ledgers = [first, second]
    refs = [call_task.remote(ledgers, caller, n_calls) for caller in range(n_callers)]
    calls = {"driver": make_calls(ledgers, "driver", n_calls)}
    [item] = [raylite.get(ref) for ref in second.items.options(num_returns="streaming").remote("driver", n_calls)]
    calls["driver"].append((1, n_calls, item))
    calls.update(enumerate(raylite.get(refs)))
    return raylite.get([ledger.read.remote() for ledger in ledgers]), calls


def check_once_in_order(seen, calls):
    """The oracle: each call is in its ledger once, at the place that it was told, and each caller's are in order."""
    expected = [[], []]
    for caller, places in calls.items():
        for which, number, place in places:
            of_other = isinstance(number, tuple)
            entry = (("passed on", caller), number[1]) if of_other else (caller, number)
            assert seen[which][place - 1] == entry
            expected[which].append(entry)
    for which in (0, 1):
        assert len(set(seen[which])) == len(seen[which])
        assert set(seen[which]) == set(expected[which])
        for caller in {caller for caller, _ in seen[which]}:
            numbers = [number for who, number in seen[which] if who == caller]
            assert numbers == sorted(numbers)


def test_each_call_is_made_once_in_order_wherever_processes_die():
    n_crashes = 0
    for seed in range(6):
        options = {"num_cpus": 2 + seed % 3, "check": seed % 4 == 0}
        with sim.cluster(seed, faults=HARSH, **options) as c:
            seen, calls = program(seed)
            c.session.check_invariants()
            n_crashes += sum(fault["kind"] == "worker_crash" for fault in c.occurred())
        check_once_in_order(seen, calls)
    assert n_crashes > 12


def test_the_same_seed_is_the_same_run():
    hashes = {sim.run(program, 3, seed=3, faults=HARSH).trace_hash for _ in range(2)}
    assert len(hashes) == 1


def test_nothing_is_left_when_all_handles_are_gone():
    with sim.cluster(5, faults=HARSH) as c:
        program(5)
        c.stop_faults()
        c.settle()
        left = {name: size for name, size in c.sizes().items() if size}
        functions = left.pop("functions")  # which live as long as this module
        del left["inline_bytes"]
        assert left == {"objects": functions}


def test_the_oracle_sees_an_actor_that_forgets():
    def forgetful():
        ledger = raylite.remote(Ledger).options(max_restarts=-1, max_task_retries=-1).remote()
        calls = {"driver": [(1, number, raylite.get(ledger.note.remote("driver", number))) for number in range(30)]}
        return [[], raylite.get(ledger.read.remote())], calls

    seen, calls = sim.run(forgetful, seed=1, faults=HARSH).value
    with pytest.raises((AssertionError, IndexError)):
        check_once_in_order(seen, calls)


@pytest.mark.parametrize("faults", [Faults(worker_crash=0.01), Faults(node_crash=0.06), HARDER], ids=str)
def test_each_call_is_made_once_in_order_wherever_nodes_die(faults):
    n_faults = 0
    for seed in range(4):
        with sim.cluster(seed, 3, faults=faults) as c:
            seen, calls = program(seed, n_callers=2, n_calls=6)
            n_faults += len(c.occurred())
        check_once_in_order(seen, calls)
    assert n_faults > 3


@pytest.mark.parametrize(("options", "n_covered"), [({}, 0), ({"checkpoint_interval": 4}, 8)], ids=["log", "saved"])
def test_it_comes_back_on_another_node_with_the_calls_since_its_checkpoint(options, n_covered):
    desk = sim.Node(num_cpus=1, resources={"desk": 1})
    with sim.cluster(1, [sim.Node(num_cpus=1), desk, desk]) as c:
        ledger = raylite.remote(Ledger).options(recovery="replay", resources={"desk": 1}, **options).remote()
        assert raylite.get([ledger.note.remote("driver", number) for number in range(10)]) == list(range(1, 11))
        c.settle()
        [home] = [node for node in c.session.alive() if n_begun([node])]
        c.kill_node(home.number)
        assert raylite.get(ledger.read.remote()) == [("driver", number) for number in range(10)]
        assert n_begun(c.session.alive()) == 2 + 10 - n_covered  # made, and read
        assert raylite.get(ledger.note.remote("driver", 10)) == 11


def test_a_checkpoint_too_large_to_be_kept_beyond_its_node_is_not_taken(capfd):
    with sim.cluster(2, 3) as c:
        ledger = raylite.remote(Heavy).options(recovery="replay", checkpoint_interval=1, num_cpus=1).remote()
        assert raylite.get([ledger.note.remote("driver", number) for number in range(4)]) == [1, 2, 3, 4]
        raylite.kill(ledger, no_restart=False)
        assert raylite.get(ledger.note.remote("driver", 4)) == 5
        c.settle()
    assert capfd.readouterr().err.count("too large to be kept beyond its node") == 1
