"""A scheduler function for dask: each task of a dask graph becomes a task here, what it needs references.

    dask.compute(collection, scheduler=raylite_dask_get)

The whole graph is submitted at once, in dask's own order. Tasks get each other's results from the object store; only
what was asked for comes to the caller. A result that no task needs any more is freed.
"""

from __future__ import annotations

from collections.abc import Mapping

from raylite import api

try:
    from dask._task_spec import Alias, DataNode, convert_legacy_graph
except ImportError as error:
    raise ImportError("raylite.util.dask needs dask, 2024.12 or newer: pip install 'raylite[dask]'") from error
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten
from dask.local import nested_get, start_state_from_dask
from dask.order import order
from dask.utils import key_split

from raylite.util.completion import as_completed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.runtime.client import ObjectRef

# What dask's own schedulers take and what has no meaning here: the node decides how many tasks run at once.
PASSED_OVER = ("cache", "chunksize", "num_workers", "pool", "rerun_exceptions_locally")


def raylite_dask_get(
    dsk: Any, keys: Any, *, callbacks: Any = None, ray_remote_args: dict[str, Any] | None = None, **kwargs: Any
) -> Any:
    """Compute keys of a dask graph: what dask calls as its `scheduler`.

    Args: dsk: a graph, a mapping or what has `__dask_graph__`; keys: a key, or lists of keys, nested as one likes;
    callbacks: dask callbacks instead of those that are active, who are given references as results; ray_remote_args:
    options of the tasks, as for `.options()`; kwargs: what dask's own schedulers take is passed over.
    Returns the value of each key, lists become tuples. Raises what a task raised; TypeError or ValueError for wrong
    arguments.
    """
    for name in kwargs:
        if name not in PASSED_OVER:
            raise TypeError(
                f"raylite_dask_get takes no {name!r}; it takes callbacks and ray_remote_args, and passes over "
                f"{', '.join(PASSED_OVER)}"
            )
    graph = convert_legacy_graph(dsk if isinstance(dsk, Mapping) else dsk.__dask_graph__())
    wanted = set(flatten(keys)) if isinstance(keys, list) else {keys}
    for key in wanted:
        if key not in graph:
            raise KeyError(f"{key!r} is no key of the graph")
    calls = Calls(ray_remote_args or {})
    with local_callbacks(callbacks) as active:
        values = observed(graph, wanted, calls, active) if active else values_of(submit(graph, wanted, calls))
    return nested_get(keys, values)


ray_dask_get = raylite_dask_get  # what Ray calls its own


def values_of(refs: dict[Any, ObjectRef[Any]]) -> dict[Any, Any]:
    """The value of each reference, by the same keys."""
    return dict(zip(refs, api.get(list(refs.values())), strict=True))


class Calls:
    """How to call the tasks of a graph: each kind bears its own name, unless there is one for all.

    Args: options: of all of them.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self.run_node = api.make_remote(run_node, options)
        self.name = options.get("name")
        self.by_name: dict[str, Any] = {}

    def submit(self, key: Any, node: Any, refs: dict[Any, ObjectRef[Any]]) -> ObjectRef[Any]:
        """Run a node of the graph as a task. refs: those of all that it depends on."""
        name = self.name or key_split(key)
        call = self.by_name.get(name)
        if call is None:
            call = self.by_name[name] = self.run_node.options(name=name)
        needed = tuple(node.dependencies)
        return call.remote(node, needed, *[refs[each] for each in needed])


def run_node(node: Any, keys: tuple[Any, ...], *values: Any) -> Any:
    """The task that computes a node of a graph from the values of the keys that it depends on."""
    return node(dict(zip(keys, values)))  # noqa: B905 - they are as many


def submit(graph: Any, wanted: set[Any], calls: Calls, made: Any = None) -> dict[Any, ObjectRef[Any]]:
    """Submit what the wanted keys need. Returns their references.

    made: called with the key and the reference of each task.
    """
    n_users = count_users(graph, wanted)
    place = order({key: graph[key] for key in n_users})
    refs: dict[Any, ObjectRef[Any]] = {}
    for key in sorted(n_users, key=place.__getitem__):
        node = graph[key]
        if isinstance(node, DataNode):
            refs[key] = api.put(node.value)
        elif isinstance(node, Alias):
            refs[key] = refs[node.target]
        else:
            refs[key] = calls.submit(key, node, refs)
            if made is not None:
                made(key, refs[key])
        for needed in node.dependencies:  # what all its users have is theirs alone to keep
            n_users[needed] -= 1
            if not n_users[needed]:
                del refs[needed]
    return refs


def count_users(graph: Any, wanted: set[Any]) -> dict[Any, int]:
    """How many tasks need each key, and one more for a wanted one; keys that nobody needs are left out."""
    counts = dict.fromkeys(wanted, 1)
    to_visit = list(wanted)
    while to_visit:
        key = to_visit.pop()
        for needed in graph[key].dependencies:
            if needed not in graph:
                raise KeyError(f"{key!r} of the graph depends on {needed!r}, which is no key of it")
            if needed not in counts:
                counts[needed] = 0
                to_visit.append(needed)
            counts[needed] += 1
    return counts


def observed(graph: Any, wanted: set[Any], calls: Calls, callbacks: Any) -> dict[Any, Any]:
    """The values of the wanted keys; dask's callbacks (progress bars, profilers) hear of each task."""
    starts, start_states, pretasks, posttasks, finishes = unpack_callbacks(callbacks)
    state: dict[str, Any] = {}
    running: dict[ObjectRef[Any], Any] = {}
    failed = True

    def made(key: Any, ref: ObjectRef[Any]) -> None:
        running[ref] = key
        state["running"].add(key)
        for callback in pretasks:
            callback(key, graph, state)

    try:
        for callback in starts:
            callback(graph)
        state.update(start_state_from_dask(graph, keys=wanted))
        for callback in start_states:
            callback(graph, state)
        state["ready"].clear()  # what has been submitted is running, as far as we know
        refs = submit(graph, wanted, calls, made)
        state["waiting"].clear()
        for ref in as_completed(list(running), chunk_size=1, yield_obj_refs=True):
            key = running.pop(ref)
            state["running"].remove(key)
            state["finished"].add(key)
            for callback in posttasks:
                callback(key, ref, graph, state, None)
        values = values_of(refs)
        failed = False
        return values
    finally:
        for callback in finishes:
            callback(graph, state, failed)
