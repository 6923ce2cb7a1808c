"""An exception taken apart and put together again without running the `__new__` or `__init__` of its class.

Pickle makes an exception again by calling its class with `args`, which fails, or changes the message, for every
class whose `__init__` takes something else than what it hands to its base; and it forgets `__slots__`. So state is
read here from where CPython keeps it (the C-level `args`, the instance's `__dict__`, slots and C fields such as
`OSError.errno`) and written back to the same places. A class that says itself how it is pickled is left to do so.
"""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

# BaseExceptionGroup is not there before Python 3.11; nothing is an instance of ().
EXCEPTION_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())

_ARGS: Any = BaseException.args
_MEMBER_TYPES = (type(OSError.errno), type(BaseException.args))  # slots and C fields; computed C fields
_BUILTIN_FUNCTION = type(len)
_MAX_REPR_CHARS = 1_000
_PICKLE_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__")


def state(exc: BaseException) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    """Return what `rebuild` needs beside the class: args, attributes by name, members (slots, C fields) by name."""
    if isinstance(exc, EXCEPTION_GROUP):
        args = (exc.message, list(exc.exceptions))
    else:
        args = _ARGS.__get__(exc)
    members: dict[str, Any] = {}
    for name, descriptor in _member_descriptors(type(exc)).items():
        try:
            members[name] = descriptor.__get__(exc)
        except AttributeError:  # an empty slot
            continue
        if members[name] is None and descriptor.__objclass__.__module__ == "builtins":
            del members[name]  # an empty C field, which None would fill
    return args, dict(_attributes(exc)), members


def rebuild(
    cls: type[BaseException], args: Iterable[Any], attributes: Mapping[str, Any], members: Mapping[str, Any]
) -> BaseException:
    """Return an exception of class `cls` in that state.

    Raises:
        TypeError: the class makes its instances in C in a way of its own.
    """
    exc = blank(cls, args if issubclass(cls, EXCEPTION_GROUP) else ())
    restore(exc, args, attributes, members)
    return exc


def blank(cls: Any, args: Iterable[Any] = ()) -> Any:
    """Return an instance of `cls` made by the nearest base written in C. Only groups look at `args`."""
    base = cls
    while not isinstance(base.__dict__.get("__new__"), _BUILTIN_FUNCTION):
        base = base.__base__
    return base.__new__(cls, *args)


def restore(exc: BaseException, args: Iterable[Any], attributes: Mapping[str, Any], members: Mapping[str, Any]) -> None:
    """Write such state into `exc`; members that its class lacks, or that cannot be set, are passed over."""
    _ARGS.__set__(exc, tuple(args))
    _attributes(exc).update(attributes)
    descriptors = _member_descriptors(type(exc))
    for name, value in members.items():
        try:
            descriptors[name].__set__(exc, value)
        except (KeyError, AttributeError, TypeError):
            continue


def portable(value: Any, carriers: dict[int, Carrier] | None = None) -> Any:
    """Return what to pickle in place of `value` so that exceptions, in lists and tuples too, are loaded as they are.

    Args:
        value: anything; what is neither an exception nor a list or tuple is returned as it is.
        carriers: those that stand for exceptions already, so that exceptions may hold each other.
    """
    if carriers is None:
        carriers = {}
    if type(value) in (list, tuple):
        return type(value)([portable(item, carriers) for item in value])
    if not isinstance(value, BaseException) or _pickles_well(value):
        return value
    return carriers.setdefault(id(value), Carrier(value, carriers))


class Carrier:
    """Stands for an exception in a pickle, where it carries its state, and is loaded as that exception."""

    __slots__ = ("carriers", "exc")

    def __init__(self, exc: BaseException, carriers: dict[int, Carrier]) -> None:
        self.exc = exc
        self.carriers = carriers

    def __reduce__(self) -> tuple[Any, ...]:
        args, attributes, members = state(self.exc)
        if isinstance(self.exc, AttributeError):
            members.pop("obj", None)  # Python leaves it out too: it can be anything, and large
        args = portable(args, self.carriers)
        attributes = {name: portable(value, self.carriers) for name, value in attributes.items()}
        members = {name: portable(value, self.carriers) for name, value in members.items()}
        made_with = args if isinstance(self.exc, EXCEPTION_GROUP) else ()
        # The state comes after the object, so it may hold the object.
        return blank, (type(self.exc), made_with), (args, attributes, members), None, None, _restore_all


def _restore_all(exc: BaseException, all_state: tuple[Any, Any, Any]) -> None:
    restore(exc, *all_state)


def _pickles_well(exc: BaseException) -> bool:
    """Whether pickle does right by it: Python's own classes but groups, and classes that say how."""
    cls = type(exc)
    if isinstance(exc, EXCEPTION_GROUP):
        return False
    if any(
        base.__module__ != "builtins" and any(hook in base.__dict__ for hook in _PICKLE_HOOKS) for base in cls.__mro__
    ):
        return True
    reducer = _registered_reducer(cls)
    if reducer is not None:  # tblib (which dask installs) registers itself for every class, and forgets state
        return not getattr(reducer, "__module__", "").startswith("tblib")
    return cls.__module__ == "builtins"


def _registered_reducer(cls: type) -> Any:
    """What was registered with copyreg or cloudpickle for pickling the class, or None."""
    cloudpickle = sys.modules.get("cloudpickle")  # its table includes that of copyreg
    if cloudpickle is not None:
        return cloudpickle.CloudPickler.dispatch_table.get(cls)
    from copyreg import dispatch_table

    return dispatch_table.get(cls)


def _attributes(exc: BaseException) -> dict[str, Any]:
    return object.__getattribute__(exc, "__dict__")


def _member_descriptors(cls: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if base is BaseException or base is object or base is EXCEPTION_GROUP:
            continue
        for name, value in base.__dict__.items():
            if isinstance(value, _MEMBER_TYPES) and name not in ("__dict__", "__weakref__"):
                found.setdefault(name, value)
    return found


def short_repr(value: object) -> str:
    """Return `repr` of a value, cut, whatever it does."""
    try:
        return cut(repr(value), _MAX_REPR_CHARS)
    except Exception as error:
        return f"<{type(value).__qualname__} whose repr raises {type(error).__name__}>"


def cut(text: str, max_chars: int) -> str:
    """Return the text, with the middle left out where it is longer than `max_chars`."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
