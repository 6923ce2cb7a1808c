"""Lineage graphs as text for Graphviz, and as pictures made by it.

Tasks are boxes, filled by state; objects are ellipses; the calls of an actor stand in a frame. Data edges are black,
control edges grey and dashed, stateful edges blue and thick.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.util.state.graph import GraphNode, TaskGraph

TEXT_SUFFIXES = (".dot", ".gv")
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
NAME_MOST = 40  # characters
ID_SHOWN = 8

EDGES = {
    "data": 'color="#222222"',
    "control": 'color="#9a9a9a", style=dashed, arrowhead=open',
    "stateful": 'color="#1f6feb", penwidth=2.2',
}
FILLS = {
    "FINISHED": "#d7f0d4",
    "FAILED": "#f8cfcb",
    "RUNNING": "#cfe3fb",
    "RUNNING_IN_RAY_GET": "#cfe3fb",
    "READY": "#ffffff",
    "ERROR": "#f8cfcb",
    "FREED": "#eeeeee",
}
WAITING_FILL = "#fdf2c8"
ROOT_FILL = "#e3dcf5"
LEGEND = "black: data (object to task, task to object)   grey, dashed: control (parent to child)   "
LEGEND += "blue: stateful (one call of an actor to the next)"
HEAD = """digraph lineage {
  graph [rankdir=TB, fontname="Helvetica", fontsize=10, labelloc=b, nodesep=0.3, ranksep=0.45];
  node [fontname="Helvetica", fontsize=10, style=filled, color="#555555"];
  edge [fontname="Helvetica", fontsize=9];
"""


def to_dot(graph: TaskGraph) -> str:
    """The graph in the language of Graphviz; the same graph gives the same text."""
    lines = [HEAD, f"  label={quoted(LEGEND)};\n"]
    actors: dict[str, list[GraphNode]] = {}
    for node in graph.nodes.values():
        if node.actor is not None:
            actors.setdefault(node.actor, []).append(node)
        else:
            lines.append(f"  {node_line(node)}\n")
    for actor, nodes in actors.items():
        lines.append(f"  subgraph {quoted('cluster_' + actor)} {{\n")
        lines.append(f'    label={quoted(f"actor {actor[:ID_SHOWN]}")}; color="#1f6feb"; style=rounded; labelloc=t;\n')
        lines.extend(f"    {node_line(node)}\n" for node in nodes)
        lines.append("  }\n")
    lines.extend(f"  {quoted(edge.source)} -> {quoted(edge.target)} [{EDGES[edge.kind]}];\n" for edge in graph.edges)
    return "".join([*lines, "}\n"])


def node_line(node: GraphNode) -> str:
    """A node of the graph as a line of Graphviz's language."""
    shape = {"object": "ellipse", "driver": "house", "forgotten": "box"}.get(node.kind, "box")
    fill = ROOT_FILL if node.state is None else FILLS.get(node.state, WAITING_FILL)
    return f'{quoted(node.id)} [label={quoted(label(node))}, shape={shape}, fillcolor="{fill}"];'


def label(node: GraphNode) -> str:
    """Name; then state, time and attempt, or size; then the start of the id."""
    name = node.name if len(node.name) <= NAME_MOST else node.name[: NAME_MOST - 3] + "..."
    facts = []
    if node.kind == "object":
        facts.append(size_text(node.size_bytes) if node.size_bytes is not None else str(node.state).lower())
    elif node.state is not None:
        facts.append(node.state)
        if node.run_ms is not None:
            facts.append(f"{node.run_ms:,} ms")
        if node.attempt:
            facts.append(f"attempt {node.attempt}")
    return "\n".join(part for part in (name, ", ".join(facts), node.id[:ID_SHOWN]) if part)


def size_text(size_bytes: int) -> str:
    """A size in three digits, as in 1.50 MB."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def quoted(text: str) -> str:
    """A string of the language; line feeds break lines."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(char if char.isprintable() else " " for char in safe) + '"'


def draw(graph: TaskGraph, path: str | Path) -> Path:
    """Write the graph as TaskGraph.draw says."""
    return draw_text(to_dot(graph), path)


def draw_text(dot: str, path: str | Path) -> Path:
    """The same for a graph that is text for Graphviz already."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in TEXT_SUFFIXES + PICTURE_SUFFIXES:
        valid = ", ".join(TEXT_SUFFIXES + PICTURE_SUFFIXES)
        raise ValueError(f"a graph is drawn to a file that ends in {valid}, not to {str(path)!r}")
    text = target if suffix in TEXT_SUFFIXES else target.with_suffix(".dot")
    text.write_text(dot, encoding="utf-8")
    if suffix in PICTURE_SUFFIXES:
        run_graphviz(text, target, suffix.removeprefix("."))
    return target


def run_graphviz(text: Path, target: Path, form: str) -> None:
    """Make a picture. Raises RuntimeError if Graphviz is not there, or fails."""
    dot = shutil.which("dot")
    if dot is None:
        raise RuntimeError(
            f"a .{form} is made by Graphviz, whose command `dot` is not on the PATH: install it (the package is called "
            f"graphviz), or draw {text}, which is written, elsewhere"
        )
    done = subprocess.run([dot, f"-T{form}", "-o", str(target), str(text)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"Graphviz could not draw {text}, which is written: {done.stderr.strip()}")
