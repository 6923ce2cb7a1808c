"""The log of an actor that replays, in a shard: calls and checkpoints, what they hold, who gets them, what is made once."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_shards import A, B, C

MADE, CALL, OTHER, PARENT = map(p.named_task, ("actor", "call", "other", "parent"))
HANDLE, CHECKPOINT = p.object_id(MADE, p.ACTOR_INDEX), p.object_id(MADE, p.CHECKPOINT_INDEX | 1)
ARGUMENT, FIRST_ARGUMENT = p.object_id(p.named_task("argument"), 0), p.object_id(p.named_task("first"), 0)
RESULT = p.object_id(CALL, 0)
ERROR = p.envelope(b"why", kind=p.KIND_SYSTEM_ERROR)
EPOCH_OF_LOG = 0xFFFFFFFF


def report(kind, epoch=0, token=0):
    return sp.attempt(kind, MADE, epoch, 0, b"" if kind == sp.OP_ACTOR_ALIVE else ERROR, token)


def answers(entries):
    return sorted((entry.token, entry.flags) for entry in entries if entry.kind == sp.ENTRY_ANSWER)


def log_of(entries):
    """What the answer to ALIVE says: (call, number, what follows what it holds) of each call."""
    [body] = [entry.body for entry in entries if entry.kind == sp.ENTRY_ANSWER]
    calls = []
    while body:
        size = int.from_bytes(body[:8], "little")
        call, number, _, n_held = sp.LOG_HEADER.unpack_from(body, 8)
        calls.append((call, number, body[8 + sp.LOG_HEADER.size + 24 * n_held : 8 + size]))
        body = body[8 + (size + 7) // 8 * 8 :]
    return calls


@pytest.fixture(params=[1, 3], ids=["one shard", "three"])
def alive(request, make_shards):
    """An actor of A's that B runs, with an argument, and a call of A's, with another."""
    shards = make_shards(request.param)
    shards.say(A, sp.put(FIRST_ARGUMENT, sp.value(inline=p.envelope(b"first"))))
    shards.say(A, sp.put(ARGUMENT, sp.value(inline=p.envelope(b"argument"))))
    shards.say(A, sp.commit(MADE, [FIRST_ARGUMENT], n_returns=0, flags=p.SUBMIT_ACTOR), sp.actor(MADE, max_restarts=-1))
    shards.say(A, sp.commit(CALL, [ARGUMENT], flags=p.SUBMIT_CALL))
    shards.say(B, report(sp.OP_ACTOR_ALIVE))
    for endpoint in (A, B):
        for number in range(request.param):
            shards.hears(endpoint, number)
    return shards


def of(shards, task):
    return sp.shard_of(task, len(shards.shards))


def test_calls_come_back_in_their_order_with_the_next_life(alive):
    alive.say(B, sp.logged(MADE, CALL, 1, [ARGUMENT], b"spec 1 ", token=1), sp.logged(MADE, OTHER, 2, token=2))
    assert answers(alive.hears(B, of(alive, MADE))) == [(1, sp.STORE_OK), (2, sp.STORE_OK)]
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B), shard=of(alive, MADE))
    assert [entry.kind for entry in alive.hears(A, of(alive, MADE))] == [sp.ENTRY_RERUN]
    alive.say(A, report(sp.OP_ACTOR_ALIVE, 1, token=3))
    assert log_of(alive.hears(A, of(alive, MADE))) == [(CALL, 1, b"spec 1 "), (OTHER, 2, b"")]


def test_who_does_not_run_it_cannot_write_its_log(alive):
    alive.say(A, sp.logged(MADE, CALL, 1, token=1), sp.saved(MADE, 1, token=2))
    assert answers(alive.hears(A, of(alive, MADE))) == [(1, sp.STORE_STALE), (2, sp.STORE_STALE)]
    alive.say(B, sp.logged(MADE, CALL, 1, epoch=1, token=3), sp.logged(OTHER, CALL, 1, token=4), shard=of(alive, MADE))
    assert answers(alive.hears(B, of(alive, MADE)))[0] == (3, sp.STORE_STALE)
    alive.say(B, sp.logged(MADE, CALL, 2, token=5), sp.logged(MADE, OTHER, 2, token=6))
    assert answers(alive.hears(B, of(alive, MADE))) == [(5, sp.STORE_OK), (6, sp.STORE_STALE)]


@pytest.mark.parametrize("cut", [b"", b"\1" * 31, sp.LOG_HEADER.pack(CALL, 1, 0, 9)])
def test_what_is_malformed_is_refused(alive, cut):
    alive.say(B, sp.Item(sp.OP_ACTOR_LOG, MADE, cut, token=1), sp.Item(sp.OP_ACTOR_SAVED, MADE, cut[:20], token=2))
    assert answers(alive.hears(B, of(alive, MADE))) == [(1, sp.STORE_MALFORMED), (2, sp.STORE_MALFORMED)]


def rows(shards, *objects):
    """How many rows there are in the shards of these objects."""
    return sum(shards.sizes(number)["objects"] for number in {of(shards, object[:16]) for object in objects})


def test_a_logged_call_holds_its_arguments_until_a_checkpoint_covers_it(alive):
    before = rows(alive, ARGUMENT)
    alive.say(B, sp.logged(MADE, CALL, 1, [ARGUMENT]))
    alive.say(B, sp.done(CALL, sp.value(inline=p.envelope(b"done")), epoch=EPOCH_OF_LOG))
    alive.say(A, sp.release(ARGUMENT, A))
    assert rows(alive, ARGUMENT) == before
    alive.say(B, sp.saved(MADE, 0, [FIRST_ARGUMENT], b"as before"))
    assert rows(alive, ARGUMENT) == before
    alive.say(B, sp.saved(MADE, 1, [FIRST_ARGUMENT], b"as before"))
    assert rows(alive, ARGUMENT) == before - 1


def test_a_checkpoint_takes_the_place_of_what_the_actor_was_made_of(alive):
    alive.say(B, sp.put(CHECKPOINT, sp.value(inline=p.envelope(b"saved"))))
    before = rows(alive, CHECKPOINT), rows(alive, FIRST_ARGUMENT)
    alive.say(A, sp.release(FIRST_ARGUMENT, A))
    alive.say(B, sp.saved(MADE, 0, [CHECKPOINT], b"made of that"))
    alive.say(B, sp.release(CHECKPOINT, B))
    gone = of(alive, CHECKPOINT[:16]) == of(alive, FIRST_ARGUMENT[:16])
    assert rows(alive, CHECKPOINT) == before[0] - gone
    assert rows(alive, FIRST_ARGUMENT) == before[1] - 1
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B), shard=of(alive, MADE))
    [rerun] = [entry for entry in alive.hears(A, of(alive, MADE)) if entry.kind == sp.ENTRY_RERUN]
    assert rerun.body == sp.ATTEMPT_HEADER.pack(1, 1) + b"made of that"
    alive.say(A, report(sp.OP_ACTOR_ALIVE, 1), report(sp.OP_ACTOR_ENDED, 1))
    assert rows(alive, CHECKPOINT) == before[0] - gone - 1


def test_the_word_of_the_log_counts_if_nobody_has_said_how_a_call_ended(alive):
    alive.say(B, sp.done(CALL, sp.value(inline=p.envelope(b"from the log")), epoch=EPOCH_OF_LOG, token=1))
    assert answers(alive.hears(B, of(alive, CALL))) == [(1, sp.STORE_OK)]
    alive.say(B, sp.done(CALL, sp.value(inline=p.envelope(b"again")), epoch=EPOCH_OF_LOG, token=2))
    alive.say(B, sp.failed(CALL, ERROR, epoch=EPOCH_OF_LOG, token=3))
    assert answers(alive.hears(B, of(alive, CALL))) == [(2, sp.STORE_UNKNOWN), (3, sp.STORE_UNKNOWN)]
    alive.say(A, sp.Item(sp.OP_WATCH, RESULT))
    [entry] = alive.hears(A, of(alive, CALL))
    assert b"from the log" in entry.body


def test_an_actor_that_dies_ends_the_calls_of_which_nobody_has_said_how_they_ended(alive):
    alive.say(B, sp.logged(MADE, CALL, 1, [ARGUMENT]))
    alive.say(A, sp.Item(sp.OP_WATCH, RESULT))
    alive.say(A, sp.Item(sp.OP_ACTOR_KILL, MADE, flags=p.KILL_NO_RESTART))
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B), shard=of(alive, MADE))
    notice = sp.read_notice([e for e in alive.hears(A, of(alive, CALL)) if e.kind == sp.ENTRY_OBJECT][-1].body)
    assert notice.value[-len(ERROR) :] == ERROR or b"died" in notice.value


def test_a_snapshot_has_the_log(make_shards):
    shards = make_shards()
    shards.say(A, sp.put(ARGUMENT, sp.value(inline=p.envelope(b"argument"))))
    shards.say(A, sp.commit(MADE, n_returns=0, flags=p.SUBMIT_ACTOR), sp.actor(MADE, max_restarts=-1))
    shards.say(A, sp.commit(CALL, flags=p.SUBMIT_CALL | sp.COMMIT_KEPT, parent=MADE))
    shards.say(B, report(sp.OP_ACTOR_ALIVE), sp.logged(MADE, CALL, 7, [ARGUMENT], b"a spec"))
    [shard] = shards.shards
    taken = shard.snapshot()
    shard.restore(taken)
    assert shard.snapshot() == taken
    shards.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B))
    shards.hears(A)
    shards.say(A, report(sp.OP_ACTOR_ALIVE, 1, token=1))
    assert log_of(shards.hears(A)) == [(CALL, 7, b"a spec")]


# ---- made once -------------------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 3], ids=["one shard", "three"])
def kept(request, make_shards):
    """A call that its parent, a task of A's, has made on B and holds; done, and let go by B."""
    shards = make_shards(request.param)
    shards.say(A, sp.commit(PARENT))
    shards.say(B, sp.commit(CALL, flags=p.SUBMIT_CALL | sp.COMMIT_KEPT, parent=PARENT))
    shards.say(C, sp.done(CALL, sp.value(inline=p.envelope(b"once"))))
    shards.say(B, sp.release(RESULT, B))
    return shards


def test_a_call_that_its_parent_makes_again_is_found(kept):
    kept.say(A, sp.commit(CALL, flags=p.SUBMIT_CALL | sp.COMMIT_KEPT, parent=PARENT, token=1))
    assert answers(kept.hears(A, of(kept, CALL))) == [(1, sp.STORE_EXISTS)]
    kept.say(A, sp.Item(sp.OP_WATCH, RESULT))
    assert b"once" in kept.hears(A, of(kept, CALL))[0].body


def test_it_is_let_go_when_its_parent_cannot_run_again(kept):
    kept.say(A, sp.done(PARENT, sp.value(inline=p.envelope(b"parent"))))
    kept.say(A, sp.release(p.object_id(PARENT, 0), A))
    assert kept.is_empty()


def test_it_is_not_held_by_a_parent_that_is_over_or_unknown(make_shards):
    shards = make_shards(3)
    shards.say(B, sp.commit(CALL, flags=p.SUBMIT_CALL | sp.COMMIT_KEPT, parent=PARENT))
    shards.say(C, sp.done(CALL, sp.value(inline=p.envelope(b"once"))))
    shards.say(B, sp.release(RESULT, B))
    assert shards.is_empty()
