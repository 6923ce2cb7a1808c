"""What in a value cannot be pickled, said so that one can find it."""

from raylite.serialization import pack

DEPTH = 4


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
    where = f"its part {path}" if path else "it"
    return f"{where} is a {type(culprit).__module__}.{type(culprit).__qualname__}, which cannot be pickled ({reason})"


def find(value, error, depth):
    """(path, part, error) of the innermost part of `value` that does not pickle."""
    if depth:
        for name, part in parts(value):
            inner = pickles(part)
            if inner is not None:
                path, culprit, reason = find(part, inner, depth - 1)
                return name + path, culprit, reason
    return "", value, error


def parts(value):
    """What a value is made of, with the way to write each."""
    if isinstance(value, dict):
        return [(f"[{key!r}]", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", item) for i, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [("{...}", item) for item in value]
    if callable(value) and hasattr(value, "__code__"):
        names = value.__code__.co_freevars
        cells = [(f" closure variable {n!r}", c.cell_contents) for n, c in zip(names, value.__closure__ or ()) if filled(c)]
        used = [n for n in value.__code__.co_names if n in value.__globals__]
        return cells + [(f" global {n!r}", value.__globals__[n]) for n in used]
    return [(f".{name}", item) for name, item in getattr(value, "__dict__", {}).items()]


def filled(cell):
    try:
        cell.cell_contents
    except ValueError:
        return False
    return True


def refuse_arguments(function_name, args, kwargs, error):
    """Raise a TypeError that names the argument which does not pickle; return if all do (`error` is about else)."""
    named = [(f"argument {i}", value) for i, value in enumerate(args)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        reason = pickles(value)
        if reason is not None:
            raise TypeError(f"Could not serialize the {name} of {function_name}: {explain(value, reason)}") from error
