"""Which functions are the same, whatever has gone on in the process before.

Functions are known by their pickles (see SimulatedClient.function_id). Their bytes are not enough: those differ with
what is the same object and what only equal (pickle refers back to the former), with the order of sets, with reference
counts (marshal), and with what modules happen to be imported (cloudpickle adds the submodules that code may mean). So a
pickle is read as what it builds: equal steps on equal parts are one number.
"""

import marshal
from pickletools import genops

from cloudpickle import cloudpickle

PARTS_MOST = 1 << 20
SETS = frozenset({"ADDITEMS", "FROZENSET"})
CODE = b"c\xe3"  # with which marshalled code begins
PICKLE = b"\x80\x05"
MARK = object()

_find_imported_submodules = cloudpickle._find_imported_submodules
_parts: dict = {}  # (step, argument, numbers of its parts) -> number
_keys: dict = {}  # pickle -> number


def install():
    """From here on pickles name no submodules: who loads them is in the same process."""
    cloudpickle._find_imported_submodules = lambda code, top_level_dependencies: []
    if len(_parts) > PARTS_MOST:
        _parts.clear()
        _keys.clear()


def remove():
    """Leave cloudpickle as it was."""
    cloudpickle._find_imported_submodules = _find_imported_submodules


def function_key(pickle):
    """A number that pickles of the same function share in this process."""
    found = _keys.get(pickle)
    if found is None:
        found = _keys[pickle] = read(pickle)
    return found


def read(pickle):
    """The number of what a pickle builds."""
    stack, memo = [], {}
    for step, argument, _ in genops(pickle):
        name = step.name
        if name == "MARK":
            stack.append(MARK)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in ("PROTO", "FRAME", "STOP"):
            parts = taken(stack, step)
            if name in SETS:
                parts[-1].sort()
            if step.stack_after:
                stack.append(number(name, comparable(argument), parts))
    return stack[-1]


def taken(stack, step):
    """What a step takes from the stack: a list for each thing, in which one with a mark has many."""
    before = [each.name for each in step.stack_before]
    found = []
    if "mark" in before:
        begin = len(stack) - 1 - stack[::-1].index(MARK)
        found = [stack[begin + 1 :]]
        del stack[begin:]
        before = before[: before.index("mark")]
    if before:
        found = [*([each] for each in stack[-len(before) :]), *found]
        del stack[-len(before) :]
    return found


def number(name, argument, parts):
    """The number of a part of a pickle: equal parts have equal numbers."""
    key = (name, type(argument), argument, *map(tuple, parts))
    return _parts.setdefault(key, len(_parts))


def comparable(argument):
    """The argument of a step, as what is equal where it means the same."""
    if not isinstance(argument, (bytes, bytearray)):
        return argument
    try:
        if argument[:2] == PICKLE:
            return "pickle", read(argument)
        if argument[:1] and argument[0] in CODE:
            code = marshal.loads(argument)
            return code, code.co_filename
    except Exception:
        pass  # it only looked so
    return bytes(argument)
