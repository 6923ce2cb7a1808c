"""Reports of nodes, and questions and answers of global schedulers, packed with struct (see loads.pxd)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from raylite._core.scheduler.global_scheduler import GlobalScheduler
from raylite.demand import pack_demand
from tests.core.packets import PARTY_MASTER, PARTY_NODE, PARTY_SCHEDULER, Packet, party

MASTER_NODE, MASTER_NODE_DEAD, MASTER_LOADS = 144, 145, 147
SCHEDULER_ASK, SCHEDULER_ANSWER = 160, 161
DEFAULT, SPREAD, ON_NODE, NEAR_NODE = range(4)
FOUND, INFEASIBLE, NO_NODE, EXCLUDED = range(4)
LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_ABSENT = range(4)
TASK_NS_UNKNOWN, BANDWIDTH_UNKNOWN = 10_000_000, 10**9
FUNCTIONS_KNOWN, FUNCTIONS_REPORTED = 256, 32
UNIT = 10_000
SECOND_NS = 10**9
NODES = [party(PARTY_NODE, n) for n in range(8)]
ASKER, MASTER, SCHEDULER = (NODES[7], 1), (party(PARTY_MASTER, 0), 1), (party(PARTY_SCHEDULER, 0), 1)
FUNCTION = bytes(range(20))


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def amounts(**resources: float) -> dict[str, int]:
    return {name: round(amount * UNIT) for name, amount in resources.items()}


class Load(NamedTuple):
    """A node's report."""

    address: int
    total: dict[str, int]
    taken: dict[str, int] = {}
    labels: dict[str, str] = {}
    n_queued: int = 0
    n_running: int = 0
    task_ns: int = 0
    bandwidth: int = 0
    functions: dict[bytes, int] = {}  # id to mean
    incarnation: int = 1
    number: int = 1

    def available(self) -> dict[str, int]:
        return {name: amount - self.taken.get(name, 0) for name, amount in self.total.items()}

    def pack(self) -> bytes:
        head = (self.address, self.incarnation, self.number, self.n_queued, self.n_running, self.task_ns)
        counts = (len(self.total), len(self.labels), len(self.functions), 0)
        out = [struct.pack("<IIQQQQQQIIII", *head, self.bandwidth, 0, *counts)]
        for name, amount in self.total.items():
            out.append(struct.pack("<qqII", amount, amount - self.taken.get(name, 0), len(name), 0))
            out.append(padded(name.encode()))
        for key, value in sorted(self.labels.items()):
            out.append(struct.pack("<II", len(key), len(value)) + padded(key.encode()) + padded(value.encode()))
        for function, mean_ns in self.functions.items():
            out.append(function + struct.pack("<IQQ", 0, mean_ns, 1))
        return b"".join(out)


def noticed(address: int, report: bytes) -> bytes:
    """A report as the master hands it on."""
    return struct.pack("<II", address, len(report)) + padded(report)


class Label(NamedTuple):
    """What a label is to be."""

    operator: int
    key: str
    values: tuple[str, ...] = ()
    is_soft: bool = False

    def pack(self) -> bytes:
        head = struct.pack("<IIII", self.operator, self.is_soft, len(self.key), len(self.values))
        values = [len(value).to_bytes(8, "little") + padded(value.encode()) for value in self.values]
        return head + padded(self.key.encode()) + b"".join(values)


class Question(NamedTuple):
    """A question where to run a task."""

    demand: dict[str, int] = {}
    strategy: int = DEFAULT
    node: int = 0
    excluded: tuple[int, ...] = ()
    arguments: tuple[tuple[int, tuple[int, ...]], ...] = ()  # size, and who has it
    labels: tuple[Label, ...] = ()
    function: bytes = FUNCTION
    token: int = 1
    group: bytes = bytes(16)
    bundle: int = -1

    def pack(self) -> bytes:
        demand = pack_demand(self.demand, 0, self.group, self.bundle)
        counts = (len(self.excluded), len(self.arguments), len(self.labels))
        head = self.token, self.function, 0, len(demand), self.strategy, self.node, *counts
        out = [
            struct.pack("<Q20sIIIIIII", *head),
            padded(demand),
            padded(struct.pack(f"<{counts[0]}I", *self.excluded)),
        ]
        for number, (size, addresses) in enumerate(self.arguments):
            out.append(struct.pack("<QQIIQII", 0, 0, number, 0, size, len(addresses), 0))
            out.append(padded(struct.pack(f"<{len(addresses)}I", *addresses)))
        return b"".join([*out, *(label.pack() for label in self.labels)])


class Answer(NamedTuple):
    """Its answer."""

    token: int
    address: int
    refusal: int = FOUND
    lacking: int = 0


class Scheduler:
    """A global scheduler that is talked to in packets, by a master and a node."""

    def __init__(self, *loads: Load, **options: bool) -> None:
        self.party = GlobalScheduler(*SCHEDULER, **options)
        self.now_ns = 0
        self.sequences = {ASKER: 0, MASTER: 0}
        self.party.take_in(0, Packet(ASKER, SCHEDULER).pack())
        self.publish(*loads)

    def tell(self, source: tuple[int, int], kind: int, payload: bytes) -> list[Packet]:
        """Send it a message; what it says is acknowledged."""
        self.now_ns += 1
        self.sequences[source] += 1
        self.party.take_in(self.now_ns, Packet(source, SCHEDULER, self.sequences[source], 0, 0, kind, payload).pack())
        said = [Packet.unpack(data) for data in self.party.take_packets()]
        for packet in said:
            self.party.take_in(self.now_ns, Packet(packet.target, SCHEDULER, 0, packet.sequence).pack())
        self.party.check_invariants()
        return said

    def publish(self, *loads: Load) -> None:
        self.tell(MASTER, MASTER_LOADS, b"".join(noticed(load.address, load.pack()) for load in loads))

    def node_dies(self, address: int, incarnation: int = 1) -> None:
        self.tell(MASTER, MASTER_NODE_DEAD, struct.pack("<II", address, incarnation))

    def ask(self, *questions: Question) -> list[Answer]:
        return self.ask_bytes(b"".join(question.pack() for question in questions))

    def ask_bytes(self, payload: bytes) -> list[Answer]:
        answers = []
        for packet in self.tell(ASKER, SCHEDULER_ASK, payload):
            if packet.kind == SCHEDULER_ANSWER:
                answers += [Answer(*fields[:4]) for fields in struct.iter_unpack("<QIIII", packet.payload)]
        return answers

    def place(self, demand: dict[str, int], **more: object) -> int:
        """Where one task goes; 0: nowhere."""
        return self.ask(Question(demand, **more))[0].address
