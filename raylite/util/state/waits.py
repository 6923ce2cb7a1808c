"""What the node says of who waits for what (see _core/node/waits.pxd): asked, and read."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from raylite.util.state.reports import UNITS_PER_ONE, Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.runtime.client import Client

EXPLAIN = 14  # QUERY_EXPLAIN of message.pxd
QUERY = Struct("<24sQII")
HEADER = Struct("<QQIiII")
STEP = Struct("<24s16s16sQQqqqIIIIIIIIIIIIII")
HOLDER = Struct("<16sqIIII")
TELL_ONCE = 1
STUCK, CUT, TOLD = 1, 2, 4
KINDS = ("", "request", "object", "task", "actor", "group")
REASONS = (
    "", "there", "gone", "made", "fetched", "arguments", "resources", "too much", "in group", "process", "queued",
    "runs", "starts", "gets", "waits", "next", "reader", "actor away", "turn", "busy", "placing", "elsewhere",
    "replays", "later",
)  # fmt: skip


class Holder(NamedTuple):
    """Who has some of a resource, in whole units."""

    kind: str
    id: bytes
    name: str
    process: int
    amount: float


class Step(NamedTuple):
    """One step of the chain. Times are in ns of the node's clock; amounts in whole units, asked_units as sent."""

    kind: str
    reason: str
    object: bytes
    actor: bytes
    since_ns: int
    size: int
    asked: float
    asked_units: int
    available: float
    total: float
    state: int
    worker: int
    process: int
    attempt: int
    node: int
    n_awaited: int
    call_site: str
    name: str
    function: str
    resource: str
    holders: list[Holder]


class Answer(NamedTuple):
    """What the node says. steps: none if the request that was asked about is not open."""

    now_ns: int
    signature: int
    steps: list[Step]
    back_to: int
    stuck: bool
    is_cut: bool
    was_told: bool


def ask(client: Client, object_id: bytes = bytes(20), request: int = 0, flags: int = 0) -> Answer:
    """Why an object is not there, or what a request of the client's waits for."""
    reader = Reader(client.query(EXPLAIN, QUERY.pack(object_id, request, flags, 0)))
    now_ns, signature, n_steps, back_to, _, found = reader.take(HEADER)
    steps = [read_step(reader) for _ in range(n_steps)]
    return Answer(now_ns, signature, steps, back_to, bool(found & STUCK), bool(found & CUT), bool(found & TOLD))


def read_step(reader: Reader) -> Step:
    """The next step of an answer."""
    (object_id, _, actor, since_ns, size, asked, available, total, kind, reason, state, worker, process, attempt, node,
     n_awaited, site_size, name_size, function_size, resource_size, n_holders, _) = reader.take(STEP)  # fmt: skip
    site, name = reader.text(site_size), reader.text(name_size)
    function, resource = reader.text(function_size), reader.text(resource_size)
    return Step(
        KINDS[kind], REASONS[reason], object_id[:20], actor, since_ns, size, asked / UNITS_PER_ONE, asked,
        available / UNITS_PER_ONE, total / UNITS_PER_ONE, state, worker, process, attempt, node, n_awaited, site, name,
        function, resource, [read_holder(reader) for _ in range(n_holders)],
    )  # fmt: skip


def read_holder(reader: Reader) -> Holder:
    """The next holder of a step."""
    id, amount, kind, process, name_size, _ = reader.take(HOLDER)
    return Holder(KINDS[kind], id, reader.text(name_size), process, amount / UNITS_PER_ONE)
