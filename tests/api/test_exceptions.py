"""What a task raises is what `get` raises: type, attributes, text; for every kind of exception class."""

import copyreg
import os
import pickle
import subprocess
import sys
import threading
import traceback
import weakref

import cloudpickle
import pytest

from raylite import exceptions
from raylite.exceptions import RayError, RayTaskError, TaskCancelledError, UnserializableException, WorkerCrashedError
from raylite.task_failure import MAX_TEXT_CHARS, capture, error_payload

# Ray's tree, class by class with its bases.
RAY_TREE = """
RayError: Exception
CrossLanguageError: RayError
TaskCancelledError: RayError
RayTaskError: RayError
LocalRayletDiedError: RayError
WorkerCrashedError: RayError
RayActorError: RayError
ActorDiedError: RayActorError
ActorUnavailableError: RayActorError
RaySystemError: RayError
AuthenticationError: RayError
UserCodeException: RayError
ObjectStoreFullError: RayError
OutOfDiskError: RayError
OutOfMemoryError: RayError
NodeDiedError: RayError
ObjectLostError: RayError
ObjectFetchTimedOutError: ObjectLostError
RpcError: RayError
ReferenceCountingAssertionError: ObjectLostError, AssertionError
ObjectFreedError: ObjectLostError
OwnerDiedError: ObjectLostError
ObjectReconstructionFailedError: ObjectLostError
GetTimeoutError: RayError, TimeoutError
PlasmaObjectNotAvailable: RayError
AsyncioActorExit: RayError
RuntimeEnvSetupError: RayError
TaskPlacementGroupRemoved: RayError
ActorPlacementGroupRemoved: RayError
PendingCallsLimitExceeded: RayError
TaskUnschedulableError: RayError
ActorUnschedulableError: RayError
ObjectRefStreamEndOfStreamError: RayError
StreamingGeneratorReplayInconsistentError: RaySystemError
OufOfBandObjectRefSerializationException: RayError
RayChannelError: RaySystemError
RayChannelTimeoutError: RayChannelError, TimeoutError
RayCgraphCapacityExceeded: RaySystemError
RayDirectTransportError: RaySystemError
UnserializableException: RayError
ActorAlreadyExistsError: ValueError, RayError
ActorHandleNotFoundError: ValueError, RayError
"""

# The part of the worker that calls the user's function, as far as a traceback can tell.
WORKER_LOOP = """
def call(function):
    try:
        return function()
    except BaseException as error:
        return error

def api_call(error):
    raise error
"""
worker = {"__name__": "raylite.runtime.worker"}
exec(compile(WORKER_LOOP, "raylite/runtime/worker.py", "exec"), worker)


def fail(exc, name="f", pid=7, **fields):
    """The RayTaskError of a task that raises `exc`."""

    def f():
        raise exc

    return capture(worker["call"](f), name, pid, **fields)


def travel(error):
    """What `get` raises for it in another process."""
    return pickle.loads(cloudpickle.dumps(error_payload(error, cloudpickle.dumps))).as_instanceof_cause()


# ---- the tree ----


@pytest.mark.parametrize("line", RAY_TREE.split("\n")[1:-1])
def test_tree_is_rays(line):
    name, bases = line.split(": ")
    assert ", ".join(base.__name__ for base in getattr(exceptions, name).__bases__) == bases


def test_list_of_types_holds_the_whole_tree():
    names = {line.split(":")[0] for line in RAY_TREE.split("\n")[1:-1]}
    assert {cls.__name__ for cls in exceptions.RAY_EXCEPTION_TYPES} == names


@pytest.mark.parametrize(
    "error",
    [
        exceptions.GetTimeoutError("not ready"),
        exceptions.RaySystemError(client_exc="it broke", traceback_str="tb"),
        exceptions.ObjectLostError("ab12", call_site="here", explanation="its task made it by put"),
        exceptions.ObjectReconstructionFailedError("ab12", "MAX", "too many attempts"),
        exceptions.ActorDiedError("out of memory", actor_id="cd", class_name="A", name=None),
        exceptions.ActorUnavailableError("it restarts", b"\x01\x02"),
        exceptions.TaskUnschedulableError(error_message="node gone"),
        exceptions.TaskCancelledError(task_id="t1"),
        exceptions.ActorAlreadyExistsError("taken"),
        exceptions.RpcError("lost", rpc_code=4),
        WorkerCrashedError(function_name="f", attempt=0, signal=9, stderr="a\nb"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_system_errors_pickle_with_all_they_say(error, dumps):
    again = pickle.loads(dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


# ---- the user's type and attributes ----


class RequiredArguments(Exception):
    def __init__(self, a, *, b):
        self.a, self.b = a, b


class MessageMadeInInit(Exception):
    def __init__(self, code):
        super().__init__(f"failed with {code}")


class Slotted(Exception):
    __slots__ = ("__hidden", "empty", "x")

    def __init__(self, x):
        self.x = x
        self.__hidden = -x

    def hidden(self):
        return self.__hidden


class Frozen(Exception):
    def __init__(self, value):
        object.__setattr__(self, "value", value)

    def __setattr__(self, name, value):
        raise AttributeError("frozen")


class OwnArgs(Exception):
    @property
    def args(self):
        return ("mine",)


class NamesOfOurs(Exception):
    def __init__(self):
        self.pid, self.hops, self.through, self.function_name = "my pid", "my hops", "my through", "my function"


class FileTrouble(OSError):
    pass


registered = []


class Registry(Exception):
    def __init_subclass__(cls, *, code, **kwargs):
        registered.append(cls)


class Registered(Registry, code=404):
    pass


class OwnNew(ValueError):
    def __new__(cls, a, b):
        return super().__new__(cls, a + b)


class OwnPickling(Exception):
    def __reduce__(self):
        return OwnPickling, (self.args[0] + "+",)


@pytest.mark.parametrize(
    "exc, name, value",
    [
        (ValueError("bad", 3), "args", ("bad", 3)),
        (RequiredArguments(1, b=2), "b", 2),
        (MessageMadeInInit(5), "args", ("failed with 5",)),
        (Slotted(4), "x", 4),
        (Frozen(6), "value", 6),
        (OwnArgs(), "args", ("mine",)),
        (NamesOfOurs(), "pid", "my pid"),
        (NamesOfOurs(), "hops", "my hops"),
        (FileTrouble(2, "no such file", "x.txt"), "filename", "x.txt"),
        (FileTrouble(2, "no such file", "x.txt"), "errno", 2),
        (UnicodeDecodeError("utf8", b"\xff", 0, 1, "odd"), "reason", "odd"),
        (StopIteration(9), "value", 9),
        (Registered("r"), "args", ("r",)),
        (OwnNew(1, 2), "args", (1, 2)),
        (OwnPickling("p"), "args", ("p+",)),
        (KeyError("k"), "args", ("k",)),
        (GeneratorExit("g"), "args", ("g",)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_raised_error_is_of_both_types_with_the_users_attributes(exc, name, value):
    error = travel(fail(exc))
    assert isinstance(error, type(exc)) and isinstance(error, RayTaskError)
    assert getattr(error, name) == value
    assert type(error.cause) is type(exc) and getattr(error.cause, name) == value
    with pytest.raises(type(exc)):
        raise error


def test_attribute_named_cause_is_reachable_through_the_cause():
    exc = ValueError("v")
    exc.cause = "theirs"
    error = travel(fail(exc))
    assert isinstance(error.cause, ValueError) and error.cause.cause == "theirs"


def test_private_slots_and_methods_work_on_the_raised_error():
    error = travel(fail(Slotted(4)))
    assert error.hidden() == -4
    assert not hasattr(error, "empty")


class Mixin:
    pass


class Mixed(Mixin, Exception):
    pass


def test_state_is_the_users_only():
    exc = Mixed("m")
    watched = weakref.ref(exc)
    error = travel(fail(exc))
    assert error.args == ("m",) and "left behind" not in str(error) and watched() is exc


class MissingName(AttributeError):
    pass


def test_object_that_lacks_the_attribute_stays_where_it_is():
    error = travel(fail(MissingName("gone", name="x", obj=threading.Lock())))
    assert error.name == "x" and error.obj is None and "does not pickle" not in str(error)


def test_exceptions_inside_exceptions():
    outer = MessageMadeInInit("outer")
    outer.parts = [RequiredArguments(1, b=2), (Slotted(3),)]
    outer.itself, outer.parts[0].outer = outer, outer
    error = travel(fail(outer))
    assert error.parts[0].b == 2 and error.parts[1][0].x == 3
    assert error.cause.itself is error.cause and error.cause.parts[0].outer is error.cause
    assert "does not pickle" not in str(error)
    in_builtin = travel(fail(ValueError("v", RequiredArguments(1, b=2))))
    assert in_builtin.args[1].b == 2


def test_a_registry_of_subclasses_never_sees_ours():
    before = list(registered)
    travel(fail(Registered("r")))
    assert registered == before


def test_error_that_needs_no_other_type_is_a_plain_task_error():
    error = travel(fail(Exception("plain")))
    assert type(error) is RayTaskError and error.cause.args == ("plain",)


def test_final_class_gives_a_plain_task_error_that_says_so():
    class Final(type):
        def __new__(mcs, name, bases, namespace):
            if any(isinstance(base, Final) for base in bases):
                raise TypeError("no subclasses")
            return super().__new__(mcs, name, bases, namespace)

    class Sealed(Exception, metaclass=Final):
        pass

    error = fail(Sealed("s")).as_instanceof_cause()
    assert type(error) is RayTaskError and type(error.cause) is Sealed
    assert "Sealed cannot be subclassed (no subclasses)" in str(error)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of Python 3.11")
def test_exception_group_with_parts_that_need_care():
    group = ExceptionGroup("two", [RequiredArguments(1, b=2), KeyError("k")])  # noqa: F821
    error = travel(fail(group))
    assert isinstance(error, ExceptionGroup) and isinstance(error, RayTaskError)  # noqa: F821
    assert error.message == "two" and error.exceptions[0].b == 2 and "does not pickle" not in str(error)
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: F821
        raise error
    assert caught.value.split(KeyError)[0].exceptions[0].args == ("k",)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are of Python 3.11")
def test_notes_are_shown_once():
    exc = ValueError("v")
    exc.add_note("look at the moon")
    error = travel(fail(exc))
    text = "".join(traceback.format_exception(type(error), error, None))
    assert text.count("look at the moon") == 1
    assert error.cause.__notes__ == ["look at the moon"]


def test_one_dual_class_for_each_class():
    first, second = fail(ValueError(1)).as_instanceof_cause(), fail(ValueError(2)).as_instanceof_cause()
    assert type(first) is type(second) and first is not second
    assert type(first).__qualname__ == "RayTaskError(ValueError)"


def test_classes_without_end_do_not_pile_up():
    for i in range(2 * exceptions._MAX_DUAL_CLASSES):
        fail(type(f"E{i}", (Exception,), {})()).as_instanceof_cause()
    assert len(exceptions._dual_classes) <= exceptions._MAX_DUAL_CLASSES


# ---- BaseException ----


def test_keyboard_interrupt_counts_as_cancelled_as_in_ray():
    error = travel(fail(KeyboardInterrupt(), task_id="t9"))
    assert isinstance(error, TaskCancelledError) and not isinstance(error, KeyboardInterrupt)
    assert "t9" in str(error.cause)


@pytest.mark.parametrize("code, exit_code", [(3, 3), (None, 0), ("message", 1), (256 + 4, 4)])
def test_system_exit_is_a_crash_and_never_exits_the_driver(code, exit_code):
    error = travel(fail(SystemExit(code)))
    assert isinstance(error, WorkerCrashedError) and not isinstance(error, SystemExit)
    assert error.exit_code == exit_code


class MyBase(BaseException):
    pass


def test_a_base_exception_of_the_user_stays_one():
    error = travel(fail(MyBase("m")))
    assert isinstance(error, MyBase) and isinstance(error, RayTaskError)


# ---- the text ----


def test_text_is_the_traceback_once_and_ends_with_the_exception():
    text = str(travel(fail(ValueError("bad news"))))
    assert text.count("Traceback (most recent call last)") == 1 and text.count("bad news") == 1
    assert text.splitlines()[0] == "f() failed (pid=7)"
    assert text.splitlines()[-1] == "ValueError: bad news"
    assert "test_exceptions.py" in text and "raise exc" in text


def test_frames_of_the_worker_are_cut():
    assert "worker.py" not in str(fail(ValueError()))


def test_frames_of_the_api_are_cut_from_its_own_errors_only():
    def task(error):
        return worker["call"](lambda: worker["api_call"](error))

    assert "worker.py" not in str(capture(task(exceptions.GetTimeoutError("late")), "f", 1))
    assert "worker.py" in str(capture(task(AssertionError("a fault of ours")), "f", 1))


def test_traceback_with_none_of_the_users_frames_is_whole():
    error = worker["call"](lambda: None) or ValueError("in the loop")
    try:
        worker["api_call"](error)
    except ValueError as caught:
        caught.__traceback__ = caught.__traceback__.tb_next
        assert "worker.py" in str(capture(caught, "f", 1))


def test_chained_exceptions_are_shown():
    def f():
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    text = str(capture(worker["call"](f), "f", 1))
    assert text.index("first") < text.index("direct cause") < text.index("second")


def test_name_and_attempt_are_shown():
    error = fail(ValueError(), task_name="load", attempt=2, actor_id="ab", actor_repr="<A>", ip="10.0.0.2")
    assert str(error).splitlines()[0] == "load() failed (pid=7, ip=10.0.0.2, actor_id=ab, repr=<A>, attempt 3)"
    assert (error.function_name, error.task_name, error.attempt) == ("f", "load", 2)


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no str")

    __repr__ = __str__


def test_exceptions_that_cannot_be_printed():
    error = travel(fail(Unprintable()))
    assert isinstance(error, Unprintable) and "Unprintable" in str(error) and "Unprintable" in repr(error)


def test_text_of_a_giant_is_cut_in_the_middle():
    text = str(fail(ValueError("x" * 10_000_000 + "the end")))
    assert len(text) < 2 * MAX_TEXT_CHARS and text.endswith("the end") and "left out" in text


# ---- through dependents ----


def test_dependents_are_named_and_nothing_nests():
    error = fail(ValueError("bad"))
    passed = travel(travel(error).through("g")).through("h").as_instanceof_cause()
    assert type(passed.cause) is ValueError and isinstance(passed, ValueError)
    assert str(passed).splitlines()[0] == "f() failed (pid=7), and with it g(), h()"
    assert str(passed).count("Traceback") == 1 and str(passed).count("ValueError: bad") == 1


def test_error_out_of_a_get_in_a_task_shows_where_that_task_waited():
    error = travel(fail(ValueError("bad"), "inner"))

    def outer_body():
        worker["api_call"](error)

    passed = travel(capture(worker["call"](outer_body), "outer", 8))
    text = str(passed)
    assert type(passed.cause) is ValueError and passed.function_name == "inner"
    assert text.count("Traceback") == 1 and text.count("bad") == 1 and "worker.py" not in text
    assert text.index("outer() (pid=8) was waiting for it") < text.index("outer_body") < text.index("ValueError")


def test_thousand_dependents_stay_readable():
    error = fail(ValueError("bad"))
    for i in range(1000):
        error = error.through(f"g{i}", 1, f'  File "g{i}.py"')
    text = str(travel(error))
    assert len(text.splitlines()) < 40 and len(pickle.dumps(error)) < 10_000
    assert "g0()" in text and "g999()" in text and f"{1000 - exceptions.MAX_HOPS} more" in text


def test_wrapping_the_error_is_the_users_own_matter():
    error = travel(fail(ValueError("bad"), "inner"))

    def f():
        try:
            worker["api_call"](error)
        except ValueError as caught:
            raise RuntimeError("wrapped") from caught

    wrapped = travel(capture(worker["call"](f), "outer", 8))
    assert isinstance(wrapped, RuntimeError) and wrapped.function_name == "outer"
    assert str(wrapped).count("bad") == 1


# ---- what does not pickle ----


class Unpicklable(ValueError):
    def __init__(self):
        super().__init__("holds a lock", threading.Lock())
        self.lock, self.kept = threading.Lock(), 5


class BrokenPickling(KeyError):
    def __reduce__(self):
        raise RuntimeError("no")


class LoadsBadly(Exception):
    def __reduce__(self):
        return int, ("x",)


class LoadsAsSomethingElse(Exception):
    def __reduce__(self):
        return int, ("5",)


@pytest.mark.parametrize("exc", [Unpicklable(), BrokenPickling("k"), LoadsBadly("l"), LoadsAsSomethingElse("l")])
def test_exception_that_does_not_pickle_keeps_its_type_and_text(exc):
    error = travel(fail(exc))
    assert type(error.cause) is type(exc) and isinstance(error, type(exc))
    assert "does not pickle" in str(error) and f"{type(exc).__qualname__}: " in str(error)


def test_only_what_does_not_pickle_is_left_behind():
    error = travel(fail(Unpicklable()))
    assert error.kept == 5 and not hasattr(error, "lock") and "left behind: lock" in str(error)
    assert error.args[0] == "holds a lock" and "_thread.lock" in error.args[1]


def test_class_that_does_not_pickle_travels_as_its_base():
    held = threading.Lock()

    class Local(ZeroDivisionError):
        def holds(self):
            return held

    error = travel(fail(Local("z")))
    assert type(error.cause) is ZeroDivisionError and error.args == ("z",) and isinstance(error, ArithmeticError)
    assert "Local: z" in str(error) and "of its base ZeroDivisionError" in str(error)


def test_class_without_such_a_base_is_described():
    held = threading.Lock()

    class Local(Exception):
        def holds(self):
            return held

    error = travel(fail(Local("told")))
    assert type(error) is RayTaskError and type(error.cause) is RayError
    assert "told" in str(error.cause) and str(error).count("Local: told") == 1


def test_exception_that_cannot_be_loaded_elsewhere_keeps_its_text(monkeypatch):
    class Elsewhere(Exception):
        pass

    monkeypatch.setattr(sys.modules[__name__], "Elsewhere", Elsewhere, raising=False)
    Elsewhere.__qualname__ = "Elsewhere"
    data = pickle.dumps(error_payload(fail(Elsewhere("far")), pickle.dumps))
    monkeypatch.delattr(sys.modules[__name__], "Elsewhere")
    error = pickle.loads(data).as_instanceof_cause()
    assert isinstance(error, UnserializableException) and isinstance(error, RayTaskError)
    assert "Elsewhere: far" in str(error) and "could not be loaded here: AttributeError" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_exception_that_loads_as_something_else_elsewhere():
    payload = error_payload(fail(ValueError("v")), lambda value: pickle.dumps(5), lambda data: ValueError())
    error = pickle.loads(pickle.dumps(payload))
    assert isinstance(error.cause, UnserializableException) and "TypeError: it is a int" in str(error)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
@pytest.mark.parametrize("exc", [ValueError("v"), RequiredArguments(1, b=2), Slotted(3)])
def test_errors_that_a_program_pickles_itself(exc, dumps):
    plain = fail(exc).through("g")
    for error in (plain, plain.as_instanceof_cause()):
        again = pickle.loads(dumps(error))
        assert type(again) is type(error) and str(again) == str(error) and type(again.cause) is type(exc)


def test_a_registered_reducer_is_used():
    import copyreg

    class Special(Exception):
        pass

    copyreg.pickle(Special, lambda exc: (ValueError, ("by the reducer",)))
    try:
        assert travel(fail(Special())).args == ("by the reducer",)
    finally:
        del copyreg.dispatch_table[Special]


# ---- messages ----


def test_worker_crash_tells_what_is_known():
    error = WorkerCrashedError(
        function_name="train", pid=99, attempt=3, max_retries=3, signal=9, stderr=["one\n", "two\n"]
    )
    text = str(error)
    for part in ("train()", "pid 99", "attempt 4 of 4", "signal 9 (SIGKILL", "  one\n  two"):
        assert part in text
    assert "exit code 3" in str(WorkerCrashedError(exit_code=3))
    assert "attempt 1" in str(WorkerCrashedError(attempt=0, max_retries=-1))
    assert str(WorkerCrashedError("as said")) == "as said"
    assert "died" in str(WorkerCrashedError())
    assert "signal 200 (unknown" in str(WorkerCrashedError(signal=200))


def test_worker_crash_keeps_the_last_lines_of_stderr():
    error = WorkerCrashedError(stderr="\n".join(f"line {i}" for i in range(1000)))
    assert len(error.stderr) == exceptions.MAX_STDERR_LINES and error.stderr[-1] == "line 999"


def test_dead_actor_tells_why():
    of_init = exceptions.ActorDiedError(fail(ValueError("bad start"), actor_id="ab"))
    assert of_init.actor_init_failed and of_init.actor_id == "ab" and "ValueError: bad start" in str(of_init)
    killed = exceptions.ActorDiedError("it was killed", actor_id="cd", class_name="A")
    assert not killed.actor_init_failed and "class_name: A" in str(killed) and str(killed).endswith("it was killed")


def test_import_is_light():
    code = (
        "import sys; before = set(sys.modules); import raylite.exceptions; new = set(sys.modules) - before;"
        "print(*sorted(new & {'re', 'typing', 'enum', 'inspect', 'traceback', 'pickle', 'signal'}))"
    )
    root = os.path.dirname(os.path.dirname(exceptions.__file__))
    done = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True)
    assert done.stdout.strip() == "" and done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "exc", [Slotted(4), UnicodeDecodeError("utf8", b"\xff", 0, 1, "odd")], ids=lambda e: type(e).__name__
)
def test_a_library_that_registers_how_every_exception_is_pickled_changes_nothing(exc, monkeypatch):
    """As tblib does, which dask installs: what it registers makes an exception without its state."""

    def reduced(error):
        return type(error).__new__, (type(error), *error.args)

    reduced.__module__ = "tblib.pickling_support"
    monkeypatch.setitem(copyreg.dispatch_table, type(exc), reduced)
    error = travel(fail(exc))
    assert error.hidden() == -4 if isinstance(exc, Slotted) else error.reason == "odd"
