"""A simulation's task graph as a drawing: what raylite.util.state.task_graph() draws, with what was lost and run again.

Orange: ran more than once. Red frame: an attempt died with its process. Red and dashed: an object that got lost.
"""

from raylite.sim.recording import recording_of
from raylite.util.state import task_graph
from raylite.util.state.drawing import LEGEND, draw_text, quoted, to_dot

RAN_AGAIN = 'fillcolor="#ffc078"'
DIED = 'color="#e03131", penwidth=2.5'
LOST = 'color="#e03131", fillcolor="#ffe3e3", style="filled,dashed"'
COLOURS = "orange: ran again   red frame: an attempt died   red, dashed: lost"


def write_graph(what, path):
    """Draw the dynamic task graph of a simulation: tasks and objects, joined by data, control and stateful edges.

    Args: what: the Result of sim.run(record=True), a sim.cluster or a simulation that records; path: of the file, .dot
    or .gv, or .png, .svg or .pdf, for which Graphviz has to be there. Returns the path.
    Raises TypeError or ValueError for a wrong argument or if nothing was recorded, RuntimeError without Graphviz.
    """
    recording = recording_of(what)
    graph = recording.graph if recording.graph is not None else task_graph()
    return draw_text(dot_of(graph, recording), path)


def dot_of(graph, recording):
    """The graph in the language of Graphviz, where what is said of a node again holds."""
    lines = [f"  label={quoted(LEGEND + chr(10) + COLOURS)};\n"]
    lines.extend(f"  {quoted(id)} [{attributes}];\n" for id, attributes in marks(graph, recording))
    return to_dot(graph).removesuffix("}\n") + "".join(lines) + "}\n"


def marks(graph, recording):
    """(id of a node, its attributes) for what was lost or ran again."""
    begun, died = {}, set()
    for each in recording.slices:
        begun[each.task] = begun.get(each.task, 0) + 1
        if each.outcome == "crashed":
            died.add(each.task)
    for id, node in graph.nodes.items():
        found = []
        if node.kind == "object":
            if id in recording.lost:
                found.append(LOST)
        else:
            if node.attempt or begun.get(id, 0) > 1:
                found.append(RAN_AGAIN)
            if id in died:
                found.append(DIED)
        if found:
            yield id, ", ".join(found)
