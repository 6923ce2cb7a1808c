"""A host for one node, as tests see it: events go in by name, commands come out as short sentences.

    host.submit("b", refs=["a"])   ->   ["spawn 2", "run b on 2"]

Tasks, functions and objects have names: "a" is a task and also its first return, "a.1" its second (or, of a stream, its
first item), "a!1" what it put first, "f()" a function, "A@" the object of the actor that task "A" makes, "A#1" the
first checkpoint of that. The driver is client 1. The host knows nothing but what the node
told it: which client and attempt runs a task, where a lease lies.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from raylite._core.node.node import Node
from raylite.util.state.reports import DETAIL, Question, TaskReport
from raylite.util.state.waits import Answer, ask
from tests.core import protocol as p

DRIVER = 1
OTHER = 2  # a second driver, where a test attaches one; workers are then numbered from 3
FUNCTION = "f()"
MS = 1_000_000


class Command(NamedTuple):
    kind: int
    client: int
    flags: int
    request: int
    aux: int
    attempt: int
    object: bytes
    payload: bytes


class Running(NamedTuple):
    client: int
    attempt: int
    position: int


class Record(bytes):
    """A ValueRecord."""


class Host:
    """Args: resources: name to whole units; all else goes to Node."""

    def __init__(self, resources: dict[str, float] | None = None, **options) -> None:
        units = {name: round(amount * p.UNIT) for name, amount in (resources or {"CPU": 1}).items()}
        self.node = Node(units, debug=True, **options)
        self.now_ns = 0
        self.commands: list[Command] = []  # those of the last event
        self.names: dict[bytes, str] = {p.ROOT: "root"}
        self.runs: dict[str, Running] = {}
        self.leases: dict[str, p.Location] = {}
        self.requests = itertools.count(1)
        self.attach(DRIVER, p.CLIENT_DRIVER)
        self.function()

    # ---- names -------------------------------------------------------------------------------------------------

    def task(self, name: str) -> bytes:
        if name == "root":
            return p.ROOT
        self.names[p.named_task(name)] = name
        return p.named_task(name)

    def object(self, name: str) -> bytes:
        if name.endswith("()"):
            self.names[p.function_id(name)[:16]] = name
            return p.function_id(name)
        if name.endswith("@"):
            return p.object_id(self.task(name[:-1]), p.ACTOR_INDEX)
        if "#" in name:
            task, index = name.split("#")
            return p.object_id(self.task(task), p.CHECKPOINT_INDEX | int(index))
        if "!" in name:
            task, index = name.split("!")
            return p.object_id(self.task(task), p.PUT_INDEX | int(index))
        task, _, index = name.partition(".")
        return p.object_id(self.task(task), int(index or 0))

    def objects(self, names) -> list[bytes]:
        return [self.object(name) for name in names]

    def name(self, object: bytes) -> str:
        task, index = self.names[object[:16]], int.from_bytes(object[16:], "little")
        if index == p.FUNCTION_INDEX:
            return task
        if index == p.ACTOR_INDEX:
            return f"{task}@"
        if index & p.CHECKPOINT_INDEX == p.CHECKPOINT_INDEX:
            return f"{task}#{index & ~p.CHECKPOINT_INDEX}"
        if index & p.PUT_INDEX:
            return f"{task}!{index & ~p.PUT_INDEX}"
        return f"{task}.{index}" if index else task

    # ---- events ------------------------------------------------------------------------------------------------

    def send(self, kind: int, client: int = 0, **fields) -> list[str]:
        """An event; what it led to."""
        out = self.node.handle(self.now_ns, kind, client, **fields)
        self.commands = [Command(*(each[field] for field in Command._fields)) for each in out]
        return [self.describe(command) for command in self.commands]

    def attach(self, client: int, flags: int = p.CLIENT_WORKER, process: int = 0) -> list[str]:
        return self.send(p.EV_ATTACH, client, flags=flags, request=process)

    def detach(self, client: int, started: int = 0, why: str = "signal 9") -> list[str]:
        return self.send(p.EV_DETACH, client, request=started, payload=why.encode())

    def function(self, name: str = FUNCTION, client: int = DRIVER, refs=()) -> list[str]:
        body = p.envelope(b"body of " + name.encode(), kind=p.KIND_FUNCTION, refs=self.objects(refs))
        return self.send(p.EV_FUNCTION, client, object=self.object(name), payload=p.function_payload(body, name[:-2]))

    def submit(self, task: str, client: int = DRIVER, *, function: str = FUNCTION, parent: str = "root", refs=(),
               nested=(), needs: dict[str, float] | None = None, environment: int = 0, confirm: bool = False,
               group: str = "", bundle: int = p.ANY_BUNDLE, demand_flags: int = 0, labels=(),
               **options) -> list[str]:  # fmt: skip
        """refs: top-level arguments; nested: references inside the argument block; the rest goes to protocol.submit."""
        if nested:
            options["args"] = p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=self.objects(nested))
        demand = p.demand(needs, environment, group=self.task(group) if group else bytes(16), bundle=bundle,
                          flags=demand_flags, labels=labels)  # fmt: skip
        payload = p.submit(self.object(function), parent=self.task(parent), refs=self.objects(refs), demand=demand,
                           **options)  # fmt: skip
        return self.send_submission(task, client, payload, confirm)

    def send_submission(self, task: str, client: int, payload: bytes, confirm: bool) -> list[str]:
        flags = p.SUBMIT_CONFIRM if confirm else 0
        request = next(self.requests) if confirm else 0
        return self.send(p.EV_SUBMIT, client, object=self.object(task), payload=payload, flags=flags, request=request)

    def create(self, actor: str, client: int = DRIVER, *, needs: dict[str, float] | None = None, max_restarts: int = 0,
               max_pending: int = -1, actor_flags: int = 0, groups=(1,), full_name: str = "", handle_refs=(),
               **options) -> list[str]:  # fmt: skip
        """Submit the task that makes an actor, which takes no resources by default; the rest goes to submit()."""
        handle = p.envelope(b"handle of " + actor.encode(), refs=self.objects(handle_refs))
        more = p.actor(max_restarts=max_restarts, max_pending=max_pending, flags=actor_flags, groups=groups,
                       name=full_name.encode(), handle=handle)  # fmt: skip
        return self.submit(actor, client, needs=needs or {}, n_returns=0, more=more, flags=p.SUBMIT_ACTOR, **options)

    def made(self, actor: str) -> list[str]:
        """The actor's `__init__` has returned."""
        return self.finish(actor, count=0)

    def call(
        self,
        task: str,
        actor: str,
        client: int = DRIVER,
        *,
        group: int = 0,
        flags: int = 0,
        max_retries: int = 0,
        **options,
    ) -> list[str]:
        """A call of a method; the rest goes to submit()."""
        more = p.call(self.task(actor), group=group)
        return self.submit(task, client, needs={}, more=more, flags=flags | p.SUBMIT_CALL,
                           max_retries=max_retries, **options)  # fmt: skip

    def leave(self, task: str) -> list[str]:
        """A call ends its actor, by the actor's own wish."""
        return self.finish(task, count=0, flags=p.FINISHED_EXITS)

    def save(self, actor: str, client: int, position: int, value: str | bytes = "state") -> list[str]:
        """The worker of an actor saves it as it is after the message at a position."""
        return self.send(p.EV_CHECKPOINT, client, object=p.object_id(self.task(actor)), request=position,
                         payload=record(value))  # fmt: skip

    def make(self, actor: str, **options) -> Host:
        """Create an actor and its process, whose process id is 1000 more than its number; `__init__` returns."""
        self.create(actor, **options)
        worker = self.runs[actor].client
        self.attach(worker, process=1000 + worker)
        self.made(actor)
        return self

    def kill(self, actor: str, *, no_restart: bool = True, client: int = DRIVER) -> list[str]:
        flags = p.KILL_NO_RESTART if no_restart else 0
        return self.send(p.EV_KILL, client, object=self.object(f"{actor}@"), flags=flags)

    def query(self, what: int, payload: bytes = b"", client: int = DRIVER) -> bytes:
        """The answer to EV_QUERY."""
        request = next(self.requests)
        self.send(p.EV_QUERY, client, object=p.object_id(bytes(16), what), request=request, payload=payload)
        return self.last(p.CMD_READY).payload

    def reports(self) -> Question:
        """The node's rows, as programs ask for them: `.tasks()`, `.actors()`, `.objects()`, `.clients()`."""
        return Question(self, timeout_s=60)  # whose client has to have query()

    def explain(self, name: str = "", *, request: int = 0, client: int = DRIVER, flags: int = 0) -> Answer:
        """Why an object is not there, or what a request waits for."""

        class Asker:
            @staticmethod
            def query(what: int, payload: bytes) -> bytes:
                return self.query(what, payload, client)

        return ask(Asker, self.object(name) if name else bytes(20), request, flags)

    def chain(self, name: str) -> list[str]:
        """The same in short: the things, and the reasons of each."""
        answer = self.explain(name)
        steps = [f"{self.names.get(step.object[:16], '?')} {step.reason}" for step in answer.steps]
        return [*steps, *([f"back to {answer.back_to}"] if answer.back_to >= 0 else ["stuck"] if answer.stuck else [])]

    def past(self, task: str) -> TaskReport:
        """The one row of a task, from the table or the history."""
        [found] = self.reports().tasks(id=self.task(task), flags=DETAIL)
        return found

    def find_actor(self, full_name: str, client: int = DRIVER) -> str | None:
        """The actor of this name, held by the client from now on."""
        found = self.query(p.QUERY_ACTOR, full_name.encode(), client)
        return self.names[found] if found else None

    def actor_names(self) -> str:
        """The full names of all actors."""
        return self.query(p.QUERY_NAMES).decode()

    def finish(self, task: str, *values: str | bytes, runtime_ns: int = 0, flags: int = 0, run: Running | None = None,
               count: int | None = None) -> list[str]:  # fmt: skip
        """values: texts, envelopes, or records from in_arena(); by default the task's name, `count` (1) times."""
        run = run or self.runs[task]
        if not values:
            values = tuple(task if i == 0 else f"{task}.{i}" for i in range(1 if count is None else count))
        payload = p.finished(*(record(value) for value in values), end_ns=runtime_ns)
        return self.send(p.EV_FINISHED, run.client, object=self.object(task), attempt=run.attempt, flags=flags,
                         payload=payload)  # fmt: skip

    def fail(self, task: str, text: str = "error", *, retryable: bool = False) -> list[str]:
        flags = p.FINISHED_USER_ERROR | (p.FINISHED_RETRYABLE if retryable else 0)
        return self.finish(task, p.envelope(text.encode(), kind=p.KIND_USER_ERROR), flags=flags)

    def give(self, item: str, value: str | bytes | None = None, run: Running | None = None) -> list[str]:
        """A generator task yields an item, as in give("a.1")."""
        run = run or self.runs[item.partition(".")[0]]
        payload = record(value if value is not None else item)
        return self.send(p.EV_YIELDED, run.client, object=self.object(item), attempt=run.attempt, payload=payload)

    def get(self, *names: str, client: int = DRIVER, task: str = "root", flags: int = 0, request: int | None = None):
        return self.ask(p.EV_GET, names, client, task, flags, 0, request)

    def wait(self, *names: str, count: int = 1, client: int = DRIVER, task: str = "root", flags: int = 0,
             request: int | None = None) -> list[str]:  # fmt: skip
        return self.ask(p.EV_WAIT, names, client, task, flags, count, request)

    def ask(self, kind: int, names, client: int, task: str, flags: int, aux: int, request: int | None) -> list[str]:
        return self.send(kind, client, object=p.object_id(self.task(task)), flags=flags, aux=aux,
                         request=next(self.requests) if request is None else request,
                         payload=p.on_wire(*self.objects(names)))  # fmt: skip

    def next(self, item: str, client: int = DRIVER, *, flags: int = 0, after_error: bool = False,
             request: int | None = None) -> list[str]:  # fmt: skip
        return self.send(p.EV_NEXT, client, object=self.object(item), flags=flags, aux=int(after_error),
                         request=next(self.requests) if request is None else request)  # fmt: skip

    def forget(self, request: int, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_FORGET, client, request=request)

    def put(self, name: str, value: str | bytes | None = None, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_PUT, client, object=self.object(name), payload=record(name if value is None else value))

    def hold(self, name: str, client: int) -> list[str]:
        return self.send(p.EV_HOLD, client, object=self.object(name))

    def release(self, *names: str, client: int = DRIVER) -> list[str]:
        return [line for name in names for line in self.send(p.EV_RELEASE, client, object=self.object(name))]

    def unpin(self, name: str, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_UNPIN, client, object=self.object(name))

    def lease(self, size: int, client: int = DRIVER) -> list[str]:
        self.last_request = next(self.requests)
        return self.send(p.EV_LEASE, client, request=self.last_request, payload=size.to_bytes(8, "little"))

    def segment(self, number: int, errno: int = 0) -> list[str]:
        return self.send(p.EV_SEGMENT, 0, object=p.object_id(bytes(16), number), request=errno)

    def spilled(self, number: int, errno: int = 0) -> list[str]:
        """The disk has written what it was given under this number, or could not."""
        return self.send(p.EV_SPILLED, 0, request=number, aux=errno)

    def restored(self, number: int, errno: int = 0) -> list[str]:
        return self.send(p.EV_RESTORED, 0, request=number, aux=errno)

    def give_back(self, where: p.Location, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_RETURN, client, payload=p.location(*where))

    def in_arena(self, size: int, client: int = DRIVER, refs=()) -> Record:
        """Lease a block, as if written: the record of a value there. Makes a segment where the node wants one."""
        said = self.lease(size, client)
        if self.commands[0].kind == p.CMD_SEGMENT:
            said = self.segment(int.from_bytes(self.commands[0].object[16:], "little"))
        assert said[0].startswith(f"leased {client}"), said
        where = p.read_location(self.commands[0].payload)
        return Record(p.arena_value(where, refs=self.objects(refs)))

    def group(self, group: str, *bundles: dict[str, float], client: int = DRIVER, strategy: int = p.GROUP_PACK,
              name: str = "", flags: int = 0) -> list[str]:  # fmt: skip
        """A placement group."""
        return self.send(p.EV_GROUP, client, object=self.object(group), flags=flags, request=next(self.requests),
                         payload=p.group(list(bundles), strategy, name))  # fmt: skip

    def ungroup(self, group: str, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_UNGROUP, client, object=self.object(group))

    def groups(self) -> dict[str, p.Group]:
        """What the node tells of its placement groups, by name of the test's."""
        self.send(p.EV_GROUPS, DRIVER, request=next(self.requests))
        return {self.names[row.id]: row for row in p.read_groups(self.commands[0].payload)}

    def cancel(self, task: str, flags: int = 0, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_CANCEL, client, object=self.object(task), flags=flags)

    def recalled(self, client: int, started: int) -> list[str]:
        return self.send(p.EV_RECALLED, client, request=started)

    def declined(self, task: str, run: Running | None = None, flags: int = 0) -> list[str]:
        run = run or self.runs[task]
        return self.send(p.EV_DECLINED, run.client, object=self.object(task), attempt=run.attempt, flags=flags,
                         request=run.position)  # fmt: skip

    def lose(self, name: str) -> list[str]:
        return self.send(p.EV_LOST, 0, object=self.object(name))

    def memory_short(self, sizes: dict[int, int], used: int = 960, total: int = 1000, limit: int = 950) -> list[str]:
        """sizes: what each worker has. All in MiB."""
        payload = p.MEMORY_HEADER.pack(used << 20, total << 20, limit << 20)
        payload += b"".join(p.MEMORY_USE.pack(client, 0, size << 20) for client, size in sizes.items())
        return self.send(p.EV_MEMORY_SHORT, payload=payload)

    def tick(self, after_ns: int = 0) -> list[str]:
        self.now_ns += after_ns
        return self.send(p.EV_TICK)

    def expose(self, name: str, client: int = DRIVER) -> list[str]:
        return self.send(p.EV_EXPOSE, client, object=self.object(name), request=next(self.requests))

    def committed(self, number: int) -> list[str]:
        return self.send(p.EV_COMMITTED, 0, request=number)

    # ---- commands ----------------------------------------------------------------------------------------------

    def describe(self, command: Command) -> str:
        """One line for a command; a run is noted, so that finish() knows where it is."""
        who = command.client
        if command.kind == p.CMD_RUN:
            task = self.name(command.object)
            self.runs[task] = Running(who, command.attempt, command.request)
            again = f" again {command.attempt}" if command.attempt else ""
            gpus = p.read_run(command.payload).gpus
            of = f" gpus {','.join(map(str, gpus))}" if gpus else ""
            place = " in place" if command.flags & p.RUN_IN_PLACE else ""
            place += f" in group {command.aux}" if command.flags & p.RUN_CALL and command.aux else ""
            verb = "make" if command.flags & p.RUN_CREATES else "call" if command.flags & p.RUN_CALL else "run"
            verb = "restore" if command.flags & p.RUN_RESTORES else verb
            return f"{verb} {task} on {who}{again}{of}{place}"
        if command.kind == p.CMD_VALUE:
            return f"{who} gets {self.name(command.object)}: {self.describe_value(command)}"
        if command.kind == p.CMD_READY:
            if command.flags & p.READY_END:
                return f"end for {who}"
            more = "!" if command.aux else ""
            indices = p.read_indices(command.payload) if len(command.payload) % 4 == 0 else command.payload
            return f"ready for {who}{more} {indices}"
        if command.kind == p.CMD_LEASED:
            where = p.read_location(command.payload)
            no_disk = ", and so is the disk" if command.flags & p.LEASE_NO_DISK else ""
            return f"leased {who} {where.segment}+{where.offset}" if where.size else f"full for {who}{no_disk}"
        if command.kind == p.CMD_SPAWN:
            environment, gpus = p.read_spawn(command.payload)
            of = f" gpus {','.join(map(str, gpus))}" if gpus else ""
            return f"spawn {who}" + (f" in {environment}" if environment else "") + of
        if command.kind == p.CMD_STOP:
            return f"{'kill' if command.flags & p.STOP_KILL else 'stop'} {who}"
        if command.kind in (p.CMD_SEGMENT, p.CMD_UNSEGMENT):
            number = int.from_bytes(command.object[16:], "little")
            where = " on disk" if command.flags & p.SEGMENT_ON_DISK else ""
            what = f"make segment {number} of {command.request} for {who}{where}"
            return what if command.kind == p.CMD_SEGMENT else f"drop segment {number}"
        if command.kind in (p.CMD_SPILL, p.CMD_RESTORE):
            verb = "spill" if command.kind == p.CMD_SPILL else "bring back"
            return f"{verb} {command.request}: {int.from_bytes(command.object[16:], 'little')}+{command.aux}"
        if command.kind == p.CMD_DROP_SPILLED:
            return f"drop spilled {command.request}"
        if command.kind == p.CMD_COMMIT:
            rows = sorted(self.names[task] for task in p.read_tasks(command.payload))
            return f"commit {command.request}: {' '.join(rows)}"
        if command.kind in SENTENCES:
            return SENTENCES[command.kind].format(
                who=who,
                object=self.names.get(command.object[:16]),
                text=command.payload.decode(errors="replace"),
                aux=command.aux,
            )
        raise AssertionError(f"a command of unknown kind: {command}")

    def describe_value(self, command: Command) -> str:
        if command.flags & p.VALUE_IN_ARENA:
            where = p.read_location(command.payload)
            return f"{where.segment}+{where.offset}"
        return describe_envelope(command.payload)

    def last(self, kind: int) -> Command:
        """The command of this kind that the last event led to."""
        [found] = [command for command in self.commands if command.kind == kind]
        return found

    def error_of(self, task: str) -> tuple[int, list[str]]:
        """The code and the fields of the text of a system error that is the result of this task."""
        self.get(task)
        code, text = p.read_envelope(self.last(p.CMD_VALUE).payload).error
        return code, text.split("\x1f")

    def run_of(self, task: str) -> p.Run:
        """What the last event's message to run this task says."""
        [found] = [c for c in self.commands if c.kind == p.CMD_RUN and c.object == self.object(task)]
        return p.read_run(found.payload)

    def sizes(self) -> dict[str, int]:
        """What the node's tables still hold: those that are not empty."""
        return {name: size for name, size in self.node.sizes().items() if size}

    def story_of(self, task: str) -> list[str]:
        return [each["to"] for each in self.node.story() if each["task"] == self.task(task).hex()]


SENTENCES = {
    p.CMD_RECALL: "recall {who}",
    p.CMD_WARN: "warn: {text}",
    p.CMD_REJECT: "reject {aux} from {who}",
    p.CMD_FORGET_FUNCTION: "forget {object} on {who}",
    p.CMD_EXPOSED: "exposed {object} to {who}",
    p.CMD_READ: "read {aux}",
    p.CMD_WRITE: "write {aux}",
    p.CMD_INTERRUPT: "interrupt {object} on {who}",
    p.CMD_CANCEL: "cancel {object} on {who}",
}
ERRORS = {
    p.ERROR_WORKER_CRASHED: "crashed",
    p.ERROR_OBJECT_LOST: "lost",
    p.ERROR_NOT_REMADE: "lost",
    p.ERROR_OUT_OF_MEMORY: "out of memory",
    p.ERROR_TASK_CANCELLED: "cancelled",
    p.ERROR_STORE_FULL: "store full",
    p.ERROR_OUT_OF_DISK: "out of disk",
    p.ERROR_SPAWN_FAILED: "not spawned",
    p.ERROR_ACTOR_DIED: "died",
    p.ERROR_ACTOR_UNAVAILABLE: "unavailable",
    p.ERROR_ACTOR_INIT: "init failed",
    p.ERROR_UNGROUPED: "ungrouped",
    p.ERROR_UNSCHEDULABLE: "unschedulable",
    p.ERROR_ACTOR_UNSCHEDULABLE: "unschedulable",
}


def record(value: str | bytes) -> bytes:
    """The ValueRecord of a text (in an envelope, inline) or of an envelope (inline); one that is a record stays."""
    if isinstance(value, Record):
        return bytes(value)
    return p.inline_value(p.envelope(value.encode()) if isinstance(value, str) else value)


def describe_envelope(data: bytes) -> str:
    envelope = p.read_envelope(data)
    if envelope.kind == p.KIND_SYSTEM_ERROR:
        return f"{ERRORS[envelope.error[0]]}!"
    return envelope.pickle.decode() + ("!" if envelope.kind == p.KIND_USER_ERROR else "")
