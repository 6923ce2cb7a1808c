"""Functions on their way to workers.

A function goes by value, through cloudpickle. A plain one (no closure, globals that are plain data or modules) goes as
its code and those globals instead: that needs no cloudpickle on either side, whose import takes as long as the rest of
a start. A function that cannot be sent is refused naming what in it does not pickle.
"""

import marshal
import sys
from types import CodeType, FunctionType, ModuleType

from raylite import serialization

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN_BYTES = 1 << 16  # a global larger than this is cloudpickle's business


def pack_function(function, name, retry_exceptions=None):
    """The function as a Packed, for Client.register_function.

    Args: function: any callable; name: shown in messages; retry_exceptions: None, or a tuple of types to retry.
    Raises TypeError if it cannot be pickled.
    """
    if retry_exceptions is None:
        plain = as_code(function)
        if plain is not None:
            return serialization.pack(("code", name, *plain))
    try:
        return serialization.pack(("pickle", name, function, retry_exceptions), by_cloudpickle=True)
    except Exception as error:
        from raylite.pickling_errors import explain

        raise TypeError(f"the function {name} cannot be sent to workers: {explain(function, error)}") from error


def load(data):
    """(callable, name) from what pack_function made."""
    from _pickle import loads

    form, name, *parts = loads(data)
    if form == "code":
        return from_code(*parts), name
    function, retry_exceptions = parts
    if retry_exceptions is not None:
        function = Retrying(function, retry_exceptions)
    return function, name


class Retrying:
    """A function with the types of exceptions that its task is retried on."""

    def __init__(self, function: "Callable", kinds: tuple) -> None:
        self.function = function
        self.__raylite_retry__ = kinds

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def as_code(function):
    """The parts of a plain function, or None if it is not one."""
    if type(function) is not FunctionType or function.__closure__ or function.__dict__ or function.__kwdefaults__:
        return None
    if function.__annotations__ and not all(type(a) is str for a in function.__annotations__.values()):
        annotations = {}
    else:
        annotations = dict(function.__annotations__)
    defaults = function.__defaults__
    if defaults is not None and not is_plain(defaults):
        return None
    values, modules = {}, {}
    for name in sorted(global_names(function.__code__)):
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if type(value) is ModuleType and sys.modules.get(value.__name__) is value and value.__name__ != "__main__":
            modules[name] = value.__name__
        elif is_plain(value):
            values[name] = value
        else:
            return None
    try:
        code = marshal.dumps(function.__code__)
    except ValueError:
        return None
    return code, function.__name__, function.__qualname__, function.__module__, defaults, annotations, values, modules


def from_code(code, name, qualname, module, defaults, annotations, values, modules):
    """The function again, with globals of its own."""
    namespace = {"__builtins__": __builtins__, "__name__": module, **values}
    for alias, full_name in modules.items():
        __import__(full_name)
        namespace[alias] = sys.modules[full_name]
    function = FunctionType(marshal.loads(code), namespace, name, defaults)
    function.__qualname__ = qualname
    function.__module__ = module
    function.__annotations__ = annotations
    return function


def global_names(code):
    """Every name that the code, or code nested in it, may look up among its globals."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= global_names(constant)
    return names


def is_plain(value):
    """Whether marshal-like data: nothing that could have a class of the user's."""
    return serialization.is_small_plain(value, PLAIN_BYTES)
