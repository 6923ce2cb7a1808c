"""Where a piece of code runs: its job, task, worker and resources."""

from __future__ import annotations

from raylite import lifecycle
from raylite.actor import current_actor, rebuild_handle
from raylite.ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID, worker_of
from raylite.runtime import client as clients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.actor import ActorHandle
    from raylite.runtime_env import RuntimeEnv

QUERY_ACTOR_NAME = 6
QUERY_ASSIGNED = 7


class RuntimeContext:
    """What get_runtime_context() returns; it tells of the moment in which each of its methods is called."""

    def _client(self) -> clients.Client:
        from raylite.api import connected_client

        return connected_client()

    def get_job_id(self) -> str:
        """The job's id, in hexadecimal."""
        return JobID.from_int(self._client().job_number()).hex()

    def get_node_id(self) -> str:
        """The node's id, in hexadecimal."""
        return self._client().node_id().hex()

    def get_task_id(self) -> str | None:
        """The running task's id, in hexadecimal; None in the driver."""
        task = clients.current_task()
        return None if task is None or task.is_driver else task.task_id.hex()

    def get_task_name(self) -> str | None:
        """The running task's name; None in the driver."""
        task = clients.current_task()
        return None if task is None or task.is_driver else task.name

    def get_task_function_name(self) -> str | None:
        """The name of the running task's function; None in the driver."""
        task = clients.current_task()
        return None if task is None or task.is_driver else task.function or task.name

    def get_attempt_number(self) -> int:
        """Which attempt of the task this is, from 0."""
        task = clients.current_task()
        return task.attempt if task is not None else 0

    def get_worker_id(self) -> str:
        """The process's id, in hexadecimal."""
        client = self._client()
        return worker_of(client.node_id(), client.client_number()).hex()

    def get_actor_id(self) -> str | None:
        """The id of the actor whose process this is, in hexadecimal; None if it is none's."""
        actor = current_actor()
        return None if actor is None else actor.id.hex()

    def get_actor_name(self) -> str | None:
        """The name of that actor; "" if it has none, None if there is no actor."""
        actor = current_actor()
        if actor is None:
            return None
        return self._client().query(QUERY_ACTOR_NAME, actor.id).decode().rpartition("\n")[2]

    @property
    def current_actor(self) -> ActorHandle:
        """A handle of the actor whose process this is. Raises RuntimeError if it is none's."""
        actor = current_actor()
        if actor is None:
            raise RuntimeError("this method is only available in an actor")
        client = self._client()
        ref = client.actor_ref(actor.id)
        return rebuild_handle(ref, client.get([ref])[0])

    @property
    def actor_id(self) -> ActorID | None:
        actor = current_actor()
        return None if actor is None else ActorID(actor.id)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """The GPUs assigned to the task, under "GPU", as strings."""
        from raylite.api import get_gpu_ids

        return {"GPU": [str(gpu) for gpu in get_gpu_ids()]}

    def get_assigned_resources(self) -> dict[str, float]:
        """What the running task or this process's actor has of each resource; of the CPU an actor has none, unless it
        was asked for. Raises AssertionError in the driver."""
        from raylite.api import quantity, read_amounts

        client, task = self._client(), clients.current_task()
        if client.worker is None or task is None:
            raise AssertionError("get_assigned_resources() is for tasks and actors: the driver has what it likes")
        amounts = read_amounts(client.query(QUERY_ASSIGNED, task.task_id))
        return {name: quantity(amount) for name, (amount, _) in amounts.items()}

    def is_canceled(self) -> bool:
        """Whether the running task, or the running call of an actor, has been cancelled.

        A task gets KeyboardInterrupt, and this is true if it goes on; a call of an actor is not interrupted, and this
        tells it. Raises RuntimeError in the driver and in async actors.
        """
        client, task = self._client(), clients.current_task()
        if client.worker is None or task is None:
            raise RuntimeError("is_canceled() is for tasks and calls of actors: nothing cancels the driver")
        return client.worker.is_cancelled(task.task_id)

    def get_resource_ids(self) -> dict[str, list[str]]:
        return self.get_accelerator_ids()

    def get_node_labels(self) -> dict[str, str]:
        """The labels of the node, as given to `init`."""
        return dict(lifecycle.setting("labels") or {})

    def get_session_name(self) -> str:
        """A name that no other runtime has."""
        return f"session_{self.get_node_id()}"

    def get_temp_dir(self) -> str:
        """The folder for temporary files: the system's, as raylite has none of its own."""
        from tempfile import gettempdir

        return gettempdir()

    @property
    def gcs_address(self) -> str:
        """The address of the runtime: 'local', as `init` returns it."""
        return "local"

    def get(self) -> dict[str, Any]:
        """Ids and namespace: "job_id", "node_id", "namespace", in a task "task_id", in an actor "actor_id"."""
        found = {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
        if self.get_task_id():
            found["task_id"] = self.task_id
        if self.get_actor_id():
            found["actor_id"] = self.actor_id
        return found

    def __getattr__(self, name: str) -> Any:
        from raylite.absent import missing

        raise missing("raylite.runtime_context.RuntimeContext", name)

    def get_placement_group_id(self) -> str | None:
        """The id of the placement group that the running task or actor is in, in hexadecimal; None outside of any."""
        task = clients.current_task()
        return None if task is None or task.group is None else task.group.hex()

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        """That id; of nothing outside of any group."""
        group = self.get_placement_group_id()
        return PlacementGroupID.nil() if group is None else PlacementGroupID.from_hex(group)

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether what the running task or actor submits goes into its placement group."""
        task = clients.current_task()
        return task is not None and task.captures

    @property
    def runtime_env(self) -> RuntimeEnv:
        """The environment that this process is in; of copied folders the names of the copies."""
        from raylite.runtime_env import RuntimeEnv

        environment = self._client().environment
        return RuntimeEnv(**(environment.description if environment is not None else {}))

    def get_runtime_env_string(self) -> str:
        """That environment as JSON."""
        from json import dumps

        return dumps(self.runtime_env, sort_keys=True)

    @property
    def namespace(self) -> str:
        """The job's namespace."""
        return lifecycle.namespace()

    @property
    def job_id(self) -> JobID:
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self) -> NodeID:
        return NodeID.from_hex(self.get_node_id())

    @property
    def task_id(self) -> TaskID:
        return TaskID.from_hex(self.get_task_id() or "")

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """Whether this is an actor that was restarted."""
        actor = current_actor()
        return actor is not None and actor.n_restarts > 0


def get_runtime_context() -> RuntimeContext:
    """Where this code runs (raylite.runtime_context.RuntimeContext)."""
    return RuntimeContext()
