"""Which names of actors are in use."""

from __future__ import annotations

from raylite import lifecycle

QUERY_NAMES = 5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of the living actors that have one, in order.

    Args: all_namespaces: False: of this job's namespace, as strings; True: of all, as dicts of "name" and "namespace".
    Raises TypeError for anything else.
    """
    from raylite.api import client_or_init

    if not isinstance(all_namespaces, bool):
        raise TypeError(f"all_namespaces is True or False, not {all_namespaces!r}")
    words = client_or_init().query(QUERY_NAMES).decode().split("\n")[:-1]
    found = sorted(zip(words[::2], words[1::2], strict=True))  # a full name: namespace, line feed, name
    if all_namespaces:
        return [{"name": name, "namespace": namespace} for namespace, name in found]
    return [name for namespace, name in found if namespace == lifecycle.namespace()]
