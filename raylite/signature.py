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
        "_most",
        "_parameters",
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
        function, skipped = _implementation(function, bound)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        is_generator, is_coroutine = bool(flags & (_GENERATOR | _ASYNC_GENERATOR)), bool(flags & _COROUTINE)
        self._set(name, _parameters(function), skipped, is_generator, is_coroutine)

    @classmethod
    def from_parts(cls, parts: tuple[Any, ...]) -> Signature:
        """Return the signature that `parts()` came from."""
        made = cls.__new__(cls)
        made._set(*parts)
        return made

    def parts(self) -> tuple[Any, ...]:
        """Return what it is made of, as plain data."""
        return self.name, self._parameters, self._skipped, self.is_generator, self.is_coroutine

    def _set(
        self, name: str, parameters: tuple[Any, ...] | None, skipped: int, is_generator: bool, is_coroutine: bool
    ) -> None:
        self.name = name
        self.is_generator = is_generator
        self.is_coroutine = is_coroutine
        self._double: Callable[..., Any] | None = None
        self._parameters, self._skipped = parameters, skipped
        self.accepts_any = parameters is None
        if parameters is None:
            self.n_required, self.n_max, self.has_kwonly_required = 0, sys.maxsize, False
        else:
            n_positional, _, n_keyword_only, _, n_defaults, keyword_defaults, has_varargs, _ = parameters
            self.n_required = max(n_positional - n_defaults - skipped, 0)
            self.n_max = sys.maxsize if has_varargs else n_positional - skipped
            self.has_kwonly_required = n_keyword_only > len(keyword_defaults)
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
            assert self._parameters is not None
            self._double = _double_of(self._parameters, self.name)
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


def _parameters(function: Any) -> tuple[Any, ...] | None:
    """What is to be known of a function's parameters, as plain data; None if nothing is.

    How many there are by position, how many of them by position only, how many by keyword only; all names, those of
    *args and **kwargs last; how many defaults, and for which keyword-only ones; whether there are *args and **kwargs.
    """
    code = _code(function)
    if code is None:
        return None
    has_varargs, has_varkeywords = bool(code.co_flags & _VARARGS), bool(code.co_flags & _VARKEYWORDS)
    n_names = code.co_argcount + code.co_kwonlyargcount + has_varargs + has_varkeywords
    return (
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_varnames[:n_names],
        len(getattr(function, "__defaults__", None) or ()),
        tuple(getattr(function, "__kwdefaults__", None) or ()),
        has_varargs,
        has_varkeywords,
    )


def _double_of(parameters: tuple[Any, ...], name: str) -> Callable[..., Any]:
    """A function of the same parameters that does nothing."""
    n_positional, n_positional_only, n_keyword_only, all_names, n_defaults, keyword_defaults, *has = parameters
    has_varargs, has_varkeywords = has
    names = list(all_names)
    positional, names = names[:n_positional], names[n_positional:]
    keyword_only, names = names[:n_keyword_only], names[n_keyword_only:]
    written = [*positional]
    if n_positional_only:
        written.insert(n_positional_only, "/")
    if has_varargs:
        written.append(f"*{names.pop(0)}")
    elif keyword_only:
        written.append("*")
    written += keyword_only
    if has_varkeywords:
        written.append(f"**{names.pop(0)}")
    scope: dict[str, Any] = {}
    exec(f"def double({', '.join(written)}): pass", scope)
    double = scope["double"]
    double.__defaults__ = (None,) * n_defaults if n_defaults else None
    double.__kwdefaults__ = dict.fromkeys(keyword_defaults) or None
    double.__qualname__ = name
    return double
