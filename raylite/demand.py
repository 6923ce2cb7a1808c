"""What a task or actor asks of the node, as the bytes that submissions carry (see _core/node/resources.pxd).

Resources come from the options; the environment and, for what a captured group has begun, the placement group come from
the process and the task that submit: so the bytes are made where they are needed, and kept.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from raylite.runtime.client import Client

ANY_BUNDLE = -1
CAPTURES, UNSCHEDULABLE, SPREAD, ON_NODE, NEAR_NODE = 1, 2, 4, 8, 16
NO_GROUP = bytes(16)
UNITS_PER_ONE = 10_000


class Demand:
    """The demand of a task or an actor.

    Args: options: its options, valid; amounts: the resources that it takes, in 1/10000; what: its name, for errors.
    """

    __slots__ = ("amounts", "captured", "client", "data", "environment", "inherits", "runtime_env", "strategy", "what")

    def __init__(self, options: Mapping[str, Any], amounts: Mapping[str, int], what: str) -> None:
        self.amounts = dict(amounts)
        self.runtime_env = options.get("runtime_env")
        self.what = what
        self.client: Client | None = None
        self.data = b""
        self.environment = 0  # its number, of what `client` submits
        self.captured = (NO_GROUP, b"")  # the latest group, and the bytes for it
        asked = [name for name in PLACING if options.get(name) is not None or name == "placement_group"]
        self.strategy = {name: options[name] for name in asked if name in options}
        self.inherits = self.strategy.keys() <= {"placement_group_capture_child_tasks", "placement_group"} and (
            options.get("placement_group", "default") == "default"
        )

    def bytes_for(self, client: Client) -> bytes:
        """The bytes for a submission by this client, from the task that runs.

        Raises ValueError if it does not fit the placement group, or as environments.describe; RuntimeEnvSetupError.
        """
        if self.client is not client:
            self.environment = self.environment_for(client)
            self.data = self.pack(client)
            self.captured = (NO_GROUP, b"")
            self.client = client
        if self.inherits and client.is_worker:
            return self.within_group()
        return self.data

    def within_group(self) -> bytes:
        """As bytes_for; in the placement group of the task that submits, if that captures its children."""
        from raylite.runtime.client import current_task

        task = current_task()
        wanted = self.strategy.get("placement_group_capture_child_tasks")
        if task is None or task.group is None or not (task.captures if wanted is None else wanted):
            return self.data
        group, data = self.captured
        if group != task.group:
            from raylite.strategies import in_group

            data = pack_demand(self.amounts, self.environment, *in_group(task.group, self.amounts, self.what))
            self.captured = (task.group, data)
        return data

    def pack(self, client: Client) -> bytes:
        if not self.strategy:
            return pack_demand(self.amounts, self.environment)
        from raylite.strategies import placing

        return pack_demand(*placing(self.strategy, self.amounts, self.environment, self.what, client))

    def environment_for(self, client: Client) -> int:
        """The number of the environment. A process has little to do with them unless there are any."""
        if not self.runtime_env:
            return client.environment.number if client.environment is not None else 0
        from raylite.environments import number_for

        return number_for(client, self.runtime_env)


PLACING = (
    "scheduling_strategy",
    "placement_group",
    "placement_group_bundle_index",
    "placement_group_capture_child_tasks",
    "label_selector",
    "fallback_strategy",
)


def pack_demand(
    amounts: Mapping[str, int],
    environment: int = 0,
    group: bytes = NO_GROUP,
    bundle: int = ANY_BUNDLE,
    flags: int = 0,
    labels: Sequence[bytes] = (),
) -> bytes:
    """Resource amounts (in 1/10000) and where they are to be had, as the bytes that a submission carries."""
    out = [
        environment.to_bytes(8, "little"),
        len(amounts).to_bytes(4, "little"),
        bundle.to_bytes(4, "little", signed=True),
        group,
        flags.to_bytes(4, "little"),
        len(labels).to_bytes(4, "little"),
        *map(packed_amount, sorted(amounts.items())),
        *labels,
    ]
    return b"".join(out)


def packed_amount(item: tuple[str, int]) -> bytes:
    """A name and an amount, as demands and bundles have them."""
    data = item[0].encode()
    return item[1].to_bytes(8, "little") + len(data).to_bytes(8, "little") + data + bytes(-len(data) % 8)


def packed_label(operator: int, key: str, values: Sequence[str] = (), is_soft: bool = False) -> bytes:
    """What a label of the node is to be (LABEL_*), as demands have it."""
    name, texts = key.encode(), [value.encode() for value in values]
    out = [number.to_bytes(4, "little") for number in (operator, is_soft, len(name), len(texts))]
    out.append(name + bytes(-len(name) % 8))
    out.extend(len(text).to_bytes(8, "little") + text + bytes(-len(text) % 8) for text in texts)
    return b"".join(out)
