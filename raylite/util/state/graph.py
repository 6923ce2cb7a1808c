"""The lineage graph: tasks and objects, joined by data, control and stateful edges (as in the Ray paper, 3.2).

It is made of the references, parents and order of calls that the node knows and remembers; nothing is recorded for it
that is not there anyway.
"""

from __future__ import annotations

import warnings
from itertools import islice
from typing import NamedTuple

from raylite.util.state.api import DEFAULT_TIMEOUT_S, ask, checked_id
from raylite.util.state.exception import InvalidQuery
from raylite.util.state.reports import REFERENCES
from raylite.util.state.rows import (
    ACTOR_INDEX,
    KIND_VALUE,
    OBJECT_PENDING,
    OBJECT_RELEASED,
    PUT_INDEX,
    Rows,
    is_creation,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from raylite.util.state.reports import ObjectReport, Question, TaskReport

TASKS_MOST = 100_000  # that are looked at; so many take some 100 MB here
DATA, CONTROL, STATEFUL = "data", "control", "stateful"


class GraphNode(NamedTuple):
    """A task or an object.

    kind: "task", "call" (of an actor's method), "creation" (of an actor), "object", "driver", or "forgotten": a task of
    which only the id is known. state: as in TaskState; of an object PENDING, READY, ERROR or FREED; None of the others.
    actor: the id, of calls and creations. run_ms: how long the latest attempt took; size_bytes: of an object.
    """

    id: str
    kind: str
    name: str
    state: str | None = None
    attempt: int = 0
    actor: str | None = None
    run_ms: int | None = None
    size_bytes: int | None = None


class GraphEdge(NamedTuple):
    """From the id of one node to that of another; kind: "data", "control" or "stateful"."""

    source: str
    target: str
    kind: str


class TaskGraph:
    """A lineage graph, or a part of one.

    Attributes: nodes: by id, tasks in the order of their submission; edges: in that of their targets; is_whole: whether
    there are no more tasks than were looked at.
    """

    def __init__(self, nodes: dict[str, GraphNode], edges: list[GraphEdge], is_whole: bool = True) -> None:
        self.nodes = nodes
        self.edges = edges
        self.is_whole = is_whole

    def to_dot(self) -> str:
        """The graph in the language of Graphviz."""
        from raylite.util.state.drawing import to_dot

        return to_dot(self)

    def draw(self, path: str | Path) -> Path:
        """Write the graph as a file; returns its path.

        Args: path: ends in .dot or .gv, or in .png, .svg or .pdf, for which Graphviz has to be there (the .dot file is
        written beside it in any case). Raises ValueError for another ending, RuntimeError without Graphviz.
        """
        from raylite.util.state.drawing import draw

        return draw(self, path)

    def cut(self, ids: Iterable[str]) -> TaskGraph:
        """The part of these nodes and of the edges between them."""
        kept = set(ids)
        nodes = {id: node for id, node in self.nodes.items() if id in kept}
        edges = [edge for edge in self.edges if edge.source in kept and edge.target in kept]
        return TaskGraph(nodes, edges, self.is_whole)

    def ancestors(self, id: str) -> set[str]:
        """The ids of the nodes from which there is a way to this one."""
        return self.reached([id], backwards=True)

    def descendants(self, id: str) -> set[str]:
        """The ids of the nodes to which there is a way from this one."""
        return self.reached([id], backwards=False)

    def reached(self, starts: list[str], *, backwards: bool) -> set[str]:
        following: dict[str, list[str]] = {}
        for edge in self.edges:
            source, target = (edge.target, edge.source) if backwards else (edge.source, edge.target)
            following.setdefault(source, []).append(target)
        todo, seen = list(starts), set(starts)
        while todo:
            for id in following.get(todo.pop(), ()):
                if id not in seen:
                    seen.add(id)
                    todo.append(id)
        return seen.difference(starts)

    def __repr__(self) -> str:
        return f"TaskGraph({len(self.nodes)} nodes, {len(self.edges)} edges)"


def task_graph(
    job: Any = None, task: Any = None, actor: Any = None, *, timeout: float = DEFAULT_TIMEOUT_S
) -> TaskGraph:
    """The lineage graph of what a runtime has and remembers: who made what of what.

    Its nodes are tasks, calls and creations of actors, the driver, and those objects that a task takes or that are
    still there. An edge leads to what depends on the other: "data" from the task that makes or puts an object to the
    object, and from there to the tasks that take it; "control" from a task to those that it submits; "stateful" from an
    actor's creation to its first call, and from each call to the next one that its process got.

    Args: at most one of: job: a job's id; task: a task's id, or the reference of one of its results: the task, all
    nodes from which there is a way to it (its ancestors: what made its arguments, who submitted it, earlier calls of
    the same actor, and so on) and all to which there is one from it (its descendants); actor: an actor's id or handle:
    its creation and calls, who submitted them, the objects that they take and make, and who made those. Ids are in
    hexadecimal. timeout: seconds.

    Of more than 100,000 tasks the latest are looked at, and a warning says so. Raises TypeError or InvalidQuery for a
    wrong argument or a task or actor that is not known, RayStateApiException if time is up.
    """
    if sum(each is not None for each in (job, task, actor)) > 1:
        raise InvalidQuery("a graph is cut to one thing: give job, task or actor, and not several of them")
    wanted_job = None if job is None else checked_job(job)
    wanted = wanted_id(task, actor)
    question = ask(None, timeout)
    if wanted_job is not None and wanted_job != question.client.job_number():
        own = Rows(question, detail=False).job(0)
        raise InvalidQuery(f"there is no job {job}: the one job is {own}")
    whole = Builder(question).graph()
    if not whole.is_whole:
        warnings.warn(f"there are more than {TASKS_MOST:,} tasks; the graph has the latest ones", stacklevel=2)
    if wanted is None:
        return whole
    if actor is not None:
        kept = around_actor(whole, wanted)
    elif wanted in whole.nodes:
        kept = {wanted, *whole.ancestors(wanted), *whole.descendants(wanted)}
    else:
        kept = set()
    if not kept:
        raise InvalidQuery(f"the node knows of no {'task' if actor is None else 'actor'} {wanted}, or no more")
    return whole.cut(kept)


def checked_job(job: Any) -> int:
    from raylite.ids import JobID

    return job.int() if isinstance(job, JobID) else int.from_bytes(checked_id(job, 4, "a job"), "big")


def wanted_id(task: Any, actor: Any) -> str | None:
    """The id of the one task or actor that is wanted, in hexadecimal."""
    from raylite.actor import ActorHandle
    from raylite.ids import BaseID
    from raylite.runtime.client import ObjectRef

    if isinstance(task, ObjectRef):
        return task.task_id().hex()
    if isinstance(actor, ActorHandle):
        return actor._actor_id.hex()
    given, what = (task, "a task") if task is not None else (actor, "an actor")
    if given is None:
        return None
    return checked_id(given.hex() if isinstance(given, BaseID) else given, 16, what).hex()


def around_actor(graph: TaskGraph, actor: str) -> set[str]:
    """The nodes that the graph of one actor has."""
    own = {id for id, node in graph.nodes.items() if node.actor == actor}
    before = {edge.source for edge in graph.edges if edge.target in own}
    objects = {id for id in before if graph.nodes[id].kind == "object"}
    made = {edge.target for edge in graph.edges if edge.source in own and edge.kind == DATA}
    makers = {edge.source for edge in graph.edges if edge.target in objects}
    return own | before | made | makers


def object_state(report: ObjectReport | None) -> str:
    if report is None or report.state == OBJECT_RELEASED:
        return "FREED"
    if report.state == OBJECT_PENDING:
        return "PENDING"
    return "READY" if report.kind == KIND_VALUE else "ERROR"


class Builder:
    """Makes a graph of the node's reports."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.rows = Rows(question, detail=False)
        self.nodes: dict[str, GraphNode] = {}
        self.edges: list[GraphEdge] = []
        self.objects: dict[str, ObjectReport] = {}

    def graph(self) -> TaskGraph:
        reports = list(islice(self.question.tasks(flags=REFERENCES), TASKS_MOST + 1))
        is_whole = len(reports) <= TASKS_MOST
        reports = reports[TASKS_MOST - 1 :: -1] if not is_whole else reports[::-1]
        self.objects = {each.id.hex(): each for each in islice(self.question.objects(), TASKS_MOST)}
        self.add_driver()
        for report in reports:
            self.add_task(report)
        for report in reports:
            self.add_parent(report)
            self.add_arguments(report)
            self.add_call_before(report)
        for id in self.objects:
            self.add_object(id)
        return TaskGraph(self.nodes, self.edges, is_whole)

    def add_driver(self) -> None:
        root = self.question.client.root
        if root.is_driver:
            self.nodes[root.task_id.hex()] = GraphNode(root.task_id.hex(), "driver", "driver")

    def add_task(self, report: TaskReport) -> None:
        row = self.rows.task(report)
        self.nodes[row.task_id] = GraphNode(
            row.task_id,
            "creation" if is_creation(report) else "call" if report.actor else "task",
            row.name,
            row.state,
            row.attempt_number,
            row.actor_id,
            (report.end_ns - report.start_ns) // 1_000_000 if report.end_ns and report.start_ns else None,
        )

    def add_parent(self, report: TaskReport) -> None:
        parent = report.parent.hex()
        if parent not in self.nodes:
            kind = "driver" if report.is_drivers else "forgotten"
            self.nodes[parent] = GraphNode(parent, kind, kind)
        self.edges.append(GraphEdge(parent, report.id.hex(), CONTROL))

    def add_arguments(self, report: TaskReport) -> None:
        for id in dict.fromkeys(ref.hex() for ref in report.refs):
            self.add_object(id, taken=True)
            self.edges.append(GraphEdge(id, report.id.hex(), DATA))

    def add_call_before(self, report: TaskReport) -> None:
        if not report.actor or is_creation(report):
            return
        before = report.before.hex() if report.before else report.actor.hex() if self.was_sent(report) else ""
        if before in self.nodes:
            self.edges.append(GraphEdge(before, report.id.hex(), STATEFUL))

    def was_sent(self, report: TaskReport) -> bool:
        """Whether the call has gone to its actor's process: those that have not are in no order yet."""
        return report.worker != 0

    def add_object(self, id: str, taken: bool = False) -> None:
        """Add an object, and what made it. One that nobody takes is added if its maker is known and it is no handle."""
        maker, index = id[:32], int.from_bytes(bytes.fromhex(id[32:]), "little")
        if id in self.nodes or (not taken and (maker not in self.nodes or index == ACTOR_INDEX)):
            return
        report = self.objects.get(id)
        state = object_state(report)
        size = report.size if report is not None and state in ("READY", "ERROR") else None
        self.nodes[id] = GraphNode(id, "object", self.object_name(maker, index), state, size_bytes=size)
        if maker in self.nodes:
            self.edges.append(GraphEdge(maker, id, DATA))

    def object_name(self, maker: str, index: int) -> str:
        if index == ACTOR_INDEX:
            return "handle"
        if index & PUT_INDEX:
            return f"put {index & ~PUT_INDEX}"
        return f"result {index}"
