from typing import Any

class Alarms:
    def after(self, *args: Any, **kwargs: Any) -> Any: ...
