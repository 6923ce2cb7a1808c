"""Random programs on virtual clusters under random faults, against what plain Python gives.

Hypothesis draws the program, step by step, the nodes, how often which fault befalls them, and the seed of everything
else. What the program holds it can read, and it is what a serial run gives; once it has let go, every table of every
node and shard is empty. A failing example shrinks to the fewest steps, nodes and faults.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import raylite
from raylite import sim
from raylite.sim import workloads
from raylite.sim.faults import KINDS, Faults
from raylite.sim.trials import FAULTS_FOR_S, check_empty
from raylite.sim.workloads import block, grown, number

STEPS = ("number", "block", "sum", "weigh", "tree", "read", "pass on", "put", "call", "stream", "look", "let go")
ACTS = ("kill a worker", "kill a node", "restart a node", "part", "heal")
MOST = {name: min(kind.drawn[1], 0.02) for name, kind in KINDS.items() if kind.hidden}
RARE = ("node_crash", "replica_crash", "head_crash", "partition")

pick = st.integers(0, 1 << 16)
steps = st.lists(st.tuples(st.sampled_from(STEPS + ACTS[:1]), pick, pick), min_size=1, max_size=25)
steps_of_clusters = st.lists(st.tuples(st.sampled_from(STEPS * 2 + ACTS), pick, pick), min_size=1, max_size=25)
trees = st.recursive(st.integers(0, 500).map(lambda n: (n, [])), lambda inner: st.tuples(st.just(0), st.lists(inner, min_size=1, max_size=3)), max_leaves=6)  # fmt: skip


def faults_of(names):
    """How often each of some kinds of faults happens."""
    rates = {
        name: st.sampled_from([0.0, 0.0, MOST[name] / 10, MOST[name] / (10 if name in RARE else 1)]) for name in names
    }
    return st.fixed_dictionaries(rates).map(lambda drawn: {name: rate for name, rate in drawn.items() if rate})


class Program:
    """Takes steps; knows of every reference what it stands for."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.held: list[
            tuple
        ] = []  # reference, value; a value is a number, bytes, or a tree as workloads.grown gives it
        self.trees: list[tuple] = []  # reference, tree: of values with references inside
        self.counter = None
        self.n_calls = 0
        self.down: set[int] = set()

    def take(self, step, one, other, tree):
        getattr(self, step.replace(" ", "_"))(one, other, tree)

    def some(self, one, other, kind):
        of_kind = [(ref, value) for ref, value in self.held if isinstance(value, kind)]
        return [of_kind[which % len(of_kind)] for which in ((one, other) if one % 3 else (one,))] if of_kind else []

    def number(self, one, other, tree):
        self.held.append((workloads.number_task.remote(one), number(one)))

    def block(self, one, other, tree):
        self.held.append((workloads.block_task.remote(one), block(one)))

    def sum(self, one, other, tree):
        some = self.some(one, other, int)
        self.held.append((workloads.plus_task.remote(*(ref for ref, _ in some)), sum(value for _, value in some)))

    def weigh(self, one, other, tree):
        some = self.some(one, other, bytes)
        ref = workloads.weigh_task.remote(*(ref for ref, _ in some))
        self.held.append((ref, workloads.weigh(*(value for _, value in some))))

    def tree(self, one, other, tree):
        self.trees.append((workloads.growing.remote(tree), tree))

    def read(self, one, other, tree):
        if self.trees:
            ref, of = self.trees[one % len(self.trees)]
            self.held.append((workloads.read_by_task.remote([ref]), [grown(of)]))

    def pass_on(self, one, other, tree):
        for values in (self.held, self.trees):
            if values:
                ref, value = values.pop(one % len(values))
                values.append((raylite.get(workloads.passed_on.remote([ref]))[0], value))

    def put(self, one, other, tree):
        self.held.append((raylite.put(block(one) if other % 2 else one), block(one) if other % 2 else one))

    def call(self, one, other, tree):
        if self.counter is None:
            self.counter = workloads.Keeper.remote()
        self.held.append((self.counter.give.remote(one), []))

    def stream(self, one, other, tree):
        numbers = list(range(one % 5))
        self.held.append((workloads.consume.remote(numbers, {}), numbers))

    def look(self, one, other, tree):
        if self.held:
            ref, value = self.held[one % len(self.held)]
            assert raylite.get(ref) == value

    def let_go(self, one, other, tree):
        for values in (self.held, self.trees):
            if values and other % 2:
                del values[one % len(values)]

    # ---- faults by command ----

    def kill_a_worker(self, one, other, tree):
        if workers := self.cluster.workers():
            worker = workers[one % len(workers)]
            self.cluster.session.kill_worker(*(worker[key] for key in ("client", "node") if key in worker))

    def kill_a_node(self, one, other, tree):
        """Not the program's own, and one at a time: the store keeps what one replica has."""
        if self.others() and not self.down:
            node = self.others()[one % len(self.others())]
            self.down.add(node)
            self.cluster.kill_node(node)

    def restart_a_node(self, one, other, tree):
        if self.down:
            self.cluster.restart_node(self.down.pop())

    def part(self, one, other, tree):
        if self.others():
            self.cluster.partition({self.others()[one % len(self.others())]}, one_way=bool(other % 2))

    def heal(self, one, other, tree):
        if self.others():
            self.cluster.heal()

    def others(self):
        return range(1, len(self.cluster.config.nodes))

    # ---- the end ----

    def end(self):
        """Read all that is held, and let go of it."""
        self.restart_a_node(0, 0, None)
        self.heal(0, 0, None)
        for ref, value in self.held:
            assert raylite.get(ref) == value
        for ref, tree in self.trees:
            assert workloads.read_tree([ref]) == [grown(tree)]
        self.held.clear()
        self.trees.clear()
        self.counter = None


def run(program, tree, n_cpus, rates, seed):
    nodes = [sim.Node(num_cpus=n) for n in n_cpus]
    with sim.cluster(seed, nodes, Faults(**rates), faults_for_s=FAULTS_FOR_S, check=False) as cluster:
        running = Program(cluster)
        for step, one, other in program:
            running.take(step, one, other, tree)
        running.end()
        del running
        cluster.settle()
        workloads.let_go()
        check_empty(cluster)


PART = settings.default.max_examples // 4  # each runs a cluster
pytestmark = pytest.mark.timeout(300)  # what fails is made smaller


@given(steps, trees, st.integers(1, 3), faults_of([name for name in MOST if KINDS[name].alone]), pick)
@settings(max_examples=PART)
def test_programs_on_one_node(program, tree, n_cpus, rates, seed):
    run(program, tree, [n_cpus], rates, seed)


@given(steps_of_clusters, trees, st.lists(st.integers(1, 2), min_size=2, max_size=4), faults_of(MOST), pick)
@settings(max_examples=PART)
def test_programs_on_several_nodes(program, tree, n_cpus, rates, seed):
    run(program, tree, n_cpus, rates, seed)
