"""The task graph of a simulation, with what was lost and what ran again."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

import raylite
from raylite import sim


def program():
    @raylite.remote(max_retries=2)
    def make():
        sim.cost(1.0)
        return np.zeros(200_000)

    @raylite.remote(max_retries=2)
    def length(array):
        return len(array)

    @raylite.remote(max_retries=2)
    def parent():
        return raylite.get(length.options(name="child").remote(np.zeros(3)))

    @raylite.remote
    class Counter:
        def next(self):
            return 1

    made = make.remote()
    raylite.wait([made], timeout=0.5)
    busy = [worker["client"] for worker in sim.current().workers() if worker["running"]]
    sim.current().kill_worker(busy[0])
    first = raylite.get(length.remote(made))
    sim.current().settle()
    sim.current().lose(made)
    counter = Counter.remote()
    return (
        first,
        raylite.get([length.remote(made), parent.remote(), counter.next.remote(), counter.next.remote()]),
        made,
    )


def nodes_of(text):
    """What is said of each node: id -> all its attributes; and the edges, as (source, target)."""
    nodes: dict[str, str] = {}
    for id, attributes in re.findall(r'^ *"(\w+)" \[(.*)\];$', text, re.M):
        nodes[id] = nodes.get(id, "") + " " + attributes
    return nodes, re.findall(r'^ *"(\w+)" -> "(\w+)" \[(.*)\];$', text, re.M)


def test_what_was_lost_and_ran_again_is_marked(tmp_path):
    result = sim.run(program, seed=2, num_cpus=2, record=True)
    assert result.value[:2] == (200_000, [200_000, 3, 1, 1])
    path = tmp_path / "graph.dot"
    assert sim.write_graph(result, path) == path
    nodes, edges = nodes_of(path.read_text(encoding="utf-8"))

    def named(name):
        return [attributes for attributes in nodes.values() if f"{name}\\n" in attributes]

    [make] = named("make")
    assert "#ffc078" in make and "#e03131" in make and "attempt" in make
    assert len(named("length")) == 2 and not any("#ffc078" in each for each in named("length"))
    lost = [id for id, attributes in nodes.items() if "dashed" in attributes]
    assert lost == [result.value[2].hex()]
    kinds = ["dashed" if "dashed" in style else "thick" if "penwidth" in style else "data" for _, _, style in edges]
    assert {kinds.count("thick"), len(named("child"))} == {2, 1} and kinds.count("data") >= 3
    assert all(source in nodes and target in nodes for source, target, _ in edges)


def test_a_run_without_faults_has_no_marks(tmp_path):
    def quiet():
        return raylite.get(raylite.remote(lambda: 1).remote())

    sim.write_graph(sim.run(quiet, record=True), tmp_path / "graph.gv")
    nodes, edges = nodes_of((tmp_path / "graph.gv").read_text(encoding="utf-8"))
    assert nodes and edges and not any("#ffc078" in each or "#e03131" in each for each in nodes.values())


def test_a_cluster_is_drawn_too(tmp_path):
    with sim.cluster(seed=1, record=True) as cluster:
        raylite.get(raylite.remote(lambda: 1).options(name="one").remote())
        sim.write_graph(cluster, tmp_path / "graph.dot")
    assert "one\\n" in (tmp_path / "graph.dot").read_text(encoding="utf-8")


def test_bad_input(tmp_path):
    result = sim.run(int, record=True)
    with pytest.raises(ValueError, match="ends in"):
        sim.write_graph(result, tmp_path / "graph.txt")
    with pytest.raises(ValueError, match="record=True"):
        sim.write_graph(sim.run(int), tmp_path / "graph.dot")


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_a_picture(tmp_path):
    sim.write_graph(sim.run(program, seed=2, num_cpus=2, record=True), tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


@raylite.remote(max_retries=-1)
def leaf(n):
    sim.cost(0.3)
    return n


@raylite.remote(max_retries=-1)
def tree(n):
    return sum(raylite.get([leaf.options(name="child").remote(i) for i in range(n)]))


@raylite.remote(num_cpus=0, resources={"there": 1})
class There:
    def next(self):
        return 1


def on_several_nodes():
    raylite.get(leaf.remote(1))
    actor = There.remote()
    refs = [*[tree.remote(3) for _ in range(6)], actor.next.remote(), actor.next.remote()]
    raylite.wait(refs[:6], num_returns=1)
    sim.current().kill_node(2)
    return raylite.get(refs)


def test_the_graph_is_put_together_of_what_all_nodes_know(tmp_path):
    nodes = [sim.Node(num_cpus=2), sim.Node(num_cpus=2, resources={"there": 1}), sim.Node(num_cpus=2)]
    result = sim.run(on_several_nodes, seed=1, nodes=nodes, record=True)
    assert result.value == [3] * 6 + [1, 1]
    graph = result.recording.graph
    by_name: dict = {}
    for node in graph.nodes.values():
        by_name.setdefault(node.name.rpartition(".")[2], []).append(node)
    assert len(by_name["child"]) == 18 and len(by_name["tree"]) == 6 and len(by_name["driver"]) == 1
    assert {node.state for node in by_name["child"] + by_name["tree"] + by_name["next"]} == {"FINISHED"}
    assert "forgotten" not in by_name and {each.kind for each in graph.edges} == {"data", "control", "stateful"}
    children = {edge.target for edge in graph.edges if edge.kind == "control"}
    assert {node.id for node in by_name["child"]} <= children
    assert len(graph.edges) == len(set(graph.edges))
    sim.write_graph(result, tmp_path / "graph.dot")
    marked, _ = nodes_of((tmp_path / "graph.dot").read_text(encoding="utf-8"))
    again = {node.id for node in graph.nodes.values() if node.attempt}
    assert again and all("#ffc078" in marked[id] for id in again)


@raylite.remote(max_retries=-1, num_cpus=0, resources={"there": 1})
def large():
    return bytes(500_000)


def lost_with_its_node():
    ref = large.remote()
    sim.cost(1.0)
    sim.current().kill_node(1)
    sim.cost(5.0)
    return len(raylite.get(ref))


def test_a_result_that_died_with_its_node_is_marked(tmp_path):
    there = sim.Node(resources={"there": 1})
    result = sim.run(lost_with_its_node, nodes=[sim.Node(), there, there], record=True)
    assert result.value == 500_000 and {each.node for each in result.recording.slices} == {1, 2}
    sim.write_graph(result, tmp_path / "graph.dot")
    marked, _ = nodes_of((tmp_path / "graph.dot").read_text(encoding="utf-8"))
    assert [id for id, attributes in marked.items() if "dashed" in attributes and len(id) > 32]
