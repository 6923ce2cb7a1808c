"""The lineage graph of a runtime: its three kinds of edges, its cuts, how it is drawn. One runtime for all tests."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise

import pytest

import raylite
from raylite.util import state
from raylite.util.state.graph import GraphEdge, GraphNode, TaskGraph


@pytest.fixture(autouse=True)
def runtime(raylite_2cpu_module):
    return raylite_2cpu_module


@raylite.remote
def make(*args):
    return 1


@raylite.remote
def parent(name, *args):
    return raylite.get([make.options(name=f"{name} child {i}").remote(*args) for i in range(2)])


@raylite.remote
class Sum:
    def __init__(self, *args):
        self.total = 0

    def add(self, *args):
        self.total += 1
        return self.total

    def call_other(self, other, name):
        return raylite.get(other.add.options(name=name).remote())


@pytest.fixture
def name(request):
    """What no other test's tasks are called."""
    return request.node.name


def task_id(ref):
    return ref.task_id().hex()


def driver_id():
    from raylite.runtime.client import current_task

    return current_task().task_id.hex()


def edges(graph, kind):
    return {(edge.source, edge.target) for edge in graph.edges if edge.kind == kind}


def names(graph):
    return sorted(node.name for node in graph.nodes.values() if node.kind in ("task", "call", "creation"))


# ---- the three edges -------------------------------------------------------------------------------------------


def test_data_edges(name):
    value = raylite.put([1])
    first = make.options(name=f"{name} first").remote(value)
    boxed = make.options(name=f"{name} boxed").remote([first], key := {"inside": value})
    raylite.get(boxed)
    graph = state.task_graph()
    assert {
        (driver_id(), value.hex()),
        (value.hex(), task_id(first)),
        (task_id(first), first.hex()),
        (first.hex(), task_id(boxed)),
        (value.hex(), task_id(boxed)),
        (task_id(boxed), boxed.hex()),
    } <= edges(graph, "data")
    assert (first.hex(), task_id(first)) not in edges(graph, "data")
    node = graph.nodes[value.hex()]
    assert (node.kind, node.name[:4], node.state, node.size_bytes > 0) == ("object", "put ", "READY", True)
    del key


def test_an_object_that_was_freed_is_there_if_somebody_took_it(name):
    first = make.remote()
    second = make.options(name=name).remote(first)
    unused = make.remote()
    raylite.get([second, unused])
    taken, not_taken = first.hex(), unused.hex()
    del first, unused
    raylite.get(make.remote())  # the node has heard of it by then
    graph = state.task_graph()
    assert graph.nodes[taken].state == "FREED" and graph.nodes[taken].size_bytes is None
    assert not_taken not in graph.nodes and not_taken[:32] in graph.nodes


def test_references_inside_large_arguments(name):
    value = raylite.put(1)
    ref = make.options(name=name).remote(bytes(200_000), [value])
    raylite.get(ref)
    taken = [source for source, target in edges(state.task_graph(), "data") if target == task_id(ref)]
    assert value.hex() in taken and len(taken) == 2, "the block of the arguments is an object, too"


def test_control_edges(name):
    ref = parent.options(name=name).remote(name)
    raylite.get(ref)
    graph = state.task_graph()
    children = [id for id, node in graph.nodes.items() if node.name.startswith(f"{name} child")]
    assert {(driver_id(), task_id(ref)), *((task_id(ref), child) for child in children)} <= edges(graph, "control")
    assert len(children) == 2
    assert {target for source, target in edges(graph, "control") if source == task_id(ref)} == set(children)
    assert graph.nodes[driver_id()] == GraphNode(driver_id(), "driver", "driver")


def test_stateful_edges(name):
    actor, other = Sum.remote(), Sum.remote()
    calls = [actor.add.options(name=f"{name} {i}").remote() for i in range(3)]
    raylite.get(calls)
    elsewhere = actor.call_other.remote(other, f"{name} inner")
    raylite.get(elsewhere)
    graph = state.task_graph()
    creation = actor._actor_id.hex()
    inner = next(id for id, node in graph.nodes.items() if node.name == f"{name} inner")
    assert {target for _, target in edges(graph, "stateful")} >= {*map(task_id, calls), inner}
    order = [creation, *map(task_id, calls), task_id(elsewhere)]
    assert {edge for edge in edges(graph, "stateful") if edge[1] in order} == set(pairwise(order))
    assert (other._actor_id.hex(), inner) in edges(graph, "stateful")
    assert (task_id(elsewhere), inner) in edges(graph, "control")
    assert graph.nodes[creation].kind == "creation" and graph.nodes[calls[0].task_id().hex()].kind == "call"
    assert {graph.nodes[task_id(call)].actor for call in calls} == {creation}


def test_calls_that_are_not_sent_have_no_place_in_the_order(name, gate):
    @raylite.remote
    def wait(gate):
        gate.pass_through()

    actor = Sum.remote()
    raylite.get(actor.add.remote())
    waiting = actor.add.options(name=name).remote(wait.remote(gate))
    graph = state.task_graph()
    assert graph.nodes[task_id(waiting)].state == "PENDING_ARGS_AVAIL"
    assert task_id(waiting) not in {target for _, target in edges(graph, "stateful")}
    gate.open()
    raylite.get(waiting)
    assert task_id(waiting) in {target for _, target in edges(state.task_graph(), "stateful")}


# ---- cuts ------------------------------------------------------------------------------------------------------


def test_cut_to_a_task(name):
    before = make.options(name=f"{name} before").remote()
    beside = make.options(name=f"{name} beside").remote(before)
    ref = parent.options(name=f"{name} it").remote(name, before)
    after = make.options(name=f"{name} after").remote(ref)
    raylite.get([beside, after])
    graph = state.task_graph(task=ref)
    assert names(graph) == sorted(f"{name} {part}" for part in ("before", "it", "after", "child 0", "child 1"))
    assert driver_id() in graph.nodes
    assert {before.hex(), ref.hex(), after.hex()} <= set(graph.nodes) and beside.hex() not in graph.nodes
    assert all(edge.source in graph.nodes and edge.target in graph.nodes for edge in graph.edges)
    same = state.task_graph(task=task_id(ref))
    assert (same.nodes, same.edges) == (graph.nodes, graph.edges)
    assert state.task_graph(task=ref.task_id()).edges == graph.edges


def test_cut_to_a_call(name):
    """Earlier calls have changed the state that it saw, later ones see what it did."""
    actor = Sum.remote()
    calls = [actor.add.options(name=f"{name} {i}").remote() for i in range(4)]
    raylite.get(calls)
    graph = state.task_graph(task=calls[2])
    assert names(graph) == ["Sum.__init__", *(f"{name} {i}" for i in range(4))]
    assert calls[1].hex() not in graph.nodes, "its result went elsewhere"


def test_cut_to_an_actor(name):
    source = make.options(name=f"{name} source").remote()
    actor, other = Sum.remote(source), Sum.remote()
    call = actor.add.options(name=f"{name} call").remote(source)
    made = make.options(name=f"{name} of the result").remote(call)
    raylite.get([made, other.add.options(name=f"{name} other").remote()])
    graph = state.task_graph(actor=actor)
    assert names(graph) == ["Sum.__init__", f"{name} call", f"{name} source"]
    assert {source.hex(), call.hex(), driver_id()} <= set(graph.nodes)
    same = state.task_graph(actor=actor._actor_id.hex())
    assert (same.nodes, same.edges) == (graph.nodes, graph.edges)
    assert state.task_graph(actor=actor._actor_id).edges == graph.edges


def test_cut_to_the_job():
    context = raylite.get_runtime_context()
    raylite.get(make.remote())
    assert set(state.task_graph(job=context.get_job_id()).nodes) == set(state.task_graph().nodes)
    assert set(state.task_graph(job=context.job_id).nodes) == set(state.task_graph().nodes)


def test_ancestors_and_descendants():
    graph = TaskGraph(
        {id: GraphNode(id, "task", id) for id in "abcde"},
        [GraphEdge(*pair, "data") for pair in ("ab", "bc", "bd", "ae")],
    )
    assert (graph.ancestors("c"), graph.descendants("b")) == ({"a", "b"}, {"c", "d"})
    assert (graph.ancestors("a"), graph.descendants("a")) == (set(), {"b", "c", "d", "e"})
    assert repr(graph.cut("abe")) == "TaskGraph(3 nodes, 2 edges)"


def test_more_tasks_than_are_looked_at(monkeypatch, name):
    from raylite.util.state import graph as graphs

    refs = [make.options(name=f"{name} {i}").remote() for i in range(5)]
    raylite.get(refs)
    monkeypatch.setattr(graphs, "TASKS_MOST", 3)
    with pytest.warns(UserWarning, match="there are more than 3 tasks; the graph has the latest ones"):
        graph = state.task_graph()
    assert names(graph) == [f"{name} {i}" for i in (2, 3, 4)] and not graph.is_whole


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"task": "0" * 31}, ValueError, "the id of a task has 32 hexadecimal digits"),
        ({"task": 5}, TypeError, "the id of a task is a string of 32 hexadecimal digits"),
        ({"actor": "zz"}, ValueError, "the id of an actor has 32 hexadecimal digits"),
        ({"job": "1"}, ValueError, "the id of a job has 8 hexadecimal digits"),
        ({"job": "00000002"}, ValueError, "there is no job 00000002: the one job is 00000001"),
        ({"task": "f" * 32}, ValueError, f"the node knows of no task {'f' * 32}, or no more"),
        ({"actor": "f" * 32}, ValueError, f"the node knows of no actor {'f' * 32}, or no more"),
        ({"actor": "f" * 32, "task": "f" * 32}, ValueError, "give job, task or actor, and not several of them"),
        ({"timeout": "long"}, TypeError, "timeout is a number of seconds"),
    ],
    ids=str,
)
def test_what_a_graph_is_not_cut_to(arguments, error, words):
    with pytest.raises(error) as refused:
        state.task_graph(**arguments)
    assert words in str(refused.value)


def test_a_task_is_no_actor():
    ref = make.remote()
    raylite.get(ref)
    with pytest.raises(ValueError, match="the node knows of no actor"):
        state.task_graph(actor=task_id(ref))


# ---- drawing ---------------------------------------------------------------------------------------------------

SAMPLE = TaskGraph(
    {
        "root": GraphNode("root", "driver", "driver"),
        "a": GraphNode("a", "task", 'say "hi" \\ now\nor \x07never' + "x" * 60, "FINISHED", 0, None, 1234),
        "b": GraphNode("b", "task", "retried", "FAILED", 2, None, 5),
        "c": GraphNode("c", "creation", "C.__init__", "FINISHED", 0, "c", 0),
        "d": GraphNode("d", "call", "C.call", "RUNNING", 0, "c"),
        "e": GraphNode("e", "task", "later", "PENDING_ARGS_AVAIL"),
        "a0": GraphNode("a0", "object", "result 0", "READY", size_bytes=1_500_000),
        "b0": GraphNode("b0", "object", "result 0", "FREED"),
    },
    [
        GraphEdge("root", "a", "control"),
        GraphEdge("a", "a0", "data"),
        GraphEdge("a0", "b", "data"),
        GraphEdge("c", "d", "stateful"),
    ],
)
STRING = r'"(?:[^"\\]|\\.)*"'


def parsed(dot):
    """The nodes (id to attributes), edges (pair to attributes) and frames of a text for Graphviz."""

    def attributes(text):
        return {key: value.strip('"') for key, value in re.findall(rf"(\w+)=({STRING}|\w+|[\d.]+)", text)}

    nodes = {m[1]: attributes(m[2]) for m in re.finditer(r'^ +"(\w+)" \[(.*)\];$', dot, re.MULTILINE)}
    edges = {
        (m[1], m[2]): attributes(m[3]) for m in re.finditer(r'^ +"(\w+)" -> "(\w+)" \[(.*)\];$', dot, re.MULTILINE)
    }
    assert dot.count("{") == dot.count("}")
    rest = re.sub(STRING, "", dot)
    assert rest.count('"') == 0, "every string ends"
    return nodes, edges, re.findall(r'subgraph "cluster_(\w+)"', dot)


def test_text_for_graphviz():
    nodes, edges, frames = parsed(SAMPLE.to_dot())
    assert set(nodes) == set(SAMPLE.nodes) and set(edges) == {(e.source, e.target) for e in SAMPLE.edges}
    assert frames == ["c"]
    assert nodes["a"]["label"].startswith('say \\"hi\\" \\\\ now\\nor  neverx') and "...\\n" in nodes["a"]["label"]
    assert nodes["a"]["label"].endswith("FINISHED, 1,234 ms\\na")
    assert nodes["b"]["label"] == "retried\\nFAILED, 5 ms, attempt 2\\nb"
    assert nodes["a0"]["label"] == "result 0\\n1.5 MB\\na0" and nodes["b0"]["label"] == "result 0\\nfreed\\nb0"
    assert {nodes[id]["shape"] for id in "abcde"} == {"box"}
    assert (nodes["a0"]["shape"], nodes["root"]["shape"]) == ("ellipse", "house")
    assert len({nodes[id]["fillcolor"] for id in ("root", "a", "b", "d", "e", "b0")}) == 6, "a colour for each state"
    assert len({attributes["color"] for attributes in edges.values()}) == 3, "a colour for each kind of edge"
    assert edges["root", "a"]["style"] == "dashed"
    assert SAMPLE.to_dot() == SAMPLE.to_dot()


def test_a_graph_of_nothing():
    assert parsed(TaskGraph({}, []).to_dot()) == ({}, {}, [])


@pytest.mark.parametrize("suffix", [".dot", ".gv"])
def test_text_is_written(tmp_path, suffix):
    path = tmp_path / f"graph{suffix}"
    assert SAMPLE.draw(str(path)) == path
    assert path.read_text() == SAMPLE.to_dot()
    assert list(tmp_path.iterdir()) == [path]


def test_without_graphviz(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RuntimeError, match=r"a \.png is made by Graphviz, whose command `dot` is not on the PATH: inst"
    ):
        SAMPLE.draw(tmp_path / "graph.png")
    assert (tmp_path / "graph.dot").read_text() == SAMPLE.to_dot()


def test_graphviz_is_called(tmp_path, monkeypatch):
    """By a stand-in for it, which keeps its arguments."""
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\necho "$1" > "$3"\ncat "$4" >> "$3"\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "graph.svg"
    assert SAMPLE.draw(path) == path
    assert path.read_text() == "-Tsvg\n" + SAMPLE.to_dot()
    dot.write_text("#!/bin/sh\necho it hurts >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match=r"^Graphviz could not draw .*graph\.dot, which is written: it hurts$"):
        SAMPLE.draw(path)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not there")
@pytest.mark.parametrize("suffix, begin", [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_pictures(tmp_path, suffix, begin):
    assert SAMPLE.draw(tmp_path / f"graph{suffix}").read_bytes().startswith(begin)


@pytest.mark.parametrize("path", ["graph", "graph.jpg", "graph.txt", "dot"])
def test_other_endings(tmp_path, path):
    with pytest.raises(ValueError, match=r"ends in \.dot, \.gv, \.png, \.svg, \.pdf, not to "):
        SAMPLE.draw(tmp_path / path)
    assert list(tmp_path.iterdir()) == []
