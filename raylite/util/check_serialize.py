"""Why a value cannot be sent to tasks: the innermost parts of it that do not pickle, and the way to each."""

from __future__ import annotations

from raylite.exception_state import short_repr
from raylite.pickling_errors import parts, pickles, suspects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEPTH = 3
INDENT = "    "


class FailureTuple:
    """A part that does not pickle.

    Attributes: obj: the part; path: names that lead to it, outermost first; parent: what it is a part of, or None;
    reason: the error that pickling it gives.
    """

    def __init__(self, obj: Any, path: tuple[str, ...], parent: Any, reason: BaseException | None = None) -> None:
        self.obj = obj
        self.path = path
        self.parent = parent
        self.reason = reason

    @property
    def name(self) -> str:
        """The last name of the path."""
        return self.path[-1] if self.path else "unknown"

    def __repr__(self) -> str:
        where = " -> ".join(self.path)
        return f"FailTuple({self.name} [path={where}, obj={short_repr(self.obj)}, parent={short_repr(self.parent)}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = DEPTH, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """Find what in a value does not pickle, and print it.

    Args: base_obj: any value; name: what to call it; depth: how many levels of parts to look into, a whole number from
    0 up; print_file: where to print, sys.stdout if None.
    Returns (whether it pickles, the FailureTuples of the parts that do not). Raises TypeError or ValueError for a wrong
    depth.
    """
    if isinstance(depth, bool) or not isinstance(depth, int):
        raise TypeError(f"depth must be a whole number from 0 up, not {depth!r}")
    if depth < 0:
        raise ValueError(f"depth must be a whole number from 0 up, not {depth}")
    name = name or getattr(base_obj, "__qualname__", None) or short_repr(base_obj)
    error = pickles(base_obj)
    if error is None:
        print(f"{name} can be sent to tasks: all of it pickles.", file=print_file)
        return True, set()
    print(f"{name} cannot be sent to tasks, because of", file=print_file)
    search = Search(print_file)
    search.look(FailureTuple(base_obj, (name,), None, error), depth)
    return False, search.failures


class Search:
    """Goes down into what does not pickle, printing each level; each part is looked into once.

    Args: print_file: as for `print`.
    """

    def __init__(self, print_file: Any) -> None:
        self.print_file = print_file
        self.failures: set[FailureTuple] = set()
        self.seen: dict[int, Any] = {}  # kept alive, so that no other part gets its id

    def look(self, failure: FailureTuple, depth: int) -> None:
        """Note the innermost parts of `failure` that do not pickle, itself if there are none."""
        self.seen[id(failure.obj)] = failure.obj
        inner = list(failing_parts(failure)) if depth else []
        kind = type(failure.obj)
        text = f"{failure.name}: a {kind.__module__}.{kind.__qualname__}"
        print(INDENT * len(failure.path) + text + ("" if inner else f" ({failure.reason})"), file=self.print_file)
        if not inner:
            self.failures.add(failure)
        for part in inner:
            if id(part.obj) not in self.seen:
                self.look(part, depth - 1)


def failing_parts(whole: FailureTuple) -> list[FailureTuple]:
    """The parts of something that do not pickle; a few of them if it has many parts."""
    found = []
    for label, part in suspects(parts(whole.obj)):
        error = pickles(part)
        if error is not None:
            found.append(FailureTuple(part, (*whole.path, bare(label)), whole.obj, error))
    return found


def bare(label: str) -> str:
    """The name alone of a part: `lock` of " global 'lock'" and of ".lock"; "[0]" as it is."""
    _, quote, name = label.rstrip("'").rpartition(" '")
    return name if quote else label.strip().removeprefix(".")
