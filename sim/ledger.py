"""What the tasks of a workload use, by their own word and added up: at no instant more than their node has.

Virtual processes share this module, so all of them write into one ledger. What a node has is what the simulation was
told, not what the node says.
"""

from __future__ import annotations

import raylite
from raylite.sim.session import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = 10_000  # amounts are counted in its parts, so that sums are exact

in_use: dict[tuple[str, str], int] = {}  # (node, resource or "GPU <number>") -> amount
totals: dict[str, dict[str, int]] = {}  # node -> what it was given
overdrawn: list[str] = []  # what went wrong, in words


def open_anew() -> None:
    """Begin with nothing in use."""
    in_use.clear()
    totals.clear()
    overdrawn.clear()


class Using:
    """A context in which a task uses what it has asked for. Args: demand: resource to amount."""

    def __init__(self, demand: Mapping[str, float]) -> None:
        self.node = raylite.get_runtime_context().get_node_id()
        self.amounts = {name: round(amount * UNIT) for name, amount in demand.items()}
        gpus = raylite.get_gpu_ids()
        if gpus:
            self.amounts.update({f"GPU {gpu}": self.amounts["GPU"] // len(gpus) for gpu in gpus})

    def __enter__(self) -> None:
        for name, amount in self.amounts.items():
            used = in_use[self.node, name] = in_use.get((self.node, name), 0) + amount
            if used > (has := what_there_is(self.node).get(name, UNIT)):
                overdrawn.append(f"node {self.node[:8]} has {has / UNIT} of {name}, and {used / UNIT} are in use")

    def __exit__(self, *error: object) -> None:
        for name, amount in self.amounts.items():
            in_use[self.node, name] -= amount


def what_there_is(node_id: str) -> dict[str, int]:
    """What a node was given; of each of its GPUs there is one."""
    if node_id not in totals:
        totals.update({node.id: node.config.node_resources() for node in current().alive()})
    return totals[node_id]
