"""Serializers of the program's own, for classes that do not pickle, or should pickle otherwise.

They hold in the process that registers them, for objects of exactly that class, wherever these lie in a value: in
arguments, results, puts, exceptions, and in what functions capture. The deserializer travels with each object, so who
receives one needs nothing. A task that returns such objects registers in its worker, as in Ray.
"""

from __future__ import annotations

from raylite import serialization

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

# Pickle knows them without asking anybody; cloudpickle, functions and classes.
_NEVER_ASKED_FOR = (
    *(bool, bytes, bytearray, complex, dict, float, frozenset, int, list, set, str, tuple, type),
    *(type(None), type(len), type(lambda: None)),
)


def register_serializer(cls: type[T], *, serializer: Callable[[T], Any], deserializer: Callable[[Any], T]) -> None:
    """Have objects of a class pickled by `serializer` and made again by `deserializer`. A second call replaces both.

    Args: cls: the class, subclasses not included; serializer: object to something that pickles; deserializer: that to
    an object, in any process.
    Raises TypeError for what is no class or cannot be called, ValueError for a class that pickle knows already.
    """
    check_class(cls)
    for name, function in (("serializer", serializer), ("deserializer", deserializer)):
        if not callable(function):
            raise TypeError(f"the {name} is {function!r}: it takes a function of one argument")
    if cls in _NEVER_ASKED_FOR:
        raise ValueError(f"pickle asks nobody how to pickle a {cls.__name__}; put it into a class of your own")

    def reduce(value: T) -> tuple[Callable[[Any], T], tuple[Any]]:
        return deserializer, (serializer(value),)

    serialization.set_reducer(cls, reduce)


def deregister_serializer(cls: type) -> None:
    """Have objects of a class pickled as if no serializer had been registered in this process. Fine without one.

    Raises TypeError for what is no class.
    """
    check_class(cls)
    serialization.set_reducer(cls, None)


def check_class(cls: object) -> None:
    """Raise TypeError unless this is a class."""
    if not isinstance(cls, type):
        raise TypeError(f"serializers are registered for classes, and {cls!r} is none")
