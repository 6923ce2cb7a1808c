"""Functions of `__main__` in processes of a pool: there they have their globals in common, as in a forked process.

By themselves functions sent by value have globals of their own, each what it uses: what an initializer assigns with
`global`, no other function would see. So in a pool's process there is one dict of globals for all that is of
`__main__`. What comes with a function is put into it, but for names that code there has assigned since.
"""

from __future__ import annotations

import io
import sys

import cloudpickle
from cloudpickle import cloudpickle as internals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FunctionType
    from typing import Any

_globals: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
_came: dict[str, Any] = {}  # what names of _globals came as


class MainGlobals:
    """Stands for the globals of `__main__` while a function is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return main_globals, ()


class SharingPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, but that functions of `__main__` come to the globals that they share."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.globals_ref[id(sys.modules["__main__"].__dict__)] = MainGlobals()

    def _dynamic_function_reduce(self, func: FunctionType) -> tuple[Any, ...]:
        *parts, _ = super()._dynamic_function_reduce(func)
        return (*parts, set_function_state)


class Shared:
    """A callable on its way into a pool's process: as it is when it is first sent."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.data: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.data is None:
            file = io.BytesIO()
            SharingPickler(file).dump(self.function)
            self.data = file.getvalue()
        return cloudpickle.loads, (self.data,)


def main_globals() -> dict[str, Any]:
    """The globals that functions of `__main__` share in this process."""
    return _globals


def set_function_state(function: FunctionType, state: Any) -> None:
    """As cloudpickle does it; of the shared globals only those that nobody here has assigned."""
    before = dict(function.__globals__)
    internals._function_setstate(function, state)
    if function.__globals__ is not _globals:
        return
    for name, value in list(_globals.items()):
        if name in before and (name not in _came or before[name] is not _came[name]):
            _globals[name] = before[name]
        elif name not in before or value is not before[name]:
            _came[name] = value
