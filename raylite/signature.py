"""Whether arguments fit a function, asked at every call: fast where they do, in Python's own words where not.

For arguments by position alone two comparisons answer. Everything else is put to CPython: a function of the same
parameters and an empty body is called in its stead, so the answer and the message are those of a local call. A callable
whose parameters are not to be known (made in C, a functools.partial) takes anything here, and answers for itself.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any

_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200


class Signature:
    """The parameters of a callable.

    Args:
        function: the callable.
        bound: whether its first parameter is given by something else, as `self` is.

    Attributes:
        name: its qualified name.
        n_required: how many arguments by position it needs at least.
        n_max: how many it takes at most; sys.maxsize where there is no limit.
        has_kwonly_required: whether it needs arguments that can be given by keyword only.
        accepts_any: whether its parameters are not known.
        is_generator: whether calling it makes a generator, plain or asynchronous.
        is_coroutine: whether calling it makes a coroutine.
    """

    __slots__ = (
        "_double",
        "_fewest",
        "_function",
        "_most",
        "_skipped",
        "accepts_any",
        "has_kwonly_required",
        "is_coroutine",
        "is_generator",
        "n_max",
        "n_required",
        "name",
    )

    def __init__(self, function: Callable[..., Any], *, bound: bool = False) -> None:
        flags = _flags(function)
        self.is_generator = bool(flags & (_GENERATOR | _ASYNC_GENERATOR))
        self.is_coroutine = bool(flags & _COROUTINE)
        self._double: Callable[..., Any] | None = None
        function, skipped = _implementation(function, bound)
        self._function, self._skipped = function, skipped
        self.name: str = getattr(function, "__qualname__", type(function).__qualname__)
        code = _code(function)
        self.accepts_any = code is None
        if code is None:
            self.n_required, self.n_max, self.has_kwonly_required = 0, sys.maxsize, False
        else:
            defaults = len(getattr(function, "__defaults__", None) or ())
            self.n_required = max(code.co_argcount - defaults - skipped, 0)
            self.n_max = sys.maxsize if code.co_flags & _VARARGS else code.co_argcount - skipped
            self.has_kwonly_required = code.co_kwonlyargcount > len(getattr(function, "__kwdefaults__", None) or ())
        # How many arguments by position alone are sure to fit: between these.
        self._fewest, self._most = (1, 0) if self.has_kwonly_required else (self.n_required, self.n_max)

    @classmethod
    def of_class(cls, of: Any) -> Signature:
        """Return what calling the class takes: the parameters of its `__init__`, or else of its `__new__`."""
        if type(of).__call__ is type.__call__:
            if _code(of.__init__) is not None:
                return cls(of.__init__, bound=True)
            if of.__init__ is object.__init__ and _code(of.__new__) is not None:
                return cls(of.__new__, bound=True)
            if of.__init__ is object.__init__ and of.__new__ is object.__new__:
                bare = cls(of)
                bare.n_max = bare._most = 0
                bare.accepts_any = False
                bare._double = type(of.__name__, (), {})  # says that it takes no arguments
                return bare
        return cls(of)

    def check(self, args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> None:
        """Do nothing if the callable takes these arguments.

        Raises:
            TypeError: it does not; the message is the one that Python has for a local call.
        """
        if kwargs or not self._fewest <= len(args) <= self._most:
            self._try(args, kwargs or {})

    def _try(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.accepts_any:
            return
        if self._double is None:
            self._double = _double_of(self._function, self.name)
        try:
            self._double(*(None,) * self._skipped, *args, **kwargs)
        except TypeError as error:
            raise TypeError(str(error)) from None


def _implementation(function: Any, bound: bool) -> tuple[Any, int]:
    """The function that a call ends in, and how many of its parameters are given by something else."""
    skipped = int(bound)
    for _ in range(2):  # an object with a __call__, a method
        if hasattr(function, "__func__"):
            function, skipped = function.__func__, skipped + 1
        elif _code(function) is None and _code(type(function).__call__) is not None:
            function, skipped = type(function).__call__, skipped + 1
    return function, skipped


def _code(function: Any) -> CodeType | None:
    code = getattr(function, "__code__", None)
    return code if hasattr(code, "co_posonlyargcount") else None


def _flags(function: Any) -> int:
    while type(function).__name__ == "partial" and hasattr(function, "func"):
        function = function.func
    code = _code(_implementation(function, False)[0])
    return code.co_flags if code is not None else 0


def _double_of(function: Any, name: str) -> Callable[..., Any]:
    """A function of the same parameters that does nothing."""
    code = function.__code__
    names = list(code.co_varnames)
    positional, names = names[: code.co_argcount], names[code.co_argcount :]
    keyword_only, names = names[: code.co_kwonlyargcount], names[code.co_kwonlyargcount :]
    parameters = [*positional]
    if code.co_posonlyargcount:
        parameters.insert(code.co_posonlyargcount, "/")
    if code.co_flags & _VARARGS:
        parameters.append(f"*{names.pop(0)}")
    elif keyword_only:
        parameters.append("*")
    parameters += keyword_only
    if code.co_flags & _VARKEYWORDS:
        parameters.append(f"**{names.pop(0)}")
    scope: dict[str, Any] = {}
    exec(f"def double({', '.join(parameters)}): pass", scope)
    double = scope["double"]
    double.__defaults__ = function.__defaults__ and (None,) * len(function.__defaults__)
    double.__kwdefaults__ = function.__kwdefaults__ and dict.fromkeys(function.__kwdefaults__)
    double.__qualname__ = name
    return double
