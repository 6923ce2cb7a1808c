from typing import Any

class TaskContext:
    attempt: int
    name: str
    function: str | None
    gpus: tuple[int, ...]
    is_driver: bool
    group: bytes | None
    captures: bool
    resources: Any
    @staticmethod
    def of(
        task_id: bytes,
        name: str,
        attempt: int = 0,
        gpus: tuple[int, ...] = (),
        is_driver: bool = False,
        function: str | None = None,
        group: bytes | None = None,
        captures: bool = False,
    ) -> TaskContext: ...
    @property
    def task_id(self) -> bytes: ...
    def enter(self) -> Any: ...
    def leave(self, token: Any) -> None: ...
