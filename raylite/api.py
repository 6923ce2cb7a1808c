"""The calls that a program makes: remote, get, put, wait and what belongs to them.

They go through the client of this process, and start an embedded runtime if there is none (lifecycle). In a worker
they are calls to the driver's node.
"""

from __future__ import annotations

import os

from raylite import exceptions, lifecycle
from raylite.runtime import client as clients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeVar, overload

    from raylite.actor import ActorClass
    from raylite.generator import ObjectRefGenerator
    from raylite.remote_function import RemoteFunction

    T = TypeVar("T")
    Waitable = TypeVar("Waitable", clients.ObjectRef, ObjectRefGenerator)


def client_or_init() -> clients.Client:
    """The client of this process; starts the runtime if there is none."""
    if clients.current_client() is None:
        lifecycle.init_if_needed()
    return connected_client()


def connected_client() -> clients.Client:
    """The client of this process. Raises RaySystemError if there is none."""
    client = clients.current_client()
    if client is None:
        raise exceptions.RaySystemError(
            "raylite is not running here: it has not been started, or it has been shut down and what it held is gone. "
            "raylite.init() starts it."
        )
    return client


def remote(*args: Any, **options: Any) -> Any:
    """Make a function a remote function, or a class an actor class: `@remote`, or `@remote(num_cpus=2, ...)`.

    Raises TypeError for what is neither, and TypeError or ValueError for a wrong option.
    """
    if len(args) == 1 and not options and callable(args[0]):
        return make_remote(args[0], {})
    if args or not options:
        raise TypeError(
            "The @raylite.remote decorator must be applied using no arguments and no parentheses, for example "
            "'@raylite.remote', or it must be applied using some of its options, for example "
            "'@raylite.remote(num_returns=2, resources={\"CustomResource\": 1})'."
        )
    return lambda target: make_remote(target, options)


def make_remote(target: Any, options: dict[str, Any]) -> RemoteFunction | ActorClass:
    """What the decorator makes of a function or a class. Raises TypeError for anything else."""
    from raylite.options import validate_task_options
    from raylite.remote_function import RemoteFunction
    from raylite.signature import Signature

    if isinstance(target, type):
        from raylite.actor import ActorClass
        from raylite.options import validate_actor_options

        return ActorClass(target, validate_actor_options(options))
    if not callable(target) or isinstance(target, RemoteFunction):
        raise TypeError("The @raylite.remote decorator must be applied to either a function or a class.")
    signature = Signature(target)
    return RemoteFunction(target, validate_task_options(options, is_generator=signature.is_generator), signature)


if TYPE_CHECKING:

    @overload
    def get(refs: clients.ObjectRef[T], *, timeout: float | None = None) -> T: ...
    @overload
    def get(refs: Sequence[clients.ObjectRef[T]], *, timeout: float | None = None) -> list[T]: ...


def get(refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a reference, or the values of a list of them.

    Args: refs: an ObjectRef, or a sequence of them; timeout: seconds, None for no limit.
    Raises GetTimeoutError; what the task raised, as its own type and as RayTaskError; other errors of
    raylite.exceptions; TypeError or ValueError if `refs` holds something else.
    """
    timeout_s = check_timeout(timeout)
    if isinstance(refs, clients.ObjectRef):
        return connected_client().get([refs], timeout_s)[0]
    if not isinstance(refs, (list, tuple)):
        from raylite.generator import ObjectRefGenerator

        if isinstance(refs, ObjectRefGenerator):
            return refs  # it gives references, each to be got
        raise ValueError(
            f"Invalid type of object refs, {type(refs)}, is given. 'object_refs' must either be a single "
            "ObjectRef or a list of ObjectRefs."
        )
    refs = list(refs)
    for ref in refs:
        if not isinstance(ref, clients.ObjectRef):
            raise TypeError(f"Attempting to call `get` on the value {ref!r}, which is not an ObjectRef.")
    return (connected_client() if refs else client_or_init()).get(refs, timeout_s)


def check_timeout(timeout: float | None) -> float:
    """Seconds for the client: below 0 for no limit. Raises TypeError or ValueError."""
    if timeout is None:
        return -1.0
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"timeout must be 0 or more seconds, not {timeout!r}")
    return min(float(timeout), 1e9)


def put(value: T, *, _owner: Any = None, _tensor_transport: str | None = None) -> clients.ObjectRef[T]:
    """Store a value; returns its reference. Arrays are copied once, and read without copies.

    Raises TypeError for a reference, or for what does not pickle; ObjectStoreFullError.
    """
    client = client_or_init()
    if isinstance(value, clients.ObjectRef):
        raise TypeError(
            "Calling 'put' on an ObjectRef is not allowed. If you really want to do this, you can wrap the "
            "ObjectRef in a list and call 'put' on it."
        )
    try:
        return client.put(value)
    except Exception as error:
        if isinstance(error, exceptions.RayError):
            raise
        from raylite.pickling_errors import explain, pickles

        if pickles(value) is None:
            raise
        raise TypeError(f"Could not serialize the put value: {explain(value, error)}") from error


def wait(
    refs: list[Waitable], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Waitable], list[Waitable]]:
    """Split references into ready and not ready.

    Args: refs: a list of different ObjectRefs or generators; num_returns: how many to wait for, and the most that are
    returned as ready; timeout: seconds, None for no limit; fetch_local: whether a
    value that is ready on another node is brought to this one before it counts.
    Returns (ready, not ready), both in the order given. Raises TypeError or ValueError for wrong arguments.
    """
    from raylite.generator import ObjectRefGenerator

    if isinstance(refs, (clients.ObjectRef, ObjectRefGenerator)):
        raise TypeError("wait() expected a list of ObjectRef or ObjectRefGenerator, got a single one")
    if not isinstance(refs, list):
        raise TypeError(f"wait() expected a list of ObjectRef or ObjectRefGenerator, got {type(refs)}")
    for ref in refs:
        if not isinstance(ref, (clients.ObjectRef, ObjectRefGenerator)):
            raise TypeError(
                f"wait() expected a list of ObjectRef or ObjectRefGenerator, got list containing {type(ref)}"
            )
    client = connected_client()
    timeout_s = check_timeout(timeout)
    if not refs:
        return [], []
    if len(set(refs)) != len(refs):
        raise ValueError("Wait requires a list of unique object refs.")
    if isinstance(num_returns, bool) or not isinstance(num_returns, int):
        raise TypeError(f"num_returns must be a whole number, not {num_returns!r}")
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return: {num_returns}.")
    if num_returns > len(refs):
        raise ValueError("num_returns cannot be greater than the number of objects provided to wait().")
    waited = [ref if isinstance(ref, clients.ObjectRef) else ref.next_reference() for ref in refs]
    slots = set(client.wait(waited, num_returns, timeout_s, bool(fetch_local)))
    ready = [ref for i, ref in enumerate(refs) if i in slots]
    return ready, [ref for i, ref in enumerate(refs) if i not in slots]


def cancel(ref: clients.ObjectRef[Any] | ObjectRefGenerator, *, force: bool = False, recursive: bool = True) -> None:
    """Cancel a task: one that has not begun never runs, a running one gets KeyboardInterrupt (force: is killed).

    Raises TypeError if `ref` is no reference.
    """
    from raylite.generator import ObjectRefGenerator

    if isinstance(ref, ObjectRefGenerator):
        ref = ref.completed()
    if not isinstance(ref, clients.ObjectRef):
        raise TypeError(f"cancel() only supported for object refs, not {type(ref)}")
    connected_client().cancel(ref, force, recursive)


def resource_amounts() -> dict[str, tuple[int, int]]:
    """Name to (total, available) of all nodes together, in 1/10000."""
    several = reports_of_nodes()
    if several is None:
        return read_amounts(connected_client().query(1))
    out: dict[str, tuple[int, int]] = {}
    for node in several:
        for name, (total, free) in node["resources"].items():
            before = out.get(name, (0, 0))
            out[name] = before[0] + total, before[1] + free
    return out


def reports_of_nodes() -> list[dict[str, Any]] | None:
    """What is known of each of several nodes; None if there is one."""
    connected_client()
    report: Any = getattr(lifecycle.runtime(), "reports_of_nodes", None)
    return None if report is None else report()


def read_amounts(data: bytes) -> dict[str, tuple[int, int]]:
    """Name to two amounts, in 1/10000, from the node's answer to a question about resources."""
    from struct import unpack_from

    out, at = {}, 0
    while at < len(data):
        total, available, size = unpack_from("<qqq", data, at)
        at += 24
        out[data[at : at + size].decode()] = (total, available)
        at += (size + 7) // 8 * 8
    return out


def quantity(units: int) -> float:
    """Units of 1/10000 as a float."""
    return units / 10000.0


def cluster_resources() -> dict[str, float]:
    """The quantity of each resource that the cluster has, as floats by name."""
    return {name: quantity(total) for name, (total, _) in node_amounts().items() if total}


def node_amounts() -> dict[str, tuple[int, int]]:
    """As resource_amounts, without those that are placement groups' and so counted twice."""
    return {name: amounts for name, amounts in resource_amounts().items() if not is_of_group(name)}


def is_of_group(name: str) -> bool:
    """Whether a resource is a placement group's: "CPU_group_<id>", or with a bundle's number before the id."""
    resource, _, rest = name.rpartition("_group_")
    return bool(resource) and len(rest.rpartition("_")[2]) == 32


def available_resources() -> dict[str, float]:
    """The quantity of each resource that is free now, as floats by name; what is used up is left out."""
    return {name: quantity(free) for name, (total, free) in resource_amounts().items() if total and free > 0}


def nodes() -> list[dict[str, Any]]:
    """The nodes: dicts with "NodeID", "Alive", "Resources" and more, as in Ray."""
    several = reports_of_nodes()
    if several is not None:
        return [
            node_row(node["id"], f"node-{node['number']}", node["resources"], node["labels"], is_alive=node["alive"])
            for node in several
        ]
    import socket

    labels = lifecycle.setting("labels") or {}
    return [node_row(connected_client().node_id().hex(), socket.gethostname(), resource_amounts(), labels)]


def node_row(
    id: str, host: str, amounts: dict[str, tuple[int, int]], labels: dict[str, str], *, is_alive: bool = True
) -> dict[str, Any]:
    """What nodes() says of a node."""
    return {
        "NodeID": id,
        "Alive": is_alive,
        "NodeManagerAddress": "127.0.0.1",
        "NodeManagerHostname": host,
        "alive": is_alive,
        "Resources": {name: quantity(total) for name, (total, _) in amounts.items() if total and not is_of_group(name)},
        "Labels": dict(labels),
    }


def get_gpu_ids() -> list[int | str]:
    """The GPUs assigned to the running task: ids from the user's mask, whole numbers where they are."""
    task = clients.current_task()
    if task is None or not task.gpus:
        return []
    ids = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [int(i) if i.isdigit() else i for i in ids if i]


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """What ran when, as Chrome trace events (Perfetto, chrome://tracing).

    Args: filename: where to write them as JSON; None: return the list. Raises RaySystemError in a worker.
    """
    connected_client()
    runtime = lifecycle.runtime()
    if runtime is None:
        raise exceptions.RaySystemError("timeline() can be asked for by the driver only, not in a task")
    from raylite.trace_events import trace_events

    events = trace_events(runtime)
    if filename is None:
        return events
    import json

    with open(filename, "w") as file:
        json.dump(events, file)
    return None
