"""A backend of joblib whose batches are tasks: scikit-learn and all else that uses joblib.Parallel runs on them.

    register_raylite()
    with joblib.parallel_config("raylite"):
        cross_val_score(...)

Parallel calls inside a batch become tasks of their own; who waits for them lends its CPU. Large arrays among the
arguments are stored once for all batches of a Parallel call, and read in place: read-only, as with joblib's own
backends.
"""

from __future__ import annotations

import copy
import weakref
from concurrent.futures import Future

from raylite import api, lifecycle

try:
    from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, register_parallel_backend
except ImportError as error:
    raise ImportError("raylite.util.joblib needs joblib: pip install 'raylite[joblib]'") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from joblib.parallel import BatchedCalls

    from raylite.runtime.client import ObjectRef

NAME = "raylite"
SHARED_BYTES = 1 << 20  # arrays from this size up are stored once; what joblib maps into memory


def register_raylite(name: str = NAME) -> None:
    """Make the backend known to joblib, for `joblib.parallel_config("raylite")` and `Parallel(backend="raylite")`.

    Args: name: what to call it. Raises TypeError if that is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    register_parallel_backend(name, RayliteBackend)


def register_ray() -> None:
    """As register_raylite, under the name that Ray's backend has: "ray"."""
    register_raylite("ray")


class RayliteBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """What joblib asks of a backend.

    Args: nesting_level, inner_max_num_threads: joblib's; ray_remote_args: options of the tasks, as for `.options()`.
    """

    supports_retrieve_callback = True
    supports_timeout = True
    uses_threads = False
    supports_sharedmem = False

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **backend_kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **backend_kwargs)
        self.set_options(ray_remote_args)
        self.refs: dict[Future[Any], ObjectRef[Any]] = {}  # of what has been submitted and has not ended
        self.shared: dict[int, tuple[Any, ObjectRef[Any]]] = {}  # id of an array -> word of its end, where it is stored

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuilt, (self.nesting_level, self.inner_max_num_threads, self.ray_remote_args)

    def set_options(self, ray_remote_args: dict[str, Any] | None) -> None:
        self.ray_remote_args = ray_remote_args or {}
        self.run = api.make_remote(run_batch, {"name": "joblib", **self.ray_remote_args})

    def configure(self, *args: Any, ray_remote_args: dict[str, Any] | None = None, **kwargs: Any) -> int:
        """Begin a Parallel call; its own ray_remote_args are used instead of the backend's."""
        if ray_remote_args is not None:
            self.set_options(ray_remote_args)
        return super().configure(*args, **kwargs)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many batches are to run at once. Raises ValueError for 0."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        api.client_or_init()
        return max(int(api.cluster_resources().get("CPU", 0)) + 1 + n_jobs, 1)

    def submit(self, func: BatchedCalls, callback: Callable[[Future[Any]], None] | None = None) -> Future[Any]:
        """Run a batch as a task. Its future gets the errors of pickling, too: nobody else may be there to get them."""
        future: Future[Any]
        try:
            batch, arrays = self.without_arrays(func)
            ref: Any = self.run.remote(batch, *arrays)
            future = ref.future()
        except Exception as error:
            future = Future()
            future.set_exception(error)
        else:
            self.refs[future] = ref
            future.add_done_callback(self.forget)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # what joblib before 1.4 calls it

    def forget(self, future: Future[Any]) -> None:
        self.refs.pop(future, None)

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """What a batch returned; raises what it raised."""
        return out.result()

    def without_arrays(self, batch: BatchedCalls) -> tuple[BatchedCalls, list[ObjectRef[Any]]]:
        """A batch whose large arrays are places to be filled, and the references for these places."""
        places: dict[int, Place] = {}
        refs: list[ObjectRef[Any]] = []

        def replaced(value: Any) -> Any:
            if not is_large_array(value):
                return value
            if id(value) not in places:
                places[id(value)] = Place(len(refs))
                refs.append(self.stored(value))
            return places[id(value)]

        items = mapped(batch.items, replaced)
        if refs:
            batch = copy.copy(batch)
            batch.items = items
        return batch, refs

    def stored(self, array: Any) -> ObjectRef[Any]:
        """Where an array is stored: once, as long as it lives and the call goes on."""
        number = id(array)
        entry = self.shared.get(number)
        if entry is None:
            end = weakref.ref(array, lambda _: self.shared.pop(number, None))
            entry = self.shared[number] = end, api.put(array)
        return entry[1]

    def stop_call(self) -> None:
        self.shared.clear()

    def terminate(self) -> None:
        self.shared.clear()
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all that has not ended."""
        for ref in list(self.refs.values()) if lifecycle.is_initialized() else ():
            api.cancel(ref)

    def get_nested_backend(self) -> tuple[RayliteBackend, None]:
        """For Parallel calls inside a batch: tasks again, if they ask for more than one job."""
        return rebuilt((self.nesting_level or 0) + 1, self.inner_max_num_threads, self.ray_remote_args), None


class Place:
    """Stands in a batch for the array of this number."""

    def __init__(self, number: int) -> None:
        self.number = number


def rebuilt(nesting_level: int | None, inner_max_num_threads: int | None, options: dict[str, Any]) -> RayliteBackend:
    """A backend with these settings: what was pickled, or for calls inside a batch."""
    return RayliteBackend(nesting_level, inner_max_num_threads, ray_remote_args=options)


def run_batch(batch: BatchedCalls, *arrays: Any) -> list[Any]:
    """The task: fill the places of a batch, and run it."""
    if arrays:
        batch.items = mapped(batch.items, lambda value: arrays[value.number] if isinstance(value, Place) else value)
    return batch()


def mapped(items: list[tuple[Any, Any, Any]], change: Callable[[Any], Any]) -> list[tuple[Any, Any, Any]]:
    """The calls (function, args, kwargs) with each argument changed."""
    return [
        (function, [change(each) for each in args], {name: change(each) for name, each in kwargs.items()})
        for function, args, kwargs in items
    ]


def is_large_array(value: Any) -> bool:
    """Whether this is an array that is worth being put once for all tasks."""
    return type(value).__module__ == "numpy" and getattr(value, "nbytes", 0) >= SHARED_BYTES
