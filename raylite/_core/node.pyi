from collections.abc import Mapping
from typing import Any

class Node:
    def __init__(
        self,
        resources: Mapping[str, int],
        *,
        object_store_bytes: int = ...,
        worker_cap: int = ...,
        kept_idle: int = ...,
        incarnation: int = ...,
        debug: bool | None = None,
        segment_bytes: int = ...,
        story_capacity: int = ...,
        lineage_cap: int = ...,
    ) -> None: ...
    def handle(
        self,
        now_ns: int,
        kind: int,
        client: int = 0,
        *,
        payload: bytes = b"",
        object: bytes | None = None,
        request: int = 0,
        aux: int = 0,
        flags: int = 0,
        attempt: int = 0,
        job: int = 0,
        version: int = 1,
    ) -> list[dict[str, Any]]: ...
    def take_commands(self) -> list[dict[str, Any]]: ...
    def start_workers(self, count: int) -> None: ...
    def check(self) -> None: ...
    def check_invariants(self) -> None: ...
    def deadline_ns(self) -> int: ...
    def story(self) -> list[dict[str, Any]]: ...
    def function_name(self, function: bytes) -> str: ...
    def workers(self) -> list[dict[str, Any]]: ...
    def sizes(self) -> dict[str, int]: ...
    def resources(self) -> dict[str, tuple[int, int]]: ...
