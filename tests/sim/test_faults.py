"""Faults are values that a seed gives and a text says; in a run each is drawn for itself, and can be left out by number."""

from __future__ import annotations

import numpy as np
import pytest

import raylite
from raylite import sim
from raylite.sim.faults import KINDS, Faults

N_VALUES = 8


def sum_of_arrays():
    """A program whose values lie in the store: what it gives, and the faults that there were."""

    @raylite.remote(max_retries=-1)
    def make(n):
        return np.full(20_000, n)

    @raylite.remote(max_retries=-1)
    def add(a, b):
        return a + b

    refs = [make.remote(n) for n in range(N_VALUES)]
    while len(refs) > 1:
        refs = [add.remote(*refs[i : i + 2]) for i in range(0, len(refs), 2)]
    return int(raylite.get(refs[0])[0]), sim.current().occurred()


def numbers(faults, kind):
    return [fault["number"] for fault in faults if fault["kind"] == kind]


# ---- the value ----


def test_a_value_can_be_written_down_and_read():
    faults = Faults(eviction=0.25, worker_crash=0.001, kept={"worker_crash": [7, 2, 7]})
    assert repr(faults) == "Faults(eviction=0.25, worker_crash=0.001, kept={'worker_crash': (2, 7)})"
    assert str(faults) == "eviction=0.25,worker_crash=0.001@2+7"
    assert eval(repr(faults)) == faults == Faults.parse(str(faults), seed=0)
    assert faults != Faults(eviction=0.25, worker_crash=0.001) and len({faults, Faults.parse(str(faults), 0)}) == 1
    assert (str(Faults()), repr(Faults()), bool(Faults()), bool(faults)) == ("none", "Faults()", False, True)
    assert Faults.parse("none", 3) == Faults() == Faults(worker_crash=0)


def test_fewer_faults():
    faults = Faults(eviction=0.25, worker_crash=0.001, kept={"eviction": [1]})
    assert faults.only("eviction") == Faults(eviction=0.25, kept={"eviction": [1]})
    assert faults.without("eviction") == Faults(worker_crash=0.001)
    assert faults.keeping({"worker_crash": [3], "eviction": []}) == Faults(
        worker_crash=0.001, kept={"worker_crash": [3]}
    )
    assert (faults.worker_crash, faults.eviction, faults.node_crash) == (0.001, 0.25, 0.0)


def test_a_seed_says_which_faults_and_how_often():
    drawn = [Faults.from_seed(seed) for seed in range(200)]
    assert drawn == [Faults.parse("all", seed) for seed in range(200)]
    assert all(drawn) and len(set(drawn)) > 150
    hidden = {name for name, kind in KINDS.items() if kind.hidden}
    assert {name for faults in drawn for name in faults.rates} == hidden
    for faults in drawn:
        assert all(KINDS[name].drawn[0] <= rate <= KINDS[name].drawn[1] for name, rate in faults.rates.items())
    assert any(len(faults.rates) > len(hidden) - 3 for faults in drawn) and any(len(f.rates) == 1 for f in drawn)


def test_for_one_node_only_what_can_befall_it_is_drawn():
    drawn = [Faults.from_seed(seed, n_nodes=1) for seed in range(50)]
    assert drawn == [Faults.of("all", seed, 1) for seed in range(50)]
    assert {name for faults in drawn for name in faults.rates} == {"worker_crash", "eviction"}
    for faults in drawn:
        faults.check_alone()
    with pytest.raises(ValueError, match=r"node_crash needs several nodes, and there is one.*worker_crash, full_store"):
        Faults.of(Faults(node_crash=0.1), 0, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"worker_crush": 0.1}, TypeError, "no fault 'worker_crush'. There are worker_crash, node_crash"),
        ({"eviction": 1.5}, ValueError, "eviction is from 0 to 1, not 1.5: how likely is a fault at each event"),
        ({"eviction": float("nan")}, ValueError, "from 0 to 1"),
        ({"eviction": "often"}, TypeError, "a number from 0 to 1, not 'often'"),
        ({"eviction": True}, TypeError, "a number from 0 to 1"),
        ({"eviction": 0.1, "kept": {"eviction": [-1]}}, ValueError, "numbers of faults, from 0 up; -1 of eviction"),
        ({"kept": {"evictions": [1]}}, TypeError, "no fault 'evictions'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(arguments, error, words):
    with pytest.raises(error) as caught:
        Faults(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "often", "eviction", "eviction=", "eviction=x", "eviction=0.1@a", "x=0.1", "all,none"]
)
def test_texts_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match=r"'all', 'none' or name=rate|from 0 to 1|There are worker_crash"):
        Faults.parse(text, 0)
    with pytest.raises(ValueError):
        sim.cluster(faults=text)


def test_other_things_than_faults_are_refused():
    with pytest.raises(TypeError, match=r"sim.Faults, 'all', 'none'"):
        sim.cluster(faults=0.1)
    with pytest.raises(TypeError, match="both are given"):
        sim.run(int, worker_crash=0.1, faults=Faults(eviction=0.1))
    for seed, error in ((-1, ValueError), (1 << 64, ValueError), ("7", TypeError)):
        with pytest.raises(error, match="seed"):
            Faults.from_seed(seed)


# ---- in a run ----


def test_each_fault_happens_and_is_told_of():
    total = sum(range(N_VALUES))
    for name in ("worker_crash", "eviction"):
        value, occurred = sim.run(sum_of_arrays, seed=1, faults=Faults(**{name: 0.1}), check=True).value
        assert value == total and {fault["kind"] for fault in occurred} == {name}
        assert numbers(occurred, name) == sorted(set(numbers(occurred, name)))
        assert all(0 <= fault["time_s"] < 10 for fault in occurred)
    assert sim.run(sum_of_arrays, seed=1).value == (total, [])


def test_evicted_values_are_made_again():
    def program():
        value, occurred = sum_of_arrays()
        again = [entry for entry in sim.current().story() if entry["from"] == "FINISHED" and entry["to"] == "WAITING"]
        return value, len(numbers(occurred, "eviction")), len(again)

    runs = [sim.run(program, seed=seed, faults=Faults(eviction=0.2), check=True).value for seed in range(20)]
    assert {value for value, _, _ in runs} == {sum(range(N_VALUES))}
    assert sum(again for _, _, again in runs) > 20
    assert not any(again for _, evicted, again in runs if not evicted)


def test_what_cannot_be_made_again_is_not_evicted():
    def program():
        ref = raylite.put(np.arange(100_000))
        with pytest.raises(raylite.exceptions.GetTimeoutError):
            raylite.get(wait_for_nothing(), timeout=1.0)
        return int(raylite.get(ref).sum()), sim.current().occurred()

    def wait_for_nothing():
        return raylite.remote(num_gpus=1)(lambda: 1).remote()

    assert sim.run(program, faults=Faults(eviction=1.0)).value == (sum(range(100_000)), [])


def test_a_full_store_is_an_error_that_says_so():
    with pytest.raises(raylite.exceptions.ObjectStoreFullError):
        sim.run(sum_of_arrays, faults=Faults(full_store=1.0))


def test_only_the_numbers_that_are_kept_happen():
    every = Faults(worker_crash=0.1, eviction=0.1)
    value, occurred = sim.run(sum_of_arrays, seed=3, faults=every).value
    crash, eviction = (numbers(occurred, name)[0] for name in ("worker_crash", "eviction"))
    kept = every.keeping({"worker_crash": [crash], "eviction": [eviction]})
    again, fewer = sim.run(sum_of_arrays, seed=3, faults=kept).value
    assert value == again == sum(range(N_VALUES)) and len(occurred) > len(fewer)
    assert numbers(fewer, "worker_crash") in ([], [crash]) and numbers(fewer, "eviction") in ([], [eviction])
    assert sim.run(sum_of_arrays, seed=3, faults=every.keeping({})).value == (value, [])


def test_keeping_all_that_happened_is_the_same_run():
    every = Faults(worker_crash=0.1, eviction=0.1)
    first = sim.run(sum_of_arrays, seed=3, faults=every)
    happened: dict = {}
    for fault in first.value[1]:
        happened.setdefault(fault["kind"], []).append(fault["number"])
    assert sim.run(sum_of_arrays, seed=3, faults=every.keeping(happened)).trace_hash == first.trace_hash


def test_a_kind_that_never_happens_changes_nothing_of_the_others():
    alone = sim.run(sum_of_arrays, seed=3, faults=Faults(worker_crash=0.05))
    beside = sim.run(sum_of_arrays, seed=3, faults=Faults(worker_crash=0.05, eviction=0.5, kept={"eviction": [10**6]}))
    assert alone.trace_hash == beside.trace_hash and alone.value == beside.value
