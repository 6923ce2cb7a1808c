"""How long code takes that says nothing of it: a drawn time."""


def timed(function, process):
    """The function, taking a drawn time if it lets none pass itself."""

    def call(*args, **kwargs):
        thread = process.kernel.calling_thread()
        n_costs = thread.n_costs
        try:
            result = function(*args, **kwargs)
        except Exception:
            if thread.n_costs == n_costs:
                process.spend()
            raise
        if thread.n_costs == n_costs:
            process.spend()
        return result

    return call


def timed_coroutine(function, process):
    """The same for a coroutine function. One that awaits nothing holds up its loop so long."""

    async def call(*args, **kwargs):
        thread = process.kernel.calling_thread()
        before = thread.n_costs, thread.n_waits
        try:
            result = await function(*args, **kwargs)
        except Exception:
            if (thread.n_costs, thread.n_waits) == before:
                process.spend()
            raise
        if (thread.n_costs, thread.n_waits) == before:
            process.spend()
        return result

    return call
