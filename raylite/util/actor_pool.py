"""A pool of actors: calls that each go to one that is free, and their results, in order or as they come."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from raylite import api
from raylite.actor import ActorHandle
from raylite.exceptions import ActorDiedError
from raylite.runtime.client import ObjectRef

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar

    V = TypeVar("V")


class Call(NamedTuple):
    """A call whose result has not been taken. result: what fn gave."""

    actor: ActorHandle
    result: Any


class ActorPool:
    """Args: actors: handles of actors. Raises TypeError for anything else."""

    def __init__(self, actors: Iterable[ActorHandle]) -> None:
        self._idle = [checked_handle(actor) for actor in actors]
        self._calls: dict[int, Call] = {}  # by number, in the order of submitting: those whose result was not taken
        self._waiting: deque[tuple[Callable[[ActorHandle, Any], Any], Any]] = deque()
        self._n_submitted = 0
        self._next_in_order = 0

    def map(self, fn: Callable[[ActorHandle, V], Any], values: Iterable[V]) -> Iterator[Any]:
        """The results for many values, in their order. Results of earlier submissions are dropped.

        Args: fn: called with an actor and a value, gives a reference: `lambda actor, x: actor.double.remote(x)`.
        """
        self._submit_all(fn, values)
        return iterate(self, self.get_next)

    def map_unordered(self, fn: Callable[[ActorHandle, V], Any], values: Iterable[V]) -> Iterator[Any]:
        """As map, in the order in which the results come."""
        self._submit_all(fn, values)
        return iterate(self, self.get_next_unordered)

    def submit(self, fn: Callable[[ActorHandle, V], Any], value: V) -> None:
        """Call fn(actor, value) with an actor that is free, as soon as there is one. Its result: see get_next."""
        if not callable(fn):
            raise TypeError(f"fn must be a function of an actor and a value that gives a reference, not {fn!r}")
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        try:
            result = fn(actor, value)
            if not is_result(result):
                raise TypeError(f"fn must give an ObjectRef or a list of them (call .remote()), not {result!r}")
        except BaseException:
            self._idle.append(actor)
            raise
        self._calls[self._n_submitted] = Call(actor, result)
        self._n_submitted += 1

    def has_next(self) -> bool:
        """Whether there are results that have not been taken."""
        return bool(self._calls)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The next result in the order of submitting.

        Args: timeout: seconds, None for no limit; ignore_if_timedout: drop the result if time is up.
        Raises StopIteration if there is none, TimeoutError, what the call raised, and ValueError after
        get_next_unordered has taken a later one.
        """
        self._check_next()
        if self._next_in_order not in self._calls:
            raise ValueError("It is not allowed to call get_next() after get_next_unordered().")
        return self._take([self._next_in_order], timeout, ignore_if_timedout)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result that is there first. As get_next else; the one that is dropped is the oldest."""
        self._check_next()
        return self._take(list(self._calls), timeout, ignore_if_timedout)

    def has_free(self) -> bool:
        """Whether an actor is free and no submission waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> ActorHandle | None:
        """Take an actor that is free out of the pool; None if there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: ActorHandle) -> None:
        """Put another actor into the pool. Raises ValueError if it is in it, TypeError if it is none."""
        checked_handle(actor)
        if actor in self._idle or any(actor == call.actor for call in self._calls.values()):
            raise ValueError("Actor already belongs to current ActorPool")
        self._give_back(actor)

    def _submit_all(self, fn: Callable[[ActorHandle, V], Any], values: Iterable[V]) -> None:
        self._waiting.clear()
        while self._calls:
            self._idle.append(self._calls.popitem()[1].actor)
        self._next_in_order = self._n_submitted
        for value in values:
            self.submit(fn, value)

    def _check_next(self) -> None:
        if not self._calls:
            raise StopIteration("No more results to get")

    def _take(self, numbers: list[int], timeout: float | None, ignore: bool) -> Any:
        """The result of one of these calls that is ready first."""
        number_of = {awaited(self._calls[number].result): number for number in numbers}
        ready, _ = api.wait(list(number_of), num_returns=1, timeout=timeout)
        if not ready and not ignore:
            raise TimeoutError("Timed out waiting for result")
        number = number_of[ready[0]] if ready else numbers[0]
        actor, result = self._calls.pop(number)
        self._next_in_order = max(self._next_in_order, number + 1)
        if not ready:
            self._give_back(actor)
            raise TimeoutError(f"Timed out waiting for result. The task {result} has been ignored.")
        is_dead = False
        try:
            return api.get(result)
        except ActorDiedError:
            is_dead = True
            raise
        finally:
            if not is_dead:
                self._give_back(actor)

    def _give_back(self, actor: ActorHandle) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.popleft())


def iterate(pool: ActorPool, take: Callable[[], Any]) -> Iterator[Any]:
    """What `take` gives, while the pool has something to give."""
    while pool.has_next():
        yield take()


def checked_handle(actor: Any) -> ActorHandle:
    """The handle of an actor. Raises TypeError for anything else."""
    if not isinstance(actor, ActorHandle):
        raise TypeError(f"an ActorPool is made of handles of actors (what .remote() of a class gives), not {actor!r}")
    return actor


def is_result(result: Any) -> bool:
    """Whether this is what a remote call gives: a reference, or a list of some."""
    several = isinstance(result, list) and bool(result)
    return all(isinstance(each, ObjectRef) for each in (result if several else [result]))


def awaited(result: Any) -> Any:
    """The reference to wait for: of several, which come together, the first."""
    return result[0] if isinstance(result, list) else result
