"""System errors, which the core writes as a code and a text, as the exceptions that `get` raises."""

from __future__ import annotations

from raylite import exceptions

FATAL, EXTENSIONS = "Fatal Python error: ", "Extension modules: "  # faulthandler's first and last line
OUR_FRAMES = ("/raylite/runtime/", ' File "<string>"')

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORKER_CRASHED, OBJECT_LOST, TASK_CANCELLED, STORE_FULL, SPAWN_FAILED = 1, 2, 3, 4, 5
ACTOR_DIED, ACTOR_UNAVAILABLE, ACTOR_INIT = 6, 7, 8
TOO_MANY_PENDING, NAME_TAKEN = 2, 3  # why a submission was refused
UNGROUPED, UNSCHEDULABLE, ACTOR_UNGROUPED, ACTOR_UNSCHEDULABLE = 20, 21, 22, 23
OUT_OF_MEMORY, NOT_REMADE = 24, 25
OUT_OF_DISK = 26


def system_error(payload: bytes, task_id: str) -> exceptions.RayError:
    """The exception for an envelope of kind system error.

    Args: payload: 32-bit code and text; task_id: hexadecimal id of the task whose result it is.
    """
    code = int.from_bytes(payload[:4], "little")
    text = payload[4:].decode("utf-8", "replace")
    if code == WORKER_CRASHED:
        return worker_crashed(text)
    if code == TASK_CANCELLED:
        return exceptions.TaskCancelledError(task_id)
    if code in (STORE_FULL, OUT_OF_DISK):
        full = exceptions.ObjectStoreFullError if code == STORE_FULL else exceptions.OutOfDiskError
        return full(f"there is no room to bring the value back from disk: {text}" if text else "")
    if code == OUT_OF_MEMORY:
        return out_of_memory(text)
    if code == NOT_REMADE:
        return not_remade(text, task_id)
    if code == OBJECT_LOST:
        return exceptions.ObjectLostError(task_id, explanation=text)
    if code in (ACTOR_DIED, ACTOR_UNAVAILABLE, ACTOR_INIT):
        return actor_error(code, text)
    if code in (UNGROUPED, ACTOR_UNGROUPED):
        return exceptions.TaskPlacementGroupRemoved() if code == UNGROUPED else exceptions.ActorPlacementGroupRemoved()
    if code in (UNSCHEDULABLE, ACTOR_UNSCHEDULABLE):
        kind = exceptions.TaskUnschedulableError if code == UNSCHEDULABLE else exceptions.ActorUnschedulableError
        return kind(
            "The node specified via NodeAffinitySchedulingStrategy doesn't exist any more or is infeasible, and "
            f"soft=False was specified. name={text}"
        )
    return exceptions.RaySystemError(text)


def no_room(size_bytes: int, used_bytes: int, viewers: str, no_disk: bool) -> exceptions.RayError:
    """The exception for a value that the object store cannot take. Args: viewers: who fills it, as the node says."""
    what = f"a value of {size_bytes:,} bytes does not fit into the object store, of which {used_bytes:,} are in use"
    if viewers:
        what += f" ({viewers})"
    if no_disk:
        return exceptions.OutOfDiskError(f"{what}; free references, or give init a spill_dir that has more room")
    return exceptions.ObjectStoreFullError(f"{what}; free references, or pass a larger object_store_memory to init")


def actor_error(code: int, text: str) -> exceptions.RayActorError:
    """Fields are separated by 0x1f: class, actor id, full name, process id, why."""
    class_name, actor_id, full_name, pid, why = text.split("\x1f", 4)
    namespace, _, name = full_name.partition("\n")
    if code == ACTOR_INIT:
        return exceptions.ActorDiedError.of_init(why, actor_id)
    how, *stderr = why.split("\x1f")
    lines, stack = last_words("\x1f".join(stderr))
    kind, _, number = how.rpartition(" ")
    if kind == "signal":
        how = f"signal {number} ({exceptions.signal_name(int(number))})"
    if stack:
        how = "\n".join([how, "Its Python stack:", *(f"  {line}" for line in stack)])
    if any(lines):
        how = "\n".join([how, "The last lines of its standard error:", *(f"  {line}" for line in lines)])
    if code == ACTOR_UNAVAILABLE:
        return exceptions.ActorUnavailableError(f"its process ended ({how}), and it is being restarted", actor_id)
    if how.startswith(("signal ", "exit code ")):
        how = f"Its process ended: {how}"
    fields: dict[str, Any] = {"class_name": class_name, "pid": pid if pid != "0" else None}
    if name:
        fields.update(name=name, namespace=namespace)
    return exceptions.ActorDiedError(how, actor_id=actor_id, **fields)


def submission_refused(answer: int) -> Exception:
    """The exception for a submission that the node did not accept (SUBMIT_* of message.pxd)."""
    if answer == TOO_MANY_PENDING:
        return exceptions.PendingCallsLimitExceeded(
            "The actor has as many calls pending as its max_pending_calls allows. Wait for some of them, or give it "
            "a higher limit."
        )
    return exceptions.ActorAlreadyExistsError(
        "Actor with this name already exists in the namespace. Give another name or namespace, or use "
        "get_if_exists=True."
    )


def worker_crashed(text: str) -> exceptions.WorkerCrashedError:
    """Fields are separated by 0x1f: function, attempt, retries allowed, process, how it ended, its standard error."""
    function_name, attempt, max_retries, pid, how, *stderr = text.split("\x1f")
    kind, _, number = how.rpartition(" ")
    known = {"signal": "signal", "exit code": "exit_code"}.get(kind)
    fields: dict[str, Any] = {known: int(number)} if known else {}
    lines, stack = last_words("\x1f".join(stderr))
    return exceptions.WorkerCrashedError(
        function_name=function_name,
        pid=int(pid) or None,
        attempt=int(attempt),
        max_retries=int(max_retries),
        stderr=lines,
        stack=stack,
        **fields,
    )


def out_of_memory(text: str) -> exceptions.OutOfMemoryError:
    """Fields are separated by 0x1f: function, attempt, retries allowed, process id, why it was killed, with sizes."""
    function_name, attempt, max_retries, pid, why = text.split("\x1f", 4)
    which = exceptions.which_attempt(int(attempt), int(max_retries))
    return exceptions.OutOfMemoryError(
        f"{function_name}() (pid {pid}) was killed to free memory{which}: {why}. To run fewer such tasks at once, give "
        "them the option memory or more num_cpus; the limit is memory_usage_threshold of init."
    )


def not_remade(text: str, task_id: str) -> exceptions.ObjectReconstructionFailedError:
    """Fields are separated by 0x1f: the function of the task that made it, if that is known, and why it cannot run."""
    function_name, why = text.split("\x1f", 1)
    made_by = f"It comes from {function_name}(): " if function_name else ""
    return exceptions.ObjectReconstructionFailedError(task_id, reason_message=f"{made_by}{why}.")


def last_words(output: str) -> tuple[list[str], list[str]]:
    """The last lines of a worker's standard error; and, apart from them, the stack that a fatal signal left there."""
    before, fatal, dump = output.rpartition(FATAL)
    if not fatal:
        return without_marks(output), []
    dump, _, after = dump.partition(EXTENSIONS)
    stack = [line for line in (fatal + dump).split("\n") if line]
    lines = without_marks(before) + (without_marks(after)[1:] if after else [])
    n_users = len(stack)
    while n_users and any(frame in stack[n_users - 1] for frame in OUR_FRAMES):
        n_users -= 1
    in_users_code = any("  File " in line for line in stack[:n_users])
    return lines, stack[:n_users] if in_users_code else stack


def without_marks(output: str) -> list[str]:
    """The lines of a worker's output, without its notes on who wrote them (runtime.output_marks)."""
    lines = []
    for line in output.removesuffix("\n").split("\n"):
        text, mark, _ = line.partition("\x1e")
        if text or not mark:
            lines.append(text)
    return lines
