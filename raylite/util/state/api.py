"""Lists, rows by id, and summaries of what a runtime has and had: Ray's state API.

Tasks, actors and workers that are over are listed too, as long as the node remembers them: the latest 65,536 tasks (or
fewer, with many references in their arguments) and 10,000 actors and processes. In lists, the latest come last.
"""

from __future__ import annotations

import warnings
from itertools import islice

from raylite import lifecycle
from raylite.ids import client_number
from raylite.util.state.common import (
    ActorState,
    JobState,
    NodeState,
    ObjectState,
    PlacementGroupState,
    TaskState,
    WorkerState,
)
from raylite.util.state.exception import InvalidQuery, RayStateApiException
from raylite.util.state.filters import checked_filters, passes, wanted_numbers
from raylite.util.state.reports import ALL_STATES, DETAIL, PAGE_ROWS_MOST, Question
from raylite.util.state.rows import ADDRESS, Rows, task_state_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeVar

    from raylite.runtime.client import ObjectRef
    from raylite.util.state.filters import Filter

    Found = TypeVar("Found")
    Row = TypeVar("Row", TaskState, ActorState, ObjectState, WorkerState, PlacementGroupState, NodeState, JobState)

DEFAULT_LIMIT = 100
LIMIT_MOST = 10_000
DEFAULT_TIMEOUT_S = 30
OUR_ADDRESSES = (None, "auto", "local")


# ---- lists -----------------------------------------------------------------------------------------------------


def list_tasks(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """The latest tasks, in the order of their submission.

    Args (of all list_*): filters: (column, "=" or "!=", value) tuples, which a row has to pass all; limit: rows, 10,000
    at most; timeout: seconds; detail: whether all columns are wanted; address: None, as there is one runtime;
    raise_on_missing_output: whether it is an error, and not a warning, that a node died before it had told what it has.
    Raises TypeError or InvalidQuery (a ValueError) for a wrong argument, RayStateApiException if time is up.
    """
    checked = checked_filters(filters, TaskState)
    question = ask(address, timeout)
    rows = Rows(question, bool(detail))
    states = wanted_numbers(checked, "state", task_state_numbers)
    reports = question.tasks(
        states=ALL_STATES if states is None else sum(1 << state for state in states),
        actor=wanted_actor(checked),
        flags=DETAIL if detail else 0,
        page_rows=page_rows(limit, checked, "state", "actor_id"),
    )
    return whole(question, latest(map(rows.task, reports), checked, limit), raise_on_missing_output)


def list_actors(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """The latest actors, in the order in which they were made. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, ActorState)
    question = ask(address, timeout)
    rows = Rows(question, bool(detail))
    reports = question.actors(flags=DETAIL if detail else 0, page_rows=page_rows(limit, checked))
    return whole(question, latest(map(rows.actor, reports), checked, limit), raise_on_missing_output)


def list_objects(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """Objects, by id: a row for each process that refers to one. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, ObjectState)
    question = ask(address, timeout)
    rows = Rows(question, bool(detail))
    reports = question.objects(page_rows=page_rows(limit, checked))
    found = latest((row for report in reports for row in rows.object(report)), checked, limit)
    return whole(question, found, raise_on_missing_output)


def list_workers(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """Processes, the driver's included, in the order of their start. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, WorkerState)
    question = ask(address, timeout)
    rows = Rows(question, bool(detail))
    return whole(question, latest(map(rows.worker, question.clients()), checked, limit), raise_on_missing_output)


def list_placement_groups(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """The latest placement groups, oldest first. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, PlacementGroupState)
    question = ask(address, timeout)
    return latest(reversed(placement_groups(question, bool(detail))), checked, limit)


def list_nodes(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """The nodes. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, NodeState)
    return latest(node_states(ask(address, timeout), bool(detail)), checked, limit)


def list_jobs(
    address: str | None = None,
    filters: list[tuple[str, str, Any]] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: float = DEFAULT_TIMEOUT_S,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """The one job, which is the driver's run. Arguments and errors as those of list_tasks."""
    checked = checked_filters(filters, JobState)
    return latest([the_job(ask(address, timeout), bool(detail))], checked, limit)


# ---- one row ---------------------------------------------------------------------------------------------------


def get_task(
    id: str | ObjectRef[Any],
    address: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    _explain: bool = False,
) -> TaskState | None:
    """A task by its id, or by the reference of a result, with all columns; None if it is not known, or no more.

    Args (of all get_*): id: in hexadecimal; timeout: seconds; address: as in list_tasks. Raises TypeError or
    InvalidQuery for a wrong argument, RayStateApiException if time is up.
    """
    from raylite.runtime.client import ObjectRef

    task = id.task_id().binary() if isinstance(id, ObjectRef) else checked_id(id, 16, "a task")
    question = ask(address, timeout)
    rows = Rows(question, detail=True)
    return next((rows.task(report) for report in question.tasks(id=task, flags=DETAIL)), None)


def get_actor(
    id: str, address: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, _explain: bool = False
) -> ActorState | None:
    """An actor by its id; None if it is not known, or no more. As get_task."""
    actor = checked_id(id, 16, "an actor")
    question = ask(address, timeout)
    rows = Rows(question, detail=True)
    return next((rows.actor(report) for report in question.actors(id=actor, flags=DETAIL)), None)


def get_objects(
    id: str | ObjectRef[Any],
    address: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    _explain: bool = False,
) -> list[ObjectState]:
    """An object by its id or a reference: a row for each process that refers to it; none if it is gone. As get_task."""
    from raylite.runtime.client import ObjectRef

    object_id = id.binary() if isinstance(id, ObjectRef) else checked_id(id, 20, "an object")
    question = ask(address, timeout)
    rows = Rows(question, detail=True)
    return [row for report in question.objects(id=object_id) for row in rows.object(report)]


def get_worker(
    id: str, address: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, _explain: bool = False
) -> WorkerState | None:
    """A process by its id; None if it is not known, or no more. As get_task."""
    worker = checked_id(id, 16, "a worker")
    question = ask(address, timeout)
    for node in question.parts():
        number = client_number(worker, bytes.fromhex(node.node_id()))
        report = next(node.clients(id=bytes(16) + number.to_bytes(4, "little")), None) if number else None
        if report is not None:
            return Rows(question, detail=True).worker(report)
    return None


def get_placement_group(
    id: str, address: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, _explain: bool = False
) -> PlacementGroupState | None:
    """A placement group by its id; None if it is not known, or no more. As get_task."""
    group = checked_id(id, 16, "a placement group").hex()
    found = placement_groups(ask(address, timeout), detail=True)
    return next((row for row in found if row.placement_group_id == group), None)


def get_node(
    id: str, address: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, _explain: bool = False
) -> NodeState | None:
    """The node with this id, or None. As get_task."""
    node = checked_id(id, 16, "a node").hex()
    return next((row for row in node_states(ask(address, timeout), detail=True) if row.node_id == node), None)


def get_job(
    id: str, address: str | None = None, timeout: float = DEFAULT_TIMEOUT_S, _explain: bool = False
) -> JobState | None:
    """The job, if this is its id; else None. As get_task."""
    job = checked_id(id, 4, "a job").hex()
    row = the_job(ask(address, timeout), detail=True)
    return row if row.job_id == job else None


# ---- summaries -------------------------------------------------------------------------------------------------


def summarize_tasks(
    address: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many tasks of each name are in each state, under "cluster"; Ray's form. Arguments as of list_tasks."""
    from raylite.util.state.summaries import TaskSummary

    question = ask(address, timeout)
    return whole(question, TaskSummary().of(question.tasks()), raise_on_missing_output)


def summarize_actors(
    address: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many actors of each class are in each state, under "cluster"; Ray's form. Arguments as of list_tasks."""
    from raylite.util.state.summaries import ActorSummary

    question = ask(address, timeout)
    found = ActorSummary().of(map(Rows(question, detail=False).actor, question.actors()))
    return whole(question, found, raise_on_missing_output)


def summarize_objects(
    address: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """How many objects there are, of what size and held by whom, under "cluster"; Ray's form. Arguments as those of
    list_tasks."""
    from raylite.util.state.summaries import ObjectSummary

    question = ask(address, timeout)
    rows = Rows(question, detail=False)
    found = ObjectSummary().of(row for report in question.objects() for row in rows.object(report))
    for group in found["cluster"]["summary"].values():
        group["total_num_nodes"] = len(question.parts())
    return whole(question, found, raise_on_missing_output)


# ---- arguments -------------------------------------------------------------------------------------------------


def ask(address: Any, timeout: Any) -> Question:
    """A question to the node of this process, or to all of its cluster.

    Raises TypeError, InvalidQuery, RaySystemError without a runtime.
    """
    from raylite.api import client_or_init

    if address not in OUR_ADDRESSES:
        raise InvalidQuery(
            f"there is no runtime at {address!r} to be asked: leave address out, to ask that of this process"
        )
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
    if not timeout >= 0:
        raise InvalidQuery(f"timeout is 0 or more seconds, not {timeout!r}")
    client = client_or_init()
    timeout_s = max(float(timeout), 1.0)  # as Ray, which rounds up
    if not client.in_cluster:
        return Question(client, timeout_s)
    from raylite.util.state.cluster import Everywhere

    return Everywhere(client, timeout_s)


def checked_limit(limit: Any) -> int:
    """A limit of rows. Raises TypeError or InvalidQuery saying what is valid."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit is a whole number of rows, not {limit!r}")
    if not 0 <= limit <= LIMIT_MOST:
        raise InvalidQuery(f"limit is from 0 to {LIMIT_MOST} rows, not {limit}; filters make the list shorter")
    return limit


def checked_id(id: Any, size: int, what: str) -> bytes:
    """An id as bytes. Raises TypeError or InvalidQuery."""
    if not isinstance(id, str):
        raise TypeError(f"the id of {what} is a string of {2 * size} hexadecimal digits, not {id!r}")
    try:
        found = bytes.fromhex(id)
    except ValueError:
        found = b""
    if len(found) != size or len(id) != 2 * size:
        raise InvalidQuery(f"the id of {what} has {2 * size} hexadecimal digits, not {id!r}")
    return found


def page_rows(limit: Any, filters: list[Filter], *by_node: str) -> int:
    """How many rows to ask for at a time: no more than are wanted, unless some will be passed over here."""
    if any(column not in by_node or predicate != "=" for column, predicate, _ in filters):
        return PAGE_ROWS_MOST
    return checked_limit(limit)


def wanted_actor(filters: list[Filter]) -> bytes:
    """The actor whose tasks are asked for by a filter; empty for any."""
    for column, predicate, value in filters:
        if column == "actor_id" and predicate == "=" and isinstance(value, str):
            try:
                return checked_id(value, 16, "an actor")
            except InvalidQuery:
                return b""
    return b""


def latest(newest_first: Iterable[Row], filters: list[Filter], limit: Any) -> list[Row]:
    """The first rows that pass, turned round."""
    n_rows = checked_limit(limit)
    found = list(islice((row for row in newest_first if passes(row, filters)), n_rows)) if n_rows else []
    return found[::-1]


def whole(question: Question, found: Found, raise_on_missing_output: bool) -> Found:
    """What was found. Raises RayStateApiException, or warns, if a node died before it had told what it has."""
    if not question.absent:
        return found
    text = f"{len(question.absent)} of {len(question.parts())} nodes died before they had told what they have"
    if raise_on_missing_output:
        raise RayStateApiException(f"{text}: what the others have is to be had with raise_on_missing_output=False")
    warnings.warn(f"the list is not complete: {text}", stacklevel=3)
    return found


# ---- rows that are made here -----------------------------------------------------------------------------------


def placement_groups(question: Question, detail: bool) -> list[PlacementGroupState]:
    """All that are known, oldest first."""
    from raylite.util.placement_group import table

    found = []
    for group in table().values():
        row = PlacementGroupState(
            placement_group_id=group["placement_group_id"],
            name=group["name"],
            creator_job_id=Rows(question, detail).job(0),
            state=group["state"],
        )
        if detail:
            row.bundles = [
                {"bundle_id": {"placement_group_id": row.placement_group_id, "bundle_index": i},
                 "node_id": group["bundles_to_node_id"][i] or None, "unit_resources": amounts}
                for i, amounts in group["bundles"].items()
            ]  # fmt: skip
            row.is_detached = group["is_detached"]
            row.stats = row.topology_strategy = row.topology_assignments = {}
        found.append(row)
    return found


def node_states(question: Question, detail: bool) -> list[NodeState]:
    """The rows of all nodes; the driver's is the first."""
    from raylite.api import nodes

    rows = [
        NodeState(
            node_id=node["NodeID"],
            node_ip=ADDRESS,
            is_head_node=number == 0,
            state="ALIVE" if node["Alive"] else "DEAD",
            node_name=node["NodeManagerHostname"],
            resources_total=node["Resources"],
            labels=node["Labels"],
        )
        for number, node in enumerate(nodes())
    ]
    if detail:
        rows[0].start_time_ms = Rows(question, detail).unix_ms(first_driver(question).attach_ns)
        rows[0].end_time_ms = 0
    return rows


def the_job(question: Question, detail: bool) -> JobState:
    """The row of the job, the only one there is."""
    driver = first_driver(question)
    rows = Rows(question, detail)
    job = rows.job(0)
    row = JobState(
        job_id=job,
        entrypoint=command_line(driver.process),
        type="DRIVER",
        status="RUNNING",
        driver_info={"id": job, "node_ip_address": ADDRESS, "pid": str(driver.process)},
    )
    if detail:
        row.start_time = rows.unix_ms(driver.attach_ns)
        row.metadata = {}
        row.runtime_env = lifecycle.setting("runtime_env") or {}
        row.driver_node_id = rows.node
    return row


def first_driver(question: Question) -> Any:
    """The report of the driver that started the runtime."""
    return [client for client in question.clients() if client.is_driver][-1]


def command_line(process: int) -> str:
    """What a process was started with; empty if that cannot be known."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return b" ".join(file.read().split(b"\0")).decode("utf-8", "replace").strip()
    except OSError:
        return ""
