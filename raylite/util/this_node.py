"""The address and the name of the machine that this process runs on."""

from __future__ import annotations


def get_node_ip_address(address: str | None = None) -> str:
    """The IP address of this node, which is that of its loopback: nothing here listens on a network.

    Args: address: has no meaning here.
    """
    return "127.0.0.1"


def get_node_instance_id() -> str:
    """The id under which a cloud rented this machine to Ray: empty, as none did."""
    return ""
