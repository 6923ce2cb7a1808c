"""A fixed swarm: workloads under faults drawn from seeds. And every seed that ever failed, again."""

from __future__ import annotations

import random

import pytest

import raylite
from raylite import sim
from raylite.sim import corpus, workloads
from raylite.sim.faults import Faults
from raylite.sim.trials import RIGHT, STUCK, WRONG, NotEmpty, WorkloadTrials

N_SEEDS = 15  # of each workload
HARSH = "worker_crash=0.05,eviction=0.1"


def failures(trials, seeds):
    ended = [trials.run(seed) for seed in seeds]
    return [(trials.arguments(trial), trial.error_text) for trial in ended if trial.came_to != RIGHT], ended


@pytest.mark.parametrize("name", workloads.WORKLOADS)
@pytest.mark.parametrize("faults", ["all", HARSH])
def test_workloads_come_out_right(name, faults):
    trials = WorkloadTrials(name, 30, 1, faults)
    failed, ended = failures(trials, range(N_SEEDS))
    assert failed == [] and len({trial.trace_hash for trial in ended}) == N_SEEDS
    assert faults == "all" or sum(len(trial.occurred) for trial in ended) > N_SEEDS


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_workloads_come_out_right_on_several_nodes(name):
    failed, ended = failures(WorkloadTrials(name, 30, 4, "all"), range(100, 105))
    assert failed == [] and len({trial.trace_hash for trial in ended}) == 5
    assert len({fault["kind"] for trial in ended for fault in trial.occurred}) > 3


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_every_table_is_sound_after_every_event(name):
    trials = WorkloadTrials(name, 20, 1, HARSH)
    trials.check = True
    assert failures(trials, range(100, 103))[0] == []


def test_each_seed_has_a_workload():
    trials = WorkloadTrials(None, 5)
    assert {trials.name_for(seed) for seed in range(len(workloads.WORKLOADS))} == set(workloads.WORKLOADS)
    assert failures(trials, range(len(workloads.WORKLOADS)))[0] == []


@pytest.mark.parametrize("n_tasks", [1, 2, 200])
def test_workloads_of_any_size(n_tasks):
    for name in workloads.WORKLOADS:
        assert failures(WorkloadTrials(name, n_tasks, 1, "all"), [7])[0] == []


# ---- the oracles notice ----


@pytest.mark.parametrize(
    ("name", "function", "wrong"),
    [
        ("map-reduce", "merge_task", lambda *blocks: blocks[0]),
        ("chain", "plus_task", lambda *numbers: sum(numbers) + 1),
        ("diamond", "plus_task", lambda *numbers: max(numbers)),
        ("nested", "solve", lambda spec: 0),
        ("streams", "produce", lambda numbers: (number for number in numbers[:-1])),
        ("effects", "counted", lambda number: number + 1),
        ("effects", "counted", lambda number: max(workloads.count_run(number) for _ in range(9))),
        ("interrupted", "dawdling", lambda spec, *before: 1),
        ("streams", "consume", lambda numbers, limit: [*numbers[::-1], 1]),
        ("resources", "using", lambda number, demand, seconds: -number),
        ("references", "growing", lambda spec: []),
        ("references", "read_by_task", lambda references: []),
        ("callers", "conversing", lambda teller, caller, n_calls: [1] * n_calls),
    ],
)
def test_a_wrong_result_is_seen(monkeypatch, name, function, wrong):
    is_stream = function == "produce"
    if is_stream:

        def wrong(numbers):
            yield from numbers[:-1]

    monkeypatch.setattr(workloads, function, raylite.remote(wrong))
    [(_, text)], [trial] = failures(WorkloadTrials(name, 30), [3])
    assert trial.came_to == WRONG and ("a serial run gives" in text or "has run 9 times" in text)


def test_an_error_without_a_cause_is_seen(monkeypatch):
    def fail(spec, *before):
        raise raylite.exceptions.TaskCancelledError()

    monkeypatch.setattr(workloads, "dawdling", raylite.remote(fail))
    [(_, text)], [trial] = failures(WorkloadTrials("interrupted", 30), [3])
    assert trial.came_to == WRONG and "whether tree 0 is one that was cancelled" in text


class OutOfOrder(workloads.CounterState):
    def add(self, n):
        super().add(n)
        return "life", random.randrange(10), n


def test_calls_out_of_order_are_seen(monkeypatch):
    monkeypatch.setattr(workloads, "Counter", raylite.remote(OutOfOrder))
    [(_, text)], [trial] = failures(WorkloadTrials("actors", 30), [3])
    assert trial.came_to == WRONG and "of a life after call" in text


class Twice(workloads.TellerState):
    def tell(self, caller, call):
        super().tell(caller, call)
        return super().tell(caller, call)


class Swapped(workloads.TellerState):
    def tell(self, caller, call):
        super().tell(caller, call ^ 1)
        return call


@pytest.mark.parametrize(
    ("teller", "words"), [(Twice, "began 2 times"), (Swapped, "one life of the actor began [1, 0")]
)
def test_calls_that_begin_too_often_or_out_of_order_are_seen(monkeypatch, teller, words):
    monkeypatch.setattr(workloads, "Teller", raylite.remote(max_restarts=-1)(teller))
    [(_, text)], [trial] = failures(WorkloadTrials("callers", 30), [4])
    assert trial.came_to == WRONG and words in text


def test_more_in_use_than_there_is_is_seen(monkeypatch):
    def use_more(number, demand, seconds):
        return workloads.use_resources(number, {name: 8 * amount for name, amount in demand.items()}, seconds)

    monkeypatch.setattr(workloads, "using", raylite.remote(use_more))
    [(_, text)], [trial] = failures(WorkloadTrials("resources", 30), [3])
    assert trial.came_to == WRONG and "has 4.0 of CPU, and " in text and "are in use" in text


def test_what_is_still_in_use_is_seen(monkeypatch):
    monkeypatch.setattr("raylite.sim.trials.node_resources", lambda node: {"CPU": (40_000, 39_999), "GPU": (0, 0)})
    [(_, text)], [trial] = failures(WorkloadTrials("chain", 3), [3])
    assert isinstance(trial.error, NotEmpty) and "of node 0 there is still in use {'CPU': 1}" in text


def test_what_is_left_in_the_tables_is_seen(monkeypatch):
    kept = []
    monkeypatch.setitem(workloads.WORKLOADS, "chain", lambda n_tasks, rng: kept.append(raylite.put(1)))
    [(_, text)], [trial] = failures(WorkloadTrials("chain", 30), [3])
    assert isinstance(trial.error, NotEmpty) and "there is still {'objects': 1," in text
    kept.clear()


def test_a_program_that_waits_for_ever_is_seen(monkeypatch):
    @raylite.remote(num_gpus=1)
    def never():
        pass

    monkeypatch.setitem(workloads.WORKLOADS, "chain", lambda n_tasks, rng: raylite.get(never.remote()))
    [(_, text)], [trial] = failures(WorkloadTrials("chain", 30), [3])
    assert trial.came_to == STUCK and isinstance(trial.error, sim.DeadlockError) and "lacks 1 GPU" in text


# ---- the corpus ----


def test_the_corpus_says_of_each_seed_what_is_needed_to_run_it():
    for entry in corpus.entries():
        assert entry.cause, entry
        assert "--seed" in entry.arguments and "--faults" in entry.arguments, entry
        assert not {"all", "none"} & set(entry.arguments) or "none" in entry.arguments, (
            f"{entry}: what a seed draws changes"
        )


def test_every_seed_that_ever_failed_comes_out_right():
    ended = [(entry, entry.run()) for entry in corpus.entries()]
    assert [(str(entry), trial.error_text) for entry, trial in ended if trial.came_to != RIGHT] == []


def test_entries_are_read_and_run(tmp_path, monkeypatch):
    path = tmp_path / "corpus.txt"
    path.write_text("# a comment\n\n--workload chain --tasks 5 --seed 9 --faults worker_crash=0.5@0  # it was so\n")
    monkeypatch.setattr(corpus, "PATH", path)
    [entry] = corpus.entries()
    trial = entry.run()
    assert (entry.cause, trial.seed, trial.came_to) == ("it was so", 9, RIGHT)
    assert trial.faults == Faults(worker_crash=0.5, kept={"worker_crash": [0]}) and len(trial.occurred) == 1
