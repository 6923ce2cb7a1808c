"""The vocabulary of the node's messages, written a second time: kinds, flags, and payloads packed with struct.

`test_protocol.py` compares it with `raylite/_core/message.pxd` and its neighbours, so neither can change alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from raylite._core.ids import child_task, content_hash

# Events
EV_ATTACH, EV_DETACH, EV_SUBMIT, EV_FINISHED, EV_YIELDED, EV_GET, EV_WAIT, EV_NEXT, EV_FORGET = range(1, 10)
EV_PUT, EV_HOLD, EV_RELEASE, EV_UNPIN, EV_LEASE, EV_RETURN, EV_FUNCTION, EV_CANCEL, EV_RECALLED = range(10, 19)
EV_DECLINED, EV_TICK, EV_SEGMENT, EV_LOST, EV_QUERY, EV_KEEP, EV_EXPOSE, EV_COMMITTED, EV_KILL, EV_AWAIT_READ = range(
    19, 29
)
EV_ENVIRONMENT, EV_FIND_ENVIRONMENT, EV_GROUP, EV_UNGROUP, EV_GROUPS, EV_BYTES, EV_CHECKPOINT = range(30, 37)
EV_SPILLED, EV_RESTORED = 37, 38
EV_CALL_SITE = 40
EV_MEMORY_SHORT = 45
# Commands
CMD_RUN, CMD_VALUE, CMD_READY, CMD_LEASED, CMD_SPAWN, CMD_STOP, CMD_RECALL, CMD_SEGMENT = range(64, 72)
CMD_UNSEGMENT, CMD_WARN, CMD_REJECT, CMD_FORGET_FUNCTION, CMD_COMMIT, CMD_EXPOSED = range(72, 78)
CMD_INTERRUPT, CMD_CANCEL, CMD_READ, CMD_WRITE, CMD_SPILL, CMD_RESTORE, CMD_DROP_SPILLED = range(78, 85)
# Flags
CLIENT_DRIVER, CLIENT_WORKER = 1, 2
SUBMIT_RETRY_EXCEPTIONS, SUBMIT_ARGS_OBJECT, SUBMIT_CONFIRM, SUBMIT_CALL, SUBMIT_ACTOR = 1, 2, 4, 8, 16
SUBMIT_RESTORES = 32
SUBMIT_TAKEN, SUBMIT_TOO_MANY, SUBMIT_NAME_TAKEN = 1, 2, 3
ACTOR_PLACED_ON_CPU, ACTOR_OUT_OF_ORDER, ACTOR_DETACHED, ACTOR_REPLAYS = 1, 2, 4, 8
KILL_NO_RESTART = 1
GET_LENDS, GET_IN_PLACE, WAIT_ANYWHERE = 1, 2, 4
RUN_IN_PLACE, RUN_HAS_FUNCTION, RUN_ARGS_OBJECT, RUN_RETRY_EXCEPTIONS, RUN_CREATES, RUN_CALL = 1, 2, 4, 8, 16, 32
RUN_CAPTURES, RUN_RESTORES = 1024, 2048
GROUP_DETACHED = 1
GROUP_NAME_TAKEN, GROUP_ID_TAKEN = 1, 2
GROUP_PACK, GROUP_SPREAD, GROUP_STRICT_PACK, GROUP_STRICT_SPREAD = range(4)
GROUP_PENDING, GROUP_CREATED, GROUP_LEAVING, GROUP_GONE = range(4)
DEMAND_CAPTURES, DEMAND_UNSCHEDULABLE, DEMAND_SPREAD, DEMAND_ON_NODE, DEMAND_NEAR_NODE = 1, 2, 4, 8, 16
ANY_BUNDLE = -1
VALUE_IN_ARENA = 1
READY_END = 1
SEGMENT_ON_DISK = 1
LEASE_NO_DISK = 1
STOP_KILL = 1
CANCEL_FORCE, CANCEL_RECURSIVE = 1, 2
DECLINED_NO_FUNCTION = 1
FINISHED_USER_ERROR, FINISHED_RETRYABLE, FINISHED_CANCELLED, FINISHED_EXITS = 1, 2, 4, 8
QUERY_RESOURCES, QUERY_ACTOR, QUERY_NAMES, QUERY_ACTOR_NAME, QUERY_ASSIGNED = 1, 4, 5, 6, 7
READY_ABSENT = 1
QUERY_NODES, QUERY_GROUPS = 8, 9
QUERY_TASK_ROWS, QUERY_ACTOR_ROWS, QUERY_OBJECT_ROWS, QUERY_CLIENT_ROWS, QUERY_EXPLAIN = range(10, 15)
QUERY_ENVIRONMENT = 19
QUERY_VALUE_PUT, QUERY_VALUE_GET, QUERY_VALUE_DELETE, QUERY_VALUE_KEYS = range(20, 24)
VALUE_OVERWRITE = 1

MESSAGE_VERSION = 1
STREAMING = -1
ENVELOPE_VERSION = 1
ENVELOPE_RETRYABLE = 1
KIND_VALUE, KIND_USER_ERROR, KIND_SYSTEM_ERROR, KIND_ARGUMENTS, KIND_FUNCTION, KIND_CHECKPOINT = range(6)
ERROR_WORKER_CRASHED, ERROR_OBJECT_LOST, ERROR_TASK_CANCELLED, ERROR_STORE_FULL, ERROR_SPAWN_FAILED = range(1, 6)
ERROR_ACTOR_DIED, ERROR_ACTOR_UNAVAILABLE, ERROR_ACTOR_INIT = range(6, 9)
ERROR_RAISED = 19
ERROR_OUT_OF_DISK = 26
ERROR_UNGROUPED, ERROR_UNSCHEDULABLE, ERROR_ACTOR_UNGROUPED, ERROR_ACTOR_UNSCHEDULABLE = range(20, 24)
ERROR_OUT_OF_MEMORY, ERROR_NOT_REMADE = 24, 25
PUT_INDEX = 0x80000000
CHECKPOINT_INDEX = 0xC0000000
ACTOR_INDEX = 0xFFFFFFFE
FUNCTION_INDEX = 0xFFFFFFFF
UNIT = 10000
BUFFER_ALIGNMENT = 64
BLOCK_ALIGNMENT = 4096
PREFETCH_NS = 1_000_000
PREFETCH_TASKS = 64
STALL_NS = 5_000_000
IDLE_NS = 2_000_000_000
CALLS_AHEAD = 64

OBJECT_ID = struct.Struct("<16sII")
LOCATION = struct.Struct("<IIQQ")
SUBMIT_HEADER = struct.Struct("<24s16sQiiIIIIQIIII")
CALL_HEADER = struct.Struct("<16sQII")
ACTOR_HEADER = struct.Struct("<iiIIII")
FINISHED_HEADER = struct.Struct("<QQII")
READ_HEADER = struct.Struct("<QQ")
VALUE_RECORD = struct.Struct("<BBBBI24s")
RUN_HEADER = struct.Struct("<24s16s16siIIIQQII")
ENVELOPE_HEADER = struct.Struct("<BBBBIIIQQ")
BUFFER_SPAN = struct.Struct("<QQ")
DEMAND_HEADER = struct.Struct("<QIi16sII")
GROUP_HEADER = struct.Struct("<IIII")
MEMORY_HEADER = struct.Struct("<QQQ")
MEMORY_USE = struct.Struct("<IIQ")
BUNDLE_HEADER = struct.Struct("<II")
DEMAND_ENTRY = struct.Struct("<qII")

ROOT = child_task(bytes(16), 0)


def named_task(name: str) -> bytes:
    """The 16-byte id that tests give to the task of this name."""
    return content_hash(name.encode(), 1)


def object_id(task: bytes, index: int = 0) -> bytes:
    return task + struct.pack("<I", index)


def function_id(name: str) -> bytes:
    return object_id(content_hash(name.encode(), 2), FUNCTION_INDEX)


def on_wire(*ids: bytes) -> bytes:
    """Object ids (20 bytes) as they lie in a payload (24 bytes each)."""
    return b"".join(each + bytes(4) for each in ids)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def envelope(pickle: bytes = b"", *, kind: int = KIND_VALUE, flags: int = 0, refs=(), actors=(), buffers=()) -> bytes:
    """A value envelope, its buffers aligned behind the pickle."""
    lists = on_wire(*refs) + on_wire(*actors)
    size = ENVELOPE_HEADER.size + len(lists) + BUFFER_SPAN.size * len(buffers) + len(pickle)
    spans, bodies = b"", b""
    for buffer in buffers:
        gap = -size % BUFFER_ALIGNMENT
        spans += BUFFER_SPAN.pack(size + gap, len(buffer))
        bodies += bytes(gap) + buffer
        size += gap + len(buffer)
    header = ENVELOPE_HEADER.pack(
        ENVELOPE_VERSION, kind, flags, 0, len(refs), len(actors), len(buffers), len(pickle), size
    )
    return header + lists + spans + pickle + bodies


def demand(
    amounts: dict[str, float] | None = None,
    environment: int = 0,
    *,
    group: bytes = bytes(16),
    bundle: int = ANY_BUNDLE,
    flags: int = 0,
    labels: Sequence[bytes] = (),
) -> bytes:
    """What a task asks for, in whole units; in a placement group, if one is given; what labels its node must have."""
    amounts = {"CPU": 1} if amounts is None else amounts
    header = DEMAND_HEADER.pack(environment, len(amounts), bundle, group, flags, len(labels))
    return header + entries(amounts) + b"".join(labels)


def entries(amounts: dict[str, float]) -> bytes:
    out = b""
    for name, amount in amounts.items():
        data = name.encode()
        out += DEMAND_ENTRY.pack(round(amount * UNIT), len(data), 0) + padded(data)
    return out


def group(bundles: list[dict[str, float]], strategy: int = GROUP_PACK, name: str = "") -> bytes:
    """The payload of EV_GROUP."""
    out = GROUP_HEADER.pack(strategy, len(bundles), len(name), 0) + padded(name.encode())
    return out + b"".join(BUNDLE_HEADER.pack(len(bundle), 0) + entries(bundle) for bundle in bundles)


ONE_CPU = demand()


def submit(
    function: bytes,
    *,
    parent: bytes = ROOT,
    digest: int = 0,
    n_returns: int = 1,
    max_retries: int = -1,
    flags: int = 0,
    refs=(),
    demand: bytes = ONE_CPU,
    name: str = "",
    args: bytes = b"",
    backpressure: int = 0,
    retry_delay_ms: int = 0,
    retry_jitter: int = 0,
    more: bytes = b"",
) -> bytes:
    """The payload of EV_SUBMIT. more: from call() or actor()."""
    header = SUBMIT_HEADER.pack(
        on_wire(function),
        parent,
        digest,
        n_returns,
        max_retries,
        flags,
        len(refs),
        len(demand),
        len(name),
        len(args),
        backpressure,
        retry_delay_ms,
        retry_jitter,
        0,
    )
    return header + more + on_wire(*refs) + padded(demand) + padded(name.encode()) + padded(args)


def call(actor: bytes, sequence: int = 0, group: int = 0) -> bytes:
    """The header of a call (SUBMIT_CALL); actor: 16 bytes."""
    return CALL_HEADER.pack(actor, sequence, group, 0)


def actor(
    *, max_restarts: int = 0, max_pending: int = -1, flags: int = 0, groups=(1,), name: bytes = b"", handle: bytes = b""
) -> bytes:
    """The header of an actor's creation (SUBMIT_ACTOR)."""
    handle = handle or envelope(b"handle")
    header = ACTOR_HEADER.pack(max_restarts, max_pending, flags, len(groups), len(name), len(handle))
    return header + padded(struct.pack(f"<{len(groups)}I", *groups)) + padded(name) + padded(handle)


def location(segment: int, offset: int, size: int) -> bytes:
    return LOCATION.pack(segment, 0, offset, size)


def inline_value(body: bytes) -> bytes:
    """The ValueRecord of an envelope that travels in the message."""
    return VALUE_RECORD.pack(0, body[1] if len(body) > 1 else 0, 0, 0, 0, location(0, 0, len(body))) + padded(body)


def arena_value(where: Location, *, kind: int = KIND_VALUE, refs=()) -> bytes:
    """The ValueRecord of an envelope that its sender has written into a leased block."""
    return VALUE_RECORD.pack(1, kind, 0, 0, len(refs), location(*where)) + on_wire(*refs)


def finished(*values: bytes, start_ns: int = 0, end_ns: int = 0, n_yielded: int = 0) -> bytes:
    """The payload of EV_FINISHED."""
    return FINISHED_HEADER.pack(start_ns, end_ns, len(values), n_yielded) + b"".join(values)


def function_payload(body: bytes, name: str = "") -> bytes:
    """The payload of EV_FUNCTION."""
    return struct.pack("<Q", len(name)) + padded(name.encode()) + body


# ---- reading what the node says --------------------------------------------------------------------------------


class Location(NamedTuple):
    segment: int
    offset: int
    size: int


class Value(NamedTuple):
    """A value in a message: its envelope, or where that lies (and the id that its pin is given back by)."""

    kind: int
    body: bytes | None
    where: Location | None
    refs: tuple[bytes, ...]


class Envelope(NamedTuple):
    kind: int
    flags: int
    refs: tuple[bytes, ...]
    pickle: bytes

    @property
    def error(self) -> tuple[int, str]:
        """The code and text of a system error."""
        assert self.kind == KIND_SYSTEM_ERROR
        return struct.unpack_from("<I", self.pickle)[0], self.pickle[4:].decode()


class Run(NamedTuple):
    function: bytes
    parent: bytes
    n_returns: int
    gpus: tuple[int, ...]
    name: str
    function_body: bytes
    args: bytes
    values: tuple[Value, ...]
    group: bytes


class Resource(NamedTuple):
    total: int
    available: int


class Group(NamedTuple):
    id: bytes
    number: int
    state: int
    strategy: int
    detached: int
    name: str
    bundles: list[dict[str, int]]
    nodes: list[str]


class Reader:
    """Takes a payload apart from its front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        out = self.data[self.at : self.at + size]
        assert len(out) == size, "the node's payload is shorter than it says"
        self.at += size
        return out

    def take_padded(self, size: int) -> bytes:
        return self.take(size + -size % 8)[:size]

    def unpack(self, layout: struct.Struct) -> tuple:
        return layout.unpack(self.take(layout.size))

    def ids(self, count: int) -> tuple[bytes, ...]:
        return tuple(self.take(OBJECT_ID.size)[:20] for _ in range(count))

    def value(self) -> Value:
        in_arena, kind, _, _, n_refs, where = self.unpack(VALUE_RECORD)
        if in_arena:
            return Value(kind, None, read_location(where), self.ids(n_refs))
        return Value(kind, self.take_padded(read_location(where).size), None, ())

    def at_end(self) -> bool:
        return self.at == len(self.data)


def read_location(data: bytes) -> Location:
    segment, _, offset, size = LOCATION.unpack_from(data)
    return Location(segment, offset, size)


def read_envelope(data: bytes) -> Envelope:
    reader = Reader(data)
    _, kind, flags, _, n_refs, n_actors, n_buffers, pickle_size, size = reader.unpack(ENVELOPE_HEADER)
    assert size == len(data)
    refs = reader.ids(n_refs)
    reader.ids(n_actors)
    reader.take(BUFFER_SPAN.size * n_buffers)
    return Envelope(kind, flags, refs, reader.take(pickle_size))


def read_run(payload: bytes) -> Run:
    reader = Reader(payload)
    function, parent, group, n_returns, n_values, n_gpus, name_size, function_size, args_size, _, _ = reader.unpack(
        RUN_HEADER
    )
    gpus = struct.unpack(f"<{n_gpus}I", reader.take_padded(4 * n_gpus))
    name = reader.take_padded(name_size).decode()
    body = reader.take_padded(function_size)
    args = reader.take_padded(args_size)
    values = tuple(reader.value() for _ in range(n_values))
    assert reader.at_end()
    return Run(function[:20], parent, n_returns, gpus, name, body, args, values, group)


def read_spawn(payload: bytes) -> tuple[int, tuple[int, ...]]:
    """Environment and GPUs of a worker to be started."""
    return struct.unpack_from("<Q", payload)[0], struct.unpack_from(f"<{(len(payload) - 8) // 4}I", payload, 8)


def read_indices(payload: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(payload) // 4}I", payload))


def read_tasks(payload: bytes) -> list[bytes]:
    return [payload[at : at + 16] for at in range(0, len(payload), 16)]


def read_resources(payload: bytes) -> dict[str, Resource]:
    """The answer to EV_QUERY about resources."""
    reader, out = Reader(payload), {}
    while not reader.at_end():
        total, available, name_size = struct.unpack("<qqq", reader.take(24))
        out[reader.take_padded(name_size).decode()] = Resource(total, available)
    return out


def read_groups(payload: bytes) -> list[Group]:
    """The answer to EV_GROUPS."""
    reader, out = Reader(payload), []

    def number() -> int:
        return int.from_bytes(reader.take(8), "little")

    while not reader.at_end():
        head = reader.take(16), number(), number(), number(), number() & 1, reader.take_padded(number()).decode()
        bundles, nodes = [], []
        for _ in range(number()):
            nodes.append(reader.take_padded(number()).decode())
            pairs = [(number(), reader.take_padded(number()).decode()) for _ in range(number())]
            bundles.append({name: amount for amount, name in pairs})
        out.append(Group(*head, bundles, nodes))
    return out
