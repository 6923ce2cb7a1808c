"""Reference counting across nodes and shards, under faults, against sets that know nothing of the store.

Nodes submit tasks, end them anywhere, put values that contain references, pass references to each other, let go, lose
copies, crash. The model keeps who holds what as plain sets. An object with a living holder is there, or is being made,
or was lost for a reason; whatever nobody needs goes: in the end every table of every replica is empty.
"""

from __future__ import annotations

import random

import pytest

from tests.core import protocol as p
from tests.core import store_protocol as sp
from tests.core.store_world import DEAD_NS, MS, World

N_SHARDS = 3


class Task:
    def __init__(self, name, home, arguments, n_returns):
        self.id = p.named_task(name)
        self.home, self.arguments, self.is_pending = home, arguments, True
        self.epoch = self.attempt = 0
        self.results = [p.object_id(self.id, i) for i in range(n_returns)]


class Node:
    """What a node knows: what it holds and why, its copies, what it has been told."""

    def __init__(self):
        self.held: set[bytes] = set()
        self.copies: set[bytes] = set()
        self.told: dict[bytes, sp.Notice] = {}
        self.guards: list[tuple[int, bytes]] = []  # (who, what): whose hold is not acknowledged yet
        self.promised: dict[int, list[bytes]] = {}  # by token: what is held until the operation is answered


class Model:
    def __init__(self, seed, n_nodes=4, **options):
        self.world = World(seed, n_shards=N_SHARDS, n_replicas=2, n_spare=1, n_nodes=n_nodes, **options)
        self.random = random.Random(seed)
        self.world.run_until(self.world.is_formed)
        self.world.run(5 * MS)
        self.nodes = {address: Node() for address in self.world.nodes}
        self.tasks: dict[bytes, Task] = {}
        self.contained: dict[bytes, set[bytes]] = {}  # of values that were made
        self.puts: set[bytes] = set()
        self.lost: set[bytes] = set()  # objects of which a copy has gone against the store's will
        self.n_made = 0

    # ---- what nodes do ----

    def say(self, node, *items):
        self.world.ask(node, *items)

    def hold(self, address, object):
        node = self.nodes[address]
        if object not in node.held:
            node.held.add(object)
            self.say(address, sp.hold(object, address, self.world.incarnations[address]))

    def let_go(self, address, object):
        """Unless somebody to whom this node gave the reference is not yet known to hold it."""
        node = self.nodes[address]
        if object in node.held and not any(what == object for _, what in node.guards) \
                and not any(object in what for what in node.promised.values()):  # fmt: skip
            node.held.discard(object)
            self.say(address, sp.Item(sp.OP_UNWATCH, object),
                     sp.release(object, address, self.world.incarnations[address]))  # fmt: skip

    def promise(self, address, item, references):
        """Say something that makes others hold these; this node holds them until it is answered."""
        token = self.n_made = self.n_made + 1
        self.nodes[address].promised[token] = references
        self.say(address, item._replace(token=token))

    def some(self, things, n=1):
        things = sorted(things)
        return self.random.sample(things, min(n, len(things)))

    def submit(self, address):
        arguments = self.some(self.nodes[address].held, self.random.randrange(3))
        task = Task(f"task {self.n_made}", address, arguments, self.random.choice([0, 1, 1, 2]))
        self.n_made += 1
        self.tasks[task.id] = task
        self.nodes[address].held |= set(task.results)
        self.promise(address, sp.commit(task.id, arguments, n_returns=len(task.results)), arguments)

    def value(self, address, index, refs):
        if self.random.random() < 0.3:
            return sp.value(index, inline=p.envelope(refs=refs), refs=refs), None
        return sp.value(index, refs=refs), True

    def end(self, address):
        """A node ends a task that has a home: what it made contains what the node holds."""
        ready = [each for each in self.tasks.values() if each.is_pending and each.home in self.nodes]
        if not ready:
            return
        task = self.random.choice(ready)
        if any(self.world.parties[node].unacknowledged() or self.nodes[node].promised for node in {address, task.home}):
            return  # nothing leaves before it is committed, nor before holds are acknowledged
        values, inside = [], []
        for index, result in enumerate(task.results):
            if result in self.contained:  # made again: the same value, as far as it can be
                refs = sorted(self.contained[result] & self.nodes[address].held)
            else:
                refs = self.some(self.nodes[address].held - {result}, self.random.randrange(2))
                refs = [each for each in refs if result not in self.reach(each)]  # no circle, which nothing could free
            data, has_copy = self.value(address, index, refs)
            values.append(data)
            if has_copy:
                self.nodes[address].copies.add(result)
            self.contained.setdefault(result, set(refs))
            inside += refs
        task.is_pending = False
        self.promise(address, sp.done(task.id, *values, epoch=task.epoch, attempt=task.attempt), inside)

    def reach(self, object):
        """What an object contains, and what that contains."""
        found, todo = set(), [object]
        while todo:
            each = todo.pop()
            if each not in found:
                found.add(each)
                todo += self.contained.get(each, ())
        return found

    def put(self, address):
        object = p.object_id(p.named_task(f"put {self.n_made}"), p.PUT_INDEX)
        self.n_made += 1
        refs = self.some(self.nodes[address].held, self.random.randrange(3))
        data, has_copy = self.value(address, 0, refs)
        if has_copy:
            self.nodes[address].copies.add(object)
        self.nodes[address].held.add(object)
        self.puts.add(object)
        self.contained[object] = set(refs)
        self.promise(address, sp.put(object, data), refs)

    def give(self, address):
        """Pass a reference to another node; it is kept until that one's hold is acknowledged."""
        for object in self.some(self.nodes[address].held):
            other = self.random.choice(sorted(self.nodes))
            self.nodes[address].guards.append((other, object))
            self.hold(other, object)

    def watch(self, address):
        for object in self.some(self.nodes[address].held):
            self.say(address, sp.Item(sp.OP_WATCH, object))

    def lose(self, address):
        for object in self.some(self.nodes[address].copies):
            self.nodes[address].copies.discard(object)
            self.lost.add(object)
            self.say(address, sp.Item(sp.OP_UNLOCATE, object))

    def fetch(self, address):
        """Have a copy of an object that is somewhere else."""
        elsewhere = set().union(*(node.copies for node in self.nodes.values()))
        for object in self.some(self.nodes[address].held & elsewhere - self.nodes[address].copies):
            self.nodes[address].copies.add(object)
            self.say(address, sp.Item(sp.OP_LOCATE, object))

    def release_some(self, address):
        for object in self.some(self.nodes[address].held, 2):
            self.let_go(address, object)

    def listen(self):
        """Do what the store asks of the nodes."""
        for address, node in self.nodes.items():
            if address not in self.world.parties:
                continue
            node.guards = [(who, what) for who, what in node.guards if who in self.nodes
                           and self.world.parties[who].unacknowledged()]  # fmt: skip
            for entry in self.world.entries(address):
                if entry.kind == sp.ENTRY_FREE:
                    node.copies.discard(entry.object)
                    self.say(address, sp.Item(sp.OP_UNLOCATE, entry.object))
                elif entry.kind == sp.ENTRY_RERUN:
                    task = self.tasks[entry.object[:16]]
                    task.home, task.is_pending = address, True
                    task.epoch, task.attempt = sp.ATTEMPT_HEADER.unpack_from(entry.body)
                elif entry.kind == sp.ENTRY_OBJECT:
                    node.told[entry.object] = sp.read_notice(entry.body)
                elif entry.kind == sp.ENTRY_ANSWER:
                    node.promised.pop(entry.token, None)
                    if entry.flags == sp.STORE_OK:
                        continue
                    assert entry.flags in (sp.STORE_STALE, sp.STORE_UNKNOWN), entry
                    for result in self.tasks[entry.object[:16]].results:  # what it made counts for nothing
                        if result in node.copies:
                            node.copies.discard(result)
                            self.say(address, sp.Item(sp.OP_UNLOCATE, result))

    def crash(self, address):
        """The node and all that it knew; tasks whose home it was are orphans, for the store to give to others."""
        node = self.nodes.pop(address)
        self.lost |= node.copies
        self.world.crash(address)
        self.settle()
        self.nodes[address] = Node()
        self.world.start(address)
        self.settle()

    def settle(self):
        """Let everything happen that follows from what was said."""
        for _ in range(100):
            self.world.run(2 * DEAD_NS if self.world.master().dying() else 20 * MS)
            before = self.world.sequence
            self.listen()
            if self.world.is_quiet() and not any(
                self.world.parties[each].unacknowledged() for each in self.nodes
            ) and before == self.world.sequence and not any(node.promised for node in self.nodes.values()):  # fmt: skip
                return
        raise AssertionError("it does not settle")

    # ---- the oracle ----

    def needed(self):
        """What somebody holds: a node, a task that has not ended, or a value that is needed itself."""
        direct = set().union(*(node.held for node in self.nodes.values()))
        for task in self.tasks.values():
            if task.is_pending and task.home in self.nodes:
                direct |= set(task.arguments)
        return set().union(set(), *(self.reach(each) for each in direct))

    def check(self):
        """Whoever asks for what it holds is told of the value, or that it is made, or of a loss that there was."""
        for address, node in self.nodes.items():
            for object in sorted(node.held):
                self.say(address, sp.Item(sp.OP_WATCH, object))
        self.settle()
        for node in self.nodes.values():
            for object in sorted(node.held):
                notice = node.told[object]
                if notice.state == sp.STORED_LOST:
                    text = p.read_envelope(notice.value).error[1]
                    assert (object in self.puts and object in self.lost) or "died before" in text, text
                elif notice.state == sp.STORED_READY and not notice.value:
                    assert all(object in self.nodes[each].copies for each in notice.locations), (
                        "freed, and said to be there"
                    )
                    assert notice.locations
                elif notice.state != sp.STORED_READY:
                    task = self.tasks[object[:16]]
                    assert task.is_pending and task.home in self.nodes, f"nobody makes it: {notice}"
        needed = self.needed()
        for node in self.nodes.values():
            assert not {each for each in node.copies if each not in needed}, "a copy that nobody needs is kept"

    def finish(self):
        """All tasks end, all references go: nothing is left."""
        for _ in range(200):
            pending = [task for task in self.tasks.values() if task.is_pending and task.home in self.nodes]
            if not pending:
                break
            for task in pending:
                self.say(task.home, sp.done(task.id, *(sp.value(i, inline=p.envelope()) for i in range(len(task.results))),
                                            epoch=task.epoch, attempt=task.attempt))  # fmt: skip
                task.is_pending = False
            self.settle()
        for address in sorted(self.nodes):
            self.nodes[address].guards.clear()
            for object in sorted(self.nodes[address].held):
                self.let_go(address, object)
        self.settle()
        for shard in range(N_SHARDS):
            sizes = self.world.sizes(shard)
            assert not any(sizes[name] for name in ("objects", "tasks", "actors", "names", "letters", "answers")), sizes
        assert not any(node.copies for node in self.nodes.values())


ACTS = ("submit", "submit", "end", "end", "end", "put", "give", "give", "watch", "fetch", "lose", "release_some",
        "release_some")  # fmt: skip


def run(seed, n_steps=80, faults=True):
    model = Model(seed, loss=0.05 if faults and seed % 2 else 0.0, repeats=0.05 if faults else 0.0)
    for step in range(n_steps):
        address = model.random.choice(sorted(model.nodes))
        getattr(model, model.random.choice(ACTS))(address)
        model.world.run(model.random.choice([0, 0, 1, 3]) * MS)
        model.listen()
        if faults and step % 40 == 25:
            model.settle()
            model.crash(model.random.choice(sorted(model.nodes)))
        if faults and step % 30 == 20:
            replica = model.random.choice(model.world.replicas)
            if all(len(model.world.members(shard)) == 2 for shard in range(N_SHARDS)):
                model.world.crash(replica)
                model.world.run(2 * DEAD_NS)
                model.world.start(replica)
    model.world.heal()
    model.settle()
    model.check()
    model.finish()


@pytest.mark.parametrize("seed", range(12))
def test_what_is_held_stays_and_all_else_goes(seed):
    run(seed)
