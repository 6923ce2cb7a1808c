"""A virtual worker: the runtime's own loop, in a virtual process."""

from functools import partial

from raylite.functions import Loaded
from raylite.runtime.worker import STREAMING, Worker
from raylite.sim.actors import VIRTUAL
from raylite.sim.pace import timed


class VirtualWorker(Worker):
    """Args: process: the Process that it is the code of."""

    def __init__(self, process):
        super().__init__(process.client, {"log_to_driver": False})
        self.owner = process
        process.client.run_task = self.perform

    def function_of(self, run):
        loaded = super().function_of(run)
        if loaded is None or run.is_call or run.restores or run.n_returns == STREAMING:
            return loaded  # each item takes its time (see SimulatedClient.yielded), and each call (see actors)
        call = timed(loaded.call, self.owner)
        if run.creates and self.owner.kernel.recorder is not None:
            name = run.name or loaded.name
            call = partial(self.owner.kernel.recorder.around, self.owner, run, "creation", name, call)
        return Loaded(call, loaded.name, loaded.retry_on)

    def attempt(self, run, function, name, packed):
        recorder = self.owner.kernel.recorder
        if recorder is None:
            return super().attempt(run, function, name, packed)
        return recorder.around(self.owner, run, "task", name, super().attempt, run, function, name, packed)

    def actor_class(self, settings):
        return VIRTUAL[super().actor_class(settings)]

    def forget_function(self, function_id):
        self.functions.pop(function_id, None)  # a simulation collects garbage at set points only

    def now_ns(self):
        return self.owner.kernel.now_ns

    def process_id(self):
        return self.owner.pid

    def flush_output(self):
        pass  # the streams are the driver's own
