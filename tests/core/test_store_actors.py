"""Actors, names and keys in a shard of the control store."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_shards import A, B, C

MADE = p.named_task("actor")
HANDLE = p.object_id(MADE, p.ACTOR_INDEX)
ERROR = p.envelope(b"why", kind=p.KIND_SYSTEM_ERROR)


def create(shards, task=MADE, **options):
    shards.say(A, sp.commit(task, n_returns=0, flags=p.SUBMIT_ACTOR), sp.actor(task, **options))


def report(kind, epoch=0, task=MADE, token=0):
    return sp.attempt(kind, task, epoch, 0, b"" if kind == sp.OP_ACTOR_ALIVE else ERROR, token)


def notices(entries):
    return [sp.read_actor_notice(entry.body) for entry in entries if entry.kind == sp.ENTRY_ACTOR]


def states(entries):
    return [notice.state for notice in notices(entries)]


@pytest.fixture
def alive(shard):
    """An actor of A's that B runs, that may restart once, and that C watches."""
    create(shard, max_restarts=1)
    shard.say(C, sp.hold(HANDLE, C), sp.Item(sp.OP_ACTOR_WATCH, MADE))
    shard.say(B, report(sp.OP_ACTOR_ALIVE))
    assert states(shard.hears(C)) == [sp.STORED_ACTOR_PENDING, sp.STORED_ACTOR_ALIVE]
    return shard


def test_who_watches_is_told_where_it_is_and_gets_its_handle_once(shard):
    create(shard, handle=b"a handle of some length")
    shard.say(C, sp.hold(HANDLE, C), sp.Item(sp.OP_ACTOR_WATCH, MADE))
    shard.say(B, report(sp.OP_ACTOR_ALIVE))
    first, second = notices(shard.hears(C))
    assert first == (sp.STORED_ACTOR_PENDING, 0, 0, 0, b"", b"a handle of some length")
    assert second == (sp.STORED_ACTOR_ALIVE, B, 0, 0, b"", b"")
    shard.say(C, sp.Item(sp.OP_ACTOR_UNWATCH, MADE))
    shard.say(B, report(sp.OP_ACTOR_ENDED))
    assert shard.hears(C) == []


def test_a_crash_is_a_restart_at_its_home_until_they_are_used_up(alive):
    alive.say(B, report(sp.OP_ACTOR_CRASHED))
    assert states(alive.hears(C)) == [sp.STORED_ACTOR_RESTARTING]
    [rerun] = alive.hears(A)
    assert (rerun.kind, rerun.body) == (sp.ENTRY_RERUN, sp.ATTEMPT_HEADER.pack(1, 1) + sp.SPEC)
    alive.say(B, report(sp.OP_ACTOR_ALIVE, token=1), report(sp.OP_ACTOR_CRASHED, token=2))
    assert [entry.flags for entry in alive.hears(B)] == [sp.STORE_STALE, sp.STORE_STALE]
    alive.say(A, report(sp.OP_ACTOR_ALIVE, 1))
    alive.say(A, report(sp.OP_ACTOR_CRASHED, 1))
    notice = notices(alive.hears(C))[-1]
    assert (notice.state, notice.n_restarts, notice.death) == (sp.STORED_ACTOR_DEAD, 1, ERROR)
    assert alive.sizes()["tasks"] == 0


def test_its_node_dies_and_who_watches_makes_it_again_if_its_home_is_gone_too(alive):
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, A))
    assert alive.hears(C) == []
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B))
    assert [entry.kind for entry in alive.hears(C)] == [sp.ENTRY_ACTOR, sp.ENTRY_RERUN]
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, C))
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, C), sp.about_node(sp.OP_NODE_DROP, A))
    assert alive.is_empty()


def test_without_a_node_it_waits_for_one(shard):
    create(shard, max_restarts=-1, flags=p.ACTOR_DETACHED)
    for node in (A, B, C):
        shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, node))
        shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, node))
    assert shard.sizes()["actors"] == 1
    shard.restart(B)
    shard.say(sp.MASTER, sp.about_node(sp.OP_NODE_ALIVE, B, 2))
    assert [entry.kind for entry in shard.hears(B)] == [sp.ENTRY_RERUN]


def test_the_last_handle_ends_it(alive):
    alive.say(A, sp.release(HANDLE, A))
    assert alive.hears(B) == []
    alive.say(C, sp.Item(sp.OP_ACTOR_UNWATCH, MADE), sp.release(HANDLE, C))
    [end] = alive.hears(B)
    assert (end.kind, end.flags) == (sp.ENTRY_ACTOR_END, sp.END_UNREFERENCED)
    alive.say(B, report(sp.OP_ACTOR_ENDED))
    assert alive.is_empty()


def test_a_detached_actor_lives_without_handles(shard):
    create(shard, flags=p.ACTOR_DETACHED)
    shard.say(B, report(sp.OP_ACTOR_ALIVE))
    shard.say(A, sp.release(HANDLE, A))
    assert shard.hears(B) == []
    assert shard.sizes()["actors"] == 1
    shard.say(B, report(sp.OP_ACTOR_ENDED))
    assert shard.is_empty()


def test_an_actor_nobody_wants_before_it_is_made_is_ended_where_it_comes_alive(shard):
    create(shard)
    shard.say(A, sp.release(HANDLE, A))
    assert [entry.kind for entry in shard.hears(A)] == [sp.ENTRY_ACTOR_END]  # its home
    shard.say(B, report(sp.OP_ACTOR_ALIVE))
    assert [entry.kind for entry in shard.hears(B)] == [sp.ENTRY_ACTOR_END]


@pytest.mark.parametrize(("flags", "end"), [(p.KILL_NO_RESTART, sp.END_KILLED), (0, sp.END_RESTART)])
def test_killed_where_it_runs(alive, flags, end):
    alive.say(A, sp.Item(sp.OP_ACTOR_KILL, MADE, flags=flags))
    [entry] = alive.hears(B)
    assert (entry.kind, entry.flags) == (sp.ENTRY_ACTOR_END, end)
    alive.say(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, B))  # before it could say so
    dead = [sp.STORED_ACTOR_DEAD] if flags else [sp.STORED_ACTOR_RESTARTING]
    assert states(alive.hears(C)) == dead


def test_killed_before_it_is_made(shard):
    create(shard)
    shard.say(A, sp.Item(sp.OP_ACTOR_KILL, MADE, flags=p.KILL_NO_RESTART, token=1))
    assert [entry.kind for entry in shard.hears(A)] == [sp.ENTRY_ACTOR_END, sp.ENTRY_ANSWER]
    shard.say(B, report(sp.OP_ACTOR_ALIVE, token=2))
    assert [entry.flags for entry in shard.hears(B)] == [sp.STORE_UNKNOWN]


def test_handles_tell_of_the_dead_until_they_are_gone(alive):
    alive.say(B, report(sp.OP_ACTOR_ENDED))
    alive.say(A, sp.Item(sp.OP_ACTOR_WATCH, MADE))
    assert notices(alive.hears(A))[0].death == ERROR
    for node in (A, C):
        alive.say(node, sp.release(HANDLE, node))
    assert alive.is_empty()
    alive.say(A, sp.Item(sp.OP_ACTOR_WATCH, MADE))
    assert "not known" in p.read_envelope(notices(alive.hears(A))[0].death).error[1]


def test_a_handle_may_come_before_its_actor_is_known(shard):
    shard.say(C, sp.hold(HANDLE, C), sp.Item(sp.OP_ACTOR_WATCH, MADE))
    create(shard)
    shard.say(B, report(sp.OP_ACTOR_ALIVE))
    assert states(shard.hears(C)) == [sp.STORED_ACTOR_PENDING, sp.STORED_ACTOR_ALIVE]


def test_an_actor_that_will_not_become_known_is_dead(shard):
    shard.say(C, sp.hold(HANDLE, C), sp.Item(sp.OP_ACTOR_WATCH, MADE))
    for kind in (sp.OP_NODE_DEAD, sp.OP_SETTLE, sp.OP_NODE_DROP):
        shard.say(sp.MASTER, sp.about_node(kind, A))
    assert states(shard.hears(C)) == [sp.STORED_ACTOR_PENDING, sp.STORED_ACTOR_DEAD]
    shard.say(C, sp.release(HANDLE, C))
    assert shard.is_empty()


# ---- names and keys ----------------------------------------------------------------------------------------------


def shards_of(name):
    """Three shards, an actor that is in another one than its name, and the shards of both."""
    name_shard = sp.shard_of(p.content_hash(name.encode()), 3)
    return sp.task_in((name_shard + 1) % 3, 3, "actor"), name_shard, (name_shard + 1) % 3


def test_a_name_goes_with_its_actor(make_shards):
    shards = make_shards(3)
    task, at, _ = shards_of("space\nname")
    claim = sp.named(sp.OP_NAME_CLAIM, "space\nname", task, sp.NAME_OF_ACTOR, token=1)
    shards.say(A, claim)
    create(shards, task, name="space\nname")
    shards.say(B, sp.named(sp.OP_NAME_CLAIM, "space\nname", p.named_task("other"), token=1))
    shards.say(B, sp.named(sp.OP_NAME_FIND, "space\nname", token=2), sp.named(sp.OP_NAME_LIST, "space", token=3))
    taken, found, listed = shards.hears(B, at)
    assert (taken.flags, taken.body) == (sp.STORE_TAKEN, task)
    assert (found.flags, found.body) == (sp.STORE_OK, task)
    assert listed.body == b"space\nname\n"
    shards.say(A, report(sp.OP_ACTOR_ENDED, task=task))
    shards.say(A, claim)
    assert [entry.flags for entry in shards.hears(A, at)] == [sp.STORE_OK, sp.STORE_OK]
    shards.say(A, sp.named(sp.OP_NAME_DROP, "space\nname", task))
    shards.say(A, sp.release(p.object_id(task, p.ACTOR_INDEX), A))
    assert shards.is_empty()


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_name_is_dropped_with_who_claimed_it_unless_there_is_an_actor(make_shards, there_is_one):
    shards = make_shards(3)
    task, at, _ = shards_of("name")
    shards.say(A, sp.named(sp.OP_NAME_CLAIM, "name", task, sp.NAME_OF_ACTOR))
    if there_is_one:
        create(shards, task, name="name", flags=p.ACTOR_DETACHED)
    shards.everywhere(sp.MASTER, sp.about_node(sp.OP_NODE_DEAD, A))
    assert shards.sizes(at)["names"] == 1
    shards.everywhere(sp.MASTER, sp.about_node(sp.OP_NODE_DROP, A))
    assert shards.sizes(at)["names"] == there_is_one


def test_keys_and_values(shard):
    def ask(kind, key, value=None, flags=0):
        shard.say(A, sp.key_value(kind, key, value, flags, token=1))
        [entry] = shard.hears(A)
        return entry.flags, entry.body

    assert ask(sp.OP_KV_GET, "a") == (sp.STORE_UNKNOWN, b"")
    assert ask(sp.OP_KV_PUT, "a", b"1") == (sp.STORE_OK, b"")
    assert ask(sp.OP_KV_PUT, "a", b"2") == (sp.STORE_TAKEN, b"")
    assert ask(sp.OP_KV_GET, "a") == (sp.STORE_OK, b"1")
    assert ask(sp.OP_KV_PUT, "a", b"", sp.KV_OVERWRITE) == (sp.STORE_OK, b"")
    assert ask(sp.OP_KV_GET, "a") == (sp.STORE_OK, b"")
    ask(sp.OP_KV_PUT, "b", b"3")
    assert ask(sp.OP_KV_LIST, "")[1].count(b"\x01\0\0\0\0\0\0\0") == 2
    assert ask(sp.OP_KV_LIST, "b") == (sp.STORE_OK, b"\x01\0\0\0\0\0\0\0b" + bytes(7))
    assert ask(sp.OP_KV_DELETE, "a") == (sp.STORE_OK, b"")
    assert ask(sp.OP_KV_DELETE, "a") == (sp.STORE_UNKNOWN, b"")
    assert ask(sp.OP_KV_PUT, "c", b"x")[0] == sp.STORE_OK
    assert shard.sizes()["values"] == 2
