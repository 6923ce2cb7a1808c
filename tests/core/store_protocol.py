"""The vocabulary of the control store, written a second time: letters of operations and entries, packed with struct.

`test_store_protocol.py` compares it with `raylite/_core/store/message.pxd`, so neither can change alone.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.core import protocol as p

OP_NOTHING, OP_COMMIT, OP_DONE, OP_PUT, OP_HOLD, OP_RELEASE, OP_LOCATE, OP_UNLOCATE, OP_WATCH, OP_UNWATCH = range(10)
OP_ATTEMPT, OP_ADOPT, OP_FAILED, OP_MADE = range(10, 14)
OP_ACTOR, OP_ACTOR_ALIVE, OP_ACTOR_ENDED, OP_ACTOR_CRASHED, OP_ACTOR_WATCH, OP_ACTOR_UNWATCH = range(20, 26)
OP_ACTOR_KILL, OP_ACTOR_NAMED, OP_ACTOR_LOG, OP_ACTOR_SAVED = range(26, 30)
OP_NAME_CLAIM, OP_NAME_FIND, OP_NAME_DROP, OP_NAME_LIST = range(30, 34)
OP_KV_PUT, OP_KV_GET, OP_KV_DELETE, OP_KV_LIST = range(40, 44)
OP_NODE_ALIVE, OP_NODE_DEAD, OP_NODE_DROP, OP_SETTLE = range(50, 54)
ENTRY_ANSWER, ENTRY_OBJECT, ENTRY_FREE, ENTRY_RERUN, ENTRY_ACTOR, ENTRY_ACTOR_END, ENTRY_SETTLED = range(1, 8)
ENTRY_FIRST_FORWARD = 128
STORE_OK, STORE_UNKNOWN, STORE_STALE, STORE_TAKEN, STORE_FENCED, STORE_MALFORMED, STORE_EXISTS = range(7)
STORED_PENDING, STORED_READY, STORED_LOST, STORED_REBUILT, STORED_FREEING, STORED_MISSING = range(6)
HOLDER_NODE, HOLDER_TASK, HOLDER_CONTAINER, HOLDER_LINEAGE, HOLDER_LOG, HOLDER_PARENT = range(1, 7)
END_UNREFERENCED, END_KILLED, END_RESTART = range(3)
STORED_ACTOR_PENDING, STORED_ACTOR_ALIVE, STORED_ACTOR_RESTARTING, STORED_ACTOR_DEAD = range(4)
KV_OVERWRITE = NAME_OF_ACTOR = 1
COMMIT_KEPT = 65536
PARTY_NODE, PARTY_REPLICA, PARTY_MASTER, PARTY_SCHEDULER, PARTY_SHARD = range(1, 6)
LETTER_MALFORMED, LETTER_FENCED, LETTER_KNOWN, LETTER_EARLY, LETTER_NEW = range(5)

STREAM_HEADER = struct.Struct("<IIIIQQ")
STORE_OP = struct.Struct("<HHIQ24s")
HOLDER = struct.Struct("<IIII24s")
COMMIT_HEADER = struct.Struct("<16s16sQiIiIII")
DONE_HEADER = struct.Struct("<IIII")
STORE_VALUE = struct.Struct("<IBBBBQII")
ATTEMPT_HEADER = struct.Struct("<II")
OBJECT_NOTICE = struct.Struct("<BBBBIQ")
ACTOR_RECORD = struct.Struct("<iIII")
ACTOR_NOTICE = struct.Struct("<IIIIIIII")
LOG_HEADER = struct.Struct("<16sQII")
SAVED_HEADER = struct.Struct("<QIIII")
NODE_RECORD = struct.Struct("<II")
CHAIN_HEADER = struct.Struct("<IIIIII")

SPEC = b"what was submitted"
NO_OBJECT = bytes(20)


def party(kind: int, number: int) -> int:
    return kind << 24 | number


def node(number: int) -> int:
    return party(PARTY_NODE, number)


MASTER = party(PARTY_MASTER, 0)


def task_in(shard: int, n_shards: int, name: str) -> bytes:
    """A task id whose rows are in the shard."""
    number = 0
    while True:
        task = p.named_task(f"{name}{number or ''}")
        if shard_of(task, n_shards) == shard:
            return task
        number += 1


def shard_of(task: bytes, n_shards: int) -> int:
    return (int.from_bytes(task[4:8], "little") * n_shards) >> 32


# ---- operations --------------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """An operation or entry."""

    kind: int
    object: bytes = NO_OBJECT
    body: bytes = b""
    flags: int = 0
    token: int = 0

    @property
    def bytes(self) -> bytes:
        object = self.object + bytes(4) if len(self.object) == 20 else p.object_id(self.object) + bytes(4)
        return STORE_OP.pack(self.kind, self.flags, len(self.body), self.token, object) + p.padded(self.body)


def letter(endpoint: int, shard: int, number: int, items, *, incarnation: int = 1, acknowledged: int = 0) -> bytes:
    head = STREAM_HEADER.pack(endpoint, incarnation, shard, len(items), number, acknowledged)
    return head + b"".join(item.bytes for item in items)


def commit(
    task: bytes, arguments=(), *, n_returns=1, max_retries=-1, digest=0, flags=0, spec=SPEC, token=0, parent=bytes(16)
) -> Item:
    """max_retries: counted from the first attempt; -1: no limit."""
    head = COMMIT_HEADER.pack(parent, bytes(16), digest, n_returns, len(arguments), max_retries, flags, len(spec), 0)
    body = head + b"".join(each + bytes(4) for each in arguments) + p.padded(spec)
    return Item(OP_COMMIT, task, body, token=token)


def value(index: int = 0, *, size: int = 1 << 20, inline: bytes | None = None, refs=()) -> bytes:
    size = size if inline is None else len(inline)
    head = STORE_VALUE.pack(index, 0, 0, inline is not None, 0, size, len(refs), 0)
    return head + b"".join(each + bytes(4) for each in refs) + p.padded(inline or b"")


def done(task: bytes, *values: bytes, epoch: int = 0, attempt: int = 0, token: int = 0) -> Item:
    return Item(OP_DONE, task, DONE_HEADER.pack(epoch, attempt, len(values), 0) + b"".join(values), token=token)


def failed(task: bytes, error: bytes, *, epoch: int = 0, token: int = 0) -> Item:
    return Item(OP_FAILED, task, ATTEMPT_HEADER.pack(epoch, 0) + error, token=token)


def attempt(kind: int, task: bytes, epoch: int = 0, number: int = 0, rest: bytes = b"", token: int = 0) -> Item:
    """An operation whose body is an AttemptHeader."""
    return Item(kind, task, ATTEMPT_HEADER.pack(epoch, number) + rest, token=token)


def put(object: bytes, given: bytes | None = None, token: int = 0) -> Item:
    return Item(OP_PUT, object, given or value(), token=token)


def holder(address: int, incarnation: int = 1) -> bytes:
    return HOLDER.pack(HOLDER_NODE, address, incarnation, 0, bytes(24))


def hold(object: bytes, by: int, incarnation: int = 1, token: int = 0) -> Item:
    return Item(OP_HOLD, object, holder(by, incarnation), token=token)


def release(object: bytes, by: int, incarnation: int = 1) -> Item:
    return Item(OP_RELEASE, object, holder(by, incarnation))


def actor(task: bytes, *, max_restarts=0, flags=0, name: str = "", handle: bytes = b"handle") -> Item:
    head = ACTOR_RECORD.pack(max_restarts, flags, len(name.encode()), len(handle))
    return Item(OP_ACTOR, task, head + p.padded(name.encode()) + p.padded(handle))


def logged(actor: bytes, call: bytes, number: int, held=(), rest: bytes = b"", epoch: int = 0, token: int = 0) -> Item:
    head = LOG_HEADER.pack(call, number, epoch, len(held))
    return Item(OP_ACTOR_LOG, actor, head + b"".join(each + bytes(4) for each in held) + rest, token=token)


def saved(actor: bytes, number: int, arguments=(), spec: bytes = SPEC, epoch: int = 0, token: int = 0) -> Item:
    head = SAVED_HEADER.pack(number, epoch, len(arguments), len(spec), 0)
    body = head + b"".join(each + bytes(4) for each in arguments) + p.padded(spec)
    return Item(OP_ACTOR_SAVED, actor, body, token=token)


def about_node(kind: int, address: int, incarnation: int = 1, token: int = 0) -> Item:
    return Item(kind, NO_OBJECT, NODE_RECORD.pack(address, incarnation), token=token)


def named(kind: int, name: str, owner: bytes = b"", flags: int = 0, token: int = 0) -> Item:
    return Item(kind, p.content_hash(name.encode()), owner + name.encode(), flags, token)


def key_value(kind: int, key: str, value: bytes | None = None, flags: int = 0, token: int = 0) -> Item:
    data = key.encode()
    body = data if value is None else struct.pack("<II", len(data), 0) + p.padded(data) + value
    return Item(kind, p.content_hash(data), body, flags, token)


# ---- what comes back ---------------------------------------------------------------------------------------------


class Letter(NamedTuple):
    endpoint: int
    incarnation: int
    shard: int
    number: int
    acknowledged: int
    items: list[Item]


class Notice(NamedTuple):
    """Of an object."""

    state: int
    locations: tuple[int, ...]
    value: bytes


class ActorNotice(NamedTuple):
    state: int
    address: int
    epoch: int
    n_restarts: int
    death: bytes
    handle: bytes


def read_letter(data: bytes) -> Letter:
    endpoint, incarnation, shard, n_items, number, acknowledged = STREAM_HEADER.unpack_from(data)
    at, items = STREAM_HEADER.size, []
    for _ in range(n_items):
        kind, flags, size, token, object = STORE_OP.unpack_from(data, at)
        at += STORE_OP.size
        items.append(Item(kind, object[:20], data[at : at + size], flags, token))
        at += (size + 7) // 8 * 8
    assert at == len(data)
    return Letter(endpoint, incarnation, shard, number, acknowledged, items)


def read_notice(body: bytes) -> Notice:
    state, _, _, is_inline, n_locations, size = OBJECT_NOTICE.unpack_from(body)
    at = OBJECT_NOTICE.size
    locations = struct.unpack_from(f"<{n_locations}I", body, at)
    at += (4 * n_locations + 7) // 8 * 8
    assert len(body) - at == (size if is_inline else 0)
    return Notice(state, locations, body[at:])


def read_actor_notice(body: bytes) -> ActorNotice:
    state, address, _, epoch, n_restarts, _, death_size, handle_size = ACTOR_NOTICE.unpack_from(body)
    at = ACTOR_NOTICE.size
    handle_at = at + (death_size + 7) // 8 * 8
    assert len(body) == handle_at + handle_size
    return ActorNotice(state, address, epoch, n_restarts, body[at : at + death_size], body[handle_at:])
