"""The errors a program can catch: Ray's exception tree.

Most are what their names say. `RayTaskError` is the one that holds what a task raised; two rules:

- What `get` raises is a RayTaskError and of the user's own type, with the user's attributes.
- An error that passes through other tasks keeps its shape: one cause, one traceback, and the list of the tasks
  that it passed through (`hops`).

Ray's classes, bases and arguments are kept; arguments after Ray's own are raylite's. How a task's exception becomes
a RayTaskError is in task_failure.
"""

from __future__ import annotations

from raylite.exception_state import EXCEPTION_GROUP, blank, portable, rebuild, restore, short_repr, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MAX_HOPS = 8  # tasks listed by name; the middle of a longer list is counted
MAX_STDERR_LINES = 20
_MAX_DUAL_CLASSES = 512
_ARGS: Any = BaseException.args


class RayError(Exception):
    """The base of every error that comes from raylite."""

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), *state(self))


class CrossLanguageError(RayError):
    """An error raised in another language (kept for its name: raylite runs Python only)."""


class TaskCancelledError(RayError):
    """The task was cancelled, or raised KeyboardInterrupt, which is what cancelling raises in it.

    Args:
        task_id: id of the cancelled task, if known.
        error_message: more about why.
    """

    def __init__(self, task_id: object = None, error_message: str | None = None) -> None:
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        text = f"Task: {self.task_id} was cancelled." if self.task_id else "This task or its dependency was cancelled."
        return f"{text} {self.error_message}" if self.error_message else text


class RayTaskError(RayError):
    """A task raised an exception. `str` of it shows the remote traceback, once.

    The error that `get` raises is also an instance of the type of `cause`, and carries its attributes; where a name
    below is also an attribute of the user's exception, the user's wins, `cause` excepted.

    Args:
        function_name: qualified name of the function that raised.
        traceback_str: the formatted remote traceback.
        cause: the exception that the function raised.
        proctitle: title of the worker process.
        pid: process id of the worker.
        ip: address of the worker's node, where there is more than one node.
        actor_repr: repr of the actor, for an actor's method.
        actor_id: id of the actor, for an actor's method.
        task_name: the `name` option of the task; the function's name where it has none.
        attempt: which attempt failed, counted from 0.
        hops: tasks that the error passed through, nearest first: tuples of name, pid (or None) and where
            the task was waiting for the failed one (text of its stack frames, or "").
        hops_left_out: number of hops left out of the middle of `hops`.
        remark: a sentence on what of `cause` could not travel.
    """

    function_name: str
    traceback_str: str
    proctitle: str
    pid: int | None
    ip: str | None
    actor_repr: str | None
    actor_id: str | None
    task_name: str
    attempt: int
    hops: tuple[tuple[str, int | None, str], ...]
    hops_left_out: int
    remark: str
    _raylite_report: dict[str, Any]

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
        *,
        task_name: str | None = None,
        attempt: int = 0,
        hops: Sequence[tuple[str, int | None, str]] = (),
        hops_left_out: int = 0,
        remark: str = "",
    ) -> None:
        report = {
            "function_name": function_name,
            "traceback_str": traceback_str,
            "proctitle": proctitle or f"raylite::{task_name or function_name}",
            "pid": pid,
            "ip": ip,
            "actor_repr": actor_repr,
            "actor_id": actor_id,
            "task_name": task_name or function_name,
            "attempt": attempt,
            "hops": tuple(hops),
            "hops_left_out": hops_left_out,
            "remark": remark,
        }
        self._fill(report, cause)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A dual class is no business of the user's own __init_subclass__ (registries, required class arguments).
        if "_raylite_dual" not in cls.__dict__:
            super().__init_subclass__(**kwargs)

    def _fill(self, report: dict[str, Any], cause: BaseException) -> None:
        self.__dict__.update(report, _raylite_report=report, _raylite_cause=cause, _raylite_cause_bytes=None)
        _ARGS.__set__(self, (report["function_name"], report["traceback_str"], cause))

    @property
    def cause(self) -> BaseException:
        """The exception that the task raised."""
        return self.__dict__["_raylite_cause"]

    def as_instanceof_cause(self) -> RayTaskError:
        """Return what `get` raises: an error that is both a RayTaskError and of the type of `cause`.

        Where that type cannot be subclassed the answer is this error, and says so.
        """
        if type(self.cause) in type(self).__mro__:
            return self
        try:
            return self.make_dual_exception_instance()
        except Exception as error:
            name = type(self.cause).__qualname__
            remark = f"{name} cannot be subclassed ({error}), so this is a RayTaskError only; `cause` is the original."
            return self._with(remark=remark)

    def make_dual_exception_instance(self) -> RayTaskError:
        """Return a new error that is both a RayTaskError and of the type of `cause`.

        Raises:
            TypeError: that type cannot be subclassed.
        """
        cause = self.cause
        args, attributes, members = state(cause)
        attributes.pop("__notes__", None)  # the traceback's text ends with them already
        dual = blank(_dual_class(type(cause)), args if isinstance(cause, EXCEPTION_GROUP) else ())
        RayTaskError._fill(dual, self._raylite_report, cause)
        restore(dual, args, attributes, members)
        return dual

    def through(self, function_name: str, pid: int | None = None, frames: str = "") -> RayTaskError:
        """Return this error as it reached a task that depends on the failed one.

        Args:
            function_name: name of the dependent task.
            pid: the process that it ran in, if it ran.
            frames: where it was waiting, as text, if it ran.
        """
        hops = (*self._raylite_report["hops"], (function_name, pid, frames))
        left_out = self._raylite_report["hops_left_out"]
        if len(hops) > MAX_HOPS:
            middle = MAX_HOPS // 2
            hops = hops[:middle] + hops[middle + 1 :]
            left_out += 1
        return RayTaskError._with(self, hops=hops, hops_left_out=left_out)

    def _with(self, cause: BaseException | None = None, **changes: Any) -> RayTaskError:
        """A plain copy with another cause or other fields."""
        copy: RayTaskError = blank(RayTaskError)
        copy._fill({**self._raylite_report, **changes}, self.cause if cause is None else cause)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        is_dual = type(self) is not RayTaskError
        data = self.__dict__["_raylite_cause_bytes"]
        cause = None if data is not None else portable(self.cause)
        return _load_task_error, (self._raylite_report, cause, data, is_dual)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._raylite_report['task_name']!r}, {short_repr(self.cause)})"

    def __str__(self) -> str:
        from raylite.task_failure import describe

        return describe(self._raylite_report)


class LocalRayletDiedError(RayError):
    """The node that the task was on died."""

    def __str__(self) -> str:
        return super().__str__() or "The node process that the task ran under died."


class WorkerCrashedError(RayError):
    """The worker process died while it ran the task, on the last attempt that was allowed.

    Args:
        message: takes the place of the message built from the fields below.
        function_name: name of the task that was running.
        pid: process id of the dead worker.
        attempt: which attempt this was, counted from 0.
        max_retries: retries that were allowed; -1 is no limit.
        exit_code: how the process exited, if it did.
        signal: number of the signal that killed it, if one did.
        stderr: last lines that it wrote to stderr: a string or a sequence of strings.
        stack: lines of the Python stack that it left there, if a signal such as SIGSEGV ended it.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        function_name: str | None = None,
        pid: int | None = None,
        attempt: int | None = None,
        max_retries: int | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
        stderr: str | Sequence[str] = (),
        stack: Sequence[str] = (),
    ) -> None:
        super().__init__(*(() if message is None else (message,)))
        self.function_name = function_name
        self.pid = pid
        self.attempt = attempt
        self.max_retries = max_retries
        self.exit_code = exit_code
        self.signal = signal
        lines = stderr.splitlines() if isinstance(stderr, str) else stderr
        self.stderr = tuple(str(line).rstrip("\n") for line in lines)[-MAX_STDERR_LINES:]
        self.stack = tuple(stack)

    def __str__(self) -> str:
        if self.args:
            return str(self.args[0])
        doing = f"running {self.function_name}()" if self.function_name else "running this task"
        process = f"The worker (pid {self.pid})" if self.pid else "The worker"
        attempt = "" if self.attempt is None else which_attempt(self.attempt, self.max_retries)
        text = f"{process} died while {doing}: {self._manner()}{attempt}."
        if self.stack:
            text += "\nIts Python stack:\n" + "\n".join(f"  {line}" for line in self.stack)
        if self.stderr:
            text += "\nThe last it wrote to stderr:\n" + "\n".join(f"  {line}" for line in self.stderr)
        return text

    def _manner(self) -> str:
        if self.signal is not None:
            hint = ": killed by someone, or by the kernel for want of memory" if self.signal == 9 else ""
            return f"signal {self.signal} ({signal_name(self.signal)}{hint})"
        if self.exit_code is not None:
            hint = " (did the task call sys.exit or os._exit?)" if self.exit_code == 0 else ""
            return f"exit code {self.exit_code}{hint}"
        return "it is not known how"


class RayActorError(RayError):
    """The actor died or cannot be reached, so the call has no result.

    Args:
        actor_id: hex id of the actor.
        error_msg: the whole message.
        actor_init_failed: whether it died in its `__init__`.
        preempted: whether it died because its node was taken away.
    """

    BASE_ERROR_MSG = "The actor experienced an error before finishing this task."

    def __init__(
        self,
        actor_id: str | None = None,
        error_msg: str = BASE_ERROR_MSG,
        actor_init_failed: bool = False,
        preempted: bool = False,
    ) -> None:
        self.actor_id = actor_id
        self.error_msg = error_msg
        self._actor_init_failed = actor_init_failed
        self._preempted = preempted

    def __str__(self) -> str:
        return self.error_msg

    @property
    def preempted(self) -> bool:
        """Whether the actor died because its node was taken away."""
        return self._preempted

    @property
    def actor_init_failed(self) -> bool:
        """Whether the actor died in its `__init__`."""
        return self._actor_init_failed


class ActorDiedError(RayActorError):
    """The actor is dead: it died during the call, or before.

    Args:
        cause: the RayTaskError of its `__init__`, or a sentence on how it died, or None.
        actor_id: hex id of the actor.
        fields: more that is known, by name (class_name, pid, name, namespace, node); None is not known.
    """

    BASE_ERROR_MSG = "The actor died unexpectedly before finishing this task."

    def __init__(
        self,
        cause: RayTaskError | str | None = None,
        *,
        actor_id: str | None = None,
        preempted: bool = False,
        **fields: object,
    ) -> None:
        if isinstance(cause, RayTaskError):
            message = f"The actor died because of an error raised in its creation task, {cause}"
            actor_id = actor_id or cause._raylite_report["actor_id"]
        else:
            known = [("actor_id", actor_id), *fields.items()]
            lines = [f"\t{name}: {value}" for name, value in known if value is not None]
            message = "\n".join([self.BASE_ERROR_MSG, *lines, *([str(cause)] if cause else [])])
        super().__init__(actor_id, message, isinstance(cause, RayTaskError), preempted)

    @classmethod
    def of_init(cls, text: str, actor_id: str) -> ActorDiedError:
        """Return the error of an actor whose `__init__` raised what `text` shows."""
        error = cls(actor_id=actor_id)
        error.error_msg = f"The actor died because of an error raised in its creation task, {text}"
        error._actor_init_failed = True
        return error

    @staticmethod
    def from_task_error(task_error: RayTaskError) -> ActorDiedError:
        """Return the error of an actor whose `__init__` raised `task_error`."""
        return ActorDiedError(task_error)


class ActorUnavailableError(RayActorError):
    """The actor cannot be reached now; it may be later. The call may or may not have run."""

    def __init__(self, error_message: str, actor_id: bytes | str | None = None) -> None:
        hex_id = actor_id.hex() if isinstance(actor_id, bytes) else actor_id
        text = f"The actor {hex_id} is unavailable: {error_message}. The task may or may not have been executed."
        super().__init__(hex_id, text)


class RaySystemError(RayError):
    """Something in raylite itself failed.

    Args:
        client_exc: what failed: an exception or a sentence.
        traceback_str: text of a traceback that belongs to it.
    """

    def __init__(self, client_exc: object, traceback_str: str | None = None) -> None:
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class AuthenticationError(RayError):
    """The token of the cluster is missing or wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UserCodeException(RayError):
    """User code failed; libraries wrap what it raised in this."""


class ObjectStoreFullError(RayError):
    """The object store is full of objects that are still in use, and none can be spilled."""

    def __str__(self) -> str:
        return f"{super().__str__()}\nThe object store is full of objects that are still in scope.".lstrip()


class OutOfDiskError(RayError):
    """The object store is full, and so is the disk that it spills to."""

    def __str__(self) -> str:
        return f"{super().__str__()}\nThe object store is full, and so is the disk that it spills to.".lstrip()


class OutOfMemoryError(RayError):
    """The node ran short of memory and the task was ended to free some."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class NodeDiedError(RayError):
    """The node died or cannot be reached."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class ObjectLostError(RayError):
    """All copies of an object are gone, and it cannot be made again.

    Args:
        object_ref_hex: hex id of the object.
        owner_address: kept for Ray's sake; here no object dies with an owner.
        call_site: where the reference was made, if recorded.
        explanation: a sentence on which task made it and why that cannot run again.
    """

    _WHAT = "All copies of it are lost."

    def __init__(
        self, object_ref_hex: str, owner_address: bytes | None = None, call_site: str = "", *, explanation: str = ""
    ) -> None:
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site
        self.explanation = explanation

    def __str__(self) -> str:
        made_at = f" (its reference was made at {self.call_site})" if self.call_site else ""
        text = f"Failed to retrieve object {self.object_ref_hex}{made_at}. {self._WHAT}"
        return f"{text} {self.explanation}" if self.explanation else text


class ObjectFetchTimedOutError(ObjectLostError):
    """A copy of the object was to be fetched from another node, and did not come in time."""

    _WHAT = "Fetching it timed out."


class RpcError(RayError):
    """A message between processes failed."""

    def __init__(self, message: str = "", rpc_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.rpc_code = rpc_code

    def __str__(self) -> str:
        return self.message


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was deleted while references to it were left: a fault in raylite."""

    _WHAT = "It was deleted though there are references to it: a fault in raylite, please report it."


class ObjectFreedError(ObjectLostError):
    """The program freed the object itself."""

    _WHAT = "The program has freed it."


class OwnerDiedError(ObjectLostError):
    """The process that the object belonged to died."""

    _WHAT = "The process that it belonged to has died."


class ObjectReconstructionFailedError(ObjectLostError):
    """The object is lost and the task that made it cannot run again.

    Args:
        object_ref_hex: hex id of the object.
        reason: a short name for why.
        reason_message: a sentence on why.
        owner_address, call_site: as for ObjectLostError.
    """

    _WHAT = "All copies of it are lost and it cannot be made again."

    def __init__(
        self,
        object_ref_hex: str,
        reason: str | None = None,
        reason_message: str | None = None,
        owner_address: bytes | None = None,
        call_site: str = "",
    ) -> None:
        super().__init__(object_ref_hex, owner_address, call_site, explanation=reason_message or reason or "")
        self.reason = reason
        self.reason_message = reason_message


class GetTimeoutError(RayError, TimeoutError):
    """`get` did not have all its objects within its timeout."""


class PlasmaObjectNotAvailable(RayError):
    """An object was not in the object store within a timeout."""


class AsyncioActorExit(RayError):
    """Ends an asyncio actor from within: what `exit_actor` raises."""


class RuntimeEnvSetupError(RayError):
    """The runtime environment of a task or actor could not be made."""

    def __init__(self, error_message: str | None = None) -> None:
        self.error_message = error_message

    def __str__(self) -> str:
        text = "Failed to set up runtime environment."
        return f"{text}\n{self.error_message}" if self.error_message else text


class TaskPlacementGroupRemoved(RayError):
    """The placement group of the task was removed."""

    def __str__(self) -> str:
        return "The placement group corresponding to this task has been removed."


class ActorPlacementGroupRemoved(RayError):
    """The placement group of the actor was removed."""

    def __str__(self) -> str:
        return "The placement group corresponding to this Actor has been removed."


class PendingCallsLimitExceeded(RayError):
    """The actor has `max_pending_calls` calls waiting already."""


class TaskUnschedulableError(RayError):
    """The task can never be placed, say because the node that it must run on is gone."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The task is not schedulable: {self.error_message}"


class ActorUnschedulableError(RayError):
    """The actor can never be placed."""

    def __init__(self, error_message: str) -> None:
        self.error_message = error_message

    def __str__(self) -> str:
        return f"The actor is not schedulable: {self.error_message}"


class ObjectRefStreamEndOfStreamError(RayError):
    """The streaming generator has no more references."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A streaming generator that ran again gave another number of objects than the first time."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference was pickled outside of raylite where that is forbidden (the name is spelled as in Ray)."""


class RayChannelError(RaySystemError):
    """A channel between processes failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel between processes timed out."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A channel's buffer is full."""


class RayDirectTransportError(RaySystemError):
    """A direct transfer between processes failed."""


class UnserializableException(RayError):
    """The exception that a task raised could not be loaded here; what is known of it is the text."""

    def __init__(self, original_stack_trace: str) -> None:
        self._original_stack_trace = original_stack_trace

    def __str__(self) -> str:
        return f"Failed to deserialize exception. Original exception:\n{self._original_stack_trace}"


class ActorAlreadyExistsError(ValueError, RayError):
    """An actor of that name exists."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message


class ActorHandleNotFoundError(ValueError, RayError):
    """The actor of this handle is not known here, say because the handle is from before a `shutdown`."""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message


RAY_EXCEPTION_TYPES = [cls for cls in list(globals().values()) if isinstance(cls, type) and issubclass(cls, RayError)]


def _load_task_error(report: dict[str, Any], cause: Any, cause_bytes: bytes | None, is_dual: bool) -> RayTaskError:
    """What a pickled RayTaskError is loaded by. It cannot fail for anything in the cause."""
    if cause_bytes is not None:
        try:
            from pickle import loads

            cause = loads(cause_bytes)
            if not isinstance(cause, BaseException):
                raise TypeError(f"it is a {type(cause).__name__}")
        except Exception as reason:
            cause = UnserializableException(report["traceback_str"])
            remark = f"The exception could not be loaded here: {type(reason).__name__}: {reason}"
            report = {**report, "remark": remark}
    error: RayTaskError = blank(RayTaskError)
    error._fill(report, cause)
    return error.as_instanceof_cause() if is_dual else error


_dual_classes: dict[type, type[RayTaskError]] = {}


def _dual_class(cause_class: Any) -> type[RayTaskError]:
    """The class that is both RayTaskError and `cause_class`. One is made for each class, and kept."""
    dual = _dual_classes.get(cause_class)
    if dual is None:
        # A class statement, and not type(): it finds the metaclass of both.
        class made(RayTaskError, cause_class):  # type: ignore[misc]
            _raylite_dual = True

        dual = made
        dual.__name__ = dual.__qualname__ = f"RayTaskError({cause_class.__name__})"
        if len(_dual_classes) >= _MAX_DUAL_CLASSES:  # a program that makes exception classes without end
            _dual_classes.clear()
        _dual_classes[cause_class] = dual
    return dual


def which_attempt(attempt: int, max_retries: int | None) -> str:
    """Return ", on attempt 2 of 4" for attempt 1 (they count from 0) where 3 retries are allowed."""
    of_how_many = f" of {max_retries + 1}" if max_retries is not None and max_retries >= attempt else ""
    return f", on attempt {attempt + 1}{of_how_many}"


def signal_name(number: int) -> str:
    """Return the name of a signal by its number, or "unknown"."""
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return "unknown"
