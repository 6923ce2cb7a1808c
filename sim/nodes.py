"""What a virtual cluster is made of: its nodes, what each has, and the network between them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SETTINGS_OF_NODES = ("num_cpus", "num_gpus", "resources", "labels", "memory", "object_store_memory")  # as of init
ATTRIBUTES = (*SETTINGS_OF_NODES, "disk")
N_NODES_MOST = 1000
SECONDS_MOST = 3600.0  # of a link's latency, and of its jitter
BYTES_PER_S_MOST = 10**15


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
    _check_names(value, ATTRIBUTES, "a node")
    return Node(**value)


class Network:
    """What lies between the nodes: the same for any two of them, but for those that `links` names.

    Args: latency_s: seconds that a message takes, by default 0.00005; jitter_s: up to how many more, drawn, by default
    0.00002; bytes_per_s: how much passes one way, by default 25 Gbit/s; links: dict of two nodes, as (0, 2) or "0-2",
    to a dict of these, for both ways between them. Raises TypeError or ValueError for what makes no sense.
    """

    __slots__ = ("bytes_per_s", "jitter_s", "latency_s", "links")

    def __init__(
        self,
        latency_s: float = 50e-6,
        jitter_s: float = 20e-6,
        bytes_per_s: float = 3.125e9,
        links: Mapping[Any, Mapping[str, float]] | None = None,
    ) -> None:
        self.latency_s = latency_s
        self.jitter_s = jitter_s
        self.bytes_per_s = bytes_per_s
        way_of(latency_s=latency_s, jitter_s=jitter_s, bytes_per_s=bytes_per_s)
        if links is not None and not isinstance(links, dict):
            raise TypeError(f"links is a dict of two nodes to what is between them, not {links!r}")
        self.links: dict[tuple[int, int], dict[str, float]] = {}
        for ends, given in (links or {}).items():
            if not isinstance(given, dict):
                raise TypeError(
                    f"what is said of the link {ends!r} is a dict such as {{'latency_s': 0.1}}, not {given!r}"
                )
            way_of(**given)
            self.links[_ends(ends)] = dict(given)

    def check(self, n_nodes: int) -> None:
        """Raise ValueError if a link is to a node that there is not."""
        for ends in self.links:
            if max(ends) >= n_nodes:
                raise ValueError(f"a link is between nodes {ends[0]} and {ends[1]}, and there are 0 to {n_nodes - 1}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # it has a dict

    def __repr__(self) -> str:
        return f"Network({', '.join(f'{name}={getattr(self, name)!r}' for name in (*LINK, 'links'))})"


LINK = ("latency_s", "jitter_s", "bytes_per_s")


def check_network(value: Any) -> Network:
    """The network that an argument means: a Network, or a dict of its arguments. Raises TypeError or ValueError."""
    if isinstance(value, Network):
        return value
    if not isinstance(value, dict):
        raise TypeError("it is neither a sim.Network nor a dict of its arguments")
    _check_names(value, (*LINK, "links"), "a network")
    return Network(**value)


def way_of(**given: Any) -> dict[str, int]:
    """What is said of a link, as the simulated network takes it. Raises TypeError or ValueError."""
    _check_names(given, LINK, "a link")
    out: dict[str, int] = {}
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name} of a link is a number, not {value!r}")
        if name == "bytes_per_s":
            if not 1 <= value <= BYTES_PER_S_MOST:
                raise ValueError(f"bytes_per_s of a link is from 1 to {BYTES_PER_S_MOST:g}, not {value!r}")
            out[name] = int(value)
        elif not 0 <= value <= SECONDS_MOST:
            raise ValueError(f"{name} of a link is from 0 to {SECONDS_MOST:g} seconds, not {value!r}")
        else:
            out[name.removesuffix("_s") + "_ns"] = round(value * 1e9)
    return out


def _check_names(given: Mapping[Any, Any], names: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in names:
            raise ValueError(f"{what} has no {name!r}; it has {', '.join(names)}")


def _ends(value: Any) -> tuple[int, int]:
    """The two nodes that the name of a link means."""
    parts = value.split("-") if isinstance(value, str) else value
    try:
        start, end = (int(part) if isinstance(part, str) else part for part in parts)
        valid = all(type(node) is int and node >= 0 for node in (start, end)) and start != end
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(f"a link is named by two nodes, as (0, 2) or '0-2', not {value!r}")
    return min(start, end), max(start, end)
