"""Whom a fault befell, in words: read from what the simulator has noted of it (FaultDraws.note)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARTIES = {1: "node", 2: "replica", 3: "master", 4: "scheduler"}  # control_plane.PARTY_*
NUMBER_BITS = 24


def party_name(address: int) -> str:
    """Who has an address."""
    kind, number = address >> NUMBER_BITS, address & (1 << NUMBER_BITS) - 1
    return "the master" if PARTIES[kind] == "master" else f"{PARTIES[kind]} {number}"


class Victims:
    """Args: n_nodes: how many there are; the machine after them is the head's, where the master is."""

    def __init__(self, n_nodes: int) -> None:
        self.n_nodes = n_nodes

    def of(self, kind: str, noted: Any) -> dict[str, Any]:
        """Whom; the number of the node that it is on, or that sent it (None: the head); of an eviction the object."""
        if kind == "worker_crash":
            node, worker = noted
            return {"node": node, "whom": f"worker {worker}{self.on(node)}"}
        if kind == "eviction":
            node, id = noted
            return {"node": node, "whom": f"object {id[:8]}{self.on(node)}", "object": id}
        if kind == "partition":
            side = [noted["from"]] if isinstance(noted["from"], int) else noted["from"]
            return {"node": self.node(side[0]), "whom": self.cut(side, noted)}
        if kind.startswith("message_"):
            source, target = noted
            return {"node": self.home(source), "whom": f"{party_name(source)} to {party_name(target)}"}
        if kind.endswith("_crash"):
            return {"node": self.home(noted), "whom": party_name(noted)}
        return {"node": self.node(noted), "whom": self.machine(noted)}

    def on(self, node: int) -> str:
        return f" of node {node}" if self.n_nodes > 1 else ""

    def node(self, machine: int) -> int | None:
        return machine if machine < self.n_nodes else None

    def machine(self, number: int) -> str:
        return f"node {number}" if number < self.n_nodes else "the head"

    def home(self, address: int) -> int | None:
        """The node on which an address is: its own, or the one beside which a replica or scheduler runs."""
        kind, number = address >> NUMBER_BITS, address & (1 << NUMBER_BITS) - 1
        return None if PARTIES[kind] == "master" else number % self.n_nodes

    def machines(self, numbers: Any) -> str:
        return "all others" if numbers is None else ", ".join(map(self.machine, numbers))

    def cut(self, side: list[int], noted: dict[str, Any]) -> str:
        how = "not reaching" if noted["one_way"] else "cut off from"
        for_s = f" for {noted['duration_ns'] / 1e9:.3f} s" if "duration_ns" in noted else ""
        return f"{self.machines(side)} {how} {self.machines(noted['to'])}{for_s}"
