"""The global scheduler: literal loads and questions in, answers out."""

from __future__ import annotations

import pytest

from tests.core.placing import (
    ASKER,
    DEFAULT,
    EXCLUDED,
    FUNCTION,
    INFEASIBLE,
    LABEL_ABSENT,
    LABEL_EXISTS,
    LABEL_IN,
    LABEL_NOT_IN,
    MASTER,
    MASTER_LOADS,
    NEAR_NODE,
    NO_NODE,
    NODES,
    ON_NODE,
    SCHEDULER_ASK,
    SPREAD,
    UNIT,
    Answer,
    Label,
    Load,
    Question,
    Scheduler,
    amounts,
    noticed,
)

A, B, C = NODES[:3]
ONE = amounts(CPU=1)
FULL = {"taken": amounts(CPU=4)}
MB = 1 << 20


def node(address, **more):
    return Load(address, amounts(CPU=4), **more)


# ---- the lowest wait ----


def test_of_free_nodes_the_lowest_address():
    scheduler = Scheduler(node(C), node(B))
    assert scheduler.place(ONE) == B


def test_a_node_with_free_resources_before_one_with_a_queue():
    assert Scheduler(node(A, **FULL), node(B)).place(ONE) == B


def test_the_wait_is_the_queue_times_the_mean_time():
    scheduler = Scheduler(node(A, **FULL, n_queued=9, task_ns=10), node(B, **FULL, n_queued=4, task_ns=21))
    assert scheduler.place(ONE) == A  # 100 against 105
    assert scheduler.place(ONE) == B  # what was placed counts: 110
    scheduler.publish(node(A, **FULL, n_queued=3, task_ns=10, number=2))  # until the next report
    assert [scheduler.place(ONE) for _ in range(9)] == [A] * 9


def test_the_functions_own_mean_counts_where_it_is_known():
    loads = node(A, **FULL, task_ns=10), node(B, **FULL, task_ns=1000, functions={FUNCTION: 9})
    assert Scheduler(*loads).place(ONE) == B
    assert Scheduler(*loads).place(ONE, function=bytes(20)) == A


def test_a_node_without_a_mean_is_taken_for_average():
    assert Scheduler(node(A, **FULL), node(B, **FULL, task_ns=9_999_999)).place(ONE) == B
    assert Scheduler(node(A, **FULL), node(B, **FULL, task_ns=10_000_000)).place(ONE) == A


def test_what_is_placed_takes_resources_until_the_next_report():
    scheduler = Scheduler(node(A), node(B))
    assert [scheduler.place(ONE) for _ in range(8)] == [A] * 4 + [B] * 4
    scheduler.publish(node(A, number=2))
    assert scheduler.place(ONE) == A


def test_questions_in_one_message_are_answered_in_one():
    scheduler = Scheduler(node(A), node(B))
    answers = scheduler.ask(*[Question(amounts(CPU=3), token=token) for token in (7, 8)])
    assert answers == [Answer(7, A), Answer(8, B)]


def test_what_asks_for_nothing_is_spread():
    scheduler = Scheduler(node(A), node(B), node(C))
    assert [scheduler.place({}) for _ in range(6)] == [A, B, C] * 2


# ---- arguments ----


@pytest.mark.parametrize("ignores_locality", [False, True])
def test_a_task_goes_to_its_arguments(ignores_locality):
    scheduler = Scheduler(node(A), node(B), ignores_locality=ignores_locality)
    assert scheduler.place(ONE, arguments=((MB, (B,)),)) == (A if ignores_locality else B)


def test_unless_waiting_there_takes_longer():
    loads = node(A, **FULL, task_ns=10**9), node(B, bandwidth=MB)  # a second for a task, a second for a megabyte
    assert Scheduler(*loads).place(ONE, arguments=((MB, (A,)),)) == B  # of equal waits where resources are free
    assert Scheduler(*loads).place(ONE, arguments=((MB + 1, (A,)),)) == A


def test_a_copy_named_twice_counts_once():
    arguments = ((2, (A, A)), (3, (B,)), (9, ()))
    assert Scheduler(node(A, bandwidth=1), node(B, bandwidth=1)).place(ONE, arguments=arguments) == B


def test_the_copies_of_one_question_do_not_count_for_the_next():
    scheduler = Scheduler(node(A, bandwidth=1), node(B, bandwidth=1))
    assert scheduler.place(ONE, arguments=((5, (B,)),)) == B
    assert scheduler.place(ONE, arguments=((5, (NODES[6],)),)) == A


def test_a_wait_beyond_all_bounds_is_the_longest():
    scheduler = Scheduler(node(A, bandwidth=1), node(B, **FULL, task_ns=2**63))
    assert scheduler.place(ONE, arguments=((2**64 - 1, ()),)) == A


# ---- who may run it ----


def test_a_node_that_could_never_run_it_is_not_asked():
    scheduler = Scheduler(node(A), node(B, **FULL)._replace(total=amounts(CPU=4, GPU=1)))
    assert scheduler.place(amounts(CPU=1, GPU=1)) == B


@pytest.mark.parametrize(
    ("demand", "lacking"), [(amounts(CPU=5, GPU=1), 0), (amounts(CPU=1, GPU=2), 1), (amounts(a=0, b=1), 1)]
)
def test_what_no_node_could_run_is_refused_with_what_is_lacking(demand, lacking):
    scheduler = Scheduler(node(A), Load(B, amounts(CPU=1, GPU=1)))
    assert scheduler.ask(Question(demand)) == [Answer(1, 0, INFEASIBLE, lacking)]


def test_without_nodes_nothing_runs():
    assert Scheduler().ask(Question(ONE)) == [Answer(1, 0, NO_NODE)]


def test_what_is_excluded_is_not_asked():
    scheduler = Scheduler(node(A), node(B))
    assert scheduler.place(ONE, excluded=(A,)) == B
    assert scheduler.place(ONE) == A
    assert scheduler.ask(Question(ONE, excluded=(A, B, C))) == [Answer(1, 0, EXCLUDED)]


def test_a_fraction_below_zero_of_a_cpu_is_not_free():
    assert Scheduler(node(A, taken=amounts(CPU=6)), node(B, taken=amounts(CPU=3))).place(ONE) == B


def test_bundles_of_placement_groups_are_resources():
    group, text = bytes(range(16)), bytes(range(16)).hex()
    has = {f"CPU_group_{text}": UNIT, f"CPU_group_1_{text}": UNIT, f"bundle_group_{text}": 1000 * UNIT}
    scheduler = Scheduler(node(A), Load(B, {**has, f"bundle_group_1_{text}": 1000 * UNIT, "CPU": 4 * UNIT}))
    assert scheduler.place(ONE, group=group, bundle=1) == B
    assert scheduler.place(ONE, group=group) == B
    assert scheduler.ask(Question(ONE, group=group, bundle=0)) == [Answer(1, 0, INFEASIBLE, 0)]


# ---- strategies ----


def test_spread_takes_the_node_with_the_fewest_tasks():
    scheduler = Scheduler(node(A, n_running=2), node(B, n_queued=1), node(C))
    assert [scheduler.place(ONE, strategy=SPREAD) for _ in range(5)] == [C, B, C, A, B]


def test_and_one_with_free_resources_first():
    assert Scheduler(node(A, **FULL), node(B, n_running=3)).place(ONE, strategy=SPREAD) == B


@pytest.mark.parametrize("strategy", [ON_NODE, NEAR_NODE])
def test_a_node_that_is_asked_for_is_taken_even_if_it_is_full(strategy):
    scheduler = Scheduler(node(A), node(B, **FULL, n_queued=100))
    assert scheduler.place(ONE, strategy=strategy, node=B) == B


@pytest.mark.parametrize(
    ("question", "refusal"),
    [
        (Question(ONE, node=C), NO_NODE),
        (Question(amounts(CPU=3, GPU=1), node=B), INFEASIBLE),
        (Question(ONE, node=B, excluded=(B,)), EXCLUDED),
    ],
)
def test_if_it_cannot_be_that_node(question, refusal):
    scheduler = Scheduler(Load(A, amounts(CPU=4, GPU=1)), node(B))
    lacking = 1 if refusal == INFEASIBLE else 0
    assert scheduler.ask(question._replace(strategy=ON_NODE)) == [Answer(1, 0, refusal, lacking)]
    assert scheduler.ask(question._replace(strategy=NEAR_NODE)) == [Answer(1, A)]


@pytest.mark.parametrize(
    ("label", "found"),
    [
        (Label(LABEL_IN, "zone", ("east", "west")), B),
        (Label(LABEL_NOT_IN, "zone", ("north",)), B),
        (Label(LABEL_NOT_IN, "zone", ("north", "west")), C),
        (Label(LABEL_EXISTS, "spot"), A),
        (Label(LABEL_ABSENT, "zone"), C),
        (Label(LABEL_IN, "zone", ()), 0),
        (Label(LABEL_IN, "zone", ("wes",)), 0),
    ],
)
def test_labels_that_it_must_have(label, found):
    scheduler = Scheduler(node(A, labels={"zone": "north", "spot": ""}), node(B, labels={"zone": "west"}), node(C))
    assert scheduler.place(ONE, labels=(label,)) == found
    refused = scheduler.ask(Question(ONE, labels=(Label(LABEL_EXISTS, "none"), label)))
    assert refused == [Answer(1, 0, INFEASIBLE, 1)]


def test_labels_that_are_preferred():
    label = Label(LABEL_IN, "zone", ("west",), is_soft=True)
    west = {"labels": {"zone": "west"}}
    assert Scheduler(node(A), node(B, **west)).place(ONE, labels=(label,)) == B
    assert Scheduler(node(A), node(B, **west, **FULL)).place(ONE, labels=(label,)) == A
    assert Scheduler(node(A, **FULL), node(B, **west, **FULL, n_queued=9)).place(ONE, labels=(label,)) == B
    assert Scheduler(node(A)).place(ONE, labels=(label,)) == A


# ---- what is published ----


def test_old_news_changes_nothing():
    scheduler = Scheduler(node(A, number=5, incarnation=2), node(B))
    scheduler.publish(node(A, **FULL, number=5, incarnation=2), node(A, **FULL, number=9, incarnation=1))
    assert scheduler.place(ONE) == A
    scheduler.publish(node(A, **FULL, number=1, incarnation=3))
    assert scheduler.place(ONE) == B


def test_who_is_dead_is_not_asked_until_it_is_back():
    scheduler = Scheduler(node(A), node(B, functions={FUNCTION: 5}), node(C, **FULL, task_ns=3))
    scheduler.node_dies(A)
    scheduler.publish(node(A, number=2))
    assert scheduler.place(ONE) == B
    scheduler.node_dies(B)
    assert scheduler.place(ONE) == C and scheduler.party.functions() == 0
    scheduler.publish(node(A, incarnation=2))
    assert scheduler.place(ONE) == A
    scheduler.node_dies(A)  # which is known
    assert scheduler.place(ONE) == A


def test_times_stay_with_their_nodes_as_nodes_come_and_go():
    scheduler = Scheduler(node(B, **FULL, functions={FUNCTION: 50}), node(C, **FULL, functions={FUNCTION: 40}))
    scheduler.publish(node(A, **FULL, functions={FUNCTION: 60}))
    assert scheduler.place(ONE) == C
    scheduler.node_dies(A)
    assert scheduler.place(ONE, excluded=(C,)) == B
    scheduler.publish(node(C, **FULL, number=2, functions={FUNCTION: 99}))
    assert scheduler.place(ONE) == C  # 99 against two of 50


def test_a_mean_that_is_not_reported_any_more_is_forgotten():
    scheduler = Scheduler(node(A, **FULL, task_ns=50), node(B, **FULL, task_ns=99, functions={FUNCTION: 10}))
    assert scheduler.place(ONE) == B
    scheduler.publish(node(B, **FULL, task_ns=99, number=2))
    assert scheduler.place(ONE) == A and scheduler.party.functions() == 0


def test_names_and_shapes_are_numbered_anew_when_there_are_many():
    scheduler = Scheduler(node(A, taken=amounts(CPU=1)), Load(B, amounts(CPU=8, rare=1)))
    for n in range(5000):
        assert scheduler.place({"CPU": UNIT, "rare": 1 + n}, excluded=(B,)) == 0
    assert scheduler.place({"CPU": UNIT, "rare": UNIT}) == B


# ---- malformed ----


GOOD = Question(ONE, excluded=(B,), arguments=((5, (A, B)),), labels=(Label(LABEL_IN, "k", ("v",)),)).pack()


@pytest.mark.parametrize("size", range(8, len(GOOD), 8))
def test_a_question_that_is_cut_off_is_not_answered(size):
    scheduler = Scheduler(node(A, labels={"k": "v"}))
    assert scheduler.ask_bytes(GOOD + GOOD[:size]) == [Answer(1, A)]
    assert scheduler.party.n_malformed == 1


@pytest.mark.parametrize(
    "question",
    [
        Question({"CPU": 2**64 - 1}),  # below zero
        Question(ONE, strategy=NEAR_NODE + 1),
        Question(ONE, bundle=-2),
        Question(ONE, labels=(Label(LABEL_ABSENT + 1, "key"),)),
    ],
)
def test_a_question_that_makes_no_sense_is_not_answered(question):
    scheduler = Scheduler(node(A))
    assert scheduler.ask(question) == [] and scheduler.party.n_malformed == 1


LOAD = node(B, labels={"key": "value"}, functions={FUNCTION: 5})


@pytest.mark.parametrize("size", range(8, len(LOAD.pack()), 8))
def test_a_report_that_is_cut_off_is_not_taken(size):
    scheduler = Scheduler()
    scheduler.tell(MASTER, MASTER_LOADS, noticed(A, node(A).pack()) + noticed(B, LOAD.pack()[:size]))
    assert [each["address"] for each in scheduler.party.nodes()] == [A]
    assert scheduler.party.n_malformed == 1


@pytest.mark.parametrize(
    "load",
    [
        node(0),
        node(A, incarnation=0),
        node(A, taken={"CPU": -1}),
        Load(A, {"CPU": -1}),
        Load(A, {"": 1}),
        node(A, functions={bytes([n]) * 20: 1 for n in range(33)}),
    ],
)
def test_a_report_that_makes_no_sense_is_not_taken(load):
    scheduler = Scheduler(load)
    assert scheduler.party.nodes() == [] and scheduler.party.n_malformed == 1


def test_a_message_of_another_kind_is_no_harm():
    scheduler = Scheduler(node(A))
    assert scheduler.tell(ASKER, SCHEDULER_ASK + 5, b"") == []
    assert scheduler.party.n_malformed == 1 and scheduler.place(ONE, strategy=DEFAULT) == A


def test_a_count_as_large_as_can_be_is_not_taken_for_none():
    """With the rank of a node without the preferred label it once came to zero, and the search ended there."""
    scheduler = Scheduler(node(A, n_running=2**64 - 1), node(B))
    wished = Label(LABEL_IN, "a", (), is_soft=True)
    assert scheduler.place({}, labels=(wished,)) == B
