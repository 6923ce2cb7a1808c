"""An actor with coroutines for methods: its calls run on one event loop, in the process's main thread.

The loop is told by the notice event that calls have come. Each concurrency group runs as many coroutines at once as its
limit allows; methods that are no coroutines run on the loop too, and hold it up.
"""

import asyncio
from collections import deque
from inspect import isawaitable

from raylite.futures import asyncio_pair
from raylite.runtime.actor_process import Actor
from raylite.runtime.worker import (
    FINISHED_CANCELLED,
    FINISHED_RETRYABLE,
    FINISHED_USER_ERROR,
    STREAMING,
    n_records,
    pack_part,
    pack_returns,
)
from raylite.serialization import pack


class AsyncActor(Actor):
    """See Actor."""

    def __init__(self, worker, function, settings):
        super().__init__(worker, function, settings)
        self.waiting = [deque() for _ in self.limits]  # (run, function) of each group
        self.n_running = [0] * len(self.limits)
        self.running = {}  # task id -> asyncio.Task
        self.stopped = None
        self.exit_code = None

    def create(self, run):
        """Make the instance, and serve until the node ends the actor."""
        asyncio.run(self.main(run))
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)
        return True

    async def main(self, run):
        self.stopped = asyncio.get_running_loop().create_future()
        if not super().create(run):
            return
        del run
        self.listen()
        try:
            await self.stopped
        finally:
            self.stop_listening()

    def listen(self):
        """From here on notice() is called when something comes."""
        asyncio.get_running_loop().add_reader(self.client.notice_event(), self.notice)
        self.client.announce_runs()

    def stop_listening(self):
        asyncio.get_running_loop().remove_reader(self.client.notice_event())

    def notice(self):
        """Something has come from the node."""
        while True:
            self.worker.take_notices()
            runs = self.client.take_runs()
            if runs is None:
                self.stop()
                return
            if not runs and not self.client.has_notices():
                return
            for run in runs:
                self.take(run)

    def serve(self, run, function):
        """Begin a call, or let it wait for its turn."""
        if self.n_running[run.group] < self.limits[run.group]:
            self.begin(run, function)
        else:
            self.waiting[run.group].append((run, function))

    def stop(self):
        if not self.stopped.done():
            self.stopped.set_result(None)

    def begin(self, run, function):
        self.n_running[run.group] += 1
        self.running[run.task_id] = asyncio.ensure_future(self.run_call(run, function))

    async def run_call(self, run, function):
        """Run one call, then see that another of its group begins."""
        group, task_id = run.group, run.task_id
        try:
            await self.perform(run, function)
        finally:
            del run, function
            del self.running[task_id]
            self.n_running[group] -= 1
            while self.waiting[group] and self.n_running[group] < self.limits[group]:
                self.begin(*self.waiting[group].popleft())

    async def perform(self, run, function):
        """Run one call and report it."""
        if self.has_left:
            self.refuse(run)
            return
        worker = self.worker
        start_ns = worker.now_ns()
        name = run.name or function.name
        packed = []
        try:
            flags, n_yielded = await self.attempt(run, function, name, packed)
            records = [self.client.record(value) for value in packed]
        except SystemExit as error:
            if error.code:
                self.exit_code = error.code
                self.stop()
            else:
                self.exit(run, start_ns)
            return
        except asyncio.CancelledError:
            records, flags, n_yielded = [], FINISHED_CANCELLED, 0
        except BaseException as error:
            failed, flags = worker.failure(error, run, function, name)
            flags &= ~FINISHED_CANCELLED
            records, n_yielded = [self.client.record(failed)] * n_records(run), 0
        worker.flush_output()
        self.client.finish(run, records, start_ns, worker.now_ns(), flags, n_yielded)

    async def attempt(self, run, function, name, packed):
        """Call the method, wait for it, and pack what it returns. Returns flags and the number of items yielded."""
        self.context(run, name, function.name).enter()  # of this coroutine's own context
        args, kwargs = run.arguments()
        result = self.method(function.call)(*args, **kwargs)
        del args, kwargs
        if isawaitable(result):
            result = await result
        if run.n_returns != STREAMING:
            pack_returns(result, run.n_returns, name, packed)
            return 0, 0
        if not hasattr(result, "__anext__"):
            return self.worker.stream(run, function, name, result, packed)
        return await self.stream(run, function, name, result, packed)

    async def stream(self, run, function, name, generator, packed):
        """As Worker.stream(), for an asynchronous generator."""
        index = flags = n_read = 0
        while not flags:
            if run.backpressure and index - n_read >= run.backpressure:
                n_read = await self.read(run, index - run.backpressure + 1)
                if n_read < 0:
                    await generator.aclose()
                    break
            try:
                item = pack_part(await anext(generator), f"item {index} of {name}")
                record = self.client.record(item)
            except StopAsyncIteration:
                break
            except (SystemExit, asyncio.CancelledError):
                raise
            except BaseException as error:
                item, flags = self.worker.failure(error, run, function, name)
                if flags & FINISHED_RETRYABLE:
                    packed.append(item)
                    return flags, index
                record = self.client.record(item)
            index += 1
            self.client.yielded(run, index, record)
        packed.append(pack(None))
        return flags & ~FINISHED_USER_ERROR, index

    def read(self, run, index):
        """A future of how many items the reader has taken, once it is this many; -1: there is no reader any more."""
        future, arrived = asyncio_pair(lambda n_read: n_read)
        self.client.watch_read(run, index, arrived)
        return future

    def is_cancelled(self, task_id):
        """As in Ray, there is nothing to ask."""
        raise RuntimeError("is_canceled() is not for async actors: a coroutine that is cancelled gets CancelledError")

    def cancel_taken(self, task_id):
        """End a call that the node does not want any more: its coroutine gets CancelledError."""
        task = self.running.get(task_id)
        if task is not None:
            task.cancel()
            return
        for group in self.waiting:
            for item in group:
                if item[0].task_id == task_id:
                    group.remove(item)
                    self.refuse(item[0])
                    return
