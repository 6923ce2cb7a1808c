"""What the virtual world consists of: tasks, actors, requests, and the processes that clients are; names of objects.

The name of an object says what it is: "t1" is a task and its first return, "t1.1" its second return or first item,
"t1!1" what it put first, "t1@" the actor that it makes.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from tests.core import protocol as p

FUNCTION = p.function_id("f()")
LOST, CRASHED, CANCELLED = "lost!", "crashed!", "cancelled!"
DIED, UNAVAILABLE, INIT_FAILED = "died!", "unavailable!", "init failed!"
ERROR_NAMES = {p.ERROR_OBJECT_LOST: LOST, p.ERROR_NOT_REMADE: LOST, p.ERROR_WORKER_CRASHED: CRASHED, p.ERROR_TASK_CANCELLED: CANCELLED,
               p.ERROR_ACTOR_DIED: DIED, p.ERROR_ACTOR_UNAVAILABLE: UNAVAILABLE, p.ERROR_ACTOR_INIT: INIT_FAILED}  # fmt: skip


@dataclass
class Actor:
    """What an actor was made with, and what befell it."""

    max_restarts: int
    groups: tuple[int, ...]
    flags: int
    n_crashes: int = 0  # of its process, once `__init__` had begun
    killed: bool = False
    left: bool = False
    init_failed: bool = False

    def is_used_up(self) -> bool:
        """Whether it has no restart left."""
        return 0 <= self.max_restarts <= self.n_crashes

    def may_have_died(self) -> bool:
        return self.killed or self.left or 0 <= self.max_restarts < self.n_crashes


@dataclass
class Task:
    """What a task was submitted with, what its function does, and what befell it."""

    name: str
    parent: str
    refs: tuple[str, ...]
    nested: tuple[str, ...]
    n_returns: int
    n_items: int  # of a stream
    needs: dict[str, float]
    max_retries: int
    n_failures: int  # attempts that raise, of one that retries; of another, whether it raises
    retries_exceptions: bool
    in_arena: bool  # its results
    makes: Actor | None = None
    actor: str = ""  # of a call: a handle, as in "t1@"
    group: int = 0
    number: int = -1  # of a call: in the order of all submissions
    n_crashes: int = 0
    cancelled: bool = False

    @property
    def is_stream(self) -> bool:
        return self.n_returns == p.STREAMING

    def raises(self, attempt: int) -> bool:
        return attempt < self.n_failures if self.retries_exceptions else self.n_failures > 0

    def results(self) -> list[str]:
        """The references that who submits it gets."""
        if self.makes is not None:
            return [f"{self.name}@"]
        return [self.name, *(f"{self.name}.{i}" for i in range(1, self.n_returns))][
            : 1 if self.is_stream else self.n_returns
        ]

    def submission(self) -> bytes:
        args = p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=[object_of(name) for name in self.nested])
        flags, more = p.SUBMIT_RETRY_EXCEPTIONS if self.retries_exceptions else 0, b""
        if self.makes is not None:
            flags |= p.SUBMIT_ACTOR
            more = p.actor(max_restarts=self.makes.max_restarts, flags=self.makes.flags, groups=self.makes.groups,
                           handle=p.envelope(f"{self.name}@".encode()))  # fmt: skip
        elif self.actor:
            flags |= p.SUBMIT_CALL
            more = p.call(task_of(creator_of(self.actor)), group=self.group)
        return p.submit(
            FUNCTION, parent=task_of(self.parent), digest=hash_of(self.name), n_returns=self.n_returns,
            max_retries=self.max_retries, flags=flags, refs=[object_of(name) for name in self.refs],
            demand=p.demand(self.needs), args=args, more=more,
        )  # fmt: skip


@dataclass
class Call:
    """A request that a client has open."""

    kind: int
    names: tuple[str, ...]
    count: int = 0  # of a wait
    missing: set[int] = field(default_factory=set)
    answered: bool = False
    in_place: list = field(default_factory=list)  # runs that came for it


@dataclass
class Client:
    id: int
    held: Counter = field(default_factory=Counter)  # references by name
    pins: Counter = field(default_factory=Counter)
    calls: dict[int, Call] = field(default_factory=dict)
    streams: dict[str, int] = field(default_factory=dict)  # being read: the next item
    n_requests: int = 0

    def asks_for(self, name: str) -> bool:
        return any(name in call.names for call in self.calls.values())

    def asks_for_item(self, stream: str) -> bool:
        return any(call.kind == p.EV_NEXT and creator_of(call.names[0]) == stream for call in self.calls.values())


@dataclass
class Frame:
    """A task as a worker runs it."""

    task: Task
    attempt: int
    position: int
    references: list[str] = field(default_factory=list)  # that it holds, until it ends
    pinned: list[str] = field(default_factory=list)
    n_submitted: int = 0
    n_put: int = 0
    n_given: int = 0
    call: int = 0  # number of the request in which it waits

    @property
    def n_left(self) -> int:
        """Items that it has to give yet."""
        return self.task.n_items - self.n_given


@dataclass
class Worker(Client):
    """Of an actor's process, `stack` are the calls that run, in no order: the last one is what it turns to now."""

    inbox: deque = field(default_factory=deque)  # written by the node, not read yet
    outbox: deque = field(default_factory=deque)  # written, not read by the node yet
    runs: deque = field(default_factory=deque)
    stack: list[Frame] = field(default_factory=list)
    functions: set[bytes] = field(default_factory=set)
    interrupts: set[tuple[bytes, int]] = field(default_factory=set)
    attached: bool = False
    last_position: int = 0  # sent to it
    started: int = 0
    recall: range = range(0)
    stopping: bool = False
    doomed: bool = False
    creation: Frame | None = None  # of the actor that it is, or becomes
    made: bool = False

    @property
    def actor(self) -> Actor | None:
        return None if self.creation is None else self.creation.task.makes

    def is_full(self, group: int) -> bool:
        """Whether as many calls of this group run as may."""
        return sum(frame.task.group == group for frame in self.stack) >= self.actor.groups[group]

    def next_run(self) -> int | None:
        """Which of `runs` can begin."""
        if not self.made:
            return 0 if self.runs and not self.stack else None
        for i, run in enumerate(self.runs):
            if not self.is_full(run["aux"]):
                return i
            if self.is_serial:
                return None
        return None

    @property
    def is_serial(self) -> bool:
        """Whether it takes a message from its ring only when its turn has come."""
        return not self.made or self.actor.groups == (1,)


def task_of(name: str) -> bytes:
    return p.ROOT if name == "root" else p.named_task(name)


def object_of(name: str) -> bytes:
    if "!" in name:
        task, index = name.split("!")
        return p.object_id(task_of(task), p.PUT_INDEX | int(index))
    if name.endswith("@"):
        return p.object_id(task_of(name[:-1]), p.ACTOR_INDEX)
    task, _, index = name.partition(".")
    return p.object_id(task_of(task), int(index or 0))


def creator_of(name: str) -> str:
    return name.split("!")[0].split(".")[0].rstrip("@")


def hash_of(text: str) -> int:
    return int.from_bytes(p.content_hash(text.encode())[:8], "little")


def tells_of(command: dict, object: bytes) -> bool:
    """Whether a command says where this object lies."""
    if command["kind"] == p.CMD_RUN:
        return any(object in value.refs for value in p.read_run(command["payload"]).values)
    return command["kind"] == p.CMD_VALUE and command["object"] == object
