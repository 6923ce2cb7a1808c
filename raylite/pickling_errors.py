"""What in a value cannot be pickled, said so that one can find it.

What a value is made of is asked of the value itself, as pickle does; so a part that its class leaves out is no suspect.
"""

from types import FunctionType

from raylite.exception_state import short_repr
from raylite.serialization import pack, reducer

DEPTH = 5
FEW = 32


def pickles(value):
    """The error that pickling the value gives, or None."""
    try:
        pack(value)
    except Exception as error:
        return error
    return None


def explain(value, error):
    """One sentence: the path to the innermost part that does not pickle, what it is, and why."""
    path, culprit, reason = find(value, error, DEPTH)
    where = f"its part {path.strip()}" if path else "it"
    return f"{where} is a {type(culprit).__module__}.{type(culprit).__qualname__}, which cannot be pickled ({reason})"


def find(value, error, depth):
    """(path, part, error) of the innermost part of `value` that does not pickle."""
    if depth:
        for name, part in suspects(parts(value)):
            inner = pickles(part)
            if inner is not None:
                path, culprit, reason = find(part, inner, depth - 1)
                return name + path, culprit, reason
    return "", value, error


def suspects(named):
    """A few of the named parts, one that does not pickle among them if there is any."""
    while len(named) > FEW:
        half = len(named) // 2
        named = named[:half] if pickles([part for _, part in named[:half]]) is not None else named[half:]
    return named


def parts(value):
    """What a value is made of, with the way to write each."""
    if isinstance(value, dict):
        names = [(short_repr(key), key) for key in value]
        return [(f"[{name}]", value[key]) for name, key in names] + [(f" key {name}", key) for name, key in names]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [(" element", item) for item in value]
    if type(value) is FunctionType:
        return parts_of_function(value)
    if isinstance(value, type):
        return [(f".{name}", item) for name, item in vars(value).items() if not name.startswith("__") or callable(item)]
    return parts_of_object(value)


def parts_of_function(function):
    """What a function sent by value takes with it."""
    code = function.__code__
    found = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((f" closure variable {name!r}", cell.cell_contents))
        except ValueError:  # it has no value yet
            continue
    found += [(f" global {name!r}", function.__globals__[name]) for name in names_used(code, function.__globals__)]
    found += [(" default argument", item) for item in function.__defaults__ or ()]
    found += [(f" default argument {name!r}", item) for name, item in (function.__kwdefaults__ or {}).items()]
    return found + [(f".{name}", item) for name, item in function.__dict__.items()]


def names_used(code, namespace):
    """The global names that a function uses and that are there, in order."""
    from raylite.functions import global_names

    return sorted(name for name in global_names(code) if name in namespace)


def parts_of_object(value):
    """What pickle would take of it: nothing if it refuses as a whole."""
    try:
        reduce = reducer(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(5)
    except Exception:
        return []
    if not isinstance(reduced, tuple):
        return []
    pieces: tuple = (*reduced, None)
    args, state = pieces[1], pieces[2]
    found = []
    for attributes in state if isinstance(state, tuple) else (state,):
        if isinstance(attributes, dict):
            found += [(f".{name}", item) for name, item in attributes.items()]
        elif attributes is not None:
            found.append((" state", attributes))
    for i, item in enumerate(args):
        name = f" class {item.__qualname__}" if isinstance(item, type) else f" constructor argument {i}"
        found.append((name, item))
    return found


def refuse_arguments(function_name, args, kwargs, error):
    """Raise a TypeError that names the argument which does not pickle; return if all do (`error` is about else)."""
    named = [(f"argument {i}", value) for i, value in enumerate(args)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        reason = pickles(value)
        if reason is not None:
            raise TypeError(f"Could not serialize the {name} of {function_name}: {explain(value, reason)}") from error
