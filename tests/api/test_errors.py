"""What a program sees when a task raises, and when its worker dies."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback

import numpy as np
import pytest

import raylite
from raylite.exceptions import RayError, RayTaskError, TaskCancelledError, WorkerCrashedError

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
def fail(error):
    raise error


@raylite.remote
def fail_custom(code, detail):
    raise Custom(code, detail=detail)


def caught(ref):
    with pytest.raises(Exception) as info:
        raylite.get(ref)
    return info.value


# ---- what a task raises ----


class Custom(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"custom {code}")
        self.code, self.detail = code, detail


ERRORS = {
    "built in": ValueError("no"),
    "OSError": FileNotFoundError(2, "No such file", "name"),
    "KeyError": KeyError(("a", 1)),
    "StopIteration": StopIteration(5),
    "GeneratorExit": GeneratorExit("exit"),
    "AssertionError": AssertionError(),
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "a base of all": BaseException("base"),
    "of raylite": RayError("mine"),
    "recursion": RecursionError("deep"),
    "memory": MemoryError(),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_get_raises_an_error_of_both_types(kind):
    error = ERRORS[kind]
    ref = fail.remote(error)
    for _ in range(2):
        seen = caught(ref) if isinstance(error, Exception) else raised_base(ref)
        assert isinstance(seen, RayTaskError)
        assert isinstance(seen, type(error))
        assert type(seen.cause) is type(error)
        assert seen.cause.args == error.args
        assert {k: v for k, v in vars(seen.cause).items() if k != "__notes__"} == vars(error)
        assert seen.function_name == "fail"
        assert f"fail() failed (pid={seen.pid}" in str(seen)
        assert seen.pid != os.getpid()


def raised_base(ref):
    try:
        raylite.get(ref)
    except BaseException as error:
        return error


def test_attributes_are_those_of_the_user_s_error():
    seen = caught(fail_custom.remote(7, {"a": 1}))
    assert (seen.code, seen.detail) == (7, {"a": 1})
    assert caught(fail.remote(OSError(13, "denied", "file"))).filename == "file"


def test_the_traceback_is_shown_once_and_is_the_user_s():
    def inner(x):
        raise ZeroDivisionError(f"by {x}")

    @raylite.remote
    def outer():
        inner(5)

    seen = caught(outer.remote())
    text = str(seen)
    assert text.count("Traceback (most recent call last)") == 1
    assert text.count("ZeroDivisionError: by 5") == 1
    assert text.rstrip().endswith("ZeroDivisionError: by 5")
    assert text.index("in outer") < text.index("in inner")
    assert 'raise ZeroDivisionError(f"by {x}")' in text
    assert "raylite/runtime" not in text
    shown = "".join(traceback.format_exception(seen))
    assert shown.count("in inner") == 1


def test_causes_and_contexts_and_notes():
    @raylite.remote
    def chained():
        try:
            try:
                {}["first"]
            except KeyError as error:
                raise ValueError("second") from error
        except ValueError:
            raise TypeError("third")

    text = str(caught(chained.remote()))
    assert text.index("KeyError: 'first'") < text.index("direct cause") < text.index("ValueError: second")
    assert text.index("ValueError: second") < text.index("another exception occurred") < text.index("TypeError: third")

    @raylite.remote
    def noted():
        error = ValueError("noted")
        error.__notes__ = ["a note"]  # as add_note, which Python 3.10 has not
        raise error

    assert caught(noted.remote()).cause.__notes__ == ["a note"]


def test_errors_pass_through_dependents(tally):
    @raylite.remote
    def depends(x, label="-"):
        tally.add()
        return x

    ref = fail_custom.remote(3, None)
    for _ in range(50):
        ref = depends.remote(ref)
    by_keyword = depends.remote(1, label=ref)
    for last in (ref, by_keyword):
        seen = caught(last)
        assert isinstance(seen, Custom) and seen.code == 3
        assert str(seen).count("Traceback (most recent call last)") == 1
        assert "in fail_custom" in str(seen)
        assert len(str(seen)) < 2000
    assert len(tally) == 0  # none of them ran


def test_errors_pass_through_tasks_that_wait_for_them():
    @raylite.remote
    def waits(ref, depth):
        return raylite.get(ref[0] if depth == 0 else waits.remote(ref, depth - 1))

    seen = caught(waits.remote([fail_custom.remote(4, 1)], 3))
    assert isinstance(seen, Custom) and isinstance(seen, RayTaskError)
    assert str(seen).count("custom 4") == 1
    assert str(seen).count("in fail_custom") == 1
    assert [name for name, _, _ in seen.hops] == ["waits"] * 4
    assert seen.function_name == "fail_custom"


def test_a_task_can_catch_what_another_raised():
    @raylite.remote
    def catches():
        try:
            raylite.get(fail_custom.remote(5, "d"))
        except Custom as error:
            return error.code, error.detail, isinstance(error, RayTaskError)

    assert raylite.get(catches.remote()) == (5, "d", True)


def test_an_error_as_a_value_is_none():
    @raylite.remote
    def returns():
        return ValueError("a value")

    value = raylite.get(returns.remote())
    assert type(value) is ValueError and value.args == ("a value",)
    assert type(raylite.get(raylite.put(KeyError(1)))) is KeyError


def test_each_of_many_returns_is_the_error():
    @raylite.remote(num_returns=3)
    def several():
        raise KeyError("all")

    for ref in several.remote():
        assert isinstance(caught(ref), KeyError)


def test_the_first_error_is_raised_and_at_once(gate):
    """A get of many does not wait for the others once one has failed."""

    @raylite.remote
    def slow():
        gate.pass_through()

    refs = [slow.remote(), fail.remote(ValueError("first")), raylite.put(1)]
    with pytest.raises(ValueError, match="first"):
        raylite.get(refs)
    gate.open()
    refs[1] = fail.remote(ValueError("one"))
    refs.append(fail.remote(KeyError("two")))
    raylite.wait(refs, num_returns=4)
    with pytest.raises(ValueError, match="one"):
        raylite.get(refs)


def test_exceptions_that_do_not_pickle():
    class Held(Exception):
        def __init__(self, text):
            super().__init__(text)
            self.lock = threading.Lock()
            self.number = 5

    class Stubborn(ValueError):
        def __reduce__(self):
            raise RuntimeError("never")

    class Unloadable(KeyError):
        def __reduce__(self):
            return Unloadable.explode, ()

        @staticmethod
        def explode():
            raise RuntimeError("cannot be loaded")

    @raylite.remote
    def held():
        raise Held("holds a lock")

    @raylite.remote
    def stubborn():
        raise Stubborn("does not pickle")

    @raylite.remote
    def unloadable():
        raise Unloadable("does not load")

    @raylite.remote
    def with_argument():
        raise ValueError("an argument", threading.Lock())

    seen = caught(held.remote())
    assert isinstance(seen, RayTaskError) and seen.number == 5
    assert "Held: holds a lock" in str(seen) and "lock" in seen.remark
    seen = caught(stubborn.remote())
    assert isinstance(seen, ValueError) and "Stubborn: does not pickle" in str(seen)
    seen = caught(unloadable.remote())
    assert isinstance(seen, KeyError) and "Unloadable: 'does not load'" in str(seen)
    seen = caught(with_argument.remote())
    assert isinstance(seen, ValueError) and seen.args[0] == "an argument"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are of Python 3.11")
def test_exception_groups():
    from builtins import ExceptionGroup

    inner = ExceptionGroup("inner", [KeyError("k"), OSError(2, "no")])
    group = ExceptionGroup("several", [ValueError(1), inner])
    seen = caught(fail.remote(group))
    assert isinstance(seen, RayTaskError) and isinstance(seen, ExceptionGroup)
    assert seen.message == "several"
    matched, rest = seen.split(KeyError)
    assert matched is not None and rest is not None
    assert "KeyError: 'k'" in str(seen) and "ValueError: 1" in str(seen)


def test_references_inside_an_exception(all_freed):
    all_freed()

    @raylite.remote
    def carries():
        error = ValueError("carries")
        error.ref = raylite.put(np.ones(1 << 17))
        raise error

    seen = caught(carries.remote())
    assert raylite.get(seen.ref).sum() == 1 << 17
    del seen
    all_freed()


def test_a_large_exception():
    assert len(caught(fail.remote(ValueError("x" * 3_000_000))).args[0]) == 3_000_000


def test_a_result_that_does_not_pickle():
    @raylite.remote
    def result():
        return {"a": [1, threading.Lock()]}

    @raylite.remote(num_returns=2)
    def returns():
        return 1, threading.Lock()

    assert_says(caught(result.remote()), TypeError, "the result of result", "['a'][1]", "lock")
    for ref in returns.remote():
        assert_says(caught(ref), TypeError, "return 1 of returns", "lock")


def test_an_argument_that_does_not_load():
    class Trap:
        def __reduce__(self):
            return int, ("not a number",)

    @raylite.remote
    def use(x):
        return x

    assert_says(caught(use.remote(Trap())), ValueError, "use() failed", "not a number")
    assert_says(caught(use.remote(raylite.put(Trap()))), ValueError, "not a number")
    with pytest.raises(ValueError, match="not a number"):
        raylite.get(raylite.put(Trap()))
    assert raylite.get(use.remote(1)) == 1


def assert_says(error, kind, *parts):
    assert isinstance(error, kind)
    for part in parts:
        assert part in str(error)


def test_keyboard_interrupt_counts_as_cancelled():
    @raylite.remote(max_retries=0)
    def interrupts():
        raise KeyboardInterrupt

    seen = caught(interrupts.remote())
    assert isinstance(seen, TaskCancelledError)


def test_warnings_about_nothing(recwarn):
    """An error that nobody asks for is nobody's business."""
    fail.remote(ValueError("unseen"))
    assert raylite.get(raylite.put(1)) == 1
    assert not recwarn.list


# ---- retries ----


@pytest.mark.parametrize("retry_exceptions", [True, [KeyError], [OSError, KeyError]], ids=str)
def test_retry_exceptions(retry_exceptions, tally):
    @raylite.remote(max_retries=2, retry_exceptions=retry_exceptions)
    def flaky():
        tally.add(raylite.get_runtime_context().get_attempt_number())
        if len(tally) < 3:
            raise KeyError("again")
        return len(tally)

    assert raylite.get(flaky.remote()) == 3
    assert tally.notes() == ["0", "1", "2"]


def test_retries_that_run_out(tally):
    @raylite.remote(max_retries=2, retry_exceptions=True)
    def hopeless():
        tally.add()
        raise KeyError(len(tally))

    seen = caught(hopeless.remote())
    assert (len(tally), seen.args, seen.attempt) == (3, (3,), 2)
    assert "attempt 3" in str(seen)


@pytest.mark.parametrize("options", [{}, {"retry_exceptions": False}, {"retry_exceptions": [OSError]}], ids=str)
def test_exceptions_are_not_retried_unless_asked_for(options, tally):
    @raylite.remote(max_retries=3, **options)
    def raises():
        tally.add()
        raise KeyError

    caught(raises.remote())
    assert len(tally) == 1


def test_retry_exceptions_in_options(tally):
    @raylite.remote(retry_exceptions=[OSError])
    def raises(error):
        tally.add()
        raise error

    caught(raises.options(retry_exceptions=[KeyError], max_retries=1).remote(KeyError()))
    assert len(tally) == 2
    caught(raises.options(retry_exceptions=[KeyError], max_retries=1).remote(OSError()))
    assert len(tally) == 3
    caught(raises.options(max_retries=1).remote(OSError()))
    assert len(tally) == 5
    caught(raises.options(retry_exceptions=False).remote(OSError()))
    assert len(tally) == 6


def test_retry_on_a_type_of_one_s_own(tally):
    class Mine(Exception):
        pass

    class Derived(Mine):
        pass

    @raylite.remote(retry_exceptions=[Mine], max_retries=1)
    def raises():
        tally.add()
        raise Derived

    caught(raises.remote())
    assert len(tally) == 2


def test_dependents_wait_for_the_retries(tally):
    @raylite.remote(max_retries=3, retry_exceptions=True)
    def flaky():
        tally.add()
        if len(tally) < 3:
            raise ValueError
        return "made it"

    @raylite.remote
    def depends(x):
        return x

    assert raylite.get(depends.remote(flaky.remote())) == "made it"


# ---- a worker that dies ----

WAYS_TO_DIE = {
    "os._exit": (lambda: os._exit(7), {"exit_code": 7, "signal": None}),
    "os._exit of 0": (lambda: os._exit(0), {"exit_code": 0, "signal": None}),
    "sys.exit": (lambda: sys.exit(3), {"exit_code": 3, "signal": None}),
    "sys.exit with words": (lambda: sys.exit("last words"), {"exit_code": 1, "signal": None}),
    "sys.exit without": (lambda: sys.exit(), {"exit_code": 0, "signal": None}),
    "SIGKILL": (lambda: os.kill(os.getpid(), signal.SIGKILL), {"exit_code": None, "signal": signal.SIGKILL}),
    "SIGSEGV": (lambda: os.kill(os.getpid(), signal.SIGSEGV), {"exit_code": None, "signal": signal.SIGSEGV}),
    "abort": (os.abort, {"exit_code": None, "signal": signal.SIGABRT}),
}


@pytest.mark.parametrize("way", WAYS_TO_DIE)
def test_a_worker_that_dies(way):
    die, facts = WAYS_TO_DIE[way]

    @raylite.remote(max_retries=0)
    def dies():
        sys.stderr.write("on stderr\nno end of line")
        sys.stderr.flush()
        die()

    seen = caught(dies.remote())
    assert type(seen) is WorkerCrashedError
    assert {name: getattr(seen, name) for name in facts} == facts
    assert (seen.function_name, seen.attempt) == ("dies", 0)
    assert "on stderr" in seen.stderr
    words = "last words" if way == "sys.exit with words" else ""
    assert seen.stderr[-1] == "no end of line" + words
    assert not any("\x1e" in line for line in seen.stderr)
    assert "dies()" in str(seen)
    assert raylite.get(fail_not.remote()) == 1


@raylite.remote
def fail_not():
    return 1


@pytest.mark.parametrize(
    "die", [lambda: os._exit(1), lambda: os.kill(os.getpid(), signal.SIGKILL)], ids=["exit", "kill"]
)
def test_a_task_is_retried_when_its_worker_dies(die, tally):
    @raylite.remote(max_retries=2)
    def dies_twice(x):
        tally.add(os.getpid())
        if len(tally) < 3:
            die()
        return x, raylite.get_runtime_context().get_attempt_number()

    assert raylite.get(dies_twice.remote(raylite.put("x"))) == ("x", 2)
    assert len(set(tally.notes())) == 3


def test_crashes_use_up_the_retries(tally):
    @raylite.remote(max_retries=2)
    def dies():
        tally.add()
        os._exit(9)

    seen = caught(dies.remote())
    assert (len(tally), seen.attempt) == (3, 2)
    assert "attempt 3" in str(seen)


def test_three_retries_are_the_default(tally):
    @raylite.remote
    def dies():
        tally.add()
        os._exit(9)

    assert caught(dies.remote()).attempt == 3
    assert len(tally) == 4


def test_retries_without_end(tally):
    @raylite.remote(max_retries=-1)
    def dies():
        tally.add()
        if len(tally) < 8:
            os._exit(1)
        return len(tally)

    assert raylite.get(dies.remote()) == 8


def test_the_task_behind_the_one_that_kills_the_worker(tally):
    """Tasks that were queued behind it, and not begun, run elsewhere and lose no attempt."""

    @raylite.remote(max_retries=0)
    def work(i):
        if i == 500:
            os._exit(5)
        return i

    refs = [work.remote(i) for i in range(1000)]
    for i, ref in enumerate(refs):
        if i == 500:
            assert caught(ref).exit_code == 5
        else:
            assert raylite.get(ref) == i


def test_dependents_of_a_crash():
    @raylite.remote(max_retries=0)
    def dies():
        os._exit(4)

    @raylite.remote
    def depends(x):
        return x

    seen = caught(depends.remote(depends.remote(dies.remote())))
    assert isinstance(seen, WorkerCrashedError) and seen.exit_code == 4

    @raylite.remote
    def waits():
        return raylite.get(dies.remote())

    seen = caught(waits.remote())
    assert isinstance(seen, WorkerCrashedError) and seen.exit_code == 4 and isinstance(seen, RayTaskError)


def test_what_a_dead_worker_had_made_lives_on(tally, all_freed):
    """Objects belong to the node; a crash takes only what was not finished."""
    all_freed()

    @raylite.remote(num_cpus=2, max_retries=0)
    def make():
        return os.getpid(), np.ones(1 << 17), raylite.put(np.full(1 << 17, 2.0))

    @raylite.remote(num_cpus=2, max_retries=0)
    def kill(pid):
        os.kill(pid, signal.SIGKILL)

    kept = make.remote()
    pid, array, inner = raylite.get(kept)
    try:
        raylite.get(kill.remote(pid))
    except WorkerCrashedError:
        pass  # it met itself
    assert raylite.get(kept)[1].sum() == array.sum() == 1 << 17
    assert raylite.get(inner).sum() == 2 << 17
    del kept, array, inner
    all_freed()


def test_a_crash_frees_what_the_worker_held(all_freed):
    all_freed()

    @raylite.remote(max_retries=0)
    def dies(array, box):
        keep = [raylite.get(box[0]), raylite.put(np.ones(1 << 17)), [fail_not.remote() for _ in range(3)]]
        raylite.get(keep[2])
        os._exit(1)

    assert caught(dies.remote(raylite.put(np.ones(1 << 17)), [raylite.put(np.ones(1 << 17))])).exit_code == 1
    all_freed()


def test_a_crash_in_a_nested_task():
    @raylite.remote(num_cpus=2, max_retries=0)
    def dies():
        os._exit(6)

    @raylite.remote(num_cpus=2, max_retries=0)
    def parent():
        try:
            raylite.get(dies.remote())
        except WorkerCrashedError as error:
            return error.exit_code

    assert raylite.get(parent.remote()) == 6


def test_a_task_that_closes_its_output():
    @raylite.remote
    def closes():
        sys.stdout.close()
        os.close(1)
        os.close(2)
        return 1

    @raylite.remote
    def prints():
        return 2

    assert raylite.get(closes.remote()) == 1
    assert raylite.get([prints.remote() for _ in range(10)]) == [2] * 10
