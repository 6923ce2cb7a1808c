"""A virtual worker: the runtime's own loop, in a virtual process; and the actor that it may become."""

from raylite.functions import Loaded
from raylite.runtime.actor_process import SerialActor
from raylite.runtime.worker import STREAMING, Worker


class VirtualWorker(Worker):
    """Args: process: the Process that it is the code of."""

    def __init__(self, process):
        super().__init__(process.client, {"log_to_driver": False})
        self.owner = process
        process.client.run_task = self.perform

    def function_of(self, run):
        loaded = super().function_of(run)
        if loaded is None or run.is_call or run.n_returns == STREAMING:
            return loaded  # each item takes its time (see SimulatedClient.yielded), and each call (see VirtualActor)
        return Loaded(timed(loaded.call, self.owner), loaded.name, loaded.retry_on)

    def create_actor(self, run):
        function = self.function_of(run)
        settings = function.retry_on
        if settings["is_async"] or settings["limits"] != [1]:
            function = Loaded(refuse_concurrency, function.name, settings)
        self.actor = VirtualActor(self, function, settings)
        self.actor.create(run)

    def forget_function(self, function_id):
        self.functions.pop(function_id, None)  # a simulation collects garbage at set points only

    def now_ns(self):
        return self.owner.kernel.now_ns

    def process_id(self):
        return self.owner.pid

    def flush_output(self):
        pass  # the streams are the driver's own


class VirtualActor(SerialActor):
    """An actor whose calls run one by one, and take their time. See Actor."""

    def perform(self, run, function):
        self.is_stream = run.n_returns == STREAMING
        super().perform(run, function)

    def method(self, name):
        method = super().method(name)
        return method if self.is_stream else timed(method, self.worker.owner)


def refuse_concurrency(*args, **kwargs):
    """In place of a class whose calls may run at the same time."""
    raise NotImplementedError(
        "the simulator runs actors whose calls run one by one; one with async methods, max_concurrency above 1 or "
        "concurrency groups it cannot run yet"
    )


def timed(function, process):
    """The function, taking a drawn time if it says nothing of how long it takes."""

    def call(*args, **kwargs):
        n_costs = process.n_costs
        try:
            result = function(*args, **kwargs)
        except Exception:
            if process.n_costs == n_costs:
                process.spend()
            raise
        if process.n_costs == n_costs:
            process.spend()
        return result

    return call
