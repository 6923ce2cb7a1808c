from typing import Any

from raylite._core.links.enlisted import Enlisted
from raylite._core.node.node import Node

NODE_ID: str

class Member(Enlisted):
    @property
    def node(self) -> Node: ...
    def __init__(
        self, node: Node, address: int, master: int = 0, n_shards: int = 1, *, labels: dict[str, str] = {}
    ) -> None: ...
    def peer(self, address: int, incarnation: int, alive: bool = True, node_id: str = "") -> None: ...
    def scheduler(self, address: int, alive: bool = True) -> None: ...
    def hear(
        self,
        now_ns: int,
        source: int,
        kind: int,
        *,
        payload: bytes = b"",
        object: bytes | None = None,
        request: int = 0,
        aux: int = 0,
        flags: int = 0,
        attempt: int = 0,
    ) -> list[dict[str, Any]]: ...
    def hear_store(
        self, now_ns: int, kind: int, *, token: int = 0, object: bytes | None = None, body: bytes = b"", flags: int = 0
    ) -> list[dict[str, Any]]: ...
    def questions(self) -> dict[int, bytes]: ...
    def unanswered(self) -> dict[int, tuple[int, bytes]]: ...
    def take_outgoing(self) -> list[dict[str, Any]]: ...
    def take_operations(self) -> list[dict[str, Any]]: ...
