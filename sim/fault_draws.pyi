from typing import Any

class FaultDraws:
    occurred: Any
    def stop(self, *args: Any, **kwargs: Any) -> Any: ...
