"""Where tasks and actors are to run: Ray's strategies, for the option `scheduling_strategy`."""

from __future__ import annotations

from raylite.ids import NodeID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.util.placement_group import PlacementGroup


class PlacementGroupSchedulingStrategy:
    """Run in a placement group.

    Args: placement_group: the group, or None for none; placement_group_bundle_index: which of its bundles, -1 for any;
    placement_group_capture_child_tasks: whether what the task submits goes into the group as well, None for no.
    """

    def __init__(
        self,
        placement_group: PlacementGroup | None,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks


class NodeAffinitySchedulingStrategy:
    """Run on a certain node.

    Args: node_id: of the node, a NodeID or its hexadecimal form; soft: whether another node will do if there is no such
    one. Raises ValueError for what is no node id, or for flags that do not go together.
    """

    def __init__(
        self,
        node_id: NodeID | str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        self.node_id = node_id.hex() if isinstance(node_id, NodeID) else node_id
        self.soft = soft
        self._spill_on_unavailable = _spill_on_unavailable
        self._fail_on_unavailable = _fail_on_unavailable
        try:
            valid = not NodeID.from_hex(self.node_id).is_nil()
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise ValueError(
                f"Invalid node_id {node_id!r}. It takes the {2 * NodeID.SIZE} hexadecimal digits of a NodeID; "
                "raylite.nodes() lists those there are."
            )
        if _spill_on_unavailable and not soft:
            raise ValueError("_spill_on_unavailable cannot be set when soft is False.")
        if _fail_on_unavailable and soft:
            raise ValueError("_fail_on_unavailable cannot be set when soft is True.")


class In:
    """The label has one of these values. Raises ValueError if there are none, or one is no string."""

    def __init__(self, *values: str) -> None:
        self.values = checked_values(values, "In")


class NotIn:
    """The label has none of these values, or is not there. Raises ValueError as In."""

    def __init__(self, *values: str) -> None:
        self.values = checked_values(values, "NotIn")


class Exists:
    """The label is there."""


class DoesNotExist:
    """The label is not there."""


class NodeLabelSchedulingStrategy:
    """Run on a node with certain labels.

    Args: hard: label keys to In, NotIn, Exists or DoesNotExist: what the node must fulfil; soft: the same, what is
    preferred. Raises ValueError if both are empty, or for anything else in them.
    """

    def __init__(self, hard: dict[str, Any] | None, *, soft: dict[str, Any] | None = None) -> None:
        self.hard = checked_expressions(hard, "hard")
        self.soft = checked_expressions(soft, "soft")
        if not self.hard and not self.soft:
            raise ValueError("The `hard` and `soft` parameter of NodeLabelSchedulingStrategy cannot both be empty.")


def checked_values(values: tuple[Any, ...], operator: str) -> list[str]:
    """The values of an operator. Raises ValueError unless they are strings, one at least."""
    if not values:
        raise ValueError(f'{operator}() takes one value or more: {operator}("value1", "value2")')
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{operator}() takes strings, and {value!r} is of type {type(value).__name__}")
    return list(values)


def checked_expressions(expressions: Any, parameter: str) -> dict[str, Any]:
    """Operators by label. Raises ValueError for anything else but None, which is no expression."""
    if expressions is None:
        return {}
    if not isinstance(expressions, dict):
        raise ValueError(
            f'The {parameter} parameter must be a map (e.g. {{"key1": In("value1")}}), not {type(expressions)}.'
        )
    for key, operator in expressions.items():
        if not isinstance(key, str):
            raise ValueError(f"The keys of the {parameter} parameter are strings, and {key!r} is {type(key)}.")
        if not isinstance(operator, (In, NotIn, Exists, DoesNotExist)):
            raise ValueError(
                f"The value of {key!r} in the {parameter} parameter must be one of In, NotIn, Exists or DoesNotExist, "
                f'as in {{"key1": In("value1")}}, not {operator!r}.'
            )
    return dict(expressions)


def fulfils(labels: dict[str, str], expressions: dict[str, Any]) -> bool:
    """Whether labels are as the expressions want them."""
    return all(matches(labels.get(key), operator) for key, operator in expressions.items())


def matches(label: str | None, operator: Any) -> bool:
    """Whether a label (None: there is none) is as an operator asks."""
    if isinstance(operator, In):
        return label in operator.values
    if isinstance(operator, NotIn):
        return label not in operator.values
    return (label is not None) == isinstance(operator, Exists)


def described(expressions: dict[str, Any]) -> str:
    """Expressions in words: "zone in (a, b), gpu exists"."""
    return ", ".join(f"{key} {in_words(operator)}" for key, operator in expressions.items())


def in_words(operator: Any) -> str:
    """An operator, for a message."""
    if isinstance(operator, (In, NotIn)):
        return f"{'in' if isinstance(operator, In) else 'not in'} ({', '.join(operator.values)})"
    return "exists" if isinstance(operator, Exists) else "does not exist"
