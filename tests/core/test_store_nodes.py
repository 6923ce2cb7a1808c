"""What a shard of the control store does when a node dies: at once, and when the others have settled."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_shards import A, B, C

T = p.named_task("t")
O1 = p.object_id(T)
BIG = sp.value()


def dead(shards, node):
    shards.everywhere(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, node, shards.incarnations[node]))


def drop(shards, node):
    shards.everywhere(sp.MASTER, sp.Item(sp.OP_SETTLE, token=1))
    shards.everywhere(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, node, shards.incarnations[node]))


def kinds(entries):
    return [entry.kind for entry in entries]


def test_a_dead_node_is_fenced_and_its_next_start_is_not(shard):
    shard.say(A, sp.hold(O1, A))
    dead(shard, A)
    assert shard.shards[0].apply(sp.letter(A, 0, 2, [sp.hold(O1, A)])) == sp.LETTER_FENCED
    assert shard.shards[0].letters(A, 1) == []
    shard.restart(A)
    shard.say(A, sp.hold(O1, A, incarnation=2))
    drop_item = sp.about_node(sp.OP_NODE_DROP, A, 1)
    shard.say(sp.MASTER, drop_item)
    assert shard.sizes()["objects"] == 1


def test_its_copies_are_gone_at_once_and_others_serve(shard):
    shard.say(A, sp.commit(T), sp.Item(sp.OP_WATCH, O1))
    shard.say(B, sp.done(T, BIG))
    shard.say(C, sp.Item(sp.OP_LOCATE, O1))
    dead(shard, B)
    shard.hears(A)
    shard.say(A, sp.Item(sp.OP_UNWATCH, O1), sp.Item(sp.OP_WATCH, O1))
    assert sp.read_notice(shard.hears(A)[0].body)[:2] == (sp.STORED_READY, (C,))
    dead(shard, C)
    assert kinds(shard.hears(A)) == [sp.ENTRY_OBJECT, sp.ENTRY_RERUN]


def test_its_holds_stay_until_the_others_have_settled(shard):
    shard.say(A, sp.put(O1, sp.value(inline=p.envelope())))
    dead(shard, A)
    shard.say(B, sp.hold(O1, B))  # A had told it of the object
    drop(shard, A)
    assert shard.sizes()["objects"] == 1
    shard.say(B, sp.release(O1, B))
    assert shard.is_empty()


def test_what_nobody_else_holds_goes(shard):
    shard.say(A, sp.commit(T, [p.object_id(p.named_task("argument"))]), sp.put(p.object_id(T, p.PUT_INDEX)))
    dead(shard, A)
    assert shard.sizes()["tasks"] == 1
    drop(shard, A)
    assert shard.is_empty()


def test_a_shard_has_settled_when_the_others_have_what_it_told_them(make_shards):
    shards = make_shards(2)
    taker, argument = sp.task_in(0, 2, "taker"), p.object_id(sp.task_in(1, 2, "argument"))
    shards.held_back = {(0, 1)}
    shards.say(A, sp.commit(taker, [argument]))
    shards.hears(sp.MASTER, 0)
    shards.say(sp.MASTER, sp.Item(sp.OP_SETTLE, token=7), shard=0)
    assert shards.hears(sp.MASTER, 0) == []
    shards.held_back.clear()
    shards.carry()
    assert [(entry.kind, entry.token) for entry in shards.hears(sp.MASTER, 0)] == [(sp.ENTRY_SETTLED, 7)]
    shards.say(sp.MASTER, sp.Item(sp.OP_SETTLE, token=8), shard=0)
    assert [entry.token for entry in shards.hears(sp.MASTER, 0)] == [8]


def test_who_runs_a_task_adopts_it(shard):
    shard.say(A, sp.commit(T))
    shard.say(C, sp.hold(O1, C), sp.Item(sp.OP_WATCH, O1))
    shard.hears(C)
    shard.say(B, sp.attempt(sp.OP_ADOPT, T, token=1))
    dead(shard, A)
    shard.say(B, sp.attempt(sp.OP_ADOPT, T, 1, token=2), sp.attempt(sp.OP_ADOPT, T, token=3))
    assert [entry.flags for entry in shard.hears(B)] == [sp.STORE_STALE, sp.STORE_STALE, sp.STORE_OK]
    drop(shard, A)
    shard.say(B, sp.done(T, BIG))
    assert kinds(shard.hears(C)) == [sp.ENTRY_OBJECT]


def test_an_orphan_that_nobody_adopts_is_made_again_for_who_waits(shard):
    shard.say(A, sp.commit(T))
    shard.say(B, sp.hold(O1, B), sp.Item(sp.OP_WATCH, O1))
    dead(shard, A)
    shard.hears(B)
    drop(shard, A)
    [rerun] = shard.hears(B)
    assert (rerun.kind, rerun.body[:8]) == (sp.ENTRY_RERUN, sp.ATTEMPT_HEADER.pack(1, 1))
    shard.say(B, sp.attempt(sp.OP_ADOPT, T, token=1))
    assert [entry.flags for entry in shard.hears(B)] == [sp.STORE_STALE]


def test_an_orphan_without_retries_that_nobody_adopts_is_not_made_again(shard):
    """It may have run."""
    shard.say(A, sp.commit(T, n_returns=2, max_retries=0))
    shard.say(B, *(word for i in (0, 1) for word in (sp.hold(p.object_id(T, i), B),
                                                     sp.Item(sp.OP_WATCH, p.object_id(T, i)))))  # fmt: skip
    dead(shard, A)
    shard.hears(B)
    drop(shard, A)
    notices = shard.hears(B)
    assert kinds(notices) == [sp.ENTRY_OBJECT, sp.ENTRY_OBJECT]
    for notice in notices:
        assert "no retries left" in p.read_envelope(sp.read_notice(notice.body).value).error[1]
    shard.say(B, sp.release(p.object_id(T, 0), B), sp.release(p.object_id(T, 1), B))
    assert shard.is_empty()


def test_an_orphan_that_is_held_is_made_again_when_somebody_waits(shard):
    shard.say(A, sp.commit(T))
    shard.say(B, sp.hold(O1, B))
    dead(shard, A)
    drop(shard, A)
    assert shard.hears(B) == []
    shard.say(B, sp.Item(sp.OP_WATCH, O1))
    assert sp.ENTRY_RERUN in kinds(shard.hears(B))


def test_a_task_derived_again_is_given_to_who_commits_it_if_its_home_is_dead(shard):
    shard.say(A, sp.commit(T))
    dead(shard, A)
    shard.say(B, sp.commit(T, token=1))
    [answer] = shard.hears(B)
    assert (answer.flags, answer.body) == (sp.STORE_OK, sp.ATTEMPT_HEADER.pack(1, 0))
    drop(shard, A)
    assert shard.hears(B) == []
    assert shard.sizes()["tasks"] == 1


def test_what_the_dead_node_would_have_made_known_is_an_error_in_the_end(shard):
    shard.say(B, sp.hold(O1, B), sp.Item(sp.OP_WATCH, O1))
    shard.hears(B)
    dead(shard, A)
    shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, A))
    assert shard.hears(B) == []  # not before a settlement has found it so
    drop(shard, A)
    [notice] = shard.hears(B)
    assert "died before" in p.read_envelope(sp.read_notice(notice.body).value).error[1]
    shard.say(B, sp.release(O1, B))
    assert shard.is_empty()


def test_what_a_living_node_makes_known_meanwhile_is_no_error(shard):
    shard.say(B, sp.hold(O1, B), sp.Item(sp.OP_WATCH, O1))
    shard.hears(B)
    dead(shard, A)
    shard.say(sp.MASTER, sp.Item(sp.OP_SETTLE, token=1))
    shard.say(C, sp.commit(T))
    shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, A))
    assert shard.hears(B) == []


def test_only_the_last_start_of_the_master_counts(shard):
    shard.restart(sp.MASTER)
    shard.say(sp.MASTER, sp.Item(sp.OP_SETTLE, token=1))
    assert shard.shards[0].apply(sp.letter(sp.MASTER, 0, 2, [sp.about_node(sp.OP_NODE_DEAD, A)])) == sp.LETTER_FENCED


@pytest.mark.parametrize("damage", ["cut", "longer", "count", "shard", "acknowledged", "sender", "early", "again"])
def test_a_letter_that_is_not_whole_or_not_due_changes_nothing(shard, damage):
    shard.say(A, sp.commit(T))
    before = shard.shards[0].snapshot()
    letter = sp.letter(A, 0, 2, [sp.hold(O1, A)])
    fate = sp.LETTER_MALFORMED
    if damage == "cut":
        letter = letter[:-8]
    elif damage == "longer":
        letter += bytes(8)
    elif damage == "count":
        letter = letter[:12] + b"\x02" + letter[13:]
    elif damage == "shard":
        letter = sp.letter(A, 1, 2, [sp.hold(O1, A)])
    elif damage == "acknowledged":
        letter = sp.letter(A, 0, 2, [sp.hold(O1, A)], acknowledged=9)
    elif damage == "sender":
        letter = sp.letter(sp.party(sp.PARTY_SCHEDULER, 0), 0, 1, [sp.hold(O1, A)])
    elif damage == "early":
        letter, fate = sp.letter(A, 0, 3, [sp.hold(O1, A)]), sp.LETTER_EARLY
    else:
        letter, fate = sp.letter(A, 0, 1, [sp.commit(T)]), sp.LETTER_KNOWN
    assert shard.shards[0].apply(letter) == fate
    assert shard.shards[0].snapshot() == before


def test_a_snapshot_that_is_not_whole_is_refused(shard):
    shard.say(
        A, sp.commit(T, [p.object_id(p.named_task("u"))]), sp.actor(T, name="x"), sp.named(sp.OP_NAME_CLAIM, "x", T)
    )
    shard.say(A, sp.key_value(sp.OP_KV_PUT, "key", b"value"), sp.done(T, BIG, token=1))
    whole = shard.shards[0].snapshot()
    for size in range(0, len(whole), 8):
        with pytest.raises(ValueError, match="whole"):
            shard.shards[0].restore(whole[:size])
    assert shard.is_empty()
    shard.shards[0].restore(whole)
    assert shard.shards[0].snapshot() == whole
