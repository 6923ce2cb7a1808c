"""Objects in a shard of the control store: held, located, watched, freed, lost, made again."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_shards import A, B, C

T = p.named_task("t")
O1 = p.object_id(T)
BIG = sp.value()
SMALL = p.envelope(b"small")


@pytest.fixture
def made(shard):
    """A's task has been run by B, whose copy is the only one."""
    shard.say(A, sp.commit(T))
    shard.say(B, sp.done(T, BIG))
    return shard


def states(entries):
    return [sp.read_notice(entry.body).state for entry in entries if entry.kind == sp.ENTRY_OBJECT]


def test_who_watches_is_told_now_and_at_each_change(shard):
    shard.say(A, sp.commit(T), sp.Item(sp.OP_WATCH, O1))
    assert states(shard.hears(A)) == [sp.STORED_PENDING]
    shard.say(B, sp.done(T, BIG))
    [ready] = shard.hears(A)
    assert sp.read_notice(ready.body) == (sp.STORED_READY, (B,), b"")
    shard.say(A, sp.Item(sp.OP_UNWATCH, O1))
    shard.say(B, sp.Item(sp.OP_UNLOCATE, O1))
    assert shard.hears(A) == []


def test_a_small_value_comes_with_the_notice(shard):
    shard.say(A, sp.commit(T), sp.done(T, sp.value(inline=SMALL)), sp.Item(sp.OP_WATCH, O1))
    [notice] = shard.hears(A)
    assert sp.read_notice(notice.body) == (sp.STORED_READY, (), SMALL)


def test_without_holders_each_copy_is_freed_and_then_the_row(made):
    made.say(A, sp.Item(sp.OP_LOCATE, O1))
    made.say(A, sp.release(O1, A))
    assert [entry.kind for entry in made.hears(A)] == [sp.ENTRY_FREE]
    assert [entry.kind for entry in made.hears(B)] == [sp.ENTRY_FREE]
    made.say(A, sp.Item(sp.OP_UNLOCATE, O1))
    assert made.sizes()["objects"] == 1
    made.say(B, sp.Item(sp.OP_UNLOCATE, O1))
    assert made.is_empty()


def test_a_copy_made_while_the_object_is_being_freed_is_freed_too(made):
    made.say(A, sp.release(O1, A))
    made.say(C, sp.Item(sp.OP_LOCATE, O1))
    assert [entry.kind for entry in made.hears(C)] == [sp.ENTRY_FREE]
    made.say(C, sp.Item(sp.OP_UNLOCATE, O1))
    made.say(B, sp.Item(sp.OP_UNLOCATE, O1))
    assert made.is_empty()
    made.say(C, sp.Item(sp.OP_LOCATE, O1))
    assert [entry.kind for entry in made.hears(C)] == [sp.ENTRY_FREE]


def test_a_hold_said_twice_is_one(made):
    made.say(B, sp.hold(O1, B), sp.hold(O1, B))
    made.say(A, sp.release(O1, A), sp.release(O1, A))
    assert made.hears(B) == []
    made.say(B, sp.release(O1, B))
    assert [entry.kind for entry in made.hears(B)] == [sp.ENTRY_FREE]


def test_nobody_holds_for_another(made):
    made.say(B, sp.hold(O1, C, token=7))
    [refused] = made.hears(B)
    assert (refused.kind, refused.flags, refused.token) == (sp.ENTRY_ANSWER, sp.STORE_MALFORMED, 7)


def test_what_a_value_contains_lives_as_long_as_the_value(shard):
    inner = p.object_id(p.named_task("inner"), p.PUT_INDEX)
    outer = p.object_id(p.named_task("outer"), p.PUT_INDEX)
    shard.say(A, sp.put(inner, sp.value(inline=SMALL)))
    shard.say(A, sp.put(outer, sp.value(inline=p.envelope(refs=[inner]), refs=[inner])))
    shard.say(A, sp.release(inner, A))
    assert shard.sizes()["objects"] == 2
    shard.say(A, sp.release(outer, A))
    assert shard.is_empty()


def test_a_lost_object_is_made_again_by_who_watches_first_once(made):
    made.say(B, sp.hold(O1, B), sp.Item(sp.OP_UNLOCATE, O1))
    assert made.hears(B) == []  # nobody has asked for it
    made.say(B, sp.Item(sp.OP_WATCH, O1))
    made.say(A, sp.Item(sp.OP_WATCH, O1))
    notice, rerun = made.hears(B)
    assert (rerun.kind, rerun.object[:16], rerun.body) == (sp.ENTRY_RERUN, T, sp.ATTEMPT_HEADER.pack(1, 1) + sp.SPEC)
    assert states([notice]) == [sp.STORED_REBUILT]
    assert states(made.hears(A)) == [sp.STORED_REBUILT]
    made.say(A, sp.done(T, BIG, epoch=0, token=3))
    assert [entry.flags for entry in made.hears(A)] == [sp.STORE_STALE]
    made.say(B, sp.done(T, BIG, epoch=1, attempt=1))
    assert states(made.hears(A)) == states(made.hears(B)) == [sp.STORED_READY]


def test_the_loss_of_a_copy_that_is_watched_is_noticed_at_once(made):
    made.say(A, sp.Item(sp.OP_WATCH, O1))
    made.hears(A)
    made.say(B, sp.Item(sp.OP_UNLOCATE, O1))
    assert [entry.kind for entry in made.hears(A)] == [sp.ENTRY_OBJECT, sp.ENTRY_RERUN]


def test_a_copy_that_turns_up_ends_the_loss(made):
    made.say(B, sp.Item(sp.OP_UNLOCATE, O1))
    made.say(C, sp.Item(sp.OP_LOCATE, O1))
    made.say(A, sp.Item(sp.OP_WATCH, O1))
    [notice] = made.hears(A)
    assert sp.read_notice(notice.body)[:2] == (sp.STORED_READY, (C,))


@pytest.mark.parametrize(
    ("index", "flags", "why"),
    [
        (p.PUT_INDEX, 0, b"made by put"),
        (1, 0, b"item of a stream"),
        (0, p.SUBMIT_CALL, b"method of an actor"),
    ],
)
def test_what_cannot_be_made_again_is_an_error_that_says_why(shard, index, flags, why):
    lost = p.object_id(T, index)
    shard.say(A, sp.commit(T, n_returns=p.STREAMING if index == 1 else 1, flags=flags))
    if index:
        shard.say(A, sp.put(lost))
    shard.say(A, sp.done(T, BIG))
    shard.say(A, sp.Item(sp.OP_UNLOCATE, lost), sp.Item(sp.OP_WATCH, lost))
    notice = sp.read_notice(shard.hears(A)[-1].body)
    code, text = p.read_envelope(notice.value).error
    assert (notice.state, code) == (sp.STORED_LOST, p.ERROR_OBJECT_LOST)
    assert why in text.encode()


def test_a_reference_that_nobody_knows_resolves_to_an_error(shard):
    shard.say(A, sp.Item(sp.OP_WATCH, O1))
    [notice] = shard.hears(A)
    notice = sp.read_notice(notice.body)
    assert notice.state == sp.STORED_LOST
    assert "not known" in p.read_envelope(notice.value).error[1]


def test_a_hold_may_come_before_what_makes_the_object_known(shard):
    shard.say(B, sp.hold(O1, B), sp.Item(sp.OP_WATCH, O1))
    assert states(shard.hears(B)) == [sp.STORED_PENDING]
    shard.say(A, sp.commit(T))
    shard.say(A, sp.done(T, sp.value(inline=SMALL)), sp.release(O1, A))
    assert states(shard.hears(B)) == [sp.STORED_READY]
    assert shard.sizes()["objects"] == 1


def test_a_second_copy_of_a_living_object_does_not_replace_it(made):
    made.say(C, sp.put(O1, sp.value(size=99)))
    assert [entry.kind for entry in made.hears(C)] == [sp.ENTRY_FREE]
    made.say(C, sp.put(O1, BIG))
    made.say(A, sp.Item(sp.OP_WATCH, O1))
    assert sp.read_notice(made.hears(A)[0].body).locations == (B, C)


def test_the_value_of_a_result_that_nobody_wants_is_let_go(shard):
    shard.say(A, sp.commit(T), sp.release(O1, A))
    shard.say(B, sp.done(T, BIG))
    assert [entry.kind for entry in shard.hears(B)] == [sp.ENTRY_FREE]
    assert shard.is_empty()
