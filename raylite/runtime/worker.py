"""A worker process: takes tasks from its ring, runs them, reports what they made.

It runs one task at a time on its main thread, or is an actor's for good (actor_process); a task that it is asked to run
while another waits in a get runs on top of that one. Whatever user code raises becomes the task's result; only
SystemExit, a signal, or the node's word end the process.
"""

import _signal
import faulthandler
import gc
import os
import sys
from _weakref import ref
from time import monotonic_ns

from raylite import environments
from raylite.runtime import client as clients
from raylite.runtime import processes
from raylite.runtime.output_marks import NAME_MARK
from raylite.runtime.ring_client import RingClient
from raylite.runtime.stacks import Answerable
from raylite.runtime.task_context import TaskContext
from raylite.serialization import pack

GeneratorType = type(_ for _ in ())  # `types` and `weakref` take longer to import than their parts used here
KIND_USER_ERROR = 1
FINISHED_USER_ERROR, FINISHED_RETRYABLE, FINISHED_CANCELLED, FINISHED_EXITS = 1, 2, 4, 8
CMD_UNSEGMENT, CMD_FORGET_FUNCTION, CMD_INTERRUPT, CMD_CANCEL = 72, 75, 78, 79
ENVELOPE_RETRYABLE = 1
STREAMING = -1
RECURSION_ALLOWANCE = 200  # frames for each task run in place
STACK_BYTES_EACH = 4096  # of the C stack, more than twice what is seen
CHAIN_MOST = 100  # of exceptions, each the cause of the one before


current = None  # the Worker that this process is, or None


class Worker:
    """Args: client: the RingClient; settings: see main."""

    def __init__(self, client, settings):
        self.client = client
        self.settings = settings
        self.process = os.getpid()
        self.functions = {}  # id -> functions.Loaded
        self.output_name = None
        self.running = []  # task ids, outermost first
        self.n_in_place_most = 0  # not known yet
        self.actor = None  # the actor_process.Actor that lives here
        client.worker = self
        self.interrupted = set()  # task ids
        self.cancelled = None  # the id of the task that was last interrupted
        self.unfit = None  # the error with which every task fails: its environment could not be set up

    # What of the process it uses; a virtual one has its own.
    now_ns = staticmethod(monotonic_ns)
    process_id = staticmethod(os.getpid)

    def flush_output(self):
        """Write out what Python still buffers."""
        flush_output()

    def serve(self):
        """Run tasks until the node says stop or is gone."""
        while True:
            try:
                run = self.client.next_run()
            except KeyboardInterrupt:
                continue  # meant for a task that has just ended
            if run is None:
                return
            if not run:
                self.take_notices()
            elif run.declined:
                self.function_of(run)  # the node takes it for known here
            else:
                self.perform(run)
                if self.client.has_notices():
                    self.take_notices()

    def in_place_most(self):
        """How many tasks may run on top of each other."""
        if not self.n_in_place_most:
            from resource import RLIM_INFINITY, RLIMIT_STACK, getrlimit

            size_bytes, _ = getrlimit(RLIMIT_STACK)
            self.n_in_place_most = (8 << 20 if size_bytes == RLIM_INFINITY else size_bytes) // STACK_BYTES_EACH
        return self.n_in_place_most

    def perform_in_place(self, run):
        """Run a task on top of the one that waits for it; its frames come on top of that one's."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + RECURSION_ALLOWANCE)
        try:
            self.perform(run)
        finally:
            sys.setrecursionlimit(limit)

    def perform(self, run):
        """Run one task and report it."""
        if run.is_call:
            self.actor.take(run)
            return
        if run.creates:
            self.create_actor(run)
            return
        start_ns = self.now_ns()
        function = self.function_of(run)
        if function is None:
            self.client.leave(run)
            return
        name = run.name or function.name
        packed = []  # what is sent, kept until it is: we hold the references inside it until the node does
        try:
            flags, n_yielded = self.attempt(run, function, name, packed)
            self.end_if_forked()
            records = [self.client.record(value) for value in packed]
        except SystemExit:
            raise
        except BaseException as error:
            self.end_if_forked(error)
            failed, flags = self.failure(error, run, function, name)
            records, n_yielded = [self.client.record(failed)] * n_records(run), 0
        self.flush_output()
        self.client.finish(run, records, start_ns, self.now_ns(), flags, n_yielded)

    def create_actor(self, run):
        """This process becomes an actor's."""
        from raylite.runtime.actor_process import make_actor

        self.actor = make_actor(self, run)
        self.actor.create(run)

    def actor_class(self, settings):
        """See actor_process.actor_class."""
        from raylite.runtime.actor_process import actor_class

        return actor_class(settings)

    def attempt(self, run, function, name, packed):
        """Call the function and pack what it returns. Returns flags and the number of items yielded."""
        context = TaskContext.of(
            run.task_id, name, run.attempt, run.gpus, False, function.name, run.placement_group, run.captures
        )
        token = context.enter()
        depth = len(self.running)
        try:
            self.running.append(run.task_id)
            if run.in_place and len(self.running) > self.in_place_most():
                raise RecursionError(f"{len(self.running)} tasks wait for each other in one process: its stack ends")
            self.name_output(name)
            args, kwargs = run.arguments()
            result = function.call(*args, **kwargs)
            del args, kwargs
            if run.n_returns == STREAMING:
                return self.stream(run, function, name, result, packed)
            pack_returns(result, run.n_returns, name, packed)
            return 0, 0
        finally:
            del self.running[depth:]
            context.leave(token)

    def function_of(self, run):
        """The task's function, from the message or from one before it; None if that has not been begun."""
        data = run.function()
        if data is not None:
            from raylite.functions import load

            if run.in_place:
                self.take_notices()  # what came before it may be the word to forget an earlier copy
            self.functions[run.function_id] = load(data, self.unfit)
        return self.functions.get(run.function_id)

    def stream(self, run, function, name, generator, packed):
        """Report each item as it is made. An exception is the last item, as in Ray, and the stream ends."""
        index = flags = n_read = 0
        if not hasattr(generator, "__next__"):
            raise TypeError(f'{name} has num_returns="streaming", and it returned one {type(generator).__name__}')
        while not flags:
            if run.backpressure and index - n_read >= run.backpressure:
                n_read = self.client.await_read(run, index - run.backpressure + 1)
                if n_read < 0:
                    getattr(generator, "close", bool)()
                    break
            try:
                item = pack_part(next(generator), f"item {index} of {name}")
                self.end_if_forked()
                record = self.client.record(item)
            except StopIteration:
                break
            except SystemExit:
                raise
            except BaseException as error:
                self.end_if_forked(error)
                item, flags = self.failure(error, run, function, name)
                if flags & FINISHED_RETRYABLE:
                    packed.append(item)
                    return flags, index
                record = self.client.record(item)
            index += 1
            self.client.yielded(run, index, record)
        packed.append(pack(None))
        return flags & ~FINISHED_USER_ERROR, index

    def failure(self, error, run, function, name):
        """What the task raised, packed, and the flags that go with it."""
        from raylite.task_failure import capture

        failed = capture(error, name, self.process_id(), run.attempt, task_id=run.task_id.hex())
        packed = pack(Sealed(failed), by_cloudpickle=True)
        packed.kind = KIND_USER_ERROR
        clear_frames(error)
        flags = FINISHED_USER_ERROR
        if isinstance(error, KeyboardInterrupt):
            flags |= FINISHED_CANCELLED
        elif run.retries_exceptions and (function.retry_on is None or isinstance(error, function.retry_on)):
            flags |= FINISHED_RETRYABLE
        return packed, flags

    def name_output(self, name):
        """Note in the output whose lines follow, if that changed."""
        if name == self.output_name or not self.settings["log_to_driver"]:
            return
        self.output_name = name
        mark = NAME_MARK + name.replace("\n", " ").encode("utf-8", "replace") + b"\n"
        for fd in (1, 2):
            try:
                os.write(fd, mark)
            except OSError:
                pass  # a task has closed it

    def end_if_forked(self, error=None):
        """End here if this is a fork of the worker that comes out of the task's function: the task is its parent's."""
        if os.getpid() != self.process:
            if error is not None:
                sys.excepthook(type(error), error, error.__traceback__)
            flush_output()
            os._exit(error is not None)

    def take_notices(self):
        """What the node tells workers besides tasks."""
        done, notices = self.client.collect()
        for callback, values, error in done:
            callback(values, error)
        for kind, _, aux, object_id, _ in notices:
            if kind == CMD_FORGET_FUNCTION:
                self.forget_function(object_id)
            elif kind == CMD_UNSEGMENT:
                self.client.drop_mapping(int.from_bytes(object_id[16:20], "little"))
            elif kind == CMD_INTERRUPT:
                self.interrupted.add(object_id[:16])
            elif kind == CMD_CANCEL and self.actor is not None:
                self.actor.cancel(object_id[:16], aux)

    def forget_function(self, function_id):
        """Let go of a function, and of what it captures, be they in a circle (as of one that calls itself)."""
        loaded = self.functions.pop(function_id, None)
        if loaded is None:
            return
        try:
            alive = ref(loaded.call)
        except TypeError:
            return
        del loaded
        if alive() is not None:
            gc.collect()

    def on_interrupt(self, signum, frame):
        """SIGINT: the node wants a task cancelled; raise in it if it is the one that runs."""
        self.client.poll()
        self.take_notices()
        wanted = bool(self.running) and self.running[-1] in self.interrupted
        self.interrupted.clear()
        if wanted:
            self.cancelled = self.running[-1]
            raise KeyboardInterrupt

    def is_cancelled(self, task_id):
        """Whether a running task, or call of this process's actor, has been cancelled."""
        return self.cancelled == task_id if self.actor is None else self.actor.is_cancelled(task_id)


def n_records(run):
    """How many values the node wants of a task: one for each return; for a stream, one for its end."""
    return 1 if run.n_returns == STREAMING else run.n_returns


def pack_returns(result, n_returns, name, packed):
    """Append what the function returned to `packed`: one Packed for each return."""
    if n_returns == 1 and not isinstance(result, GeneratorType):
        packed.append(pack_part(result, f"the result of {name}"))
    elif n_returns:
        if not hasattr(result, "__iter__"):
            raise TypeError(f"{name} has num_returns={n_returns}, and it returned one {type(result).__name__}")
        values = list(result)
        if len(values) != n_returns:
            count = f"{len(values)} value{'s' if len(values) != 1 else ''}"
            raise ValueError(f"{name} has num_returns={n_returns}, and it returned {count}")
        packed.extend(pack_part(value, f"return {i} of {name}") for i, value in enumerate(values))


def pack_part(value, what):
    """A value packed. Raises TypeError naming what in it cannot be pickled."""
    try:
        return pack(value)
    except Exception as error:
        from raylite.pickling_errors import explain

        raise TypeError(f"Could not serialize {what}: {explain(value, error)}") from error


def clear_frames(error):
    """Let go of what the frames hold that the error came through: its traceback may be part of a circle."""
    n_left = CHAIN_MOST
    while error is not None and n_left:
        step = error.__traceback__
        while step is not None:
            try:
                step.tb_frame.clear()
            except RuntimeError:
                pass  # it is running: ours
            step = step.tb_next
        error = error.__cause__ or error.__context__
        n_left -= 1


class Sealed:
    """A RayTaskError made fit to travel, no sooner than it is pickled: the references in it are noted by that."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        import cloudpickle

        from raylite.task_failure import error_payload

        return error_payload(self.error, cloudpickle.dumps).__reduce__()


def flush_output():
    """Write out what Python and C still buffer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    processes.flush_c_stdout()


def write_to(out, err):
    """Make these files the standard output and error of this process, line by line; input it has none."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", line_buffering=True)
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    processes.buffer_c_stdout_by_lines()


def dump_stack_on_crash():
    """Have a signal that ends the process leave the Python stack in its standard error, wherever a task sends that."""
    faulthandler.enable(file=os.dup(2), all_threads=False)


def after_fork():
    """In a child that a task forked: it is no worker."""
    from raylite.runtime.forks import forget_parent

    forget_parent()
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def main(client_number, fds, environment, gpus, settings):
    """Run as a worker; returns the exit status.

    Args: client_number, fds: see ring_client; environment: number of that of its tasks; gpus: numbers of the GPUs it
    may see; settings: see zygote_process.settings.
    """
    global current
    write_to(*fds[8:])
    dump_stack_on_crash()
    sys.path[:] = settings["path"]
    sys.argv[:] = settings["argv"]
    try:
        os.chdir(settings["cwd"])
    except OSError:
        pass
    root = client_number.to_bytes(8, "little") + os.urandom(8)
    client = RingClient(client_number, fds[:8], settings["job"], root, True)
    client.node = settings["node_id"]
    current = worker = Worker(client, settings)
    worker.unfit = environments.arrive(client, environment, settings)
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(settings["gpu_ids"][gpu] for gpu in gpus)
    client.run_task = worker.perform_in_place
    client.patience_ns = int(settings["explain_after_s"] * 1e9)
    client.call_sites = set() if settings["record_call_sites"] else None
    Answerable()
    clients.set_current_client(client)
    _signal.signal(_signal.SIGINT, worker.on_interrupt)
    os.register_at_fork(after_in_child=after_fork)
    try:
        worker.serve()
    except SystemExit as error:
        code = error.code
        if code is not None and not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
        return (code or 0) & 0xFF
    if worker.actor is not None:
        worker.actor.end()
    return 0
