"""What a task raised, on its way to `get`: caught in the worker, made fit to travel, told in words.

The text of the traceback is made where the exception was caught and travels as a string beside the exception, so
nothing that fails to pickle or to load can lose it. The exception itself travels as whole as it can.
"""

from __future__ import annotations

from raylite.exception_state import EXCEPTION_GROUP, Carrier, cut, portable, rebuild, short_repr, state
from raylite.exceptions import MAX_HOPS, RayError, RayTaskError, TaskCancelledError, WorkerCrashedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

MAX_TEXT_CHARS = 100_000  # of one traceback; the middle of a longer one is left out


def capture(
    exc: BaseException,
    function_name: str,
    pid: int,
    attempt: int = 0,
    *,
    task_name: str | None = None,
    task_id: object = None,
    ip: str | None = None,
    actor_repr: str | None = None,
    actor_id: str | None = None,
) -> RayTaskError:
    """Return the RayTaskError of a task whose function raised `exc`.

    KeyboardInterrupt counts as cancellation, as in Ray. SystemExit ends a worker, as in Ray; where the process has
    to live on (a task that runs in its waiter, the simulator) it is captured as the crash that it would have been.

    Args:
        exc: the exception, caught where the function was called.
        function_name: qualified name of the function.
        pid: process id of the worker.
        attempt: which attempt this was, counted from 0.
        task_name: the task's `name` option.
        task_id: the task's id, told if it was cancelled.
        ip, actor_repr, actor_id: as for RayTaskError.
    """
    if isinstance(exc, RayTaskError):  # out of a `get` in the task: the failure is another task's
        return RayTaskError.through(exc, task_name or function_name, pid, _frames_text(exc))
    cause: BaseException = exc
    if isinstance(exc, KeyboardInterrupt):
        cause = TaskCancelledError(task_id, "It raised KeyboardInterrupt.")
    elif isinstance(exc, SystemExit):
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        cause = WorkerCrashedError(function_name=function_name, pid=pid, attempt=attempt, exit_code=code & 0xFF)
    return RayTaskError(
        function_name,
        _traceback_text(exc),
        cause,
        pid=pid,
        ip=ip,
        actor_repr=actor_repr,
        actor_id=actor_id,
        task_name=task_name,
        attempt=attempt,
    )


def error_payload(
    error: RayTaskError, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any] | None = None
) -> RayTaskError:
    """Return `error` in a form that is sure to pickle, and to load wherever raylite does.

    Its cause is pickled within it, so that a receiver that cannot load the cause still has the text. What of the
    cause does not travel is left behind piece by piece: attributes and arguments that do not pickle, then the
    class in favour of its nearest base that does, then all but a description. `str` of the error says so.

    Args:
        error: the RayTaskError.
        dumps: pickles an object to bytes; may raise.
        loads: the opposite; each form is tried before it is chosen. Default pickle.loads.
    """
    if loads is None:
        import pickle

        loads = pickle.loads
    data = _try_pickle(error.cause, dumps, loads)
    if data is not None:
        sealed = error._with()
    else:
        cause, remark = _salvage(error, dumps, loads)
        sealed = error._with(remark=remark)
        data = dumps(Carrier(cause, {}))
    sealed.__dict__["_raylite_cause_bytes"] = data
    return sealed


def _try_pickle(value: Any, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]) -> bytes | None:
    """The bytes of `value`, or None where it does not make the way there and back."""
    try:
        data = dumps(portable(value))
        restored = loads(data)
    except Exception:
        return None
    is_exception = isinstance(value, BaseException | Carrier)
    return data if not is_exception or isinstance(restored, BaseException) else None


def _salvage(
    error: RayTaskError, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]
) -> tuple[BaseException, str]:
    """What of the cause travels, as an exception, and a sentence on what does not."""

    def travels(value: Any) -> bool:
        return _try_pickle(value, dumps, loads) is not None

    cause = error.cause
    args, attributes, members = state(cause)
    if isinstance(cause, EXCEPTION_GROUP):
        args = (args[0], [_salvage(error._with(cause=part), dumps, loads)[0] for part in args[1]])
    else:
        args = tuple(value if travels(value) else short_repr(value) for value in args)
    lost = [name for name, value in {**attributes, **members}.items() if not travels(value)]
    attributes = {name: value for name, value in attributes.items() if name not in lost}
    members = {name: value for name, value in members.items() if name not in lost}

    original = type(cause)
    name = f"{original.__module__}.{original.__qualname__}"
    for cls in original.__mro__:
        if not issubclass(cls, BaseException) or cls in (Exception, BaseException):
            continue
        try:
            candidate = rebuild(cls, args, attributes, members)
        except Exception:
            continue
        if travels(Carrier(candidate, {})):
            if cls is not original:
                return candidate, f"{name} does not pickle; `cause` is of its base {cls.__qualname__}."
            what = f"; left behind: {', '.join(lost)}" if lost else ""
            return candidate, f"{name} does not pickle as it is{what}."
    description = RayError(f"{name} does not pickle. What it said:\n{error._raylite_report['traceback_str']}")
    return description, f"{name} does not pickle; `cause` only describes it."


def describe(report: dict[str, Any]) -> str:
    """Return the text of a RayTaskError with these fields.

    Who failed and what with it, then where the others were waiting, then the traceback: its last line is the exception.
    """
    where = [f"pid={report['pid']}"] if report["pid"] else []
    if report["ip"]:
        where.append(f"ip={report['ip']}")
    if report["actor_id"]:
        where.append(f"actor_id={report['actor_id']}")
    if report["actor_repr"]:
        where.append(f"repr={report['actor_repr']}")
    if report["attempt"]:
        where.append(f"attempt {report['attempt'] + 1}")
    head = f"{report['task_name']}() failed" + (f" ({', '.join(where)})" if where else "")
    hops = report["hops"]
    if hops:
        names = [f"{name}()" for name, _, _ in hops]
        if report["hops_left_out"]:
            names.insert(MAX_HOPS // 2, f"{report['hops_left_out']} more")
        head += f", and with it {', '.join(names)}"
    lines = [head]
    if report["remark"]:
        lines.append(f"({report['remark']})")
    for name, pid, frames in reversed(hops):
        if frames:
            lines.append(f"{name}() (pid={pid}) was waiting for it:\n{frames}")
    lines.append(report["traceback_str"].rstrip())
    return "\n".join(lines)


def _traceback_text(exc: BaseException) -> str:
    """The traceback of `exc` with what it chains to, without raylite's frames around the user's."""
    import traceback

    try:
        user_tb, frame_count = _user_frames(exc)
        formatter = traceback.TracebackException(type(exc), exc, user_tb)
        del formatter.stack[frame_count:]
        text = "".join(formatter.format())
    except Exception as error:  # source files of odd encodings, __str__ and __cause__ of the user's making
        text = f"{type(exc).__qualname__} (its traceback could not be formatted: {short_repr(error)})"
    return cut(text, MAX_TEXT_CHARS)


def _frames_text(exc: BaseException) -> str:
    """The user's stack frames that `exc` came through, as text."""
    import traceback

    user_tb, frame_count = _user_frames(exc)
    try:
        text = "".join(traceback.StackSummary.extract(traceback.walk_tb(user_tb), limit=frame_count).format())
    except Exception:
        return ""
    return cut(text.rstrip(), MAX_TEXT_CHARS // MAX_HOPS)


def _user_frames(exc: BaseException) -> tuple[TracebackType | None, int]:
    """Where in the traceback the user's frames begin, and how many frames there are up to where they end.

    Frames of raylite are cut at the beginning (the worker's loop) and, of raylite's own errors, at the end.
    """
    frames = []
    tb = exc.__traceback__
    while tb is not None:
        name = tb.tb_frame.f_globals.get("__name__", "")
        frames.append((tb, isinstance(name, str) and (name == "raylite" or name.startswith("raylite."))))
        tb = tb.tb_next
    users = [i for i, (_, is_ours) in enumerate(frames) if not is_ours]
    if not users:
        return exc.__traceback__, len(frames)
    end = users[-1] + 1 if isinstance(exc, RayError) else len(frames)
    return frames[users[0]][0], end - users[0]
