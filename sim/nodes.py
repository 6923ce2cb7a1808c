"""What a virtual cluster is made of: its nodes, and what each has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SETTINGS_OF_NODES = ("num_cpus", "num_gpus", "resources", "labels", "memory", "object_store_memory")  # as of init
ATTRIBUTES = (*SETTINGS_OF_NODES, "disk")
N_NODES_MOST = 1000


class Node:
    """One virtual node.

    Args: num_cpus, num_gpus: whole numbers, by default 4 and 0; resources: dict of name to quantity; labels: dict of
    strings; memory, object_store_memory, disk: bytes. Raises TypeError or ValueError for what makes no sense.
    """

    __slots__ = ATTRIBUTES

    def __init__(
        self,
        num_cpus: int | None = None,
        num_gpus: int | None = None,
        resources: Mapping[str, float] | None = None,
        labels: Mapping[str, str] | None = None,
        memory: int | None = None,
        object_store_memory: int | None = None,
        disk: int | None = None,
    ) -> None:
        from raylite.config import SETTINGS

        given = (num_cpus, num_gpus, resources, labels, memory, object_store_memory, disk)
        for name, value in zip(ATTRIBUTES, given, strict=True):
            if value is not None:
                option = SETTINGS["memory" if name == "disk" else name].option
                value = option.validate(f"argument {name} of a node", value)
            setattr(self, name, value)

    def settings(self) -> dict[str, Any]:
        """What was said of it, by name."""
        return {name: value for name in ATTRIBUTES if (value := getattr(self, name)) is not None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.settings() == other.settings()

    __hash__ = None  # type: ignore[assignment]  # it has dicts

    def __repr__(self) -> str:
        return f"Node({', '.join(f'{name}={value!r}' for name, value in self.settings().items())})"


def check_nodes(value: Any) -> tuple[Node, ...]:
    """The nodes that an argument means: how many there are, or a list with a Node, or a dict of its arguments, each.

    Raises TypeError or ValueError if it makes no sense.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        nodes = tuple(Node() for _ in range(_checked_count(value)))
    elif isinstance(value, (list, tuple)):
        nodes = tuple(_node(each) for each in value)
    else:
        raise TypeError("it is neither a number nor a list of nodes")
    _checked_count(len(nodes))
    return nodes


def _checked_count(count: int) -> int:
    if count < 1:
        raise ValueError("a cluster has at least one node")
    if count > N_NODES_MOST:
        raise ValueError(f"a virtual cluster has up to {N_NODES_MOST} nodes, and not {count}")
    return count


def _node(value: Any) -> Node:
    if isinstance(value, Node):
        return value
    if not isinstance(value, dict):
        raise TypeError(f"a node is a sim.Node or a dict of its arguments, not {value!r}")
    unknown = sorted(map(str, set(value) - set(ATTRIBUTES)))
    if unknown:
        raise ValueError(f"a node has no {unknown[0]!r}; it has {', '.join(ATTRIBUTES)}")
    return Node(**value)
