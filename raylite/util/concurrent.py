"""An executor of concurrent.futures whose calls are tasks.

A call waits in this process until fewer than `max_workers` are under way: so that it can be cancelled until then, and
never is once it may run, as concurrent.futures has it. Futures are completed by the thread that completes references
(raylite.futures); it submits what waits, too, in the context of who wanted it: a task that waits for its calls lends
them its CPU.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from functools import partial
from itertools import chain, islice, repeat
from types import FunctionType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from raylite import api, exceptions
from raylite.futures import holdable, watching_client
from raylite.options import to_resource_demand
from raylite.runtime.client import current_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    from raylite.runtime.client import Client

    T = TypeVar("T")

AHEAD = 2  # one runs, and one is there when it ends


class Waiting(NamedTuple):
    """A call that is not a task yet."""

    future: Future[Any]
    context: Context
    start: Callable[[], None]


class TaskPoolExecutor(Executor):
    """Runs calls as tasks. Starts the runtime if there is none.

    What the interpreter has not waited for at its end is lost. An ObjectRef that is an argument itself becomes its
    value.

    Args: max_workers: how many calls are under way at most; None: twice as many as the cluster has resources for;
    initializer: refused; options: of the tasks, as for `.options()`.
    Raises TypeError or ValueError for wrong arguments.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        if max_workers is not None:
            if isinstance(max_workers, bool) or not isinstance(max_workers, int):
                raise TypeError(f"max_workers must be a whole number from 1 up or None, not {max_workers!r}")
            if max_workers < 1:
                raise ValueError(f"max_workers must be a whole number from 1 up or None, not {max_workers}")
        if initializer is not None or initargs:
            raise ValueError(
                "a TaskPoolExecutor takes no initializer: it shares its worker processes with all other tasks. "
                "raylite.util.multiprocessing.Pool has processes of its own and takes one."
            )
        if "num_returns" in options:
            raise ValueError("num_returns is not for executors: a call has one future")
        self._options = {**options, "num_returns": 1}
        self._call = api.make_remote(call, self._options)
        self._functions: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._max_workers = max_workers
        self._client: Client | None = None
        self._waiting: deque[Waiting] = deque()
        self._n_running = 0
        self._is_shut_down = False
        self._changed = threading.Condition()  # guards what is above

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run fn(*args, **kwargs) as a task.

        Returns its Future, which gets the errors of pickling, too. Raises TypeError if fn cannot be called,
        RuntimeError after shutdown.
        """
        if not callable(fn):
            raise TypeError(f"fn must be a function or another callable, not {fn!r}")
        future: Future[T] = Future()
        with self._changed:
            if self._is_shut_down:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._client is None:
                self._client = api.client_or_init()
            if self._max_workers is None:
                self._max_workers = AHEAD * capacity(self._options)
            self._waiting.append(Waiting(future, copy_context(), partial(self._start, future, fn, args, kwargs)))
        self._submit_waiting()
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **kwargs: Any,
    ) -> Iterator[T]:
        """fn of the items of the iterables, as `map` has it, in order.

        Args: timeout: seconds from now until the last result, None for no limit; chunksize: how many items one task
        takes. Raises TimeoutError when iterated, TypeError or ValueError for wrong arguments.
        """
        if isinstance(chunksize, bool) or not isinstance(chunksize, int):
            raise TypeError(f"chunksize must be a whole number from 1 up, not {chunksize!r}")
        if chunksize < 1:
            raise ValueError(f"chunksize must be a whole number from 1 up, not {chunksize}")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **kwargs)
        items = chunks(zip(*iterables, strict=False), chunksize)
        return chain.from_iterable(super().map(call_chunk, repeat(fn), items, timeout=timeout, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. wait: return when all have ended; cancel_futures: those that wait never run."""
        with self._changed:
            self._is_shut_down = True
            cancelled = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
        for waiting in cancelled:
            waiting.future.cancel()
            waiting.future.set_running_or_notify_cancel()
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: not self._n_running and not self._waiting)

    def _submit_waiting(self) -> None:
        """Submit what waits, as far as there is room."""
        while True:
            with self._changed:
                if not self._waiting or self._n_running >= (self._max_workers or 1):
                    return
                waiting = self._waiting.popleft()
                if not waiting.future.set_running_or_notify_cancel():
                    self._changed.notify_all()
                    continue
                self._n_running += 1
            try:
                waiting.context.run(waiting.start)
            except BaseException as error:
                self._end(waiting.future, None, error)
            del waiting

    def _start(self, future: Future[Any], fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if current_client() is not self._client:
            raise exceptions.RaySystemError("the runtime that this executor ran its calls on has been shut down")
        ref = self._remote(fn)(*args, **kwargs)
        watching_client().watch([ref], partial(self._arrived, future))

    def _remote(self, fn: Any) -> Callable[..., Any]:
        """What submits a call of fn. A plain function is sent once; others, whose state may change, with each call."""
        if type(fn) is not FunctionType or fn.__closure__:
            return partial(self._call.remote, fn)
        function: Any = self._functions.get(fn)
        if function is None:
            function = self._functions[fn] = api.make_remote(fn, self._options)
        return function.remote

    def _arrived(self, future: Future[Any], values: list[Any] | None, error: BaseException | None) -> None:
        self._end(future, values, error)
        self._submit_waiting()

    def _end(self, future: Future[Any], values: list[Any] | None, error: BaseException | None) -> None:
        """A call has ended: complete its future, and make room for the next."""
        with self._changed:
            self._n_running -= 1
            self._changed.notify_all()
        if error is not None:
            future.set_exception(holdable(error))
        else:
            future.set_result(values[0])  # type: ignore[index]


def call(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """The task that makes one call."""
    return fn(*args, **kwargs)


def call_chunk(fn: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> list[Any]:
    """The task that makes several, one after the other."""
    return [fn(*args) for args in chunk]


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`, the last one shorter."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def capacity(options: dict[str, Any]) -> int:
    """How many tasks with these options the cluster's resources let run at once, at least 1."""
    totals = {name: total for name, (total, _) in api.resource_amounts().items()}
    demand = {name: amount for name, amount in to_resource_demand(options).items() if amount} or {"CPU": 10000}
    return max(1, min(totals.get(name, 0) // amount for name, amount in demand.items()))
