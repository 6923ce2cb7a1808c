"""Results of many tasks in the order in which they come.

A wait looks at all references that it is given. So each takes out all that are ready, not one chunk of them: then the
time spent on looking stays below that in which the tasks run, however many there are.
"""

from __future__ import annotations

from raylite import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from raylite.runtime.client import ObjectRef

CHUNK_SIZE = 10
BACKPRESSURE_SIZE = 100
WAIT_ARGUMENTS = ("timeout", "fetch_local")


def as_completed(
    refs: Sequence[ObjectRef[Any]], *, chunk_size: int = CHUNK_SIZE, yield_obj_refs: bool = False, **kwargs: Any
) -> Iterator[Any]:
    """The values of references, those that are ready first.

    Args: refs: a list or tuple of different ObjectRefs; chunk_size: how many to wait for at a time; yield_obj_refs:
    give references, not values; kwargs: `timeout` (seconds) and `fetch_local`, of each wait.
    Raises TypeError or ValueError for wrong arguments; when iterated, what `get` raises: of a chunk with an error in
    it, no value is given.
    """
    if not isinstance(refs, (list, tuple)):
        raise TypeError(f"refs must be a list or a tuple of ObjectRefs, not {type(refs).__name__}")
    check_chunks(chunk_size, kwargs)
    pending = list(refs)
    if pending:  # refused now, not when iterated
        api.wait(pending, num_returns=1, timeout=0)
    return completed(pending, chunk_size, yield_obj_refs, kwargs)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = BACKPRESSURE_SIZE,
    chunk_size: int = CHUNK_SIZE,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """A remote function's results for many items, those that are ready first.

    Args: fn: a remote function of one argument, or a method of an actor; items: any iterable, consumed as results are
    taken; backpressure_size: how many tasks there are at most at a time, None for no limit; the others as for
    as_completed. Raises TypeError or ValueError for wrong arguments; when iterated, what `get` raises.
    """
    if not callable(getattr(fn, "remote", None)):
        raise TypeError(f"fn must be a remote function: what @raylite.remote makes of a function, not {fn!r}")
    if backpressure_size is not None:
        check_count("backpressure_size", backpressure_size, " or None")
    check_chunks(chunk_size, kwargs)
    return mapped(fn, iter(items), backpressure_size, chunk_size, yield_obj_refs, kwargs)


def mapped(
    fn: Any,
    items: Iterator[Any],
    backpressure_size: int | None,
    chunk_size: int,
    yield_obj_refs: bool,
    wait_options: dict[str, Any],
) -> Iterator[Any]:
    """The results of `fn` of each item, as they come, at most `backpressure_size` under way at once."""
    pending: list[ObjectRef[Any]] = []
    for item in items:
        pending.append(fn.remote(item))
        while backpressure_size is not None and len(pending) >= backpressure_size:
            ready, pending = take_ready(pending, chunk_size, wait_options)
            yield from results(ready, chunk_size, yield_obj_refs)
    yield from completed(pending, chunk_size, yield_obj_refs, wait_options)


def completed(
    pending: list[ObjectRef[Any]], chunk_size: int, yield_obj_refs: bool, wait_options: dict[str, Any]
) -> Iterator[Any]:
    """The results of these references, as they come."""
    while pending:
        ready, pending = take_ready(pending, chunk_size, wait_options)
        yield from results(ready, chunk_size, yield_obj_refs)


def take_ready(
    pending: list[ObjectRef[Any]], chunk_size: int, wait_options: dict[str, Any]
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]:
    """Wait for a chunk of references; returns all that are ready, and the rest."""
    api.wait(pending, num_returns=min(chunk_size, len(pending)), **wait_options)
    return api.wait(pending, num_returns=len(pending), timeout=0)


def results(ready: list[ObjectRef[Any]], chunk_size: int, yield_obj_refs: bool) -> Iterator[Any]:
    """Give references, or their values, and let go of each chunk as it has been given."""
    ready.reverse()
    while ready:
        chunk = ready[: -chunk_size - 1 : -1]
        del ready[-chunk_size:]
        yield from chunk if yield_obj_refs else api.get(chunk)


def check_chunks(chunk_size: int, wait_options: dict[str, Any]) -> None:
    """Raise TypeError or ValueError for a chunk size or arguments of wait() that are none."""
    check_count("chunk_size", chunk_size)
    if "num_returns" in wait_options:
        raise ValueError("Use the `chunk_size` argument instead of `num_returns`.")
    for name in wait_options:
        if name not in WAIT_ARGUMENTS:
            raise TypeError(f"{name!r} is no argument of wait; there are {' and '.join(WAIT_ARGUMENTS)}")
    api.check_timeout(wait_options.get("timeout"))


def check_count(name: str, count: int, alternative: str = "") -> None:
    """Raise TypeError or ValueError for what is no whole number from 1 up. alternative: what else may be given."""
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"{name} must be a whole number from 1 up{alternative}, not {count!r}")
    if count < 1:
        raise ValueError(f"{name} must be a whole number from 1 up{alternative}, not {count}")
