"""An actor in its process: the instance, and the calls of its methods, one by one or in threads.

The process is the actor's for good. The node sends calls in the order in which they are to begin, and more than are to
run at once: here each concurrency group begins as many as its limit allows. What a method raises is its call's result;
SystemExit ends the actor, by its own wish if the status is 0, else as a crash.
"""

import sys
from _thread import allocate_lock, start_new_thread
from collections import deque

from raylite.runtime.task_context import TaskContext
from raylite.runtime.worker import (
    FINISHED_CANCELLED,
    FINISHED_EXITS,
    FINISHED_USER_ERROR,
    KIND_USER_ERROR,
    STREAMING,
    n_records,
    pack_returns,
)
from raylite.serialization import pack, pack_raw

KIND_CHECKPOINT = 5
EV_CHECKPOINT = 36


def make_actor(worker, run):
    """The actor that `run` asks for, still without its instance."""
    function = worker.function_of(run)
    settings = function.retry_on or {"is_async": False, "limits": [1]}
    return worker.actor_class(settings)(worker, function, settings)


def actor_class(settings):
    """The kind of Actor that these settings ask for."""
    if settings["is_async"]:
        from raylite.runtime.async_actor import AsyncActor

        return AsyncActor
    return SerialActor if settings["limits"] == [1] else ThreadedActor


class Actor:
    """What all kinds of actors do. Args: worker: the process's Worker; function: the class, as functions.Loaded;
    settings: see actor.Creation."""

    def __init__(self, worker, function, settings):
        self.worker = worker
        self.client = worker.client
        self.function = function
        self.limits = settings["limits"]
        self.class_name = function.name
        self.instance = None
        self.id = None  # 16 bytes
        self.n_restarts = 0
        self.gpus = ()
        self.has_left = False  # by exit_actor(): what comes after that does not begin
        self.position = 0  # of the last call that has come
        self.cancelled = set()  # task ids of calls that are still to come
        self.group, self.captures = None, False  # its placement group
        self.saves = Saves(settings) if "checkpoint_interval" in settings else None

    # ---- making it ----

    def create(self, run):
        """Make the instance and report that. False if that failed."""
        start_ns = self.worker.now_ns()
        self.id, self.n_restarts, self.gpus = run.task_id, run.attempt, run.gpus
        self.group, self.captures = run.placement_group, run.captures
        records, flags = [], 0
        context = self.context(run, run.name, run.name)
        token = context.enter()
        try:
            self.worker.name_output(self.class_name)
            self.instance = self.restore(run) if run.restores else self.make(run)
        except SystemExit:
            raise
        except BaseException as error:
            self.worker.end_if_forked(error)
            records, flags = [self.client.record(self.creation_error(error, run))], FINISHED_USER_ERROR
        finally:
            context.leave(token)
        self.worker.end_if_forked()
        self.worker.flush_output()
        self.client.finish(run, records, start_ns, self.worker.now_ns(), flags)
        return not flags

    def make(self, run):
        """A new instance."""
        args, kwargs = run.arguments()
        return self.function.call(*args, **kwargs)

    def restore(self, run):
        """The instance as its last checkpoint has it."""
        (state,), _ = run.arguments()
        return self.saves.restore(self.function.call, state)

    def creation_error(self, error, run):
        """What `__init__` raised, in words."""
        from raylite.runtime.worker import clear_frames
        from raylite.task_failure import capture

        failed = capture(error, run.name, self.worker.process_id(), run.attempt, task_id=run.task_id.hex())
        text = str(failed)
        clear_frames(error)
        return pack_raw(text.encode("utf-8", "replace"), KIND_USER_ERROR, [])

    # ---- calls ----

    def context(self, run, name, function_name):
        return TaskContext.of(
            run.task_id, name, run.attempt, self.gpus, False, function_name, self.group, self.captures
        )

    def method(self, name):
        """The instance's method of this name, or one that every actor has."""
        if name == "__ray_ready__":
            return lambda: True
        if name == "__ray_terminate__":
            return sys.exit
        if name == "__ray_call__":
            return lambda function, *args, **kwargs: function(self.instance, *args, **kwargs)
        return getattr(self.instance, name)

    def perform(self, run, function):
        """Run one call and report it."""
        if self.has_left:
            self.refuse(run)
            return
        worker = self.worker
        start_ns = worker.now_ns()
        name = run.name or function.name
        packed = []  # what is sent, kept until it is: we hold the references inside it until the node does
        try:
            flags, n_yielded = self.attempt(run, function, name, packed)
            worker.end_if_forked()
            records = [self.client.record(value) for value in packed]
        except SystemExit as error:
            if error.code:
                raise
            self.exit(run, start_ns)
            return
        except BaseException as error:
            worker.end_if_forked(error)
            failed, flags = worker.failure(error, run, function, name)
            flags &= ~FINISHED_CANCELLED  # nobody interrupts a call: the KeyboardInterrupt is the method's own
            records, n_yielded = [self.client.record(failed)] * n_records(run), 0
        worker.flush_output()
        self.client.finish(run, records, start_ns, worker.now_ns(), flags, n_yielded)

    def attempt(self, run, function, name, packed):
        """Call the method and pack what it returns. Returns flags and the number of items yielded."""
        context = self.context(run, name, function.name)
        token = context.enter()
        try:
            args, kwargs = run.arguments()
            result = self.method(function.call)(*args, **kwargs)
            del args, kwargs
            if run.n_returns == STREAMING:
                return self.worker.stream(run, function, name, result, packed)
            pack_returns(result, run.n_returns, name, packed)
            return 0, 0
        finally:
            context.leave(token)

    def exit(self, run, start_ns):
        """The actor leaves by its own wish: the node ends it, and every call that has not ended."""
        self.has_left = True
        self.worker.flush_output()
        self.client.finish(run, [], start_ns, self.worker.now_ns(), FINISHED_EXITS)

    def take(self, run):
        """A call has come."""
        function = self.worker.function_of(run)
        self.hear()
        self.position = run.position
        if run.task_id in self.cancelled:
            self.cancelled.discard(run.task_id)
            self.refuse(run)
        else:
            self.serve(run, function)

    def hear(self):
        """Take what was said of the calls that have come, where nobody else does while calls run."""

    def cancel(self, task_id, position):
        """The node does not want a call any more, the one that it sent as message number `position`."""
        if position > self.position:
            self.cancelled.add(task_id)
        else:
            self.cancel_taken(task_id)

    def refuse(self, run):
        """A call that was cancelled before it began, or that came after the actor left."""
        now_ns = self.worker.now_ns()
        self.client.finish(run, [], now_ns, now_ns, FINISHED_CANCELLED)

    def end(self):
        """The node has ended the actor, or is gone: what it registered with atexit still runs."""
        import atexit

        self.instance = None
        atexit._run_exitfuncs()
        self.worker.flush_output()


class SerialActor(Actor):
    """Calls run one by one, on the process's main thread."""

    def __init__(self, worker, function, settings):
        super().__init__(worker, function, settings)
        self.running = None  # the task id of the call that runs
        self.is_running_cancelled = False

    def hear(self):
        if self.client.has_notices():
            self.worker.take_notices()

    def serve(self, run, function):
        """Run a call."""
        self.running, self.is_running_cancelled = run.task_id, False
        self.perform(run, function)
        self.running = None
        if self.saves is not None and not self.has_left and self.saves.is_due():
            self.save(function.name)

    def save(self, after):
        """Take a checkpoint. If that fails the one before it holds, and the calls since are kept."""
        try:
            packed = self.saves.pack(self.instance)
            record = self.client.record(packed)
            self.client.tell(EV_CHECKPOINT, record, task=self.id, request=self.position)
        except Exception as error:
            self.worker.end_if_forked(error)
            sys.stderr.write(f"The checkpoint of {self.class_name} after {after} failed; the one before it stays.\n")
            sys.excepthook(type(error), error, error.__traceback__)
        self.worker.end_if_forked()
        self.worker.flush_output()

    def cancel_taken(self, task_id):
        """A call that runs goes on to its end, as in Ray; it can ask. Another has ended."""
        if task_id == self.running:
            self.is_running_cancelled = True

    def is_cancelled(self, task_id):
        """Whether the call that runs has been cancelled: to be asked by it, on its thread."""
        self.client.poll()
        self.worker.take_notices()
        return self.is_running_cancelled and self.running == task_id


class Saves:
    """When an actor's checkpoints are due, and how they are made. Args: settings: see actor.Creation."""

    def __init__(self, settings):
        self.interval = settings["checkpoint_interval"]
        self.pickles = settings["pickles"]
        self.n_calls = 0  # since the last one

    def is_due(self):
        """Whether it is, after one more call."""
        self.n_calls += 1
        return self.n_calls >= self.interval

    def pack(self, instance):
        """The instance's state, as it is now."""
        self.n_calls = 0
        packed = pack(instance if self.pickles else instance.__raylite_save__(), in_band=True)
        packed.kind = KIND_CHECKPOINT
        return packed

    def restore(self, cls, state):
        """The instance of a state."""
        if self.pickles:
            return state
        instance = cls.__new__(cls)
        instance.__raylite_restore__(state)
        return instance


class ThreadedActor(Actor):
    """Calls of each concurrency group run in its threads, which are started as they are needed."""

    def __init__(self, worker, function, settings):
        super().__init__(worker, function, settings)
        self.crews = [self.crew(limit) for limit in self.limits]

    def crew(self, limit):
        """The threads of one concurrency group."""
        return Crew(limit, self.work)

    def serve(self, run, function):
        """Have the threads of the call's group run it."""
        self.crews[run.group].add(run, function)

    def work(self, next_call):
        """A thread: run calls of one group."""
        while True:
            self.serve_one(*next_call())

    def serve_one(self, run, function, is_cancelled):
        try:
            if is_cancelled:
                self.refuse(run)
            else:
                self.perform(run, function)
        except SystemExit as error:
            self.leave_process(error)

    def leave_process(self, error):
        """sys.exit() with a status in a thread: of the actor, and so of the process."""
        from os import _exit

        self.worker.flush_output()
        _exit(error.code & 0xFF if isinstance(error.code, int) else 1)

    def cancel_taken(self, task_id):
        """As in SerialActor; a call that waits for a thread is not made."""
        for crew in self.crews:
            crew.cancel(task_id)

    def is_cancelled(self, task_id):
        """Whether a call that runs has been cancelled, as far as has been heard."""
        return any(crew.is_cancelled(task_id) for crew in self.crews)


class Crew:
    """The calls of one concurrency group, and the threads that come for them.

    While there are calls and threads that could run them, exactly one thread is on its way; having taken a call it
    sends the next. So a call that blocks holds up no other, and calls that do not are run by a thread that is awake.

    Args: limit: most threads; serve: what each does, given a function that waits for a call.
    """

    def __init__(self, limit, serve):
        self.limit = limit
        self.serve = serve
        self.guard = allocate_lock()  # of what follows
        self.calls = deque()  # (run, function)
        self.running = {}  # the bell of each thread that runs a call -> its task id
        self.cancelled = set()  # the task ids of some of those that wait or run
        self.n_threads = 0
        self.asleep = []  # a locked lock for each thread that waits; the last to fall asleep is woken first
        self.is_one_coming = False

    def add(self, run, function):
        """A call has come."""
        with self.guard:
            self.calls.append((run, function))
            self.send_one()

    def cancel(self, task_id):
        """If this call has not begun, it is not to be made; one that runs can ask."""
        with self.guard:
            if task_id in self.running.values() or any(run.task_id == task_id for run, _ in self.calls):
                self.cancelled.add(task_id)

    def is_cancelled(self, task_id):
        """Whether a call that runs has been cancelled."""
        return task_id in self.cancelled

    def send_one(self):
        """Under the guard: see that a thread comes for what is left."""
        if self.is_one_coming or not self.calls:
            return
        if self.asleep:
            self.asleep.pop().release()
        elif self.n_threads < self.limit:
            start_new_thread(self.work, ())
            self.n_threads += 1
        else:
            return  # all run calls, and take the next ones after them
        self.is_one_coming = True

    def work(self):
        """A thread, from its start."""
        bell = allocate_lock()
        bell.acquire()
        with self.guard:
            self.is_one_coming = False
        self.serve(lambda: self.next_call(bell))

    def next_call(self, bell):
        """A thread: the next call, as soon as there is one, and whether it was cancelled."""
        with self.guard:
            self.cancelled.discard(self.running.pop(bell, None))
            while not self.calls:
                self.asleep.append(bell)
                self.guard.release()
                try:
                    bell.acquire()
                finally:
                    self.guard.acquire()
                self.is_one_coming = False
            run, function = self.calls.popleft()
            is_cancelled = run.task_id in self.cancelled
            self.running[bell] = run.task_id
            self.send_one()
            return run, function, is_cancelled
