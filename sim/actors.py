"""Actors in virtual processes: the runtime's own, their threads virtual and their event loop in virtual time."""

from collections import deque

from raylite.runtime.actor_process import SerialActor, ThreadedActor
from raylite.runtime.async_actor import AsyncActor
from raylite.runtime.worker import STREAMING
from raylite.sim.pace import timed, timed_coroutine


class TimedCalls:
    """Before Actor: calls take their time."""

    def attempt(self, run, function, name, packed):
        attempt = super().attempt
        if run.n_returns != STREAMING:  # each item takes its time: see SimulatedClient.yielded
            attempt = timed(attempt, self.worker.owner)
        recorder = self.worker.owner.kernel.recorder
        if recorder is None:
            return attempt(run, function, name, packed)
        return recorder.around(self.worker.owner, run, "call", name, attempt, run, function, name, packed)


class VirtualSerialActor(TimedCalls, SerialActor):
    """An actor whose calls run one by one."""

    def restore(self, run):
        return timed(super().restore, self.worker.owner)(run)

    def save(self, after):
        return timed(super().save, self.worker.owner)(after)


class VirtualThreadedActor(TimedCalls, ThreadedActor):
    """An actor whose calls run in threads of its virtual process."""

    def crew(self, limit):
        return VirtualCrew(limit, self)

    def leave_process(self, error):
        raise error


class VirtualCrew:
    """The calls of one concurrency group: as runtime.actor_process.Crew. Args: limit: most threads; actor."""

    def __init__(self, limit, actor):
        self.limit = limit
        self.actor = actor
        self.calls = deque()  # (run, function)
        self.running = set()  # the task ids of calls that run
        self.cancelled = set()  # those of some of the calls that wait or run
        self.n_threads = 0

    def add(self, run, function):
        self.calls.append((run, function))
        if self.n_threads < self.limit:
            self.n_threads += 1
            self.actor.worker.owner.start_thread(self.work)

    def cancel(self, task_id):
        if task_id in self.running or any(run.task_id == task_id for run, _ in self.calls):
            self.cancelled.add(task_id)

    def is_cancelled(self, task_id):
        return task_id in self.cancelled

    def work(self):
        """A thread: run calls while there are any."""
        while self.calls:
            run, function = self.calls.popleft()
            self.running.add(run.task_id)
            try:
                self.actor.serve_one(run, function, run.task_id in self.cancelled)
            finally:
                self.running.discard(run.task_id)
                self.cancelled.discard(run.task_id)
            del run, function
        self.n_threads -= 1


class VirtualAsyncActor(AsyncActor):
    """An actor with an event loop: see event_loops."""

    async def attempt(self, run, function, name, packed):
        attempt = super().attempt
        if run.n_returns != STREAMING:
            attempt = timed_coroutine(attempt, self.worker.owner)
        recorder = self.worker.owner.kernel.recorder
        if recorder is None:
            return await attempt(run, function, name, packed)
        return await recorder.around_coroutine(self.worker.owner, run, name, attempt, run, function, name, packed)

    def listen(self):
        self.worker.owner.on_message = self.notice
        self.notice()  # of what came while the instance was made

    def stop_listening(self):
        self.worker.owner.on_message = None


VIRTUAL = {SerialActor: VirtualSerialActor, ThreadedActor: VirtualThreadedActor, AsyncActor: VirtualAsyncActor}
