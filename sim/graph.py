"""A simulation's task graph as a drawing: what raylite.util.state.task_graph() draws, with what was lost and run again.

Orange: ran more than once. Red frame: an attempt died with its process. Red and dashed: an object that got lost, with
its bytes or with its node: its maker had finished, and ran again.
"""

from raylite.sim.host import report
from raylite.sim.recording import recording_of
from raylite.sim.session import current
from raylite.util.state import task_graph
from raylite.util.state.drawing import LEGEND, PICTURE_SUFFIXES, TEXT_SUFFIXES, draw_text, quoted, to_dot
from raylite.util.state.graph import Builder, GraphNode, TaskGraph
from raylite.util.state.reports import Question

ENDINGS = TEXT_SUFFIXES + PICTURE_SUFFIXES  # of files that a graph is drawn to
RAN_AGAIN = 'fillcolor="#ffc078"'
DIED = 'color="#e03131", penwidth=2.5'
LOST = 'color="#e03131", fillcolor="#ffe3e3", style="filled,dashed"'
TIME_S = 60.0
TASK_DIGITS = 32  # with which the id of an object begins: those of who made it
COLOURS = "orange: ran again   red frame: an attempt died   red, dashed: lost"


def write_graph(what, path):
    """Draw the dynamic task graph of a simulation: tasks and objects, joined by data, control and stateful edges.

    Args: what: the Result of sim.run(record=True), a sim.cluster or a simulation that records; path: of the file, .dot
    or .gv, or .png, .svg or .pdf, for which Graphviz has to be there. Returns the path.
    Raises TypeError or ValueError for a wrong argument or if nothing was recorded, RuntimeError without Graphviz.
    """
    recording = recording_of(what)
    graph = recording.graph if recording.graph is not None else graph_of(current())
    return draw_text(dot_of(graph, recording), path)


def graph_of(session):
    """The task graph of a simulation that runs: of several nodes what they know together, also those that are down."""
    if len(session.config.nodes) == 1:
        return task_graph()
    graphs = [
        [Builder(Question(NodeAsked(session, node), TIME_S)).graph() for node in nodes]
        for nodes in session.remembering()
    ]
    return merged(*graphs)


class NodeAsked:
    """A VirtualNode in place of a client of it: what a Question asks goes to its tables at once."""

    def __init__(self, session, node):
        self.node = node
        self.driver = session.client

    @property
    def root(self):
        return self.driver.root

    def query(self, what, query):
        return report(self.node.node, what, query)

    def node_id(self):
        return self.node.id_bytes

    def job_number(self):
        return self.driver.job_number()


def merged(of_dead, of_alive):
    """One graph of what several nodes know: of each task and object what the one says that knows most.

    Args: the graphs of nodes that are down, and of those that are up.
    """
    nodes, edges = {}, {}
    graphs = [*of_dead, *of_alive]
    for graph in graphs:
        for id, node in graph.nodes.items():
            if graph in of_dead and node.kind == "object":
                node = node._replace(state="FREED", size_bytes=None)
            nodes[id] = node if id not in nodes else max(nodes[id], node, key=knowledge)
        edges.update(dict.fromkeys(graph.edges))
    return TaskGraph(nodes, list(edges), all(graph.is_whole for graph in graphs))


def knowledge(node: GraphNode):
    """More than what was forgotten is what is known, than what is not over what is, than what is gone what is here."""
    if node.kind == "object":
        return (2, ("FREED", "PENDING", "ERROR", "READY").index(node.state), 0, 0)
    is_over = node.state in ("FINISHED", "FAILED")
    return (node.kind != "forgotten", is_over, node.attempt, node.run_ms is not None)


def dot_of(graph, recording):
    """The graph in the language of Graphviz, where what is said of a node again holds."""
    lines = [f"  label={quoted(LEGEND + chr(10) + COLOURS)};\n"]
    lines.extend(f"  {quoted(id)} [{attributes}];\n" for id, attributes in marks(graph, recording))
    return to_dot(graph).removesuffix("}\n") + "".join(lines) + "}\n"


def marks(graph, recording):
    """(id of a node, its attributes) for what was lost or ran again."""
    begun, died, lost = {}, set(), set(recording.lost)
    finished = set()
    for each in recording.slices:
        begun[each.task] = begun.get(each.task, 0) + 1
        if each.outcome == "crashed":
            died.add(each.task)
        if each.task in finished:
            lost.add(each.task)
        if each.outcome == "finished":
            finished.add(each.task)
    for id, node in graph.nodes.items():
        found = []
        if node.kind == "object":
            if id in lost or id[:TASK_DIGITS] in lost:
                found.append(LOST)
        else:
            if node.attempt or begun.get(id, 0) > 1:
                found.append(RAN_AGAIN)
            if id in died:
                found.append(DIED)
        if found:
            yield id, ", ".join(found)
