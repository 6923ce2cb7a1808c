"""Placement groups: bundles of resources set aside together, for tasks and actors that belong together (as in Ray)."""

from __future__ import annotations

from raylite.ids import PlacementGroupID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.runtime.client import Client, ObjectRef

EV_GROUP, EV_UNGROUP, EV_GROUPS = 32, 33, 34
QUERY_GROUPS = 9
IS_DETACHED, IS_HERE = 1, 2  # GROUP_IS_* of group_events.pyx
DETACHED = 1
NAME_TAKEN, ID_TAKEN = 1, 2  # answers to EV_GROUP
STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")  # by the number that the node knows them by
STATES = ("PENDING", "CREATED", "REMOVED", "REMOVED", "RESCHEDULING")
CREATED = 1
UNITS_PER_ONE = 10_000


class PlacementGroup:
    """A handle of a placement group. Equal to others of the same group; pickles."""

    def __init__(self, id: PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """The handle of no group."""
        return PlacementGroup(PlacementGroupID.nil(), [])

    @property
    def is_empty(self) -> bool:
        """Whether it is the handle of no group."""
        return self.id.is_nil()

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """The bundles: resource names to quantities. Raises ValueError if the group is long gone."""
        if self.bundle_cache is None:
            self.bundle_cache = list(self._row()["bundles"].values())
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def ready(self) -> ObjectRef:
        """A reference that is ready once the group is created; its value is the group.

        It is an error, TaskPlacementGroupRemoved, if the group is removed.
        """
        from raylite.api import put, remote

        if self.is_empty:
            return put(self)
        task = remote(num_cpus=0, name="placement_group.ready", placement_group=self)(itself)
        return task.remote(self)

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Wait until the group is created; whether it is. Raises ValueError if it has been removed."""
        from raylite.api import check_timeout, wait

        check_timeout(timeout_seconds)
        if not self.is_empty and self._state() == "PENDING":
            wait([self.ready()], timeout=timeout_seconds)
        return self.is_empty or self._state() == "CREATED"

    def _state(self) -> str:
        state = self._row()["state"]
        if state == "REMOVED":
            raise ValueError(f"The placement group {self.id.hex()} has been removed.")
        return str(state)

    def _row(self) -> dict[str, Any]:
        row = table(self.id).get(self.id.hex())
        if row is None:
            raise ValueError(f"The placement group {self.id.hex()} does not exist.")
        return row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


def itself(group: PlacementGroup) -> PlacementGroup:
    """The task whose result says that a group is there."""
    return group


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Set bundles of resources aside, all of them once all are free. Returns at once.

    Args: bundles: a list of dicts of resource names to quantities; strategy: "PACK" (default), "SPREAD", "STRICT_PACK"
    or "STRICT_SPREAD"; name: for get_placement_group, unique in the namespace; lifetime: None, or "detached" to outlive
    the driver (an embedded runtime ends with it all the same); bundle_label_selector: for each bundle, labels of its
    node. Raises ValueError for anything else; RaySystemError if the name is taken.
    """
    from raylite.api import client_or_init
    from raylite.exceptions import RaySystemError

    labels = bundle_label_selector
    validate_placement_group(bundles, strategy, lifetime, _soft_target_node_id, labels, topology_strategy)
    if not isinstance(name, str):
        raise ValueError(f"Placement group `name` must be a string, not {name!r}.")
    checked = checked_bundles(bundles)
    client = client_or_init()
    if labels and client.in_cluster:
        raise ValueError("bundle_label_selector is for one node so far, not for a cluster of several")
    asked = with_labels(checked, labels, client)
    payload = pack_group(asked, STRATEGIES.index(strategy or "PACK"), full_name(name))
    for group in client.new_ids():
        answer, _ = client.question(EV_GROUP, payload, task=group, flags=DETACHED if lifetime else 0)
        if answer != ID_TAKEN:  # by another group, which an earlier attempt of this task has made
            break
    if answer == NAME_TAKEN:
        raise RaySystemError(f"Failed to create placement group {group.hex()} because name {name!r} already exists.")
    return PlacementGroup(PlacementGroupID(group), [as_floats(bundle) for bundle in checked])


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Give back what a group has set aside. What runs in it is killed, what waits fails (TaskPlacementGroupRemoved)."""
    connected().tell(EV_UNGROUP, task=checked_group(placement_group).id.binary())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of this name in the namespace of this job. Raises ValueError if there is none."""
    if not placement_group_name or not isinstance(placement_group_name, str):
        raise ValueError(f"get_placement_group takes a name that is not empty, not {placement_group_name!r}")
    wanted = full_name(placement_group_name)
    for group, row in table(name=wanted).items():
        if row["state"] != "REMOVED":
            return PlacementGroup(PlacementGroupID.from_hex(group), list(row["bundles"].values()))
    raise ValueError(f"Failed to look up placement group with name: {placement_group_name}")


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group, as a dict; of all groups by id, if none is given. Removed ones stay for a while."""
    rows = table(None if placement_group is None else checked_group(placement_group).id)
    for row in rows.values():
        del row["full_name"], row["is_detached"]
    return rows if placement_group is None else rows.get(placement_group.id.hex(), {})


def get_current_placement_group() -> PlacementGroup | None:
    """The group that the running task or actor is in, or None."""
    from raylite.runtime.client import current_task

    task = current_task()
    return PlacementGroup(PlacementGroupID(task.group)) if task is not None and task.group is not None else None


# ---- checks ----


def validate_placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> bool:
    """Raise ValueError if placement_group() does not take these arguments; else True."""
    if strategy not in (None, *STRATEGIES):
        raise ValueError(f"Invalid placement group strategy {strategy!r}. Supported ones are {', '.join(STRATEGIES)}.")
    if lifetime not in (None, "detached"):
        raise ValueError(f"Placement group `lifetime` must be either None or 'detached', not {lifetime!r}.")
    if topology_strategy is not None:
        raise ValueError("topology_strategy is not supported: there is one node. Give `strategy`.")
    if _soft_target_node_id and strategy != "STRICT_PACK":
        raise ValueError(f"_soft_target_node_id only works with STRICT_PACK, not {strategy}.")
    checked_bundles(bundles)
    if bundle_label_selector is not None:
        check_selectors(bundle_label_selector, len(bundles))
    return True


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Raise ValueError unless the group has a bundle of this index; -1, any, is fine."""
    from raylite.strategies import check_bundle

    check_bundle(None if checked_group(placement_group).is_empty else placement_group, bundle_index)


def checked_group(group: Any) -> PlacementGroup:
    """The group. Raises TypeError for anything else."""
    if not isinstance(group, PlacementGroup):
        raise TypeError(f"it takes a PlacementGroup, not {group!r}")
    return group


def checked_bundles(bundles: Any) -> list[dict[str, int]]:
    """The bundles in 1/10000, without zeros."""
    if not isinstance(bundles, list) or not bundles:
        raise ValueError(f'Bundles must be a non-empty list of dicts, as in [{{"CPU": 1}}], not {bundles!r}.')
    out = [checked_bundle(bundle) for bundle in bundles]
    if not all(out):
        raise ValueError(f"Bundles cannot be empty or have only zeros: {bundles}.")
    return out


def checked_bundle(bundle: Any) -> dict[str, int]:
    """The quantities of a bundle in 1/10000, none that is 0. Raises ValueError."""
    if not isinstance(bundle, dict) or not all(isinstance(name, str) and name for name in bundle):
        raise ValueError(f'A bundle is a dict of resource names to quantities, as in {{"CPU": 1}}, not {bundle!r}.')
    if "bundle" in bundle:
        raise ValueError("The resource 'bundle' is every bundle's own: give it another name.")
    units = {}
    for name, quantity in bundle.items():
        try:
            units[name] = checked_quantity(name, quantity)
        except (TypeError, ValueError) as error:
            raise ValueError(f"The quantity of {name!r} in the bundle {bundle!r} is wrong: {error}.") from None
    return {name: amount for name, amount in units.items() if amount}


def checked_quantity(name: str, quantity: Any) -> int:
    """A quantity of a resource in 1/10000. Raises TypeError or ValueError."""
    from raylite.options import to_memory_units, to_units

    if name in ("memory", "object_store_memory"):
        return to_memory_units(quantity)
    units = to_units(quantity)
    if name == "GPU" and units > UNITS_PER_ONE and units % UNITS_PER_ONE:
        raise ValueError("GPU quantities greater than 1 must be whole numbers")
    return units


def check_selectors(selectors: Any, n_bundles: int) -> None:
    """Raise ValueError unless there is a label selector for each bundle."""
    from raylite.options import TASK_OPTIONS

    if not isinstance(selectors, list) or len(selectors) != n_bundles:
        raise ValueError(f"bundle_label_selector must be a list with a dict for each bundle, not {selectors!r}.")
    for selector in selectors:
        try:
            TASK_OPTIONS["label_selector"].validate("bundle_label_selector", selector)
        except TypeError as error:
            raise ValueError(str(error)) from None


def with_labels(bundles: list[dict[str, int]], selectors: Any, client: Client) -> list[dict[str, int]]:
    """The bundles, each asking for a node with its labels as well if this one has them not."""
    from raylite.strategies import with_selectors

    return [
        with_selectors({"label_selector": selector}, bundle, client)
        for bundle, selector in zip(bundles, selectors or [None] * len(bundles), strict=True)
    ]


# ---- to and from the node ----


def connected() -> Client:
    """The client of this process. Raises RaySystemError if there is none."""
    from raylite.api import connected_client

    return connected_client()


def full_name(name: str) -> str:
    """Namespace and name; empty for none."""
    from raylite import lifecycle

    return f"{lifecycle.namespace()}\x1f{name}" if name else ""


def as_floats(bundle: dict[str, int]) -> dict[str, float]:
    """Quantities as programs give them."""
    return {name: amount / UNITS_PER_ONE for name, amount in bundle.items()}


def pack_group(bundles: list[dict[str, int]], strategy: int, name: str) -> bytes:
    """The payload of EV_GROUP (message.pxd)."""
    from raylite.demand import packed_amount

    text = name.encode()
    out = [number.to_bytes(4, "little") for number in (strategy, len(bundles), len(text), 0)]
    out.append(text + bytes(-len(text) % 8))
    for bundle in bundles:
        out.append(len(bundle).to_bytes(8, "little"))
        out.extend(map(packed_amount, sorted(bundle.items())))
    return b"".join(out)


def table(group: PlacementGroupID | None = None, name: str = "") -> dict[str, dict[str, Any]]:
    """The groups that the nodes know, or the one of this id or full name: hexadecimal id to what is known, in order of
    creation."""
    client = connected()
    if client.in_cluster and group is None and not name:
        return table_of_all(client)
    _, data = client.question(EV_GROUPS, name.encode(), task=None if group is None else group.binary())
    rows = sorted(read_table(client, data), key=lambda row: row[0])
    return {row["placement_group_id"]: row for _, _, row in rows}


def table_of_all(client: Client) -> dict[str, dict[str, Any]]:
    """The groups of all nodes, each as its home says, or somebody else if that is gone."""
    from raylite.util.state.cluster import ask, living_nodes

    found: dict[str, tuple[bool, int, dict[str, Any]]] = {}
    for address, _ in living_nodes(client):
        for order, is_home, row in read_table(client, ask(client, address, QUERY_GROUPS, b"", set()) or b""):
            id = row["placement_group_id"]
            if id not in found or is_home:
                found[id] = is_home, order, row
    rows = sorted(found.values(), key=lambda each: each[1])
    return {row["placement_group_id"]: row for _, _, row in rows}


def read_table(client: Client, data: bytes) -> list[tuple[int, bool, dict[str, Any]]]:
    """What a node tells of groups: of each its place in the order of creation, whether this is its home, its row."""
    at, rows = 0, []

    def number() -> int:
        nonlocal at
        at += 8
        return int.from_bytes(data[at - 8 : at], "little")

    def text() -> str:
        nonlocal at
        size = number()
        at += (size + 7) // 8 * 8
        return data[at - (size + 7) // 8 * 8 :][:size].decode()

    while at < len(data):
        group_id = data[at : at + 16].hex()
        at += 16
        order, state, strategy, flags = number(), number(), number(), number()
        full = text()
        nodes, bundles = [], []
        for _ in range(number()):
            nodes.append(text() or (client.node_id().hex() if state == CREATED and not client.in_cluster else ""))
            bundles.append({amount_name: amount for amount, amount_name in pairs(number, text)})
        row = row_of(group_id, full, bundles, nodes, STRATEGIES[strategy], STATES[state])
        rows.append((order, flags & IS_HERE != 0, {**row, "is_detached": flags & IS_DETACHED != 0}))
    return rows


def pairs(number: Any, text: Any) -> list[tuple[float, str]]:
    """The (quantity, name) pairs of a bundle, as the node tells them: their count comes first."""
    return [(number() / UNITS_PER_ONE, text()) for _ in range(number())]


def row_of(
    group: str, name: str, bundles: list[dict[str, float]], nodes: list[str], strategy: str, state: str
) -> dict[str, Any]:
    """What placement_group_table tells of a group; the keys are Ray's."""
    return {
        "placement_group_id": group,
        "name": name.rpartition("\x1f")[2],
        "full_name": name,
        "bundles": dict(enumerate(bundles)),
        "bundles_to_node_id": dict(enumerate(nodes)),
        "strategy": strategy,
        "state": state,
        "stats": {},
    }
