"""multiprocessing.Pool whose processes are actors.

All that a user sees of a pool, results, iterators, callbacks, chunks, is multiprocessing's own code: `Pool` is one of
its pools. Only what that does with processes, pipes and threads is done here: a thread takes calls in their order and
gives each to a process that is free, never more than one at a time, so that imap takes items no sooner than they can
run. A process that dies is replaced, and its call fails, where multiprocessing would wait for ever.
"""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial
from multiprocessing import pool as standard
from multiprocessing.pool import (  # type: ignore[attr-defined]
    AsyncResult,
    IMapIterator,
    RemoteTraceback,
    mapstar,
    starmapstar,
)
from queue import SimpleQueue

from raylite import actor as actors
from raylite import api, lifecycle
from raylite.exceptions import ActorDiedError, RayTaskError
from raylite.futures import watching_client
from raylite.runtime.monitor import guarded
from raylite.util.shared_main import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["AsyncResult", "Pool"]

MAPPERS = (mapstar, starmapstar)  # which multiprocessing calls on (function, chunk)


class Pool(standard.Pool):
    """Arguments as for multiprocessing.Pool, and Ray's.

    Args: processes: how many, None for as many as the cluster has CPUs; initializer, initargs: called in each process
    before its first call; maxtasksperchild: how many calls (of map: chunks) a process lives for; context: no meaning;
    ray_address: for `init`, if there is no runtime yet; ray_remote_args: options of the actors, as for `.options()`.
    Raises TypeError or ValueError for wrong ones.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] | None = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        self._state = standard.INIT
        check_count("processes", processes)
        check_count("maxtasksperchild", maxtasksperchild)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if not lifecycle.is_initialized():
            lifecycle.init(ray_address)
        self._processes = processes or max(1, int(api.cluster_resources().get("CPU", 1)))
        arguments = None if initializer is None else Shared(initializer), tuple(initargs or ())
        make = partial(api.remote(num_cpus=0)(Process).options(**(ray_remote_args or {})).remote, *arguments)
        self._cache = Results()
        self._dispatcher = Dispatcher(make, self._processes, maxtasksperchild, self._cache)
        self._pool = self._dispatcher.processes
        self._taskqueue = self._dispatcher
        self._state = standard.RUN

    def close(self) -> None:
        """Take no more calls."""
        if self._state == standard.RUN:
            self._state = standard.CLOSE

    def terminate(self) -> None:
        """End the processes at once; calls that have not ended fail."""
        self._state = standard.TERMINATE
        self._dispatcher.stop()
        self._cache.fail_all(RuntimeError("the pool was terminated before this call had ended"))

    def join(self) -> None:
        """Wait until all calls and all processes have ended. Raises ValueError before close or terminate."""
        if self._state == standard.RUN:
            raise ValueError("Pool is still running")
        self._cache.wait_until_empty()
        self._dispatcher.end()

    def __del__(self, *args: Any) -> None:
        if self._state in (standard.RUN, standard.CLOSE):
            self._dispatcher.forget()


class Process:
    """A process of a pool: an actor."""

    def __init__(self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args, **kwargs)


class Results(dict[int, "Any"]):
    """multiprocessing's results that are not complete, by the number of their job. They take themselves out."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def __delitem__(self, job: int) -> None:
        super().__delitem__(job)
        with self.changed:
            self.changed.notify_all()

    def wait_until_empty(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: not self)

    def complete(self, job: int, index: int, success: bool, value: Any) -> None:
        """Part of a job has ended. An error of a callback is shown, and the result complete all the same."""
        result = self.get(job)
        if result is None:
            return
        try:
            result._set(index, (success, value))
        except BaseException as error:
            guarded(raise_error, error)
            result._event.set()
            self.pop(job, None)
            with self.changed:
                self.changed.notify_all()

    def fail_all(self, error: BaseException) -> None:
        """Let all that wait for results have an error; no callback is called."""
        for job, result in list(self.items()):
            is_iterator = isinstance(result, IMapIterator)
            if is_iterator:
                with result._cond:
                    result._items.append((False, error))
                    result._length = result._index
                    result._cond.notify_all()
            else:
                result._success, result._value = False, error
                result._event.set()
            self.pop(job, None)
        with self.changed:
            self.changed.notify_all()


class Dispatcher:
    """Gives calls to processes.

    Args: make: makes a process; n_processes: how many; max_calls: how many calls each lives for, None for no limit;
    results: what is told when calls end.
    """

    def __init__(self, make: Callable[[], Any], n_processes: int, max_calls: int | None, results: Results) -> None:
        self.make = make
        self.max_calls = max_calls
        self.results = results
        self.processes: list[Any] = [make() for _ in range(n_processes)]
        self.n_calls = [0] * n_processes  # of each process
        self.idle = list(range(n_processes))[::-1]  # numbers of processes
        self.stopped = False
        self.changed = threading.Condition()  # guards what is above
        self.series: SimpleQueue[Any] = SimpleQueue()
        self.thread = threading.Thread(target=self.run, name="raylite-pool", daemon=True)
        self.thread.start()

    def put(self, series: tuple[Any, Any]) -> None:
        """What multiprocessing calls. series: (calls as (job, index, function, args, kwargs), who hears their number).

        They are submitted in the caller's context: a task that waits for them lends its CPU.
        """
        self.series.put((copy_context(), *series))

    def run(self) -> None:
        """The thread."""
        while (series := self.series.get()) is not None:
            context, calls, tell_number = series
            del series
            context.run(self.submit_all, calls, tell_number)
            del context, calls, tell_number

    def submit_all(self, calls: Iterable[Any], tell_number: Callable[[int], None] | None) -> None:
        n_calls = 0
        shared = Shared(None)
        for job, index, function, args, kwargs in calls:
            number = self.take_idle()
            if number is None:
                return
            try:
                shared, function, args = portable(function, args, shared)
                ref = self.processes[number].call.remote(function, args, kwargs)
                watching_client().watch([ref], partial(self.arrived, number, job, index))
            except Exception as error:
                self.give_back(number)
                self.results.complete(job, index, False, error)
            n_calls = index + 1
        if tell_number is not None:
            tell_number(n_calls)

    def take_idle(self) -> int | None:
        """The number of a process that is free, once there is one; None after stop."""
        with self.changed:
            self.changed.wait_for(lambda: self.idle or self.stopped)
            return None if self.stopped else self.idle.pop()

    def give_back(self, number: int) -> None:
        with self.changed:
            self.idle.append(number)
            self.changed.notify_all()

    def arrived(self, number: int, job: int, index: int, values: list[Any] | None, error: BaseException | None) -> None:
        """A call has ended."""
        self.n_calls[number] += 1
        if not self.stopped and (isinstance(error, ActorDiedError) or self.n_calls[number] == self.max_calls):
            guarded(self.replace, number)
        self.give_back(number)
        if error is None:
            self.results.complete(job, index, True, values[0])  # type: ignore[index]
        else:
            self.results.complete(job, index, False, as_multiprocessing_has_it(error))

    def replace(self, number: int) -> None:
        self.processes[number] = self.make()
        self.n_calls[number] = 0

    def forget(self) -> None:
        """Submit nothing more; what runs may end."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        self.series.put(None)

    def stop(self) -> None:
        """Kill the processes."""
        self.forget()
        if lifecycle.is_initialized():
            for process in self.processes:
                actors.kill(process)

    def end(self) -> None:
        """Let the processes end, and wait for it."""
        self.forget()
        self.thread.join()
        if lifecycle.is_initialized():
            api.wait(ends := [process.__ray_terminate__.remote() for process in self.processes], num_returns=len(ends))


def check_count(name: str, count: int | None) -> None:
    """Raise TypeError or ValueError for what is neither None nor a whole number from 1 up."""
    if count is None:
        return
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{name} must be a whole number from 1 up or None, not {count!r}")
    if count < 1:
        raise ValueError(f"{name} must be a whole number from 1 up or None, not {count}")


def portable(function: Any, args: tuple[Any, ...], last: Shared) -> tuple[Shared, Any, tuple[Any, ...]]:
    """The user's function of a call, fit for a pool's process, and the call with that.

    last: of the call before; the same function is pickled once.
    """
    is_chunk = function in MAPPERS
    inner = args[0][0] if is_chunk else function
    shared = last if last.function is inner else Shared(inner)
    return (shared, function, ((shared, args[0][1]),)) if is_chunk else (shared, shared, args)


def as_multiprocessing_has_it(error: BaseException) -> BaseException:
    """What a task raised as it is, with the remote traceback as its cause."""
    if not isinstance(error, RayTaskError):
        return error
    cause = error.cause
    cause.__cause__ = RemoteTraceback(f'\n"""\n{error.traceback_str}"""')
    return cause


def raise_error(error: BaseException) -> None:
    """Raise this, where a call is wanted."""
    raise error
