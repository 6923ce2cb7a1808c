from typing import Any

BY_COMMAND: int
FAULT_NAMES: tuple[str, ...]

class FaultDraws:
    def command(self, *args: Any, **kwargs: Any) -> Any: ...
    occurred: Any
    def order(self, *args: Any, **kwargs: Any) -> Any: ...
    def stop(self, *args: Any, **kwargs: Any) -> Any: ...
