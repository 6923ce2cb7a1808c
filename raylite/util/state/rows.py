"""What the node reports, as rows with Ray's columns and names."""

from __future__ import annotations

from time import monotonic_ns, time_ns

from raylite import lifecycle
from raylite.ids import JobID, worker_of
from raylite.util.state.common import ActorState, ObjectState, TaskState, WorkerState
from raylite.util.state.errors import error_message, error_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.util.state.reports import ActorReport, ClientReport, Demand, ObjectReport, Question, TaskReport

EV_WAIT = 7
PUT_INDEX, ACTOR_INDEX = 0x80000000, 0xFFFFFFFE
WAITING, READY, PLACED, RUNNING, BLOCKED, SPILLED, FINISHED, FAILED, CANCELLED = range(
    1, 10
)  # TaskState of task_table.pxd
IN_GET, IN_WAIT = "RUNNING_IN_RAY_GET", "RUNNING_IN_RAY_WAIT"
TASK_STATES = {
    WAITING: "PENDING_ARGS_AVAIL",
    READY: "PENDING_NODE_ASSIGNMENT",
    PLACED: "SUBMITTED_TO_WORKER",
    RUNNING: "RUNNING",
    BLOCKED: IN_GET,
    SPILLED: "PENDING_NODE_ASSIGNMENT",
    FINISHED: "FINISHED",
    FAILED: "FAILED",
    CANCELLED: "FAILED",
}
QUEUED_CALL = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY"  # what a call is when it is PLACED
ACTOR_STATES = ("PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD")
OBJECT_PENDING, OBJECT_RELEASED = 0, 3
KIND_VALUE = 0
PLACED_ON_CPU, DETACHED = 1, 4  # ACTOR_* of message.pxd
ADDRESS = "127.0.0.1"


class Rows:
    """Makes rows. Args: question: for what a row takes beside its report; detail: whether all columns are wanted."""

    def __init__(self, question: Question, detail: bool) -> None:
        self.question = question
        self.detail = detail
        self.node = question.node_id()
        self.epoch_ns = time_ns() - monotonic_ns()  # the node's clock is the monotonic one
        self.clients: dict[tuple[str, int], ClientReport] = {}
        self.environments: dict[int, str] = {0: "{}"}

    # ---- tasks -------------------------------------------------------------------------------------------------

    def task(self, report: TaskReport) -> TaskState:
        function = function_name(report)
        row = TaskState(
            task_id=report.id.hex(),
            attempt_number=report.attempt,
            name=report.name or function,
            state=task_state(report),
            job_id=self.job(report.job),
            actor_id=report.actor.hex() if report.actor else None,
            type=task_type(report),
            func_or_class_name=function,
            parent_task_id=report.parent.hex(),
            node_id=(report.node or self.node) if report.worker else None,
            worker_id=self.worker_id(report.worker, report.node),
            worker_pid=report.process or None,
            error_type=error_type(report.error_code, is_creation(report)),
        )
        if self.detail:
            self.add_task_details(row, report)
        return row

    def add_task_details(self, row: TaskState, report: TaskReport) -> None:
        row.language = "PYTHON"
        row.required_resources = dict(report.demand.amounts)
        row.runtime_env_info = {"serialized_runtime_env": self.environment(report.demand, report.node)}
        row.placement_group_id = report.demand.group.hex() if report.demand.group else None
        row.events = self.events(report)
        row.creation_time_ms = self.unix_ms(report.submit_ns)
        row.start_time_ms = self.unix_ms(report.start_ns)
        row.end_time_ms = self.unix_ms(report.end_ns)
        row.error_message = error_message(report.error, row.task_id) or None
        row.call_site = report.call_site or None

    def events(self, report: TaskReport) -> list[dict[str, Any]]:
        """The states that the latest attempt was in, and since when."""
        states = (
            ("PENDING_ARGS_AVAIL", report.submit_ns),
            ("PENDING_NODE_ASSIGNMENT", report.ready_ns),
            ("RUNNING", report.start_ns),
            (task_state(report), report.end_ns),
        )
        return [{"state": state, "created_ms": self.unix_ms(since_ns)} for state, since_ns in states if since_ns]

    # ---- actors ------------------------------------------------------------------------------------------------

    def actor(self, report: ActorReport) -> ActorState:
        state = ACTOR_STATES[report.state]
        if state == "PENDING_CREATION" and report.creation_state == WAITING:
            state = "DEPENDENCIES_UNREADY"
        namespace, _, name = report.full_name.rpartition("\n")
        row = ActorState(
            actor_id=report.id.hex(),
            class_name=report.class_name,
            state=state,
            job_id=self.job(report.job),
            name=name,
            node_id=(report.node or self.node) if report.worker else None,
            pid=report.process,
            ray_namespace=namespace or lifecycle.namespace(),
        )
        if self.detail:
            self.add_actor_details(row, report)
        return row

    def add_actor_details(self, row: ActorState, report: ActorReport) -> None:
        row.serialized_runtime_env = self.environment(report.demand, report.node)
        row.required_resources = dict(report.demand.amounts)
        if report.flags & PLACED_ON_CPU:
            row.required_resources.pop("CPU", None)
        if report.death:
            text = error_message(report.death, row.actor_id)
            row.death_cause = {"actor_died_error_context": {"error_message": text}}
        row.is_detached = bool(report.flags & DETACHED)
        row.placement_group_id = report.demand.group.hex() if report.demand.group else None
        row.repr_name = ""
        row.num_restarts = report.n_restarts
        row.num_restarts_due_to_lineage_reconstruction = row.num_restarts_due_to_node_preemption = 0

    # ---- objects -----------------------------------------------------------------------------------------------

    def object(self, report: ObjectReport) -> list[ObjectState]:
        """A row for each process that refers to it; one, if none does."""
        rows = []
        for number in sorted({*report.holders, *report.viewers}) or [0]:
            client = self.client(report.node, number)
            rows.append(
                ObjectState(
                    object_id=report.id.hex(),
                    object_size=-1 if report.state == OBJECT_PENDING else report.size,
                    task_status=status_of(report),
                    attempt_number=report.attempt + 1,
                    reference_type=reference_type(report, number),
                    call_site=report.call_site or "disabled",
                    type=worker_type(client) if client else None,
                    pid=client.process if client else None,
                    ip=ADDRESS,
                )
            )
        return rows

    # ---- processes ---------------------------------------------------------------------------------------------

    def client(self, node: str, number: int) -> ClientReport | None:
        """What is known of a client of a node's."""
        if not self.clients:
            self.clients = {(client.node, client.id): client for client in self.question.clients()}
        return self.clients.get((node, number))

    def worker(self, report: ClientReport) -> WorkerState:
        row = WorkerState(
            worker_id=self.worker_id(report.id, report.node),
            is_alive=not report.is_past,
            worker_type=worker_type(report),
            exit_type=exit_type(report) if report.is_past else None,
            node_id=report.node or self.node,
            ip=ADDRESS,
            pid=report.process,
        )
        if self.detail:
            row.exit_detail = report.why or None
            row.start_time_ms = self.unix_ms(report.attach_ns)
            row.end_time_ms = self.unix_ms(report.detach_ns) or 0
        return row

    # ---- what rows have in common ------------------------------------------------------------------------------

    def unix_ms(self, time_ns: int) -> int | None:
        """A time of the node's as Unix time; None for 0."""
        return (time_ns + self.epoch_ns) // 1_000_000 if time_ns else None

    def worker_id(self, number: int, node: str) -> str | None:
        """The id of a process, as RuntimeContext.get_worker_id() has it."""
        return worker_of(bytes.fromhex(node or self.node), number).hex() if number else None

    def job(self, number: int) -> str:
        return JobID.from_int(number or self.question.client.job_number()).hex()

    def environment(self, demand: Demand, node: str) -> str:
        """The runtime environment, as JSON."""
        number = demand.environment
        if number not in self.environments:
            self.environments[number] = self.question.environment(number, node)
        return self.environments[number]


def worker_type(client: ClientReport) -> str:
    """Ray's word for the kind of a client."""
    return "DRIVER" if client.is_driver else "WORKER"


def exit_type(report: ClientReport) -> str:
    """Ray's name for how a process ended."""
    if report.why in ("", "exit code 0"):
        return "INTENDED_SYSTEM_EXIT"
    return "SYSTEM_ERROR"


def is_creation(report: TaskReport) -> bool:
    """Whether the task makes an actor."""
    return report.actor == report.id


def function_name(report: TaskReport) -> str:
    """The name of the function or method; of a class, its `__init__`."""
    return f"{report.function}.__init__" if is_creation(report) else report.function


def task_type(report: TaskReport) -> str:
    """Ray's word for the kind of a task."""
    if is_creation(report):
        return "ACTOR_CREATION_TASK"
    return "ACTOR_TASK" if report.actor else "NORMAL_TASK"


def task_state(report: TaskReport) -> str:
    """Ray's word for the state of a task."""
    if report.state == PLACED and report.actor:
        return QUEUED_CALL
    if report.waits_in:
        return IN_WAIT if report.waits_in == EV_WAIT else IN_GET
    return TASK_STATES[report.state]


def task_state_numbers(name: str) -> set[int]:
    """The node's states that Ray's has this name for."""
    if name == QUEUED_CALL:
        return {PLACED}
    if name in (IN_GET, IN_WAIT):
        return {RUNNING, BLOCKED}
    return {number for number, state in TASK_STATES.items() if state == name}


def status_of(report: ObjectReport) -> str:
    """The state of the task that makes an object."""
    index = int.from_bytes(report.id[16:], "little")
    if index == ACTOR_INDEX:
        return "NIL"
    if report.state != OBJECT_PENDING:
        return "FINISHED"
    return TASK_STATES.get(report.creator_state, "NIL")


def reference_type(report: ObjectReport, client: int) -> str:
    """Ray's name for how a client refers to an object; for what else does, if it does not itself."""
    if int.from_bytes(report.id[16:], "little") == ACTOR_INDEX:
        return "ACTOR_HANDLE"
    if client in report.viewers:
        return "PINNED_IN_MEMORY"
    if report.n_task_holds:
        return "USED_BY_PENDING_TASK"
    if client in report.holders:
        return "LOCAL_REFERENCE"
    return "CAPTURED_IN_OBJECT" if report.n_container_holds else "UNKNOWN_STATUS"
