"""References as futures: of concurrent.futures and of asyncio."""


def concurrent_future(ref):
    """A concurrent.futures.Future that gets the object's value or error."""
    from concurrent.futures import Future

    future = Future()
    future.set_running_or_notify_cancel()

    def arrived(values, error):
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(values[0])

    watch([ref], arrived)
    return future


def asyncio_future(ref):
    """An asyncio future on the running loop that gets the object's value or error."""
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(values, error):
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(values[0])

    def arrived(values, error):
        try:
            loop.call_soon_threadsafe(settle, values, error)
        except RuntimeError:
            pass  # the loop was closed meanwhile

    watch([ref], arrived)
    return future


def watch(refs, callback):
    """Have callback(values, error) called, in another thread, once the objects are ready."""
    from raylite.runtime.client import current_client

    client = current_client()
    if client.is_worker:
        from raylite.runtime.watcher import ensure_watcher

        ensure_watcher(client)
    client.watch(refs, callback)
