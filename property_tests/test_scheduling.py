"""Global schedulers and the placement of groups against oracles that look at every node, and at every way.

Scheduler: reports, deaths and questions of all kinds, in any order; the oracle computes each wait anew from the reports
and what was answered since. Groups: few nodes and bundles, all assignments.
"""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from raylite._core.scheduler.group_placement import place_group
from tests.core.placing import (
    BANDWIDTH_UNKNOWN,
    DEFAULT,
    EXCLUDED,
    FOUND,
    INFEASIBLE,
    LABEL_ABSENT,
    LABEL_EXISTS,
    LABEL_IN,
    LABEL_NOT_IN,
    MASTER,
    MASTER_LOADS,
    NEAR_NODE,
    NO_NODE,
    NODES,
    ON_NODE,
    SECOND_NS,
    SPREAD,
    TASK_NS_UNKNOWN,
    Label,
    Load,
    Question,
    Scheduler,
)
from tests.core.protocol import GROUP_PACK, GROUP_SPREAD, GROUP_STRICT_PACK, GROUP_STRICT_SPREAD

NODES = NODES[:5]
FUNCTIONS = [bytes(20), bytes(19) + b"\1"]
NAMES = ["CPU", "GPU", "disk"]
LARGEST = 2**64 - 1

addresses = st.sampled_from(NODES)
some = st.sampled_from([0, 0, 1, 2, 5, 2**62, LARGEST])
demands = st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0, 1, 2, 3]).map(lambda n: n * 10_000), max_size=2)
label = st.builds(
    Label,
    st.sampled_from([LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_ABSENT]),
    st.sampled_from("ab"),
    st.lists(st.sampled_from(["", "x", "xy"]), max_size=2).map(tuple),
    st.booleans(),
)


@st.composite
def loads(draw):
    total = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4).map(lambda n: n * 10_000), min_size=1))
    return Load(
        draw(addresses),
        total,
        {name: 10_000 * draw(st.integers(0, 5)) for name in total if name == "CPU" or draw(st.booleans())},
        draw(st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", "xy"]))),
        draw(some),
        draw(some),
        draw(some),
        draw(some),
        draw(st.dictionaries(st.sampled_from(FUNCTIONS), some)),
        draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
    )


arguments = st.tuples(st.sampled_from([0, 1, 100, 2**40]), st.lists(addresses, max_size=3).map(tuple))
questions = st.tuples(
    demands,
    st.sampled_from([DEFAULT, DEFAULT, SPREAD, ON_NODE, NEAR_NODE]),
    addresses,
    st.lists(addresses, max_size=2).map(tuple),
    st.lists(arguments, max_size=3).map(tuple),
    st.lists(label, max_size=2).map(tuple),
    st.sampled_from(FUNCTIONS),
).map(lambda fields: Question(*fields))
deaths = st.tuples(addresses, st.integers(1, 3))


class Model:
    """What a scheduler should know, and how it should choose: every node is looked at."""

    def __init__(self, ignores_locality):
        self.ignores_locality = ignores_locality
        self.loads = {}
        self.dead = {}
        self.placed = {}  # address to demands

    def report(self, load):
        known = self.loads.get(load.address)
        newer = known is None or (load.incarnation, load.number) > (known.incarnation, known.number)
        if newer and load.incarnation > self.dead.get(load.address, 0):
            self.loads[load.address] = load
            self.placed[load.address] = []

    def die(self, address, incarnation):
        self.dead[address] = max(incarnation, self.dead.get(address, 0))
        if address in self.loads and self.loads[address].incarnation <= incarnation:
            del self.loads[address]

    def state(self, address):
        """What is available, tasks that wait, tasks that run."""
        load = self.loads[address]
        available, waiting, running = load.available(), load.n_queued, load.n_running
        for demand in self.placed[address]:
            if fits(demand, available):
                running += 1
                available = {name: amount - demand.get(name, 0) for name, amount in available.items()}
            else:
                waiting += 1
        return available, waiting, running

    def cost(self, address, question):
        load = self.loads[address]
        available, waiting, running = self.state(address)
        queued = not fits(question.demand, available)
        soft = all(matches(load.labels, label) for label in question.labels if label.is_soft)
        if question.strategy == SPREAD or not any(question.demand.values()):
            rank = 2 * queued + (not soft)
            return rank, min(waiting % 2**64 + running % 2**64, LARGEST), queued, address
        mean_ns = load.functions.get(question.function) or load.task_ns or TASK_NS_UNKNOWN
        missing = 0 if self.ignores_locality else sum(size for size, at in question.arguments if address not in at)
        pulling_ns = min(missing * SECOND_NS // (load.bandwidth or BANDWIDTH_UNKNOWN), LARGEST)
        wait_ns = min((waiting + 1) * mean_ns, min(waiting + 1, LARGEST) * mean_ns, LARGEST) if queued else 0
        rank = 2 * queued + (not soft) if question.labels else 0
        return rank, min(wait_ns + pulling_ns, LARGEST), queued, address

    def could(self, address, question):
        load = self.loads[address]
        hard = all(matches(load.labels, label) for label in question.labels if not label.is_soft)
        return fits(question.demand, load.total) and hard

    def answer(self, question):
        nodes = [address for address in self.loads if question.strategy != ON_NODE or address == question.node]
        able = [address for address in nodes if self.could(address, question)]
        asked = [address for address in able if address not in question.excluded]
        if not nodes:
            return NO_NODE, 0
        if not asked:
            return EXCLUDED if able else INFEASIBLE, 0
        if question.strategy == NEAR_NODE and question.node in asked:
            address = question.node
        else:
            address = min(asked, key=lambda address: self.cost(address, question))
        self.placed[address].append(question.demand)
        return FOUND, address


def fits(demand, amounts):
    return all(amount <= amounts.get(name, 0) for name, amount in demand.items() if amount)


def matches(labels, label):
    value = labels.get(label.key)
    if label.operator in (LABEL_IN, LABEL_NOT_IN):
        return (value in label.values) == (label.operator == LABEL_IN)
    return (value is not None) == (label.operator == LABEL_EXISTS)


@given(st.lists(st.one_of(loads(), questions, questions, deaths), max_size=40), st.booleans())
def test_the_scheduler_chooses_as_one_that_looks_at_every_node(events, ignores_locality):
    scheduler, model = Scheduler(ignores_locality=ignores_locality), Model(ignores_locality)
    for event in events:
        if isinstance(event, Load):
            scheduler.publish(event)
            model.report(event)
        elif isinstance(event, Question):
            (answer,) = scheduler.ask(event)
            assert (answer.refusal, answer.address) == model.answer(event)
        else:
            scheduler.node_dies(*event)
            model.die(*event)
    assert sorted(model.loads) == [node["address"] for node in scheduler.party.nodes()]


@given(st.lists(loads(), max_size=5), st.lists(questions, max_size=10))
def test_equal_schedulers_answer_alike(reports, asked):
    one, other = Scheduler(*reports), Scheduler(*reports)
    assert one.ask(*asked) == other.ask(*asked)


@given(st.binary(max_size=400), st.integers(0, 400), st.lists(questions, min_size=1, max_size=2))
def test_no_bytes_do_harm(noise, at, asked):
    good = b"".join(question.pack() for question in asked)
    scheduler = Scheduler(Load(NODES[0], {"CPU": 10_000}))
    for data in (noise, good[:at] + noise + good[at + len(noise) :]):
        scheduler.ask_bytes(data + bytes(-len(data) % 8))
        scheduler.tell(MASTER, MASTER_LOADS, data)


# ---- placement groups ----


bundles_of_groups = st.lists(
    st.dictionaries(st.sampled_from(NAMES[:2]), st.integers(0, 3), min_size=1), min_size=1, max_size=5
)
nodes_of_groups = st.lists(st.fixed_dictionaries({"CPU": st.integers(0, 5), "GPU": st.integers(0, 2)}), max_size=4)


def all_ways(nodes, bundles):
    """Every assignment of bundles to nodes that fits."""
    for way in product(range(len(nodes)), repeat=len(bundles)):
        if all(
            sum(bundle.get(name, 0) for bundle, at in zip(bundles, way, strict=True) if at == node) <= amount
            for node, amounts in enumerate(nodes)
            for name, amount in amounts.items()
            if any(bundle.get(name) for bundle, at in zip(bundles, way, strict=True) if at == node)
        ):
            yield way


@given(nodes_of_groups, bundles_of_groups, st.integers(0, 3))
def test_a_group_is_placed_as_well_as_it_can_be(nodes, bundles, strategy):
    data = b"".join(Load(address, amounts).pack() for address, amounts in zip(NODES, nodes, strict=False))
    found = place_group(data, strategy, bundles)
    ways = list(all_ways(nodes, bundles))
    sizes = [len(set(way)) for way in ways]
    wanted = {
        GROUP_STRICT_PACK: 1,
        GROUP_STRICT_SPREAD: len(bundles),
        GROUP_PACK: min(sizes, default=0),
        GROUP_SPREAD: max(sizes, default=0),
    }[strategy]
    if wanted not in sizes:
        assert found is None
    else:
        assert found is not None
        way = tuple(map(NODES.index, found))
        assert way in ways and len(set(way)) == wanted
