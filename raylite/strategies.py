"""Scheduling strategies as the node takes them: a placement group and bundle, labels of the node, flags.

On one node most strategies have nothing to decide. One that wants another node fails its tasks, as in Ray; one that
wants labels which the node has not lets them wait, as in Ray, for a resource that no node has and whose name says so.
In a cluster they go along with the task, and its node and a global scheduler see to them.
"""

from __future__ import annotations

from raylite.demand import (
    ANY_BUNDLE,
    CAPTURES,
    NEAR_NODE,
    NO_GROUP,
    ON_NODE,
    SPREAD,
    UNITS_PER_ONE,
    UNSCHEDULABLE,
    packed_label,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from raylite.runtime.client import Client
    from raylite.util.placement_group import PlacementGroup

Placing = tuple[dict[str, int], int, bytes, int, int, list[bytes]]  # the arguments of pack_demand

NODE_ID = "ray.io/node-id"  # a label of every node
LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_ABSENT = range(4)  # _core/scheduler/message.pxd


def placing(
    options: Mapping[str, Any], amounts: dict[str, int], environment: int, what: str, client: Client
) -> Placing:
    """What options of placing come to, for a task or actor that takes these amounts, as pack_demand takes it.

    Raises ValueError for a bundle that there is not, or that it does not fit into.
    """
    strategy = options.get("scheduling_strategy")
    flags = 0
    if strategy is None or hasattr(strategy, "placement_group"):
        group, bundle, captures = asked_group(options, strategy)
        check_bundle(group, bundle)
        if group is not None:
            check_fit(group.bundle_specs, amounts, what)
            return dict(amounts), environment, group.id.binary(), bundle, CAPTURES if captures else 0, []
    if client.in_cluster:
        flags, labels = asked_of_nodes(strategy)
        labels += selected(options)
        return dict(amounts), environment, NO_GROUP, ANY_BUNDLE, flags, labels
    if strategy is None or isinstance(strategy, str):
        pass  # one node has nothing to decide
    elif hasattr(strategy, "node_id"):
        if strategy.node_id != client.node_id().hex() and not strategy.soft:
            flags = UNSCHEDULABLE
    elif hasattr(strategy, "hard"):
        amounts = with_labels(strategy.hard, amounts, client)
    return with_selectors(options, amounts, client), environment, NO_GROUP, ANY_BUNDLE, flags, []


# ---- in a cluster ----


def asked_of_nodes(strategy: Any) -> tuple[int, list[bytes]]:
    """Flags and labels of a strategy that is of no placement group."""
    if strategy == "SPREAD":
        return SPREAD, []
    if hasattr(strategy, "node_id"):
        return NEAR_NODE if strategy.soft else ON_NODE, [packed_label(LABEL_IN, NODE_ID, [strategy.node_id])]
    if hasattr(strategy, "hard"):
        soft = [expressed(key, operator, True) for key, operator in strategy.soft.items()]
        return 0, [expressed(key, operator, False) for key, operator in strategy.hard.items()] + soft
    return 0, []


def expressed(key: str, operator: Any, is_soft: bool) -> bytes:
    """An expression of NodeLabelSchedulingStrategy."""
    from raylite.util.scheduling_strategies import Exists, In, NotIn

    if isinstance(operator, (In, NotIn)):
        kind = LABEL_IN if isinstance(operator, In) else LABEL_NOT_IN
        return packed_label(kind, key, operator.values, is_soft)
    return packed_label(LABEL_EXISTS if isinstance(operator, Exists) else LABEL_ABSENT, key, (), is_soft)


def selected(options: Mapping[str, Any]) -> list[bytes]:
    """The labels of `label_selector`. Raises ValueError for a `fallback_strategy`."""
    if options.get("fallback_strategy"):
        raise ValueError("fallback_strategy is for one node so far, not for a cluster of several")
    labels = []
    for key, selector in (options.get("label_selector") or {}).items():
        negated, values = parsed(selector)
        labels.append(packed_label(LABEL_NOT_IN if negated else LABEL_IN, key, values))
    return labels


# ---- placement groups ----


def asked_group(options: Mapping[str, Any], strategy: Any) -> tuple[PlacementGroup | None, int, bool]:
    """Group (or None), bundle, and whether it captures children."""
    if strategy is not None:
        group = strategy.placement_group
        bundle = strategy.placement_group_bundle_index
        captures = strategy.placement_group_capture_child_tasks
    else:
        group = options.get("placement_group")
        bundle = options.get("placement_group_bundle_index", ANY_BUNDLE)
        captures = options.get("placement_group_capture_child_tasks")
    if group == "default" or group is None or group.is_empty:
        group = None
    return group, bundle, bool(captures)


def in_group(group: bytes, amounts: Mapping[str, int], what: str) -> tuple[bytes, int, int]:
    """Group, bundle and flags of what a task in a group that captures its children submits. Raises ValueError."""
    from raylite.ids import PlacementGroupID
    from raylite.util.placement_group import PlacementGroup

    check_fit(PlacementGroup(PlacementGroupID(group)).bundle_specs, amounts, what)
    return group, ANY_BUNDLE, CAPTURES


def check_bundle(group: PlacementGroup | None, bundle: int) -> None:
    """Raise ValueError unless the group has this bundle; without a group it must be -1."""
    if group is None:
        if bundle != ANY_BUNDLE:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif not ANY_BUNDLE <= bundle < group.bundle_count:
        raise ValueError(
            f"placement group bundle index {bundle} is invalid. Valid ones are 0 to {group.bundle_count - 1}, "
            "and -1 for any."
        )


def check_fit(bundles: list[dict[str, float]], amounts: Mapping[str, int], what: str) -> None:
    """Raise ValueError unless the amounts fit into one of the bundles."""
    for bundle in bundles:
        if all(round(bundle.get(name, 0) * UNITS_PER_ONE) >= amount for name, amount in amounts.items()):
            return
    asked = {name: amount / UNITS_PER_ONE for name, amount in amounts.items()}
    raise ValueError(
        f"Cannot schedule {what} with the placement group because the resource request {asked} cannot fit into any "
        f"bundles for the placement group, {bundles}."
    )


# ---- labels ----


def node_labels(client: Client) -> dict[str, str]:
    """The labels of the one node, its id among them."""
    from raylite import lifecycle

    return {NODE_ID: client.node_id().hex(), **(lifecycle.setting("labels") or {})}


def with_labels(expressions: dict[str, Any], amounts: dict[str, int], client: Client) -> dict[str, int]:
    """The amounts, and if the node does not fulfil the expressions one of a node that does."""
    from raylite.util.scheduling_strategies import described, fulfils

    if fulfils(node_labels(client), expressions):
        return amounts
    return {**amounts, f"node with {described(expressions)}": UNITS_PER_ONE}


def with_selectors(options: Mapping[str, Any], amounts: dict[str, int], client: Client) -> dict[str, int]:
    """The same for `label_selector`, or else one of `fallback_strategy`."""
    if not options.get("label_selector") and not options.get("fallback_strategy"):
        return amounts
    wanted = options.get("label_selector") or {}
    labels = node_labels(client)
    choices = [wanted, *(each["label_selector"] for each in options.get("fallback_strategy") or ())]
    if any(all(selects(labels.get(key), text) for key, text in choice.items()) for choice in choices):
        return amounts
    words = ", ".join(f"{key}={text}" for key, text in wanted.items())
    return {**amounts, f"node with label {words}": UNITS_PER_ONE}


def selects(label: str | None, selector: str | None) -> bool:
    """Whether a label is as a selector wants it: 'a', '!a', 'in(a, b)' or '!in(a, b)'."""
    negated, values = parsed(selector)
    return (label in values) != negated


def parsed(selector: str | None) -> tuple[bool, list[str]]:
    """Whether a selector is negated, and its values."""
    text = selector or ""
    negated = text.startswith("!")
    text = text.removeprefix("!")
    return negated, [each.strip() for each in text[3:-1].split(",")] if text.startswith("in(") else [text]
