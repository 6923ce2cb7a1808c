"""A simulation as a trace file: well-formed, and true to what happened."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

import raylite
from raylite import sim
from raylite.exceptions import RayError
from raylite.sim.trace_file import MESSAGES, PACKETS
from tests.sim.test_concurrency import Async, Threaded, run_random
from tests.source.tree import ROOT


def program():
    @raylite.remote
    def leaf(x):
        sim.cost(1.0)
        return x

    @raylite.remote(max_retries=-1)
    def parent(n):
        return sum(raylite.get([leaf.remote(i) for i in range(n)]))

    @raylite.remote
    def fail():
        raise ValueError("no")

    @raylite.remote
    class Async:
        async def nap(self):
            await asyncio.sleep(2.0)

    @raylite.remote(max_concurrency=2)
    class Threaded:
        def nap(self):
            sim.cost(2.0)

    actors = [Async.remote(), Threaded.remote()]
    naps = [actor.nap.remote() for actor in actors for _ in range(2)]
    total = raylite.get(parent.remote(3))
    with pytest.raises(ValueError):
        raylite.get(fail.remote())
    raylite.get(naps)
    busy = parent.remote(2)
    raylite.wait([busy], timeout=0.5)
    running = [worker["client"] for worker in sim.current().workers() if worker["running"]]
    sim.current().kill_worker(running[0])
    return total, raylite.get(busy)


def trace_of(what, tmp_path):
    path = tmp_path / "trace.json"
    sim.write_timeline(what, path)
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    assert set(trace) == {"traceEvents", "displayTimeUnit"}
    return trace["traceEvents"]


def check(events):
    """What the format asks for, and what makes it readable."""
    named = {(event["pid"], event.get("tid")) for event in events if event["ph"] == "M"}
    slices: dict[tuple, list] = {}
    flows: dict[int, list] = {}
    for event in events:
        assert set(event) >= {"ph", "name", "pid"} and event["ph"] in "MXisf", event
        if event["ph"] == "M":
            continue
        assert event["ts"] >= 0 and (event["pid"], event["tid"]) in named, event
        if event["ph"] == "X":
            assert event["dur"] >= 0, event
            slices.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
        elif event["ph"] in "sf":
            flows.setdefault(event["id"], []).append(event)
    for row in slices.values():
        open_until = []
        for begin, end in sorted(row, key=lambda pair: (pair[0], -pair[1])):
            while open_until and open_until[-1] <= begin + 1e-6:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-6, f"{begin} to {end} is half inside another"
            open_until.append(end)
    for ends in flows.values():
        assert [end["ph"] for end in ends] == ["s", "f"] and ends[0]["name"] == ends[1]["name"]
        assert ends[0]["ts"] <= ends[1]["ts"], ends
        for end in ends:
            row = slices[end["pid"], end["tid"]]
            assert any(begin - 1e-6 <= end["ts"] <= until + 1e-6 for begin, until in row), f"{end} is in no slice"
    return slices, flows


def test_it_is_well_formed_and_tells_what_happened(tmp_path):
    result = sim.run(program, seed=3, num_cpus=4, record=True)
    assert result.value == (3, 1)
    events = trace_of(result, tmp_path)
    _, flows = check(events)

    def named(name):
        return [event for event in events if event["ph"] == "X" and event["name"].endswith(name)]

    leaves = [event for event in named("leaf") if event["args"]["outcome"] == "finished"]
    assert len(leaves) >= 5 and all(1e6 <= event["dur"] < 1.1e6 for event in leaves)
    assert [event["args"]["outcome"] for event in named("fail")] == ["failed"]
    outcomes = {(event["args"]["attempt"], event["args"]["outcome"]) for event in (*named("parent"), *named("leaf"))}
    assert {(0, "crashed"), (0, "finished"), (1, "finished")} <= outcomes
    for name in ("Async.nap", "Threaded.nap"):
        first, second = named(name)
        assert first["cat"] == "call" and first["tid"] != second["tid"] and abs(first["ts"] - second["ts"]) < 1e6
        assert 2e6 <= first["dur"] < 2.1e6
    [death] = [event for event in events if event["ph"] == "i"]
    assert death["cat"] == "fault" and death["args"]["why"] == "signal 9"
    crashed = [e for e in (*named("parent"), *named("leaf")) if e["args"]["outcome"] == "crashed"]
    assert all(event["ts"] + event["dur"] == pytest.approx(death["ts"]) for event in crashed)
    kinds = {ends[0]["name"] for ends in flows.values()}
    assert {"submit", "run", "finished", "value", "get"} <= kinds
    starts = [ends for ends in flows.values() if ends[0]["name"] == "run"]
    begun = {(event["tid"], event["ts"]) for event in events if event["ph"] == "X" and event["cat"] != "message"}
    assert len(starts) > 10 and all((ends[1]["tid"], ends[1]["ts"]) in begun for ends in starts)


@pytest.mark.parametrize("cls", [Async, Threaded], ids=["async", "threaded"])
def test_it_is_well_formed_whatever_happens(cls, tmp_path):
    n_crashed = 0
    for seed in range(8):
        result = sim.run(run_random, seed, cls, -1, -1, seed=seed, worker_crash=0.02, num_cpus=2, record=True)
        events = trace_of(result, tmp_path)
        check(events)
        n_crashed += sum(event["ph"] == "i" for event in events)
    assert n_crashed > 3


@raylite.remote(max_retries=-1)
def work(x):
    sim.cost(0.5)
    return x


def on_several_nodes():
    raylite.get(work.remote(0))
    refs = [work.remote(x) for x in range(12)]
    raylite.wait(refs, timeout=0.2)
    sim.current().kill_node(1)
    raylite.wait(refs, num_returns=6)
    sim.current().restart_node(1)
    raylite.get(refs)
    return raylite.get([work.remote(x) for x in range(12)])


def test_several_nodes_are_processes_and_messages_between_them_arrows(tmp_path):
    nodes = [sim.Node(num_cpus=2) for _ in range(3)]
    faults = "message_loss=0.02,worker_crash=0.02,clock_skew=0.5"
    events = trace_of(sim.run(on_several_nodes, seed=2, nodes=nodes, faults=faults, record=True), tmp_path)
    _, flows = check(events)
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {0: "node 0 (seed 2)", 1: "node 1", 2: "node 2", 3: "head"}
    ran = [event for event in events if event["ph"] == "X" and event["name"].endswith("work")]
    assert {event["pid"] for event in ran} == {0, 1, 2} and {event["args"]["outcome"] for event in ran} >= {"crashed"}
    between = {(ends[0]["name"], ends[0]["pid"] != ends[1]["pid"]) for ends in flows.values()}
    assert {("node task", True), ("node result", True), ("master node", True), ("run", False)} <= between
    markers = {(event["pid"], event["name"]) for event in events if event["ph"] == "i"}
    assert {(1, "node crash: node 1"), (1, "node 1 is gone"), (1, "node 1 comes back")} <= markers
    assert {name.partition(":")[0] for _, name in markers} >= {"message loss", "clock skew"}
    assert all(event["ts"] < 10e6 for event in events if "ts" in event)  # also where clocks are off


def test_a_cluster_is_drawn_as_far_as_it_has_come(tmp_path):
    @raylite.remote
    def nap():
        sim.cost(10.0)

    with sim.cluster(seed=1, record=True) as cluster:
        ref = nap.remote()
        raylite.wait([ref], timeout=2.0)
        events = trace_of(cluster, tmp_path)
        check(events)
        [running] = [event for event in events if event["ph"] == "X" and event["cat"] == "task"]
        assert running["args"]["outcome"] == "running" and 1.5e6 < running["dur"] < 2.1e6
        with pytest.raises(RayError):
            raylite.get(ref, timeout=1.0)


def test_what_was_not_recorded_is_refused(tmp_path):
    with pytest.raises(ValueError, match="record=True"):
        sim.write_timeline(sim.run(int), tmp_path / "trace.json")
    with pytest.raises(TypeError, match=r"sim\.run"):
        sim.write_timeline("result", tmp_path / "trace.json")
    assert not list(tmp_path.iterdir())


def test_messages_are_called_what_they_are():
    text = (ROOT / "raylite/_core/message.pxd").read_text(encoding="utf-8")
    kinds = {int(number): name.lower() for name, number in re.findall(r"(?:EV|CMD)_(\w+) = (\d+)", text)}
    assert {kind: kinds[kind] for kind in MESSAGES} == MESSAGES
    text = (ROOT / "raylite/_core/links/packet.pxd").read_text(encoding="utf-8")
    first = int(re.search(r"NODE_FIRST = (\d+)", text)[1])
    kinds = {int(number): name for name, number in re.findall(r"([A-Z_]+) = (\d+)", text)}
    text = (ROOT / "raylite/_core/cluster/message.pxd").read_text(encoding="utf-8")
    for name, more in re.findall(r"(NODE_\w+) = NODE_FIRST(?: \+ (\d+))?", text):
        kinds[first + int(more or 0)] = name
    called = {kind: name.lower().replace("_", " ").removeprefix("peer ") for kind, name in kinds.items()}
    left_out = {"ack", "master heartbeat", "master loads", "node first", "node last", "chain last", "master last"}
    assert {kind: called[kind] for kind in PACKETS} == PACKETS
    assert {name for kind, name in called.items() if kind >= 128 and kind not in PACKETS} <= left_out | {
        "scheduler last"
    }


def test_recording_changes_nothing():
    plain, recorded = (
        sim.run(run_random, 5, Async, -1, -1, seed=5, worker_crash=0.02, record=record) for record in (False, True)
    )
    assert (plain.trace_hash, plain.virtual_s) == (recorded.trace_hash, recorded.virtual_s)
