"""A virtual world around one node: drivers, workers and a host that behave as the real ones do, and a model of results.

Workers read their ring late and are heard late; the host answers recalls by what a worker has begun at that moment;
memory is a table of what was last written where. The model knows what each object may turn out to be: its value, which
is a function of its name, or an error for which there was a cause; and in which order calls of actors may begin.
"""

from __future__ import annotations

from collections import deque

from property_tests.parts import (
    CANCELLED,
    CRASHED,
    DIED,
    ERROR_NAMES,
    FUNCTION,
    INIT_FAILED,
    LOST,
    UNAVAILABLE,
    Call,
    Client,
    Frame,
    Task,
    Worker,
    creator_of,
    object_of,
    task_of,
    tells_of,
)
from raylite._core.node.node import Node
from tests.core import protocol as p


class World:
    """Args: resources: name to whole units; the rest goes to Node."""

    def __init__(self, resources: dict[str, float], *, lineage_cap: int = 1 << 30, **options) -> None:
        units = {name: round(amount * p.UNIT) for name, amount in resources.items()}
        self.node = Node(units, debug=True, lineage_cap=lineage_cap, **options)
        self.forgets = lineage_cap < 1000  # finished tasks, so that their results cannot be made again
        self.n_events_begun = 0  # and not ended: above zero once a check has failed
        self.now_ns = 0
        self.tasks: dict[str, Task] = {}
        self.names: dict[bytes, str] = {}
        self.clients: dict[int, Client] = {}
        self.memory: dict[tuple[int, int], str] = {}  # what lies where
        self.in_arena: dict[str, None] = {}  # the objects that may lie there
        self.commits: list[int] = []
        self.n_calls = 0  # of actors, submitted
        self.begun: dict[tuple[str, str, int], int] = {}  # the latest call of an actor, by a caller, in a group
        self.any_lost = False
        self.n_spawns_failed = 0
        self.commands: deque = deque()
        self.attach_driver(1)
        body = p.envelope(b"f", kind=p.KIND_FUNCTION)
        self.send(p.EV_FUNCTION, 1, object=FUNCTION, payload=p.function_payload(body, "f"))

    # ---- the host ----------------------------------------------------------------------------------------------

    def send(self, kind: int, client: int = 0, **fields) -> None:
        """An event, and all that it leads to at once."""
        self.n_events_begun += 1
        self.commands.extend(self.node.handle(self.now_ns, kind, client, **fields))
        while self.commands:
            self.perform(self.commands.popleft())
        self.n_events_begun -= 1

    def perform(self, command: dict) -> None:
        kind, client = command["kind"], self.clients.get(command["client"])
        assert kind != p.CMD_REJECT, f"rejected event {command['aux']} of {command['client']}"
        if kind == p.CMD_SPAWN:
            self.clients[command["client"]] = Worker(command["client"])
        elif kind == p.CMD_SEGMENT:
            self.send(p.EV_SEGMENT, object=command["object"])
        elif kind == p.CMD_RECALL:
            client.recall = range(client.started + 1, client.last_position + 1)
            self.send(p.EV_RECALLED, client.id, request=client.started)
        elif kind == p.CMD_COMMIT:
            self.commits.append(command["request"])
        elif kind == p.CMD_STOP and client is not None:
            client.doomed |= bool(command["flags"] & p.STOP_KILL)
            client.stopping = True
        elif kind == p.CMD_INTERRUPT and client is not None:
            client.interrupts.add((command["object"][:16], command["attempt"]))
        elif isinstance(client, Worker):
            client.inbox.append(command)
            if kind == p.CMD_RUN:
                client.last_position = max(client.last_position, command["request"])
        elif client is not None:
            self.receive(client, command)

    def workers(self) -> list[Worker]:
        return [client for client in self.clients.values() if isinstance(client, Worker)]

    def drivers(self) -> list[Client]:
        return [client for client in self.clients.values() if not isinstance(client, Worker)]

    def attach_driver(self, client: int) -> None:
        self.clients[client] = Client(client)
        self.send(p.EV_ATTACH, client, flags=p.CLIENT_DRIVER)

    def attach_worker(self, worker: Worker) -> None:
        worker.attached = True
        self.n_spawns_failed = 0
        self.send(p.EV_ATTACH, worker.id, flags=p.CLIENT_WORKER)

    def end_client(self, client: Client, why: str = "signal 9") -> None:
        """A process ends: what it wrote is read, then it is gone."""
        started = 0
        if isinstance(client, Worker):
            self.hear(client)
            started = client.started
            if client.actor is not None and (client.doomed or not client.stopping):
                client.actor.n_crashes += 1
            for frame in client.stack:
                frame.task.n_crashes += 1
            waiting = [run for call in client.calls.values() for run in call.in_place]
            unread = [each for each in client.inbox if each["kind"] == p.CMD_RUN]
            for run in [*client.runs, *waiting, *unread]:
                if run["request"] <= started:  # to be run in place (0), or taken: the node cannot know if it was begun
                    self.tasks[self.names[run["object"][:16]]].n_crashes += 1
        del self.clients[client.id]
        self.send(p.EV_DETACH, client.id, request=started, payload=why.encode())

    def tick(self, after_ns: int) -> None:
        self.now_ns += after_ns
        self.send(p.EV_TICK)

    def acknowledge(self) -> None:
        self.send(p.EV_COMMITTED, request=self.commits.pop(0))

    # ---- any client --------------------------------------------------------------------------------------------

    def say(self, client: Client, kind: int, **fields) -> None:
        """A client writes to its ring; what a worker writes is read when the world turns to it."""
        if isinstance(client, Worker):
            client.outbox.append((kind, fields))
        else:
            self.send(kind, client.id, **fields)

    def hear(self, worker: Worker, count: int = 1 << 30) -> None:
        """Read what a worker has written."""
        while worker.outbox and count and worker.id in self.clients:
            kind, fields = worker.outbox.popleft()
            self.send(kind, worker.id, **fields)
            count -= 1

    def hold(self, client: Client, name: str, told: bool = True) -> None:
        """One reference more in a client; told: the node learns of it by another message."""
        client.held[name] += 1
        if client.held[name] == 1 and not told:
            self.say(client, p.EV_HOLD, object=object_of(name))

    def drop(self, client: Client, name: str) -> None:
        client.held[name] -= 1
        if client.held[name] == 0:
            del client.held[name]
            self.say(client, p.EV_RELEASE, object=object_of(name))

    def unpin(self, client: Client, name: str) -> None:
        client.pins[name] -= 1
        if client.pins[name] == 0:
            del client.pins[name]
        self.say(client, p.EV_UNPIN, object=object_of(name))

    def submit(self, client: Client, task: Task, confirm: bool = False) -> None:
        if self.tasks.setdefault(task.name, task) is not task or task.number >= 0:
            task.number = -2  # a repetition: it has no place in the order
        elif task.actor and task.number == -1:
            self.n_calls += 1
            task.number = self.n_calls
        self.names[task_of(task.name)] = task.name
        for name in task.results():
            self.hold(client, name)
        request = 0
        if confirm:
            client.n_requests += 1
            request = client.n_requests
        self.say(client, p.EV_SUBMIT, object=object_of(task.name), payload=task.submission(), request=request,
                 flags=p.SUBMIT_CONFIRM if confirm else 0)  # fmt: skip

    def record(self, client: Client, name: str, in_arena: bool, refs: tuple[str, ...] = ()) -> bytes:
        """The value of an object, written to memory or into the message."""
        ids = [object_of(ref) for ref in refs]
        if in_arena:
            where = self.lease(client, 100)
            if where is not None:
                self.memory[where[:2]] = name
                self.in_arena[name] = None
                return p.arena_value(where, refs=ids)
        return p.inline_value(p.envelope(name.encode(), refs=ids))

    def lease(self, client: Client, size: int) -> p.Location | None:
        """A block, or None if the store is full. The client waits for the answer, so all it wrote before is read."""
        if isinstance(client, Worker):
            self.hear(client)
        client.n_requests += 1
        request = client.n_requests
        said = self.node.handle(self.now_ns, p.EV_LEASE, client.id, request=request, payload=size.to_bytes(8, "little"))
        if said and said[0]["kind"] == p.CMD_SEGMENT:
            said = self.node.handle(self.now_ns, p.EV_SEGMENT, object=said[0]["object"])
        answers = [each for each in said if each["kind"] == p.CMD_LEASED and each["request"] == request]
        self.commands.extend(each for each in said if each not in answers)
        if not answers:  # the store is full: the client does not wait
            self.commands.extend(self.node.handle(self.now_ns, p.EV_FORGET, client.id, request=request))
            return None
        [answer] = answers
        where = p.read_location(answer["payload"])
        return where if where.size else None

    def put(self, client: Client, name: str, in_arena: bool) -> None:
        self.names[object_of(name)[:16]] = creator_of(name)
        record = self.record(client, name, in_arena)
        self.hold(client, name)
        self.say(client, p.EV_PUT, object=object_of(name), payload=record)

    def ask(self, client: Client, kind: int, names: tuple[str, ...], *, task: str = "root", count: int = 0,
            flags: int = 0) -> int:  # fmt: skip
        client.n_requests += 1
        client.calls[client.n_requests] = Call(kind, names, count, set(range(len(names))))
        request = client.n_requests
        if kind == p.EV_NEXT:
            self.say(client, kind, request=request, object=object_of(names[0]), flags=flags)
        else:
            payload = p.on_wire(*(object_of(name) for name in names))
            self.say(client, kind, request=request, object=p.object_id(task_of(task)), aux=count, flags=flags,
                     payload=payload)  # fmt: skip
        return request

    def forget(self, client: Client, request: int) -> None:
        call = client.calls.pop(request)
        for run in call.in_place:  # nobody will run them here now
            self.decline(client, run)
        self.say(client, p.EV_FORGET, request=request)

    # ---- what clients are told ---------------------------------------------------------------------------------

    def receive(self, client: Client, command: dict) -> None:
        kind, request = command["kind"], command["request"]
        if kind == p.CMD_RUN:
            call = client.calls.get(command["aux"]) if command["flags"] & p.RUN_IN_PLACE else None
            if call is not None:
                call.in_place.append(command)
            elif command["flags"] & p.RUN_IN_PLACE:
                self.decline(client, command)
            else:
                client.runs.append(command)
        elif kind == p.CMD_VALUE:
            self.receive_value(client, command)
        elif kind == p.CMD_READY:
            self.receive_ready(client, client.calls.get(request), command)
        elif kind == p.CMD_FORGET_FUNCTION:
            client.functions.discard(command["object"])
        elif kind == p.CMD_CANCEL:
            client.interrupts.add((command["object"][:16], command["attempt"]))
        else:
            assert kind in (p.CMD_WARN, p.CMD_EXPOSED), kind

    def receive_value(self, client: Client, command: dict) -> None:
        call = client.calls.get(command["request"])
        if command["flags"] & p.VALUE_IN_ARENA:
            name = call.names[command["aux"]] if call is not None else self.name_of(command["object"])
            self.check_memory(name, p.read_location(command["payload"]))
            client.pins[name] += 1
            self.unpin(client, name)
        elif call is not None:
            envelope = p.read_envelope(command["payload"])
            self.check_value(call.names[command["aux"]], envelope)
            for ref in map(self.name_of, envelope.refs):
                self.hold(client, ref, told=False)
                for frame in client.stack if isinstance(client, Worker) else ():
                    if frame.call == command["request"]:
                        frame.references.append(ref)
        if call is not None:
            call.missing.discard(command["aux"])
            call.answered = not call.missing
            if call.answered and not isinstance(client, Worker):
                del client.calls[command["request"]]

    def receive_ready(self, client: Client, call: Call | None, command: dict) -> None:
        if call is None:
            return
        call.answered = True
        if call.kind == p.EV_WAIT:
            ready = p.read_indices(command["payload"])
            assert ready == sorted(set(ready))
            assert len(ready) == min(call.count, len(call.names))
        elif command["flags"] & p.READY_END:
            [item] = call.names
            stream = self.tasks[creator_of(item)]
            n_read = int(item.partition(".")[2]) - 1
            assert n_read == stream.n_items and not stream.raises(1 << 20), f"{item} is said to be beyond the end"
            client.streams.pop(stream.name, None)
        else:
            self.hold(client, call.names[0])
            if command["aux"]:
                client.streams.pop(creator_of(call.names[0]), None)
        if not isinstance(client, Worker):
            del client.calls[command["request"]]

    def name_of(self, object: bytes) -> str:
        task, index = self.names.get(object[:16], "root"), int.from_bytes(object[16:], "little")
        if index == p.ACTOR_INDEX:
            return f"{task}@"
        if index & p.PUT_INDEX:
            return f"{task}!{index & ~p.PUT_INDEX}"
        return f"{task}.{index}" if index else task

    # ---- the model ---------------------------------------------------------------------------------------------

    def check_memory(self, name: str, where: p.Location) -> None:
        """What is read is what was written for this object: its block was not given to another."""
        assert self.memory[where[:2]] == name, f"{name} was to be read where {self.memory[where[:2]]} lies"
        assert name in self.may_be(name)

    def check_value(self, name: str, envelope: p.Envelope) -> None:
        if envelope.kind == p.KIND_SYSTEM_ERROR:
            text = ERROR_NAMES[envelope.error[0]]
        else:
            text = envelope.pickle.decode() + ("!" if envelope.kind == p.KIND_USER_ERROR else "")
        assert text in self.may_be(name), f"{name} is {text}, and may be {self.may_be(name)}"

    def may_be(self, name: str) -> set[str]:
        """What an object may turn out to be."""
        out: set[str] = set()
        if name.endswith("@"):
            return {name}
        if "!" in name:
            return {name, LOST} if self.any_lost else {name}
        task = self.tasks[creator_of(name)]
        index = int(name.partition(".")[2] or 0)
        last = 1 << 20
        if not task.raises(last) and (not task.is_stream or index <= task.n_items):
            out.add(name)
        if task.is_stream and 0 < index <= task.n_items:
            out.add(name)
        if self.any_lost and (task.is_stream or task.actor or self.forgets):
            out.add(LOST)
        if task.n_failures:
            out.add(f"{task.name}!")
        if task.n_crashes and task.n_crashes + task.n_failures > task.max_retries:  # both use up retries
            out.add(UNAVAILABLE if task.actor else CRASHED)
        if task.actor:
            out |= self.death_of(self.tasks[creator_of(task.actor)])
        if task.cancelled:
            out.add(CANCELLED)
        for ref in task.refs:
            out |= {text for text in self.may_be(ref) if text.endswith("!")}
        return out

    def death_of(self, creation: Task) -> set[str]:
        """What a call of this actor may find it dead of."""
        refused = any(text.endswith("!") for ref in creation.refs for text in self.may_be(ref))
        out = {DIED} if creation.makes.may_have_died() or refused else set()
        return out | {INIT_FAILED} if creation.makes.init_failed else out

    def check_order(self, frame: Frame) -> None:
        """Calls of one caller begin in the order of their submission; those tried or made again aside."""
        task = frame.task
        if frame.attempt or task.number < 0 or self.tasks[creator_of(task.actor)].makes.flags & p.ACTOR_OUT_OF_ORDER:
            return
        key = task.actor, task.parent, task.group
        assert self.begun.get(key, 0) < task.number, f"{task.name} has begun after a later call of the same caller"
        self.begun[key] = task.number

    def is_viewed(self, name: str) -> bool:
        """Whether some client reads it, or was told where it lies."""
        object = object_of(name)
        for client in self.clients.values():
            waiting = [run for call in client.calls.values() for run in call.in_place]
            unread = [*client.inbox, *client.runs] if isinstance(client, Worker) else []
            if client.pins[name] or any(tells_of(command, object) for command in [*unread, *waiting]):
                return True
        return False

    # ---- workers -----------------------------------------------------------------------------------------------

    def read(self, worker: Worker) -> None:
        """A worker takes in what the node has written."""
        while worker.inbox:
            self.receive(worker, worker.inbox.popleft())

    def decline(self, worker: Worker, run: dict) -> None:
        """Leave a task that was taken back; the function that came with it is kept for those that follow."""
        self.learn(worker, run)
        self.say(worker, p.EV_DECLINED, object=run["object"], attempt=run["attempt"], request=run["request"])

    def learn(self, worker: Worker, run: dict) -> None:
        if run["flags"] & p.RUN_HAS_FUNCTION:
            worker.functions.add(p.read_run(run["payload"]).function)

    def begin_next(self, worker: Worker) -> None:
        """Begin what can. An actor that runs several calls at once takes in all that has come."""
        which = worker.next_run()
        if not worker.is_serial:
            worker.started = max(worker.started, *(run["request"] for run in worker.runs))
            for run in worker.runs:
                self.learn(worker, run)
        run = worker.runs[which]
        del worker.runs[which]
        self.begin(worker, run)

    def begin(self, worker: Worker, run: dict) -> None:
        """Begin a task, unless it was taken back."""
        if run["request"]:
            worker.started = max(worker.started, run["request"])
            if run["request"] in worker.recall:
                self.decline(worker, run)
                return
        self.learn(worker, run)
        message = p.read_run(run["payload"])
        assert message.function in worker.functions, "a task came without its function"
        task = self.tasks[self.names[run["object"][:16]]]
        frame = Frame(task, run["attempt"], run["request"])
        assert bool(run["flags"] & p.RUN_CALL) == bool(task.actor)
        if task.makes is not None:
            assert run["flags"] & p.RUN_CREATES and worker.creation is None and not worker.stack
            worker.creation = frame
        elif task.actor:
            assert worker.made and creator_of(task.actor) == worker.creation.task.name
            self.check_order(frame)
        else:
            assert worker.creation is None, "an actor's process is to run a task"
        for name, value in zip(task.refs, message.values, strict=True):
            if value.where is not None:
                self.check_memory(name, value.where)
                worker.pins[name] += 1
                frame.pinned.append(name)
            else:
                self.check_value(name, p.read_envelope(value.body))
                assert p.read_envelope(value.body).kind not in (p.KIND_USER_ERROR, p.KIND_SYSTEM_ERROR)
        for name in task.nested:
            self.hold(worker, name, told=False)
            frame.references.append(name)
        worker.stack.append(frame)
        if (run["object"][:16], run["attempt"]) in worker.interrupts:
            self.end_task(worker, cancelled=True)

    def give_item(self, worker: Worker, in_arena: bool) -> None:
        frame = worker.stack[-1]
        frame.n_given += 1
        name = f"{frame.task.name}.{frame.n_given}"
        record = self.record(worker, name, in_arena)
        self.say(worker, p.EV_YIELDED, object=object_of(name), attempt=frame.attempt, payload=record)

    def end_task(self, worker: Worker, cancelled: bool = False, runtime_ns: int = 1000, exits: bool = False) -> None:
        """The topmost task returns, raises, stops because it was cancelled, or ends its actor."""
        frame = worker.stack.pop()
        task, flags = frame.task, 0
        results = [task.name] if task.is_stream else task.results()
        if task.makes is not None:
            values = []
            if task.raises(frame.attempt):
                task.makes.init_failed, flags = True, p.FINISHED_USER_ERROR
                values = [p.inline_value(p.envelope(task.name.encode(), kind=p.KIND_USER_ERROR))]
            worker.made = not values
        elif exits:
            worker.actor.left = True
            flags, values = p.FINISHED_EXITS, []
        elif cancelled:
            flags = p.FINISHED_CANCELLED
            values = []
        elif task.raises(frame.attempt):
            flags = p.FINISHED_USER_ERROR | (p.FINISHED_RETRYABLE if task.retries_exceptions else 0)
            error = p.envelope(task.name.encode(), kind=p.KIND_USER_ERROR)
            values = [p.inline_value(error) for _ in results]
        else:
            values = [self.record(worker, name, task.in_arena and not task.is_stream, task.nested) for name in results]
        payload = p.finished(*values, end_ns=runtime_ns, n_yielded=frame.n_given)
        self.say(
            worker, p.EV_FINISHED, object=object_of(task.name), attempt=frame.attempt, flags=flags, payload=payload
        )
        for name in frame.pinned:
            self.unpin(worker, name)
        for name in frame.references:
            self.drop(worker, name)

    def submit_child(self, worker: Worker, new: Task) -> None:
        """The topmost task submits one; a task that runs again submits what it did before."""
        frame = worker.stack[-1]
        new.name = f"{frame.task.name}-{frame.n_submitted}"
        frame.n_submitted += 1
        child = self.tasks.get(new.name, new)
        if child.makes is not None or child.actor:  # which happen again when their parent runs again
            new.name += f"~{frame.attempt}" if frame.attempt else ""
            child = self.tasks.get(new.name, new)
        self.submit(worker, child, confirm=frame.attempt > 0)
        frame.references += child.results()

    def put_in_task(self, worker: Worker, in_arena: bool) -> None:
        frame = worker.stack[-1]
        frame.n_put += 1
        name = f"{frame.task.name}!{frame.n_put}"
        self.put(worker, name, in_arena)
        frame.references.append(name)

    def block(self, worker: Worker, kind: int, names: tuple[str, ...], in_place: bool) -> None:
        """The topmost task waits."""
        frame = worker.stack[-1]
        in_place = in_place and kind == p.EV_GET and worker.creation is None
        flags = p.GET_LENDS | (p.GET_IN_PLACE if in_place else 0)
        frame.call = self.ask(worker, kind, names, task=frame.task.name, count=1, flags=flags)

    def resume(self, worker: Worker) -> bool:
        """The topmost task goes on if what it waits for has come; what came to be run in place is begun on top of it."""
        frame = worker.stack[-1]
        call = worker.calls[frame.call]
        if call.answered:
            del worker.calls[frame.call]
            for run in call.in_place:
                self.decline(worker, run)
            frame.call = 0
            return True
        if call.in_place:
            self.begin(worker, call.in_place.pop(0))
            return True
        return False

    def give_up(self, worker: Worker) -> None:
        """Time is up for what the topmost task waits for."""
        frame = worker.stack[-1]
        self.forget(worker, frame.call)
        frame.call = 0

    # ---- the end -----------------------------------------------------------------------------------------------

    def advance(self, worker: Worker) -> bool:
        """One step of a worker towards having nothing to do. False if it has nothing to do or waits."""
        if worker.doomed:
            self.end_client(worker)
            return True
        if not worker.attached:
            self.attach_worker(worker)
            return True
        if worker.stopping and worker.creation is not None:
            self.end_client(worker, "exit code 0")
            return True
        busy = bool(worker.outbox or worker.inbox)
        self.hear(worker)
        self.read(worker)
        if worker.made:
            return self.advance_actor(worker) or busy
        if worker.stack:
            frame = worker.stack[-1]
            if frame.call:
                return self.resume(worker) or busy
            if frame.task.is_stream and frame.n_left:
                self.give_item(worker, False)
            else:
                self.end_task(worker)
            return True
        if worker.runs:
            self.begin_next(worker)
            return True
        if worker.stopping:
            self.end_client(worker, "exit code 0")
            return True
        return busy

    def advance_actor(self, worker: Worker) -> bool:
        """As advance(): one step of one of its calls."""
        if worker.next_run() is not None:
            self.begin_next(worker)
            return True
        for _ in worker.stack:
            frame = worker.stack[-1]
            if frame.call == 0:
                if frame.task.is_stream and frame.n_left:
                    self.give_item(worker, False)
                else:
                    self.end_task(worker)
                return True
            if self.resume(worker):
                return True
            worker.stack.insert(0, worker.stack.pop())
        return False

    def unblock_an_actor(self) -> bool:
        """A call may wait for another of its own actor, which cannot run before: time is up for one that does."""
        for worker in self.workers():
            for i, frame in enumerate(worker.stack):
                if worker.made and frame.call:
                    self.check_not_there(worker, frame)
                    worker.stack.append(worker.stack.pop(i))
                    self.give_up(worker)
                    return True
        return False

    def check_not_there(self, worker: Worker, frame: Frame) -> None:
        """What a call still waits for is indeed not there."""
        names = worker.calls[frame.call].names
        said = self.node.handle(self.now_ns, p.EV_WAIT, worker.id, request=1 << 30,
                                payload=p.on_wire(*(object_of(name) for name in names)))  # fmt: skip
        [answer] = [each for each in said if each["kind"] == p.CMD_READY]
        n_wanted = 1 if worker.calls[frame.call].kind == p.EV_WAIT else len(names)
        assert len(p.read_indices(answer["payload"])) < n_wanted, f"{frame.task.name} was not told of {names}"

    def drain(self) -> None:
        """No more faults: everything comes to its end."""
        idle_rounds = 0
        while idle_rounds < 3:
            moved = False
            for worker in self.workers():
                while worker.id in self.clients and self.advance(worker):
                    moved = True
            while self.commits:
                self.acknowledge()
                moved = True
            self.tick(p.STALL_NS)
            idle_rounds = 0 if moved or (idle_rounds == 2 and self.unblock_an_actor()) else idle_rounds + 1

    def check_drained(self) -> None:
        """Every task has ended, every call has been answered."""
        self.node.check_invariants()
        sizes = self.node.sizes()
        for table in ("ready", "queued", "requests", "commits", "leases"):
            assert sizes[table] == 0, (table, sizes, self.node.story()[-20:])
        assert sizes["tasks"] == sizes["lineage"] + sum(map(self.can_restart, self.workers()))
        for client in self.clients.values():
            assert not client.calls

    def can_restart(self, worker: Worker) -> bool:
        """Whether it is an actor whose creation may have to run again."""
        return worker.made and not 0 <= worker.actor.max_restarts <= worker.creation.attempt

    def release_all(self) -> None:
        for client in list(self.clients.values()):
            for name in list(client.held):
                while name in client.held:
                    self.drop(client, name)
            if isinstance(client, Worker):
                self.hear(client)
        for task in self.tasks.values():
            if task.makes is not None and task.makes.flags & p.ACTOR_DETACHED:
                self.kill(task, no_restart=True)
        self.send(p.EV_RELEASE, 1, object=FUNCTION)
        self.drain()

    def kill(self, task: Task, no_restart: bool) -> None:
        """Kill the actor that this task makes."""
        task.makes.killed |= no_restart or task.makes.is_used_up()
        self.send(p.EV_KILL, 1, object=object_of(f"{task.name}@"), flags=p.KILL_NO_RESTART if no_restart else 0)

    def check_empty(self) -> None:
        """Nothing is left: neither in the tables nor of what was lent."""
        assert set(self.node.sizes().values()) == {0}, self.node.sizes()
        for total, available in self.node.resources().values():
            assert total == available
        self.node.check_invariants()
