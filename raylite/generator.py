"""What a streaming task's `.remote()` returns: its items, as references, as they are made."""

from _thread import allocate_lock

NO_LIMIT = -1.0


class ObjectRefGenerator:
    """An iterator over references to a generator task's items. An exception in the task is its last item.

    Threads may share it: each item goes to one of them.

    Args: ref: the reference that stands for the whole stream.
    """

    def __init__(self, ref, client):
        self._ref = ref
        self._client = client
        self._taking = allocate_lock()
        self._taken = 0
        self._failed = False
        self._ended = False

    def __iter__(self):
        return self

    def __next__(self):
        item = self._next(NO_LIMIT)
        if item is None:
            raise StopIteration
        return item

    def _next(self, timeout_s):
        """The next reference; None at the end; False if time is up."""
        with self._taking:
            if self._ended:
                return None
            answer = self._client.next_item(self._ref, self._taken + 1, self._failed, timeout_s)
            if answer is None:
                self._ended = True
            if not answer:
                return answer
            self._taken += 1
            item, self._failed = answer
            return item

    def __aiter__(self):
        return self

    async def __anext__(self):
        from raylite.futures import asyncio_ready

        while (item := self._next(0.0)) is False:
            await asyncio_ready(self.next_reference())
        if item is None:
            raise StopAsyncIteration
        return item

    def completed(self):
        """The reference that is ready when the generator has ended."""
        return self._ref

    def is_finished(self):
        """Whether every item has been taken."""
        return self._ended

    def next_ready(self):
        """Whether the next item is there already (or the stream has ended)."""
        from raylite.api import wait

        return bool(wait([self], timeout=0)[0])

    def next_reference(self):
        """A reference to the next item, made or not: for wait()."""
        self._client.usable()
        return self._client.item_ref(self._ref, self._taken + 1)

    def task_id(self):
        """The id of the generator task."""
        return self._ref.task_id()

    def send(self, value):
        """As next(); a remote generator takes nothing in. Raises NotImplementedError unless value is None."""
        if value is not None:
            raise NotImplementedError("`gen.send` is not supported.")
        return next(self)

    def throw(self, value):
        raise NotImplementedError("`gen.throw` is not supported.")

    def close(self):
        raise NotImplementedError("`gen.close` is not supported.")

    async def asend(self, value):
        """As anext(). Raises NotImplementedError unless value is None."""
        if value is not None:
            raise NotImplementedError("`gen.asend` is not supported.")
        return await self.__anext__()

    async def athrow(self, value):
        raise NotImplementedError("`gen.athrow` is not supported.")

    async def aclose(self):
        raise NotImplementedError("`gen.aclose` is not supported.")

    def __reduce__(self):
        raise TypeError("a generator of references cannot be sent to tasks; send the references that it yields")

    def __repr__(self):
        return f"ObjectRefGenerator({self._ref.hex()})"
