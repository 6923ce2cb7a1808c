"""A first-in, first-out queue that drivers, tasks and actors share: an actor that keeps it, and handles of that."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable

from raylite import actor as actors
from raylite import api
from raylite.exceptions import RayTaskError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

MAX_CALLS = 1_000_000  # who waits in get must not keep others from put


class Empty(queue.Empty):
    """There is nothing in the queue."""


class Full(queue.Full):
    """There is no room in the queue."""


class Queue:
    """May be sent to tasks and actors; ends with the last of its copies.

    Args: maxsize: how many items it holds at most, 0 for no limit; actor_options: options of its actor, as for
    `.options()`. Raises TypeError or ValueError for wrong ones.
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        if isinstance(maxsize, bool) or not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be a whole number, 0 or less for no limit, not {maxsize!r}")
        self.maxsize = maxsize
        options = {"max_concurrency": MAX_CALLS, **(actor_options or {})}
        self.actor = api.remote(QueueActor).options(**options).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items are in it."""
        return api.get(self.actor.size.remote())

    def qsize(self) -> int:
        """As size."""
        return self.size()

    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return self.size() == 0

    def full(self) -> bool:
        """Whether there is no room in it."""
        return 0 < self.maxsize <= self.size()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item at its end.

        Args: block: wait for room; timeout: for how many seconds at most, None for no limit.
        Raises Full if there is no room (in time), ValueError for a timeout below 0.
        """
        got(self.actor.put.remote(item, patience(block, timeout)))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As put, for coroutines."""
        await awaited(self.actor.put.remote(item, patience(block, timeout)))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the item at its head.

        Args: block: wait for one; timeout: for how many seconds at most, None for no limit.
        Raises Empty if there is none (in time), ValueError for a timeout below 0.
        """
        return got(self.actor.get.remote(patience(block, timeout)))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As get, for coroutines."""
        return await awaited(self.actor.get.remote(patience(block, timeout)))

    def put_nowait(self, item: Any) -> None:
        """As put, without waiting."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """As get, without waiting."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Put all items, or raise Full and put none. Raises TypeError if they cannot be iterated."""
        if not isinstance(items, Iterable):
            raise TypeError(f"items must be an iterable of items, not {items!r}")
        got(self.actor.put_batch.remote(list(items)))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take so many items, or raise Empty and take none. Raises TypeError or ValueError for a wrong number."""
        if isinstance(num_items, bool) or not isinstance(num_items, int):
            raise TypeError(f"num_items must be a whole number from 0 up, not {num_items!r}")
        if num_items < 0:
            raise ValueError(f"num_items must be a whole number from 0 up, not {num_items}")
        return got(self.actor.get_batch.remote(num_items))

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End it, and what is in it: every call from now on raises ActorDiedError.

        Args: force: at once; grace_period_s: how many seconds calls under way have to end, unless by force.
        """
        if force or not api.wait([self.actor.__ray_terminate__.remote()], timeout=grace_period_s)[0]:
            actors.kill(self.actor)


class QueueActor:
    """Keeps the items. Its calls are coroutines of one thread."""

    def __init__(self, maxsize: int) -> None:
        self.items: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def size(self) -> int:
        return self.items.qsize()

    async def put(self, item: Any, patience_s: float | None) -> None:
        try:
            self.items.put_nowait(item)
            return
        except asyncio.QueueFull:
            if patience_s == 0:
                raise Full from None
        try:
            await asyncio.wait_for(self.items.put(item), patience_s)
        except asyncio.TimeoutError:
            raise Full from None

    async def get(self, patience_s: float | None) -> Any:
        try:
            return self.items.get_nowait()
        except asyncio.QueueEmpty:
            if patience_s == 0:
                raise Empty from None
        try:
            return await asyncio.wait_for(self.items.get(), patience_s)
        except asyncio.TimeoutError:
            raise Empty from None

    async def put_batch(self, items: list[Any]) -> None:
        if 0 < self.items.maxsize < self.items.qsize() + len(items):
            raise Full(f"there is room for {self.items.maxsize - self.items.qsize()} items, not for {len(items)}")
        for item in items:
            self.items.put_nowait(item)

    async def get_batch(self, num_items: int) -> list[Any]:
        if num_items > self.items.qsize():
            raise Empty(f"there are {self.items.qsize()} items, not {num_items}")
        return [self.items.get_nowait() for _ in range(num_items)]


def patience(block: bool, timeout: float | None) -> float | None:
    """How many seconds to wait; None for no limit."""
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout if block else 0


def got(ref: Any) -> Any:
    """The answer of the actor; its Empty and Full as they are."""
    try:
        return api.get(ref)
    except (Empty, Full) as error:
        raise bare(error) from None


async def awaited(ref: Awaitable[Any]) -> Any:
    """As got, for coroutines."""
    try:
        return await ref
    except (Empty, Full) as error:
        raise bare(error) from None


def bare(error: BaseException) -> BaseException:
    """An error as the queue's actor raised it."""
    return error.cause if isinstance(error, RayTaskError) else error
