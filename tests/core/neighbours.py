"""Nodes of one cluster, as tests see them: each a Host; what they say to each other and to the control store are sentences.

    a.submit("b", needs={"GPU": 1})   ->   ["asks: b"]
    a.placed("b", B)                  ->   ["store: commit b", "to 2: task b"]
    b.hears(a)                        ->   ["spawn 2", "run b on 2"]

A node is known by its number, which is its address. Nothing is carried or acknowledged but by the test.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from raylite._core.cluster.member import NODE_ID, Member
from tests.core import protocol as p
from tests.core.host import Command, Host, describe_envelope

A, B, C = 1, 2, 3
SCHEDULER = 100
(NODE_TASK, NODE_RETURN, NODE_RESULT, NODE_COMMITTED, NODE_CANCEL, NODE_FUNCTION_GONE, NODE_PULL, NODE_VALUE,
 NODE_CHUNK, NODE_NOT_HERE, NODE_ITEM, NODE_ITEM_HELD, NODE_READ) = range(170, 183)  # fmt: skip
NODE_GROUP, NODE_GROUP_WATCH, NODE_GROUP_GONE, NODE_BUNDLES, NODE_BUNDLES_TAKEN, NODE_BUNDLES_BACK = range(200, 206)
NODE_QUERY, NODE_ANSWER = 206, 207
RESULT_REFUSED = 1
SCHEDULER_ASK, SCHEDULER_ANSWER, SCHEDULER_ASK_GROUP, SCHEDULER_ANSWER_GROUP = range(160, 164)
OP_COMMIT, OP_DONE, OP_PUT, OP_HOLD, OP_RELEASE, OP_LOCATE, OP_UNLOCATE, OP_WATCH, OP_UNWATCH, OP_ATTEMPT, OP_ADOPT = (
    range(1, 12)
)
OP_ACTOR, OP_ACTOR_ALIVE, OP_ACTOR_ENDED, OP_ACTOR_CRASHED, OP_ACTOR_WATCH, OP_ACTOR_UNWATCH, OP_ACTOR_KILL = range(
    20, 27
)
OP_NAME_CLAIM, OP_NAME_FIND, OP_NAME_DROP, OP_NAME_LIST = range(30, 34)
OP_KV_PUT, OP_KV_GET, OP_KV_DELETE, OP_KV_LIST = range(40, 44)
ENTRY_ANSWER, ENTRY_OBJECT, ENTRY_FREE, ENTRY_RERUN, ENTRY_ACTOR, ENTRY_ACTOR_END = range(1, 7)
END_UNREFERENCED, END_KILLED, END_RESTART = range(3)
STORED_ACTOR_PENDING, STORED_ACTOR_ALIVE, STORED_ACTOR_RESTARTING, STORED_ACTOR_DEAD = range(4)
STORE_OK, STORE_UNKNOWN, STORE_STALE, STORE_TAKEN = range(4)
STORED_PENDING, STORED_READY, STORED_LOST = 0, 1, 2
PEER_WORDS = {
    NODE_TASK: "task", NODE_RETURN: "task back", NODE_RESULT: "result of", NODE_COMMITTED: "committed",
    NODE_CANCEL: "cancel", NODE_FUNCTION_GONE: "function gone", NODE_NOT_HERE: "not here", NODE_ITEM: "item",
    NODE_ITEM_HELD: "held", NODE_READ: "read", NODE_GROUP: "group", NODE_GROUP_WATCH: "watch group",
    NODE_GROUP_GONE: "group gone", NODE_BUNDLES: "bundles of", NODE_BUNDLES_TAKEN: "set aside for",
    NODE_BUNDLES_BACK: "bundles back", NODE_QUERY: "question", NODE_ANSWER: "answer",
}  # fmt: skip
STORE_WORDS = {
    OP_COMMIT: "commit", OP_DONE: "done", OP_PUT: "put", OP_HOLD: "hold", OP_RELEASE: "release", OP_LOCATE: "locate",
    OP_UNLOCATE: "unlocate", OP_WATCH: "watch", OP_UNWATCH: "unwatch", OP_ATTEMPT: "attempt",
    OP_ADOPT: "adopt", OP_ACTOR: "actor", OP_ACTOR_ALIVE: "alive", OP_ACTOR_ENDED: "ended", OP_ACTOR_CRASHED: "crashed",
    OP_ACTOR_WATCH: "watch", OP_ACTOR_UNWATCH: "unwatch", OP_ACTOR_KILL: "kill", OP_NAME_CLAIM: "claim name",
    OP_NAME_FIND: "find name", OP_NAME_DROP: "drop name", OP_NAME_LIST: "list names", OP_KV_PUT: "put value",
    OP_KV_GET: "get value", OP_KV_DELETE: "delete value", OP_KV_LIST: "list keys",
}  # fmt: skip
GROUP_KEY = b"\0group\0"
GROUP_ANSWER = struct.Struct("<QII")
STRATEGIES = ("", "spread", "on", "near")
LABELS = ("in", "not in", "exists", "absent")
PLACE_QUESTION = struct.Struct("<Q24sIIIIII")
PLACE_ANSWER = struct.Struct("<QIIII")
ACTOR_NOTICE = struct.Struct("<IIIIIIII")
OBJECT_NOTICE = struct.Struct("<BBBBIQ")
DONE_HEADER = struct.Struct("<IIII")
STORE_VALUE = struct.Struct("<IBBBBQII")


class Value(NamedTuple):
    """One result in what a node says of a task that has ended."""

    index: int
    kind: int
    size: int
    refs: tuple[bytes, ...]
    body: bytes | None


class Neighbour(Host):
    """Args: number: of the node; resources and the rest as for Host. It knows the other nodes and one scheduler."""

    def __init__(self, number: int, resources: dict[str, float] | None = None, others=(A, B, C), n_shards=1,
                 **options) -> None:  # fmt: skip
        self.member: Member | None = None
        super().__init__(resources, **options)
        self.number = number
        self.member = Member(self.node, number, n_shards=n_shards, labels={NODE_ID: f"node {number}"})
        self.operations: list[dict] = []  # that were not answered
        self.said: list[dict] = []  # to other nodes, and not heard there yet
        self.tokens: dict[str, int] = {}  # of questions to the scheduler
        for other in others:
            self.member.peer(other, 1, node_id=f"node {other}")
        self.member.scheduler(SCHEDULER)

    def named_by(self, other: Neighbour) -> Neighbour:
        """Know the names of another's tasks and objects."""
        self.names = other.names
        return self

    # ---- events ------------------------------------------------------------------------------------------------

    def send(self, kind: int, client: int = 0, **fields) -> list[str]:
        return super().send(kind, client, **fields) + self.beyond()

    def hear(self, source: int, kind: int, **fields) -> list[str]:
        return self.note(self.member.hear(self.now_ns, source, kind, **fields))

    def note(self, out: list[dict]) -> list[str]:
        self.commands = [Command(*(each[field] for field in Command._fields)) for each in out]
        return [self.describe(command) for command in self.commands] + self.beyond()

    def hears(self, other: Neighbour, count: int | None = None) -> list[str]:
        """What another has said to this one arrives, or the first `count` of it."""
        mine = [each for each in other.said if each["target"] == self.number][:count]
        out = []
        for each in mine:
            other.said.remove(each)
            out += self.hear(other.number, **{field: each[field] for field in each if field != "target"})
        return out

    def placed(self, task: str, node: int, refusal: int = 0) -> list[str]:
        """The scheduler answers."""
        payload = PLACE_ANSWER.pack(self.tokens.pop(task), node, refusal, 0, 0)
        return self.hear(SCHEDULER, SCHEDULER_ANSWER, payload=payload)

    def bundles_go_to(self, group: str, *nodes: int, possible: bool = True) -> list[str]:
        """The scheduler says where the bundles of a group go, or that there is no place for them."""
        payload = GROUP_ANSWER.pack(self.tokens.pop(group), len(nodes), possible) + struct.pack(
            f"<{len(nodes)}I", *nodes
        )
        return self.hear(SCHEDULER, SCHEDULER_ANSWER_GROUP, payload=payload)

    def heartbeat(self) -> list[str]:
        """It is time to tell the master how much there is to do."""
        self.member.offer()
        return self.note(self.node.take_commands())

    def acknowledged(self, count: int | None = None, status: int = STORE_OK) -> list[str]:
        """The store answers all that it was asked, or the first `count` of it."""
        answered, self.operations = self.operations[:count], self.operations[count:] if count is not None else []
        return [line for each in answered for line in self.entry(ENTRY_ANSWER, token=each["token"], flags=status)]

    def entry(self, kind: int, name: str = "", **fields) -> list[str]:
        """The store says something."""
        if name:
            fields["object"] = self.object(name)
        return self.note(self.member.hear_store(self.now_ns, kind, **fields))

    def stored(self, name: str, *locations: int, state: int = STORED_READY, size: int = 0, value: bytes | None = None):
        """The store says what has become of an object: where copies are, or its value."""
        size = size if value is None else len(value)
        body = OBJECT_NOTICE.pack(state, p.KIND_VALUE, 0, int(value is not None), len(locations), size)
        body += p.padded(struct.pack(f"<{len(locations)}I", *locations)) + p.padded(value or b"")
        return self.entry(ENTRY_OBJECT, name, body=body)

    def actor_is(self, actor: str, state: int, node: int = 0, epoch: int = 0, death: bytes = b"", handle: bytes = b""):
        """The store says what has become of an actor."""
        body = ACTOR_NOTICE.pack(state, node, 1, epoch, 0, 0, len(death), len(handle)) + p.padded(death) + handle
        return self.entry(ENTRY_ACTOR, f"{actor}@", body=body)

    def dies(self, other: int, incarnation: int = 1) -> list[str]:
        """Another node was declared dead."""
        self.member.peer(other, incarnation, alive=False)
        return self.note(self.node.take_commands())

    def read(self, data: bytes) -> list[str]:
        """The host has read what the last CMD_READ asks for: `data`, of which the offset says where."""
        command = self.last(p.CMD_READ)
        size, _ = p.READ_HEADER.unpack(command.payload)
        return self.send(p.EV_BYTES, 0, request=command.request, payload=data[:size])

    # ---- sentences ---------------------------------------------------------------------------------------------

    def beyond(self) -> list[str]:
        """What the last event has led to beyond the node."""
        if self.member is None:
            return []
        operations = self.member.take_operations()
        self.operations += operations
        out = [f"store: {STORE_WORDS[each['kind']]} {self.asked_about(each)}" for each in operations]
        for each in self.member.take_outgoing():
            if each["kind"] == SCHEDULER_ASK:
                out += self.describe_questions(each["payload"])
            elif each["kind"] == SCHEDULER_ASK_GROUP:
                out.append(self.describe_group_question(each["payload"]))
            else:
                self.said.append(each)
                out.append(f"to {each['target']}: {self.describe_said(each)}")
        return out

    def asked_about(self, operation: dict) -> str:
        if operation["kind"] in (OP_NAME_CLAIM, OP_NAME_DROP):
            return self.named(operation["body"][16:])
        if operation["kind"] in (OP_NAME_FIND, OP_NAME_LIST):
            return self.named(operation["body"])
        return operation["body"].decode() if operation["kind"] >= OP_KV_PUT else self.name(operation["object"])

    def named(self, name: bytes) -> str:
        """A name in the store: of an actor, or a group's id or name."""
        if name.startswith(GROUP_KEY):
            return f"of group {self.names[name.removeprefix(GROUP_KEY)]}"
        return name.removeprefix(b"\0name of group\0").decode()

    def describe_questions(self, payload: bytes) -> list[str]:
        """`asks: b`, with the sizes of its arguments and where those are."""
        reader, out, tasks = p.Reader(payload), [], self.member.questions()
        while not reader.at_end():
            token, _, demand_size, strategy, node, n_excluded, n_arguments, n_labels = reader.unpack(PLACE_QUESTION)
            reader.take_padded(demand_size)
            reader.take_padded(4 * n_excluded)
            arguments = []
            for _ in range(n_arguments):
                object_, size, n_locations, _ = reader.unpack(struct.Struct("<24sQII"))
                where = struct.unpack(f"<{n_locations}I", reader.take_padded(4 * n_locations))
                arguments.append(f"{self.name(object_[:20])} {size} at {','.join(map(str, where))}")
            labels = [self.read_label(reader) for _ in range(n_labels)]
            name = self.names[tasks[token]]
            self.tokens[name] = token
            how = f" {STRATEGIES[strategy]}" if strategy else ""
            how += f" {node}" * (node != 0)
            out.append("asks: " + name + how + "".join(f" ({each})" for each in arguments + labels))
        return out

    def read_label(self, reader: p.Reader) -> str:
        operator, is_soft, key_size, n_values = reader.unpack(struct.Struct("<IIII"))
        key = reader.take_padded(key_size).decode()
        values = [reader.take_padded(int.from_bytes(reader.take(8), "little")).decode() for _ in range(n_values)]
        return f"{'soft ' * is_soft}{key} {LABELS[operator]} {','.join(values)}".rstrip()

    def describe_group_question(self, payload: bytes) -> str:
        """`asks for places: g, 2 bundles`, and where those are that stay."""
        reader = p.Reader(payload)
        token, _strategy, n_bundles, n_kept, _ = reader.unpack(struct.Struct("<QIIII"))
        kept = struct.unpack(f"<{n_kept}I", reader.take_padded(4 * n_kept))
        name = next(name for group, name in self.names.items() if group == self.member.group_questions()[token])
        self.tokens[name] = token
        return f"asks for places: {name}, {n_bundles} bundles" + "".join(f", kept at {node}" for node in kept)

    def describe_said(self, said: dict) -> str:
        kind = said["kind"]
        if kind == NODE_PULL:
            [size] = struct.unpack("<Q", said["payload"])
            what = f"{size} from {said['aux']}" if size else "what is"
            return f"pull {what} of {self.name(said['object'])}"
        if kind == NODE_VALUE:
            return f"{self.name(said['object'])} has {said['aux']}"
        if kind == NODE_CHUNK:
            return f"bytes {said['aux']}+{len(said['payload'])}"
        if kind in (NODE_QUERY, NODE_ANSWER):
            return PEER_WORDS[kind]
        words = f"{PEER_WORDS[kind]} {self.name(said['object'])}"
        if kind == NODE_BUNDLES:
            return f"{words}: {','.join(str(bundle) for (bundle,) in struct.iter_unpack('<I', said['payload']))}"
        if kind == NODE_BUNDLES_TAKEN:
            return words + ": no" * said["flags"]
        if kind == NODE_RESULT and said["flags"] & RESULT_REFUSED:
            return f"{words}: refused"
        if kind == NODE_RESULT:
            values = [describe_envelope(v.body) if v.body else f"{v.size} bytes" for v in read_values(said["payload"])]
            return f"{words}: {', '.join(values)}"
        return words + (f" again {said['attempt']}" if said["attempt"] else "")


def read_values(payload: bytes) -> list[Value]:
    """What a task that has ended gave, from NODE_RESULT or OP_DONE."""
    reader, out = p.Reader(payload), []
    _, _, n_values, _ = reader.unpack(DONE_HEADER)
    for _ in range(n_values):
        index, kind, _, is_inline, _, size, n_refs, _ = reader.unpack(STORE_VALUE)
        refs = reader.ids(n_refs)
        out.append(Value(index, kind, size, refs, reader.take_padded(size) if is_inline else None))
    assert reader.at_end()
    return out
