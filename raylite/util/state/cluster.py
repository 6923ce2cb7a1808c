"""Reports of all nodes of a cluster, put together.

A task is known at its home and, if that has given it away, where it runs; an actor wherever somebody has a handle; an
object wherever somebody holds it. A row is made of what those nodes say of one thing. Nodes are asked one after the
other, so what changes meanwhile may be seen on two or on none; a node that dies before it has answered is left out.
"""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from struct import unpack_from

from raylite.util.state.reports import ALL_STATES, PAGE_ROWS_MOST, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from raylite.runtime.client import Client
    from raylite.util.state.reports import ActorReport, ClientReport, ObjectReport, TaskReport

EV_QUERY, QUERY_NODES, QUERY_ENVIRONMENT = 23, 8, 19  # of message.pxd
READY_ABSENT = 1
PEER_CLIENT = 0x80000000  # a holder that stands for another node: PEER_CLIENT of table.pxd
SPILLED, FINISHED = 6, 7  # TaskState of task_table.pxd
KNOWLEDGE = (0, 3, 4, 1, 2)  # ObjectState of objects.pxd: pending, released, remote, inline, in the arena
ACTOR_DEAD = 3
REMOTE_PAGE_ROWS = 1 << 11  # of an answer that comes from another node


class OfNode(Question):
    """A question to one node. Args: address: of its party; id: in hexadecimal; whole: the question that this is of."""

    def __init__(self, whole: Everywhere, address: int, id: str) -> None:
        super().__init__(whole.client, whole.timeout_s)
        self.until = whole.until
        self.whole = whole
        self.address = address
        self.id = id

    def node_id(self) -> str:
        return self.id

    def answer(self, what: int, query: bytes) -> bytes | None:
        return ask(self.client, self.address, what, query, self.whole.absent)

    def rows(self, what: int, read: Any, place: Any, *, page_rows: int = PAGE_ROWS_MOST, **query: Any) -> Iterator[Any]:
        found = super().rows(what, read, place, page_rows=min(page_rows, REMOTE_PAGE_ROWS), **query)
        return (row._replace(node=self.id) for row in found)


class Everywhere(Question):
    """One question to all nodes."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        super().__init__(client, timeout_s)
        self.nodes = [OfNode(self, address, id) for address, id in living_nodes(client)]

    def parts(self) -> Sequence[Question]:
        return self.nodes

    def environment(self, number: int, node: str) -> str:
        address = next((each.address for each in self.nodes if each.id == node), 0)
        return (ask(self.client, address, QUERY_ENVIRONMENT, number.to_bytes(8, "little"), self.absent) or b"").decode()

    def tasks(self, *, states: int = ALL_STATES, **query: Any) -> Iterator[TaskReport]:
        """Newest first. states is of no use: a node knows the state of its part only."""
        rows = merge(*(node.tasks(**query) for node in self.nodes), key=lambda row: (-row.submit_ns, *last(row.id)))
        seen = set()
        for id, group in groupby(rows, key=lambda row: row.id):
            if id not in seen:
                seen.add(id)
                yield one_task(list(group), self.nodes)

    def actors(self, **query: Any) -> Iterator[ActorReport]:
        of_id: dict[bytes, list[ActorReport]] = {}
        for node in self.nodes:
            for row in node.actors(**query):
                of_id.setdefault(row.id, []).append(row)
        found = [one_actor(rows) for rows in of_id.values()]
        return iter(sorted(found, key=lambda row: (-row.made_ns, *last(row.id))))

    def objects(self, **query: Any) -> Iterator[ObjectReport]:
        """A report for each node on which somebody refers to an object; one, if nobody does."""
        rows = merge(*(node.objects(**query) for node in self.nodes), key=lambda row: last(row.id))
        for _, group in groupby(rows, key=lambda row: row.id):
            yield from one_object(list(group))

    def clients(self, **query: Any) -> Iterator[ClientReport]:
        found = [row for node in self.nodes for row in node.clients(**query)]
        return iter(sorted(found, key=lambda row: (-row.attach_ns, row.node, -row.id)))


def ask(client: Client, address: int, what: int, query: bytes, absent: set[int]) -> bytes | None:
    """What a node answers; None, and its address in `absent`, if it has died."""
    status, data = client.question(EV_QUERY, query, index=what, aux=address)
    if status != READY_ABSENT:
        return data
    absent.add(address)
    return None


def living_nodes(client: Client) -> Iterator[tuple[int, str]]:
    """Address and id of each node of the cluster, the client's first."""
    data, at = client.query(QUERY_NODES), 0
    while at < len(data):
        address, size = unpack_from("<II", data, at)
        yield address, data[at + 8 : at + 8 + size].decode()
        at += 8 + (size + 7) // 8 * 8


def last(id: bytes) -> tuple[int, ...]:
    """What sorts ids as the nodes do: the largest first."""
    return tuple(-int.from_bytes(id[at : at + 8], "little") for at in range(0, len(id), 8))


def one_task(rows: list[TaskReport], nodes: Iterable[OfNode]) -> TaskReport:
    """What its home says of a task, and of where and when it ran what the node says that ran it."""
    home = next((row for row in rows if not row.home), None)
    if home is None:
        return max(rows, key=lambda row: (row.attempt, row.state))
    where = next((node.id for node in nodes if node.address == home.runs_at), None)
    guest = next((row for row in rows if row.home and row.node == where and row.attempt == home.attempt), None)
    if guest is None or home.state < SPILLED:
        return home
    over = home.state >= FINISHED
    return home._replace(
        node=guest.node,
        worker=guest.worker,
        process=guest.process,
        ready_ns=guest.ready_ns,
        start_ns=guest.start_ns,
        end_ns=guest.end_ns or home.end_ns,
        waits_in=0 if over else guest.waits_in,
        state=home.state if over else min(guest.state, SPILLED),
    )


def one_actor(rows: list[ActorReport]) -> ActorReport:
    """What the node says that runs the actor or saw it die, and from when on it was known."""
    best = max(
        rows, key=lambda row: (row.state == ACTOR_DEAD, row.worker != 0, bool(row.death), row.process, row.state)
    )
    return best._replace(
        made_ns=min(row.made_ns for row in rows),
        class_name=next((row.class_name for row in (best, *rows) if row.class_name), ""),
        full_name=next((row.full_name for row in (best, *rows) if row.full_name), ""),
        demand=next((row.demand for row in (best, *rows) if row.demand.amounts), best.demand),
        n_restarts=max(row.n_restarts for row in rows),
    )


def one_object(rows: list[ObjectReport]) -> list[ObjectReport]:
    """An object's reports, each with what the node says of its value that knows most."""
    best = max(rows, key=lambda row: KNOWLEDGE.index(row.state))
    made = max(rows, key=lambda row: row.creator_state)
    out = []
    for row in rows:
        holders = [client for client in row.holders if not client & PEER_CLIENT]
        if holders or row.viewers or (row is best and not any(is_held(each) for each in rows)):
            out.append(
                row._replace(
                    holders=holders,
                    size=best.size,
                    state=best.state,
                    kind=best.kind,
                    creator_state=made.creator_state,
                    attempt=max(row.attempt, made.attempt),
                )
            )
    return out


def is_held(row: ObjectReport) -> bool:
    """Whether a client refers to the object there."""
    return bool(row.viewers) or any(not client & PEER_CLIENT for client in row.holders)
