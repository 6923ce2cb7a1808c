"""References as futures: of concurrent.futures and of asyncio.

A future is completed by a thread that the process has for it: the driver's monitor, a worker's watcher.
"""


def concurrent_future(ref):
    """A concurrent.futures.Future that gets the object's value or error.

    What is called when it is done runs in the context of who made it: as the task that will wait for what is submitted
    there, and lends its CPU.
    """
    from concurrent.futures import Future
    from contextvars import copy_context
    from functools import partial

    future = Future()
    future.set_running_or_notify_cancel()

    def arrived(values, error):
        if error is not None:
            future.set_exception(holdable(error))
        else:
            future.set_result(values[0])

    watching_client().watch([ref], partial(copy_context().run, arrived))
    return future


def asyncio_future(ref):
    """An asyncio future on the running loop that gets the object's value or error."""
    future, arrived = asyncio_pair(lambda values: values[0])
    watching_client().watch([ref], arrived)
    return future


def asyncio_ready(ref):
    """An asyncio future on the running loop that is done once the object is ready."""
    future, arrived = asyncio_pair(lambda values: None)
    watching_client().watch_ready([ref], arrived)
    return future


def asyncio_pair(result_of):
    """A future on the running loop, and a callback that completes it from any thread, with result_of(values)."""
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(values, error):
        if future.done():
            return
        if error is not None:
            future.set_exception(holdable(error))
        else:
            future.set_result(result_of(values))

    def arrived(values, error):
        try:
            loop.call_soon_threadsafe(settle, values, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile

    return future, arrived


def holdable(error):
    """The error as a future can hold it: a StopIteration, raised by an `await`, would pass for a result."""
    if isinstance(error, StopIteration):
        from raylite.exceptions import RayTaskError

        return RayTaskError._with(error)
    return error


def watching_client():
    """The client of this process, with somebody to call what `watch` is given."""
    from raylite.api import connected_client

    client = connected_client()
    client.ensure_watched()
    return client
