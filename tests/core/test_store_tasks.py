"""Tasks in a shard of the control store: committed, ended, kept as lineage, forgotten; and the store's other shards."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_shards import A, B, C

BIG = sp.value()
SMALL = sp.value(inline=p.envelope(b"small"))
N = 3


@pytest.fixture
def three(make_shards):
    return make_shards(N)


def task(shard: int, name: str = "t") -> bytes:
    return sp.task_in(shard, N, name)


def answers(entries):
    return [(entry.token, entry.flags) for entry in entries if entry.kind == sp.ENTRY_ANSWER]


def test_a_task_holds_its_arguments_until_it_has_ended(shard):
    argument = p.object_id(p.named_task("argument"))
    taker = p.named_task("taker")
    shard.say(A, sp.commit(argument[:16]), sp.commit(taker, [argument]), sp.release(argument, A))
    shard.say(A, sp.done(argument[:16], SMALL))
    assert shard.sizes()["objects"] == 2
    shard.say(A, sp.done(taker, SMALL))
    assert (shard.sizes()["objects"], shard.sizes()["tasks"]) == (1, 0)


def test_lineage_is_kept_while_a_result_could_be_lost_and_goes_with_it_across_shards(three):
    chain = [task(i, "link") for i in range(N)]
    results = [p.object_id(each) for each in chain]
    three.say(A, sp.commit(chain[0]))
    three.say(A, sp.commit(chain[1], [results[0]]))
    three.say(A, sp.commit(chain[2], [results[1]]))
    for each in chain:
        three.say(A, sp.done(each, BIG))
    for each in results[:2]:
        three.say(A, sp.release(each, A))
        assert [entry.kind for entry in three.hears(A, results.index(each))] == [sp.ENTRY_FREE]
        three.say(A, sp.Item(sp.OP_UNLOCATE, each))
    assert [three.sizes(i)["tasks"] for i in range(N)] == [1, 1, 1]
    assert three.shards[0].archive() == []
    three.say(A, sp.release(results[2], A))
    three.say(A, sp.Item(sp.OP_UNLOCATE, results[2]))
    assert three.is_empty()
    assert [len(shard.archive()) for shard in three.shards] == [1, 1, 1]


def test_what_is_missing_is_made_again_recursively(three):
    first, second = task(0), task(1)
    three.say(A, sp.commit(first))
    three.say(A, sp.commit(second, [p.object_id(first)]))
    three.say(A, sp.done(first, BIG))
    three.say(A, sp.done(second, BIG))
    three.say(A, sp.release(p.object_id(first), A))
    three.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(first)))
    three.hears(A, 0)
    three.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(second)), sp.Item(sp.OP_WATCH, p.object_id(second)))
    assert [entry.kind for entry in three.hears(A, 1)] == [sp.ENTRY_OBJECT, sp.ENTRY_RERUN]
    three.say(A, sp.hold(p.object_id(first), A), sp.Item(sp.OP_WATCH, p.object_id(first)))
    assert [entry.kind for entry in three.hears(A, 0)] == [sp.ENTRY_OBJECT, sp.ENTRY_RERUN]
    three.say(A, sp.done(first, BIG, epoch=1, attempt=1))
    three.say(A, sp.release(p.object_id(first), A))
    assert [entry.kind for entry in three.hears(A, 0)] == [sp.ENTRY_OBJECT]  # the second task takes it
    three.say(A, sp.done(second, BIG, epoch=1, attempt=1))
    assert [entry.kind for entry in three.hears(A, 0)] == [sp.ENTRY_FREE]


def test_small_results_need_no_lineage(shard):
    first, second = p.named_task("first"), p.named_task("second")
    shard.say(A, sp.commit(first), sp.commit(second, [p.object_id(first)]))
    shard.say(A, sp.done(first, SMALL), sp.release(p.object_id(first), A))
    shard.say(A, sp.done(second, BIG))
    assert (shard.sizes()["objects"], shard.sizes()["tasks"]) == (2, 1)  # the value is kept, its task is not


def test_a_small_result_with_references_inside_does_not_keep_them_for_lineage(shard):
    inner = p.object_id(p.named_task("inner"), p.PUT_INDEX)
    first, second = p.named_task("first"), p.named_task("second")
    shard.say(A, sp.put(inner), sp.commit(first), sp.commit(second, [p.object_id(first)]))
    shard.say(A, sp.done(first, sp.value(inline=p.envelope(refs=[inner]), refs=[inner])))
    shard.say(A, sp.done(second, BIG), sp.release(inner, A))
    assert shard.hears(A) == []
    shard.say(A, sp.release(p.object_id(first), A))
    assert [entry.object for entry in shard.hears(A)] == [inner]
    assert shard.sizes()["tasks"] == 2


def test_if_flushing_is_off_tasks_stay(make_shards):
    shard = make_shards(1, flushes=False)
    first = p.named_task("first")
    shard.say(A, sp.commit(first), sp.done(first, SMALL), sp.release(p.object_id(first), A))
    assert (shard.sizes()["objects"], shard.sizes()["tasks"]) == (0, 1)
    shard.say(A, sp.commit(first, token=1))
    assert answers(shard.hears(A)) == [(1, sp.STORE_OK)]


@pytest.mark.parametrize("what", ["commit", "done", "put"])
def test_an_answer_waits_for_the_holds_that_it_promises(three, what):
    argument = p.object_id(task(1), p.PUT_INDEX)
    three.held_back = {(0, 1)}
    given = sp.value(inline=p.envelope(refs=[argument]), refs=[argument])
    if what == "commit":
        three.say(A, sp.commit(task(0), [argument], token=1))
    elif what == "done":
        three.say(A, sp.commit(task(0)), sp.done(task(0), given, token=1))
    else:
        three.say(A, sp.put(p.object_id(task(0), p.PUT_INDEX), given, token=1))
    assert three.hears(A, 0) == []
    assert three.sizes(1)["objects"] == 0
    three.held_back.clear()
    three.carry()
    assert three.sizes(1)["objects"] == 1
    assert answers(three.hears(A, 0)) == [(1, sp.STORE_OK)]


def test_only_the_present_epoch_counts(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t), sp.done(t, BIG, epoch=1, token=1), sp.failed(t, p.envelope(), epoch=2, token=2))
    shard.say(A, sp.attempt(sp.OP_ATTEMPT, t, 3, 1, token=3), sp.done(p.named_task("u"), token=4))
    stale = [(1, sp.STORE_STALE), (2, sp.STORE_STALE), (3, sp.STORE_STALE), (4, sp.STORE_UNKNOWN)]
    assert answers(shard.hears(A)) == stale
    assert shard.sizes()["objects"] == 1


def test_a_task_that_failed_has_the_error_for_each_result(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t, n_returns=2), sp.Item(sp.OP_WATCH, p.object_id(t, 1)))
    error = p.envelope(b"raised", kind=p.KIND_USER_ERROR)
    shard.say(A, sp.failed(t, error))
    assert sp.read_notice(shard.hears(A)[-1].body).value == error
    assert shard.sizes()["tasks"] == 0


def test_a_task_derived_again_is_the_same_task(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t))
    shard.say(B, sp.commit(t, digest=1, token=1), sp.commit(t, token=2))
    assert answers(shard.hears(B)) == [(1, sp.STORE_TAKEN), (2, sp.STORE_EXISTS)]
    shard.say(A, sp.done(t, SMALL), sp.release(p.object_id(t), A))
    assert shard.sizes()["objects"] == 1  # B holds it too


def test_what_was_let_go_of_a_task_that_is_lineage_is_there_again_for_who_commits_it_again(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t, n_returns=2), sp.done(t, sp.value(0), sp.value(1)), sp.release(p.object_id(t, 0), A))
    shard.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(t, 0)))
    assert shard.sizes()["objects"] == 1
    shard.say(B, sp.commit(t, n_returns=2, token=1), sp.Item(sp.OP_WATCH, p.object_id(t, 0)))
    kinds = [entry.kind for entry in shard.hears(B)]
    assert kinds == [sp.ENTRY_ANSWER, sp.ENTRY_OBJECT, sp.ENTRY_RERUN]


def test_the_end_of_an_attempt_before_the_last_one_does_not_count(shard):
    """Who ran it was thought dead by its home before its shard heard of that."""
    t = p.named_task("t")
    shard.say(A, sp.commit(t), sp.attempt(sp.OP_ATTEMPT, t, 0, 1, token=1))
    shard.say(B, sp.done(t, BIG, attempt=0, token=1))
    assert answers(shard.hears(B)) == [(1, sp.STORE_STALE)]
    shard.say(C, sp.done(t, BIG, attempt=1, token=1))
    assert answers(shard.hears(C)) == [(1, sp.STORE_OK)]


def test_a_task_that_is_derived_again_is_counted_anew(shard):
    """It is a new task to the run of its parent that submits it."""
    t = p.named_task("t")
    shard.say(A, sp.commit(t, max_retries=1), sp.attempt(sp.OP_ATTEMPT, t, 0, 1))
    shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, A))
    shard.say(B, sp.commit(t, max_retries=1, token=1))
    [answer] = shard.hears(B)
    assert answer.body == sp.ATTEMPT_HEADER.pack(1, 0)
    shard.say(B, sp.done(t, BIG, epoch=1, token=2), sp.Item(sp.OP_UNLOCATE, p.object_id(t)))
    shard.say(B, sp.Item(sp.OP_WATCH, p.object_id(t)))
    assert [entry.kind for entry in shard.hears(B)][-1] == sp.ENTRY_RERUN


def test_what_is_made_again_costs_a_retry(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t, max_retries=1), sp.done(t, BIG), sp.Item(sp.OP_WATCH, p.object_id(t)))
    shard.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(t)))
    assert shard.hears(A)[-1].kind == sp.ENTRY_RERUN
    shard.say(A, sp.done(t, BIG, epoch=1, attempt=1), sp.Item(sp.OP_UNLOCATE, p.object_id(t)))
    error = p.read_envelope(sp.read_notice(shard.hears(A)[-1].body).value).error
    assert error == (p.ERROR_OBJECT_LOST, "its bytes are lost, and the task that made it has no retries left")


def test_what_is_lost_while_its_task_runs_its_last_attempt_is_waited_for(shard):
    t = p.named_task("t")
    results = [p.object_id(t, i) for i in (0, 1)]
    shard.say(A, sp.commit(t, n_returns=2, max_retries=1), sp.done(t, sp.value(0), sp.value(1)))
    shard.say(A, *(sp.Item(sp.OP_WATCH, each) for each in results), sp.Item(sp.OP_UNLOCATE, results[0]))
    shard.hears(A)
    shard.say(A, sp.Item(sp.OP_UNLOCATE, results[1]))
    [notice] = shard.hears(A)
    assert sp.read_notice(notice.body).state == sp.STORED_REBUILT


def test_a_result_that_was_freed_before_the_store_heard_of_its_task_is_missing(shard):
    t = p.named_task("t")
    results = [p.object_id(t, i) for i in (0, 1)]
    shard.say(A, sp.commit(t, n_returns=2), sp.done(t, sp.value(1)))
    shard.say(B, sp.hold(results[0], B), sp.Item(sp.OP_WATCH, results[0]))
    assert [entry.kind for entry in shard.hears(B)][-2:] == [sp.ENTRY_OBJECT, sp.ENTRY_RERUN]


def test_a_stream_whose_end_is_here_and_items_are_not_may_be_made_again_by_its_home(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t, n_returns=p.STREAMING, max_retries=1), sp.done(t, SMALL))
    shard.say(B, sp.attempt(sp.OP_ATTEMPT, t, 0, 1, token=1))
    shard.say(A, sp.attempt(sp.OP_ATTEMPT, t, 0, 0, token=1), sp.attempt(sp.OP_ATTEMPT, t, 0, 1, token=2))
    assert answers(shard.hears(B)) == [(1, sp.STORE_STALE)]
    assert answers(shard.hears(A)) == [(1, sp.STORE_STALE), (2, sp.STORE_OK)]
    shard.say(A, sp.done(t, SMALL, attempt=1), sp.release(p.object_id(t), A))
    assert shard.is_empty()


def test_a_task_with_many_results_goes_with_the_last_in_any_order(shard):
    t = p.named_task("t")
    shard.say(A, sp.commit(t, n_returns=5), sp.done(t, *(sp.value(i) for i in range(5))))
    for i in (3, 0, 4, 1, 2):
        assert shard.sizes()["tasks"] == 1
        shard.say(A, sp.release(p.object_id(t, i), A), sp.Item(sp.OP_UNLOCATE, p.object_id(t, i)))
    assert shard.is_empty()


def test_operations_that_are_malformed_change_nothing_and_say_so(shard):
    t = p.named_task("t")
    bad = [
        sp.commit(t, n_returns=-2, token=1),
        sp.commit(t, n_returns=1 << 30, token=2),
        sp.Item(sp.OP_COMMIT, t, b"short", token=3),
        sp.put(p.object_id(t), sp.value(inline=b"no envelope"), token=4),
        sp.Item(sp.OP_HOLD, t, b"", token=5),
        sp.Item(99, t, token=6),
        sp.Item(sp.ENTRY_FIRST_FORWARD + sp.OP_HOLD, t, sp.holder(A), token=7),
        sp.about_node(sp.OP_NODE_DEAD, B, token=8),
        sp.Item(sp.OP_COMMIT, t, sp.commit(t, [p.object_id(t)]).body[:-40], token=9),
        sp.done(t, b"x" * 8, token=10),
    ]
    shard.say(C, *bad)
    assert answers(shard.hears(C)) == [(i, sp.STORE_MALFORMED) for i in range(1, 11)]
    assert shard.is_empty()


def test_an_operation_for_another_shard_is_refused(three):
    three.say(A, sp.commit(task(1), token=1), shard=0)
    assert answers(three.hears(A, 0)) == [(1, sp.STORE_MALFORMED)]


def test_a_lost_value_does_not_keep_what_it_contained_and_is_itself_lineage_of(shard):
    outer, inner = p.named_task("outer"), p.named_task("inner")
    shard.say(A, sp.commit(outer), sp.commit(inner, [p.object_id(outer)]))
    shard.say(A, sp.done(outer, sp.value(refs=[p.object_id(inner)])), sp.done(inner, BIG))
    shard.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(outer)), sp.release(p.object_id(inner), A))
    assert shard.hears(A) == []
    shard.say(A, sp.release(p.object_id(outer), A))
    assert [entry.object for entry in shard.hears(A)] == [p.object_id(inner)]
    shard.say(A, sp.Item(sp.OP_UNLOCATE, p.object_id(inner)))
    assert shard.is_empty()


def test_an_answer_waits_for_nothing_that_another_operation_led_to(three):
    argument, maker = p.object_id(task(1, "argument")), task(0, "maker")
    three.say(A, sp.commit(argument[:16]))
    three.say(A, sp.commit(maker, [argument]), sp.done(maker, BIG), sp.Item(sp.OP_UNLOCATE, p.object_id(maker)))
    three.hears(A, 0)
    three.held_back = {(0, 1)}
    alone = sp.commit(task(0, "alone"), token=5)
    three.say(A, sp.Item(sp.OP_WATCH, p.object_id(maker)), alone)  # which makes the maker hold its argument again
    assert answers(three.hears(A, 0)) == [(5, sp.STORE_OK)]
    three.held_back.clear()
    three.carry()
