"""One node in a virtual world that does what it likes: submits, ends, crashes, asks, forgets, loses, cancels.

Whatever happened: what clients are told is what the model allows; once faults stop, every task ends and every call is
answered; once everything is released, every table is empty. The node checks its tables against each other throughout.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from property_tests.parts import Actor, Task, creator_of, object_of
from property_tests.world import World
from tests.core import protocol as p

RESOURCES = {"CPU": 3, "GPU": 2, "x": 1}
NEEDS = [
    {"CPU": 1},
    {"CPU": 1},
    {"CPU": 1},
    {"CPU": 0},
    {"CPU": 2},
    {"CPU": 1, "x": 1},
    {"CPU": 1, "GPU": 1},
    {"GPU": 0.5},
]
CPU_ONLY = 5  # of NEEDS: tasks that hold nothing else may wait for others
ACTOR_NEEDS = [{}, {"CPU": 1}, {"GPU": 1}]  # the second for placing only; of those that keep it, there is one at most
BLOCK = p.BLOCK_ALIGNMENT

DRIVER_ACTS = ("get", "get", "wait", "put", "read_stream", "forget", "release", "release", "share", "submit_again", "expose",
               "come_or_go")  # fmt: skip
WORKER_ACTS = ("attach", "advance", "advance", "read", "hear", "begin", "end_task", "give_item", "be_interrupted",
               "put_in_task", "block", "call", "call", "resume", "give_up", "call_actor", "call_actor", "make_actor",
               "leave_actor", "turn")  # fmt: skip
FAULTS = ("crash", "crash_actor", "fail_to_spawn", "lose", "lose", "cancel", "kill")

pick = st.integers(0, 1 << 16)
task_shapes = st.fixed_dictionaries(
    {
        "n_refs": st.integers(0, 3),
        "n_nested": st.integers(0, 2),
        "n_returns": st.sampled_from([1, 1, 1, 0, 2, 3, p.STREAMING]),
        "n_items": st.integers(0, 3),
        "needs": st.integers(0, len(NEEDS) - 1),
        "max_retries": st.sampled_from([0, 0, 1, 3]),
        "n_failures": st.sampled_from([0, 0, 0, 1, 2]),
        "retries_exceptions": st.booleans(),
        "in_arena": st.booleans(),
        "picks": st.lists(pick, min_size=5, max_size=5),
    }
)
actor_shapes = st.fixed_dictionaries(
    {
        "max_restarts": st.sampled_from([0, 0, 1, 2, -1]),
        "groups": st.sampled_from([(1,), (1,), (2,), (1, 2)]),
        "flags": st.sampled_from([0, 0, p.ACTOR_OUT_OF_ORDER, p.ACTOR_DETACHED]),
        "needs": st.sampled_from([0, 1, 1, 2]),
        "fails": st.sampled_from([0, 0, 0, 0, 1]),
        "task": task_shapes,
    }
)


def choose(options, number):
    """One of them, in an order that does not depend on hashes."""
    return options[number % len(options)]


class NodeMachine(RuleBasedStateMachine):
    world: World

    @initialize(
        worker_cap=st.sampled_from([1, 2, 8]), kept_idle=st.integers(0, 2), lineage_cap=st.sampled_from([0, 2, 1000]),
        store_blocks=st.sampled_from([3, 64]),
    )  # fmt: skip
    def start(self, worker_cap, kept_idle, lineage_cap, store_blocks):
        self.world = World(
            RESOURCES, worker_cap=worker_cap, kept_idle=kept_idle, lineage_cap=lineage_cap,
            object_store_bytes=store_blocks * BLOCK, segment_bytes=2 * BLOCK,
        )  # fmt: skip
        self.n_put = 0
        self.kept = set()  # what an actor keeps for life
        self.readers = {}  # of streams: one driver each

    # ---- who and what there is ---------------------------------------------------------------------------------

    def new_task(self, name, parent, shape, names, nested_names):
        picks = shape["picks"]
        refs = tuple(choose(names, each) for each in picks[: shape["n_refs"] if names else 0])
        nested = tuple(choose(nested_names, each) for each in picks[3 : 3 + (shape["n_nested"] if nested_names else 0)])
        return Task(
            name, parent, refs, nested, shape["n_returns"], shape["n_items"], NEEDS[shape["needs"]],
            shape["max_retries"], shape["n_failures"], shape["retries_exceptions"], shape["in_arena"],
        )  # fmt: skip

    def new_creation(self, name, parent, shape, names, nested_names):
        task = self.new_task(name, parent, shape["task"], names, nested_names)
        needs, flags = ACTOR_NEEDS[shape["needs"]], shape["flags"]
        what = next(iter(needs), "")
        if what == "CPU":
            flags |= p.ACTOR_PLACED_ON_CPU if what in self.kept or shape["task"]["needs"] % 2 else 0
        elif what in self.kept:
            needs = {}
        if needs and not flags & p.ACTOR_PLACED_ON_CPU:
            self.kept.add(what)
        task.n_returns, task.needs, task.n_failures, task.retries_exceptions = 0, needs, shape["fails"], False
        task.makes = Actor(shape["max_restarts"], shape["groups"], flags)
        return task

    def new_call(self, name, parent, shape, names, nested_names, handles):
        """A call of one of the actors that the handles are of."""
        task = self.new_task(name, parent, shape, names, nested_names)
        task.actor, task.needs = choose(handles, shape["picks"][0]), {}
        task.group = shape["picks"][1] % len(self.world.tasks[creator_of(task.actor)].makes.groups)
        return task

    def alive(self):
        return [worker for worker in self.world.workers() if worker.attached]

    def running(self):
        """Workers whose topmost task goes on."""
        return [worker for worker in self.alive() if worker.stack and not worker.stack[-1].call]

    def waiting(self):
        return [worker for worker in self.alive() if worker.stack and worker.stack[-1].call]

    # ---- rules -------------------------------------------------------------------------------------------------

    @rule(shapes=st.lists(task_shapes, min_size=1, max_size=4), who=pick)
    def submit(self, shapes, who):
        driver = choose(self.world.drivers(), who)
        for shape in shapes:
            names = list(driver.held)
            self.world.submit(driver, self.new_task(f"t{len(self.world.tasks)}", "root", shape, names, names))

    @rule(shapes=st.lists(actor_shapes, min_size=1, max_size=2), who=pick)
    def make_actors(self, shapes, who):
        driver = choose(self.world.drivers(), who)
        for shape in shapes:
            names = list(driver.held)
            self.world.submit(driver, self.new_creation(f"t{len(self.world.tasks)}", "root", shape, names, names))

    @rule(shapes=st.lists(task_shapes, min_size=2, max_size=8), who=pick)
    def call_actors(self, shapes, who):
        driver = choose(self.world.drivers(), who)
        for shape in shapes:
            names = list(driver.held)
            handles = [name for name in names if name.endswith("@")]
            if handles:
                name = f"t{len(self.world.tasks)}"
                self.world.submit(driver, self.new_call(name, "root", shape, names, names, handles))

    @rule(shapes=st.lists(task_shapes, min_size=1, max_size=2), which=pick)
    def submit_children(self, shapes, which):
        for shape in shapes:
            able = [worker for worker in self.running() if worker.stack[-1].n_submitted < 3]
            if able:
                worker = choose(able, which)
                frame = worker.stack[-1]
                children = [name for name in frame.references if creator_of(name).startswith(frame.task.name + "-")]
                known = [*frame.task.nested, *children]
                self.world.submit_child(worker, self.new_task("", frame.task.name, shape, known, known))

    @rule(acts=st.lists(st.tuples(st.sampled_from(DRIVER_ACTS), pick, pick), min_size=1, max_size=4))
    def drivers_act(self, acts):
        for act, who, which in acts:
            getattr(self, act)(choose(self.world.drivers(), who), which)

    @rule(acts=st.lists(st.tuples(st.sampled_from(WORKER_ACTS), pick, pick), min_size=1, max_size=12))
    def workers_act(self, acts):
        for act, who, which in acts:
            if workers := getattr(self, f"able_to_{act}")():
                getattr(self, act)(choose(workers, who), which)

    @rule(fault=st.sampled_from(FAULTS), which=pick)
    def something_goes_wrong(self, fault, which):
        getattr(self, fault)(which)

    @rule(after_ns=st.sampled_from([0, 1_000_000, p.STALL_NS, p.IDLE_NS]), acknowledge=st.booleans())
    def time_passes(self, after_ns, acknowledge):
        if acknowledge and self.world.commits:
            self.world.acknowledge()
        self.world.tick(after_ns)

    # ---- what drivers do ---------------------------------------------------------------------------------------

    def get(self, driver, which):
        self.ask(driver, which, p.EV_GET, 0)

    def wait(self, driver, which):
        self.ask(driver, which, p.EV_WAIT, 1 + which % 3)

    def ask(self, driver, which, kind, count):
        if driver.held:
            names = tuple(dict.fromkeys(choose(list(driver.held), which * i) for i in range(1, 2 + which % 4)))
            self.world.ask(driver, kind, names, count=min(count, len(names)))

    def put(self, driver, which):
        self.n_put += 1
        self.world.put(driver, f"root!{self.n_put}", in_arena=which % 2 == 0)

    def read_stream(self, driver, which):
        """The next item of a stream that the driver submitted."""
        for name in driver.held:
            task = self.world.tasks.get(name)
            if task is not None and task.is_stream and task.parent == "root" and name not in self.readers:
                self.readers[name] = driver
                driver.streams[name] = 1
        readable = [name for name in driver.streams if name in driver.held and not driver.asks_for_item(name)]
        if readable:
            stream = choose(readable, which)
            driver.streams[stream] += 1
            self.world.ask(driver, p.EV_NEXT, (f"{stream}.{driver.streams[stream] - 1}",))

    def forget(self, driver, which):
        calls = [number for number, call in driver.calls.items() if call.kind != p.EV_NEXT]
        if calls:
            self.world.forget(driver, choose(calls, which))

    def release(self, driver, which):
        names = [name for name in driver.held if not driver.asks_for(name) and not driver.asks_for_item(name)]
        if names:
            self.world.drop(driver, choose(names, which))

    def share(self, driver, which):
        """Another driver has a reference too."""
        if driver.held:
            self.world.hold(choose(self.world.drivers(), which), choose(list(driver.held), which), told=False)

    def submit_again(self, driver, which):
        tasks = [task for task in self.world.tasks.values() if task.parent == "root" and not task.is_stream]
        tasks = [task for task in tasks if task.makes is None and not task.actor]
        tasks = [task for task in tasks if all(ref in driver.held for ref in (*task.refs, *task.nested))]
        if tasks:
            self.world.submit(driver, choose(tasks, which), confirm=True)

    def expose(self, driver, which):
        if driver.held:
            self.world.send(p.EV_EXPOSE, driver.id, request=1, object=object_of(choose(list(driver.held), which)))

    def come_or_go(self, driver, which):
        if len(self.world.drivers()) < 3:
            self.world.attach_driver(max(self.world.clients) + 1000)
        elif driver.id != 1:
            self.world.end_client(driver)

    # ---- what workers do ---------------------------------------------------------------------------------------

    def able_to_attach(self):
        return [worker for worker in self.world.workers() if not worker.attached]

    def attach(self, worker, which):
        self.world.attach_worker(worker)

    def able_to_advance(self):
        return self.world.workers()

    def advance(self, worker, which):
        for _ in range(1 + which % 5):
            if worker.id in self.world.clients:
                self.world.advance(worker)

    able_to_read = able_to_hear = alive

    def read(self, worker, which):
        self.world.read(worker)

    def hear(self, worker, which):
        self.world.hear(worker, 1 + which % 3)

    def able_to_begin(self):
        return [worker for worker in self.alive() if worker.next_run() is not None]

    def begin(self, worker, which):
        self.world.begin_next(worker)

    def able_to_end_task(self):
        return [w for w in self.running() if not (w.stack[-1].task.is_stream and w.stack[-1].n_left)]

    def end_task(self, worker, which):
        self.world.end_task(worker, runtime_ns=choose([0, 1000, 300_000, 5_000_000], which))

    def able_to_give_item(self):
        return [w for w in self.running() if w.stack[-1].task.is_stream and w.stack[-1].n_left]

    def give_item(self, worker, which):
        self.world.give_item(worker, in_arena=which % 2 == 0)

    def able_to_be_interrupted(self):
        return [
            worker
            for worker in self.running()
            if (object_of(worker.stack[-1].task.name)[:16], worker.stack[-1].attempt) in worker.interrupts
        ]

    def be_interrupted(self, worker, which):
        self.world.end_task(worker, cancelled=True)

    able_to_put_in_task = running

    def put_in_task(self, worker, which):
        self.world.put_in_task(worker, in_arena=which % 2 == 0)

    def able_to_block_at_all(self):
        return [w for w in self.running() if w.creation is not None or w.stack[-1].task.needs in NEEDS[:CPU_ONLY]]

    def able_to_block(self):
        return [worker for worker in self.able_to_block_at_all() if worker.stack[-1].references]

    def block(self, worker, which):
        known = worker.stack[-1].references
        names = tuple(dict.fromkeys(choose(known, which * i) for i in range(1, 2 + which % 3)))
        self.world.block(worker, p.EV_WAIT if which % 5 == 0 else p.EV_GET, names, in_place=which % 7 != 0)

    def able_to_call(self):
        return [w for w in self.able_to_block_at_all() if w.stack[-1].n_submitted < 3]

    def call(self, worker, which):
        """Submit a task and wait for it, as most nested programs do."""
        frame = worker.stack[-1]
        shape = {"n_refs": 0, "n_nested": which % 2, "n_returns": 1, "n_items": 0, "needs": which % 4, "max_retries": which % 3,
                 "n_failures": 0, "retries_exceptions": False, "in_arena": which % 5 == 0, "picks": [which] * 5}  # fmt: skip
        self.world.submit_child(worker, self.new_task("", frame.task.name, shape, [], [*frame.task.nested]))
        child = self.world.tasks[f"{frame.task.name}-{frame.n_submitted - 1}"]
        if child.n_returns == 1:
            self.world.block(worker, p.EV_GET, (child.name,), in_place=which % 7 != 0)

    able_to_resume = able_to_give_up = waiting

    def resume(self, worker, which):
        self.world.read(worker)
        self.world.resume(worker)

    def give_up(self, worker, which):
        self.world.give_up(worker)

    def able_to_call_actor(self):
        able = [w for w in self.running() if w.stack[-1].n_submitted < 3]
        return [w for w in able if any(name.endswith("@") for name in w.stack[-1].references)]

    def call_actor(self, worker, which):
        frame = worker.stack[-1]
        handles = [name for name in frame.references if name.endswith("@")]
        shape = {"n_refs": 0, "n_nested": which % 2, "n_returns": 1, "n_items": 0, "needs": 0, "max_retries": which % 3,
                 "n_failures": 0, "retries_exceptions": False, "in_arena": which % 5 == 0, "picks": [which] * 5}  # fmt: skip
        self.world.submit_child(worker, self.new_call("", frame.task.name, shape, [], [*frame.task.nested], handles))

    def able_to_make_actor(self):
        return [w for w in self.running() if w.stack[-1].n_submitted < 3 and len(self.world.tasks) < 100]

    def make_actor(self, worker, which):
        if which % 3:
            return
        frame = worker.stack[-1]
        task = {"n_refs": 0, "n_nested": which % 2, "n_returns": 0, "n_items": 0, "needs": which % 2, "max_retries": 0,
                "n_failures": 0, "retries_exceptions": False, "in_arena": False, "picks": [which] * 5}  # fmt: skip
        shape = {"max_restarts": which % 3, "groups": (1 + which % 2,), "flags": 0, "needs": which % 3, "fails": 0,
                 "task": task}  # fmt: skip
        self.world.submit_child(worker, self.new_creation("", frame.task.name, shape, [], [*frame.task.nested]))

    def able_to_leave_actor(self):
        return [worker for worker in self.running() if worker.made]

    def leave_actor(self, worker, which):
        if which % 4 == 0:
            self.world.end_task(worker, exits=True)

    def able_to_turn(self):
        return [worker for worker in self.alive() if worker.made and len(worker.stack) > 1]

    def turn(self, worker, which):
        """Go on with another of the calls that run."""
        worker.stack.append(worker.stack.pop(which % len(worker.stack)))

    # ---- faults ------------------------------------------------------------------------------------------------

    def crash(self, which):
        if self.alive():
            self.world.end_client(choose(self.alive(), which))

    def crash_actor(self, which):
        actors = [worker for worker in self.alive() if worker.creation is not None]
        if actors:
            self.world.end_client(choose(actors, which))

    def kill(self, which):
        creations = [task for task in self.world.tasks.values() if task.makes is not None]
        if creations:
            self.world.kill(choose(creations, which // 2), no_restart=which % 2 == 0)

    def fail_to_spawn(self, which):
        coming = self.able_to_attach()
        if coming and self.world.n_spawns_failed < 2:
            self.world.n_spawns_failed += 1
            self.world.end_client(choose(coming, which), "no memory")

    def lose(self, which):
        names = [name for name in self.world.in_arena if not self.world.is_viewed(name)]
        if names:
            self.world.any_lost = True
            self.world.send(p.EV_LOST, object=object_of(choose(names, which)))

    def cancel(self, which):
        if not self.world.tasks:
            return
        task = choose(list(self.world.tasks.values()), which)
        flags = choose([0, p.CANCEL_FORCE, p.CANCEL_RECURSIVE, p.CANCEL_FORCE | p.CANCEL_RECURSIVE], which)
        for other in self.world.tasks.values():
            is_child = flags & p.CANCEL_RECURSIVE and other.name.startswith(task.name + "-")
            other.cancelled |= other is task or bool(is_child)
        self.world.send(p.EV_CANCEL, 1, object=object_of(task.name), flags=flags)

    # ---- what must be so ---------------------------------------------------------------------------------------

    @invariant()
    def tables_agree(self):
        if hasattr(self, "world"):
            self.world.node.check_invariants()

    def teardown(self):
        if not hasattr(self, "world") or self.world.n_events_begun:
            return
        self.world.drain()
        self.world.check_drained()
        self.world.release_all()
        self.world.check_empty()


TestNode = pytest.mark.timeout(300)(NodeMachine.TestCase)  # it computes for seconds, on a busy machine for minutes
