"""The node's reports (see _core/node/reports.pxd): asked for page by page, and read."""

from __future__ import annotations

from struct import Struct
from time import monotonic
from typing import NamedTuple

from raylite.util.state.exception import RayStateApiException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeVar

    from raylite.runtime.client import Client

    Report = TypeVar("Report", bound="tuple[Any, ...]")

EV_FIND_ENVIRONMENT = 31
TASK_ROWS, ACTOR_ROWS, OBJECT_ROWS, CLIENT_ROWS = 10, 11, 12, 13  # QUERY_* of message.pxd
REFERENCES, ERRORS = 1, 2  # REPORT_*
DETAIL = REFERENCES | ERRORS
ALL_STATES = 0xFFFFFFFF
PAGE_ROWS_MOST = 1 << 14
NOTHING = bytes(24)

QUERY = Struct("<24s16sQ24sIIII")
HEADER = Struct("<IIQ")
TASK = Struct("<16s16s16s16sQQQQIIIIIIiIIIIIIIIIIIQ")
ACTOR = Struct("<16sQIIIIIIIIIIQ")
OBJECT = Struct("<20sIQIIIIIIIIIIII")
CLIENT = Struct("<IIIIQQII")
DEMAND = Struct("<QIi16sII")
AMOUNT = Struct("<qQ")
UNITS_PER_ONE = 10_000


class Demand(NamedTuple):
    """What a task or actor asks for: resources in whole units, and its placement group."""

    environment: int
    amounts: dict[str, float]
    group: bytes | None


class TaskReport(NamedTuple):
    """A task as the node reports it. Times are in ns of the monotonic clock, 0: not yet."""

    id: bytes
    parent: bytes
    actor: bytes | None
    before: bytes | None
    submit_ns: int
    ready_ns: int
    start_ns: int
    end_ns: int
    client: int
    is_drivers: bool  # a driver submitted it
    job: int
    attempt: int
    worker: int
    process: int
    n_returns: int
    error_code: int
    state: int
    waits_in: int  # EV_GET, EV_WAIT or EV_NEXT of message.pxd; 0: it does not wait
    demand: Demand
    name: str
    function: str
    refs: list[bytes]  # object ids, 20 bytes
    error: bytes  # an envelope; empty if there is none
    call_site: str
    home: int  # the address of the node that it belongs to; 0: the one that reports it
    runs_at: int  # of the node that it was given to; 0: none
    node: str = ""  # the id of the node that reports it, or on which it runs or ran; empty: there is one node


class ActorReport(NamedTuple):
    """An actor as the node reports it."""

    id: bytes
    made_ns: int
    state: int
    creation_state: int
    job: int
    process: int
    worker: int
    n_restarts: int
    flags: int
    demand: Demand
    class_name: str
    full_name: str
    death: bytes
    node: str = ""


class ObjectReport(NamedTuple):
    """An object as the node reports it. Sizes are in bytes."""

    id: bytes
    size: int
    state: int
    kind: int
    creator_state: int
    attempt: int
    n_task_holds: int
    n_container_holds: int
    n_lineage_holds: int
    kept: int
    holders: list[int]
    viewers: list[int]
    call_site: str
    node: str = ""


class ClientReport(NamedTuple):
    """A driver or worker as the node reports it."""

    id: int
    is_driver: bool
    process: int
    is_past: bool
    attach_ns: int
    detach_ns: int
    why: str
    node: str = ""


class Reader:
    """Reads an answer from its front; variable parts are padded to 8."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.demands: dict[bytes, Demand] = {}  # those read so far: many rows have the same

    def take(self, struct: Struct) -> tuple[Any, ...]:
        values = struct.unpack_from(self.data, self.at)
        self.at += struct.size
        return values

    def bytes(self, size: int) -> bytes:
        start = self.at
        self.at += (size + 7) // 8 * 8
        return self.data[start : start + size]

    def text(self, size: int) -> str:
        return self.bytes(size).decode("utf-8", "replace")

    def numbers(self, count: int) -> list[int]:
        data = self.bytes(4 * count)
        return [int.from_bytes(data[4 * i : 4 * i + 4], "little") for i in range(count)]

    def demand(self, size: int) -> Demand:
        data = self.bytes(size)
        known = self.demands.get(data)
        if known is None:
            known = self.demands[data] = read_demand(Reader(data)) if data else Demand(0, {}, None)
        return known


def read_demand(reader: Reader) -> Demand:
    """A demand, from its bytes."""
    environment, n_amounts, _, group, _, _ = reader.take(DEMAND)
    amounts = {}
    for _ in range(n_amounts):
        amount, name_size = reader.take(AMOUNT)
        amounts[reader.text(name_size)] = amount / UNITS_PER_ONE
    return Demand(environment, amounts, given(group))


def is_nil(id: bytes) -> bool:
    """Whether it is an id, of zeros only."""
    return bool(id) and not any(id)


def given(id: bytes) -> bytes | None:
    """An id, or None for zeros."""
    return id if any(id) else None


def read_task(reader: Reader) -> TaskReport:
    """The next row of an answer about tasks."""
    values = reader.take(TASK)
    (id, parent, actor, before, submit_ns, ready_ns, start_ns, end_ns, client, client_flags, job, attempt, worker,
     process, n_returns, error_code, state, home, runs_at, waits_in, demand_size, name_size, function_size, n_refs,
     call_site_size, _, error_size) = values  # fmt: skip
    demand, name, function = reader.demand(demand_size), reader.text(name_size), reader.text(function_size)
    refs = reader.bytes(24 * n_refs)
    return TaskReport(
        id, parent, given(actor), given(before), submit_ns, ready_ns, start_ns, end_ns, client,
        bool(client_flags & 1), job, attempt, worker, process, n_returns, error_code, state, waits_in, demand, name,
        function, [refs[24 * i : 24 * i + 20] for i in range(n_refs)], reader.bytes(error_size),
        reader.text(call_site_size), home, runs_at,
    )  # fmt: skip


def read_actor(reader: Reader) -> ActorReport:
    """The next row of an answer about actors."""
    values = reader.take(ACTOR)
    demand_size, class_size, name_size, death_size = values[-4:]
    demand, class_name, name = reader.demand(demand_size), reader.text(class_size), reader.text(name_size)
    return ActorReport._make((*values[:-4], demand, class_name, name, reader.bytes(death_size), ""))


def read_object(reader: Reader) -> ObjectReport:
    """The next row of an answer about objects."""
    id, _, *numbers, n_holders, n_viewers, call_site_size, _ = reader.take(OBJECT)
    clients = reader.numbers(n_holders + n_viewers)
    holders, viewers = clients[:n_holders], clients[n_holders:]
    return ObjectReport._make((id, *numbers, holders, viewers, reader.text(call_site_size), ""))


def read_client(reader: Reader) -> ClientReport:
    """The next row of an answer about clients."""
    id, flags, process, is_past, attach_ns, detach_ns, why_size, _ = reader.take(CLIENT)
    return ClientReport(id, bool(flags & 1), process, bool(is_past), attach_ns, detach_ns, reader.text(why_size))


class Question:
    """One question to the node, however many answers it takes.

    Args: client; timeout_s: for all of it. absent: the addresses of nodes that died before they had answered.
    Raises RayStateApiException when time is up.
    """

    def __init__(self, client: Client, timeout_s: float) -> None:
        self.client = client
        self.timeout_s = timeout_s
        self.until = monotonic() + timeout_s
        self.absent: set[int] = set()

    def answer(self, what: int, query: bytes) -> bytes | None:
        """A page; None if there is none, and will be none."""
        return self.client.query(what, query)

    def parts(self) -> Sequence[Question]:
        """A question to each node."""
        return [self]

    def node_id(self) -> str:
        """Of the node that is asked, in hexadecimal."""
        return self.client.node_id().hex()

    def environment(self, number: int, node: str) -> str:
        """A runtime environment of a node's, as JSON."""
        return self.client.question(EV_FIND_ENVIRONMENT, aux=number)[1].decode()

    def tasks(self, **query: Any) -> Iterator[TaskReport]:
        """Newest first, as all of these. query: as in rows()."""
        return self.rows(TASK_ROWS, read_task, lambda row: (row.submit_ns, row.id), **query)

    def actors(self, **query: Any) -> Iterator[ActorReport]:
        return self.rows(ACTOR_ROWS, read_actor, lambda row: (row.made_ns, row.id), **query)

    def objects(self, **query: Any) -> Iterator[ObjectReport]:
        return self.rows(OBJECT_ROWS, read_object, lambda row: (0, row.id), **query)

    def clients(self, **query: Any) -> Iterator[ClientReport]:
        return self.rows(CLIENT_ROWS, read_client, lambda row: (0, bytes(16) + row.id.to_bytes(4, "little")), **query)

    def rows(
        self,
        what: int,
        read: Callable[[Reader], Report],
        place: Callable[[Report], tuple[int, bytes]],
        *,
        id: bytes = b"",
        actor: bytes = b"",
        states: int = ALL_STATES,
        flags: int = 0,
        page_rows: int = PAGE_ROWS_MOST,
    ) -> Iterator[Report]:
        """Args: id, actor: of the only one that is wanted, and whose; states: a bit for each that is wanted;
        flags: REFERENCES, ERRORS;
        page_rows: of one answer, at most."""
        after, is_next = (0, b""), False
        while not is_nil(id) and not is_nil(actor):  # which nothing has
            if monotonic() > self.until:
                raise RayStateApiException(
                    f"there was not enough time for all rows: timeout={self.timeout_s:g} seconds"
                )
            query = QUERY.pack(id, actor, *after, is_next, min(page_rows, PAGE_ROWS_MOST), states, flags)
            answer = self.answer(what, query)
            if answer is None:
                return
            reader = Reader(answer)
            n_rows, _, n_found = reader.take(HEADER)
            row = None
            for _ in range(n_rows):
                row = read(reader)
                yield row
            if row is None or n_rows == n_found:
                return
            after, is_next = place(row), True
