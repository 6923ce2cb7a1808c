"""Rows of the state API: what is told of a task, an actor and so on. The columns are Ray's.

A row is both an object and a mapping: `row.state`, `row["state"]`, `dict(row)`. Columns of `DETAIL` are None unless
asked for by detail=True, or by one of the functions get_*. What there is nothing of here is None always.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class StateSchema:
    """A row. Its class says which columns there are."""

    DETAIL: frozenset[str] = frozenset()
    UNFILTERABLE: frozenset[str] = frozenset()

    def __init__(self, **values: Any) -> None:
        for column in self.list_columns():
            setattr(self, column, values.get(column))

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """The names of the columns."""
        return [column for column in cls.__annotations__ if detail or column not in cls.DETAIL]

    @classmethod
    def columns(cls) -> set[str]:
        """The names of all columns."""
        return set(cls.list_columns())

    @classmethod
    def base_columns(cls) -> set[str]:
        """The names of the columns that are there without detail=True."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        """The names of the columns that are there with detail=True."""
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """The names of the columns that rows can be picked by."""
        return cls.columns() - cls.UNFILTERABLE

    def asdict(self) -> dict[str, Any]:
        """The row as a dict."""
        return dict(self.items())

    def keys(self) -> list[str]:
        return self.list_columns()

    def values(self) -> list[Any]:
        return [getattr(self, column) for column in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        return list(zip(self.keys(), self.values(), strict=True))

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)

    def __getitem__(self, key: str) -> Any:
        if key not in self.__annotations__:
            raise KeyError(f"{key!r}; the columns of a {type(self).__name__} are {', '.join(self.keys())}")
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.__annotations__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.items() == self.items()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self.items())})"


class TaskState(StateSchema):
    """A task, by its latest attempt.

    state: PENDING_ARGS_AVAIL: it waits for arguments; PENDING_NODE_ASSIGNMENT: for resources or a process, or for its
    actor; SUBMITTED_TO_WORKER: it is in a process's queue; PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY: in its actor's;
    RUNNING; RUNNING_IN_RAY_GET: in a get or wait; FINISHED; FAILED. Times are Unix times in milliseconds.
    """

    task_id: str
    attempt_number: int
    name: str
    state: str
    job_id: str
    actor_id: str | None
    type: str
    func_or_class_name: str
    parent_task_id: str
    node_id: str | None
    worker_id: str | None
    worker_pid: int | None
    error_type: str | None
    language: str | None
    required_resources: dict[str, float] | None
    runtime_env_info: dict[str, Any] | None
    placement_group_id: str | None
    events: list[dict[str, Any]] | None
    profiling_data: dict[str, Any] | None
    creation_time_ms: int | None
    start_time_ms: int | None
    end_time_ms: int | None
    task_log_info: dict[str, Any] | None
    error_message: str | None
    is_debugger_paused: bool | None
    call_site: str | None
    label_selector: dict[str, str] | None
    fallback_strategy: dict[str, Any] | None

    UNFILTERABLE = frozenset(
        """
        required_resources runtime_env_info events profiling_data creation_time_ms start_time_ms end_time_ms
        task_log_info error_message call_site label_selector fallback_strategy
        """.split()
    )
    DETAIL = UNFILTERABLE | {"language", "placement_group_id", "is_debugger_paused"}


class ActorState(StateSchema):
    """An actor.

    state: DEPENDENCIES_UNREADY: it waits for arguments; PENDING_CREATION: for resources, a process or its __init__;
    ALIVE; RESTARTING; DEAD. pid is 0 before there is a process.
    """

    actor_id: str
    class_name: str
    state: str
    job_id: str
    name: str
    node_id: str | None
    pid: int
    ray_namespace: str
    serialized_runtime_env: str | None
    required_resources: dict[str, float] | None
    death_cause: dict[str, Any] | None
    is_detached: bool | None
    placement_group_id: str | None
    repr_name: str | None
    num_restarts: int
    num_restarts_due_to_lineage_reconstruction: int
    num_restarts_due_to_node_preemption: int
    call_site: str | None
    label_selector: dict[str, str] | None
    fallback_strategy: dict[str, Any] | None

    UNFILTERABLE = frozenset(
        """
        serialized_runtime_env required_resources death_cause is_detached num_restarts
        num_restarts_due_to_lineage_reconstruction num_restarts_due_to_node_preemption call_site label_selector
        fallback_strategy
        """.split()
    )
    DETAIL = UNFILTERABLE | {"placement_group_id", "repr_name"}


class ObjectState(StateSchema):
    """An object, for one process that refers to it; pid None: no process does.

    object_size: bytes, -1 while it is not there; reference_type: PINNED_IN_MEMORY: the process has a view of it;
    USED_BY_PENDING_TASK; LOCAL_REFERENCE; CAPTURED_IN_OBJECT: another object refers to it; ACTOR_HANDLE;
    UNKNOWN_STATUS: it is kept as lineage; attempt_number counts from 1, as in Ray; call_site: not recorded.
    """

    object_id: str
    object_size: int
    task_status: str
    attempt_number: int
    reference_type: str
    call_site: str
    type: str | None
    pid: int | None
    ip: str


class WorkerState(StateSchema):
    """A process that talks to the node: worker_type "WORKER" or "DRIVER"."""

    worker_id: str
    is_alive: bool
    worker_type: str
    exit_type: str | None
    node_id: str
    ip: str
    pid: int
    exit_detail: str | None
    worker_launch_time_ms: int | None
    worker_launched_time_ms: int | None
    start_time_ms: int | None
    end_time_ms: int | None
    debugger_port: int | None
    num_paused_threads: int | None

    UNFILTERABLE = frozenset(
        "exit_detail worker_launch_time_ms worker_launched_time_ms start_time_ms end_time_ms".split()
    )
    DETAIL = UNFILTERABLE | {"debugger_port", "num_paused_threads"}


class PlacementGroupState(StateSchema):
    """A placement group; state: PENDING, CREATED or REMOVED."""

    placement_group_id: str
    name: str
    creator_job_id: str
    state: str
    bundles: list[dict[str, Any]] | None
    is_detached: bool | None
    stats: dict[str, Any] | None
    topology_strategy: dict[str, str] | None
    topology_assignments: dict[str, str] | None

    UNFILTERABLE = frozenset("bundles stats topology_strategy topology_assignments".split())
    DETAIL = UNFILTERABLE | {"is_detached"}


class NodeState(StateSchema):
    """The node."""

    node_id: str
    node_ip: str
    is_head_node: bool
    state: str
    state_message: str | None
    node_name: str
    resources_total: dict[str, float]
    labels: dict[str, str]
    start_time_ms: int | None
    end_time_ms: int | None

    UNFILTERABLE = frozenset("state_message resources_total labels start_time_ms end_time_ms".split())
    DETAIL = frozenset({"start_time_ms", "end_time_ms"})


class JobState(StateSchema):
    """The job: the run of a driver."""

    job_id: str
    submission_id: str | None
    entrypoint: str
    type: str
    status: str
    message: str | None
    error_type: str | None
    driver_info: dict[str, str] | None
    start_time: int | None
    end_time: int | None
    metadata: dict[str, str] | None
    runtime_env: dict[str, Any] | None
    driver_agent_http_address: str | None
    driver_node_id: str | None
    driver_exit_code: int | None

    DETAIL = frozenset(
        """
        start_time end_time metadata runtime_env driver_agent_http_address driver_node_id driver_exit_code
        """.split()
    )
    UNFILTERABLE = DETAIL | {"entrypoint", "message", "error_type", "driver_info"}
