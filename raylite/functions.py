"""Functions on their way to workers.

A function goes by value, through cloudpickle. A plain one (no closure, globals that are plain data or modules) goes as
its code and those globals instead: that needs no cloudpickle on either side, whose import takes as long as the rest of
a start. A function that cannot be sent is refused naming what in it does not pickle.
"""

import marshal
import sys

from raylite import serialization

FunctionType, ModuleType = type(lambda: None), type(sys)  # `types` and our exceptions would be half of a worker's start
CodeType = type((lambda: None).__code__)
PLAIN_BYTES = 1 << 16  # a global larger than this is cloudpickle's business
FUNCTION_BYTES_MOST = 1 << 30

_first_path = list(sys.path)  # in a driver, from before its workers began
_first_folders: list[str] = []  # of the path, in a worker: those of its environment


def pack_function(function, name, retry_on=None):
    """The function as a Packed, for Client.register_function.

    Args: function: any callable; name: shown in messages; retry_on: None, or a tuple of types of exceptions to retry.
    Raises TypeError if it cannot be pickled, ValueError if it is too large.
    """
    if retry_on is None:
        plain = as_code(function)
        if plain is not None:
            return serialization.pack(("code", name, None, changed_path(), plain))
    return pack_parts(("pickle", name, retry_on, changed_path(), Pickled(function)), function, f"the function {name}")


def pack_parts(parts, value, what):
    """`parts`, of which one is `value` as Pickled, as a Packed. Raises as pack_function."""
    try:
        packed = serialization.pack(parts, by_cloudpickle=True)
    except Exception as error:
        from raylite.exceptions import RayError
        from raylite.pickling_errors import explain

        if isinstance(error, RayError):
            raise
        raise TypeError(f"Could not serialize {what}: {explain(value, error)}") from error
    if packed.size > FUNCTION_BYTES_MOST:
        raise ValueError(
            f"{what[0].upper()}{what[1:]} captures too much ({packed.size:,} bytes). Put that into the object store "
            "with raylite.put, and capture the reference or pass it as an argument."
        )
    return packed


def pack_class(cls, name, settings):
    """An actor class as a Packed, for Client.register_function.

    Args: cls: the class; name: shown in messages; settings: a plain dict, for the actor's process.
    Raises TypeError if it cannot be pickled, ValueError if it is too large.
    """
    return pack_parts(("class", name, settings, changed_path(), Pickled(cls)), cls, f"the actor class {name}")


def pack_method(label, name, retry_on):
    """A method as a Packed, for Client.register_function.

    Args: label: shown in messages; name: of the method; retry_on: a pickled tuple of exception types, or None.
    """
    return serialization.pack(("method", label, retry_on, None, name))


def changed_path():
    """Where modules are looked for, if that has changed since the workers began: a list of folders; or None."""
    if sys.path == _first_path:
        return None
    return [folder for folder in sys.path if isinstance(folder, str) and folder and folder not in _first_folders]


def keep_first(folders):
    """Put folders at the front of the path, and keep them there whatever path a function brings."""
    _first_folders[:] = folders
    sys.path[:0] = folders
    _first_path[:] = sys.path


class Pickled:
    """Something that is pickled on its own, and is loaded as those bytes: so that a failure to load it can be told."""

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        import cloudpickle

        return bytes, (cloudpickle.dumps(self.value),)


class Loaded:
    """A function in a worker, or a class or method of an actor's.

    Attributes: call: the function or class, or what raises why it could not be loaded; the name of a method; name: to
    show; retry_on: types of exceptions to retry its task on, None for all; of a class: its settings.
    """

    __slots__ = ("call", "name", "retry_on")

    def __init__(self, call, name, retry_on):
        self.call = call
        self.name = name
        self.retry_on = retry_on


def load(data, unfit=None):
    """The Loaded that pack_function packed. `unfit`: an error that it raises instead of being called."""
    from _pickle import loads

    form, name, retry_on, path, parts = loads(data)
    if form == "method":
        return Loaded(parts, name, retry_on and loads(retry_on))
    if unfit is not None:
        return Loaded(raising(unfit), name, retry_on)
    if path is not None:
        before = [folder for folder in sys.path if folder not in path and folder not in _first_folders]
        sys.path[:] = [*_first_folders, *path, *before]
    try:
        function = from_code(*parts) if form == "code" else loads(parts)
    except Exception as error:
        function = failing(f"{'class' if form == 'class' else 'function'} {name}", error)
    return Loaded(function, name, retry_on)


def failing(what, error):
    """A function that raises why this one could not be loaded."""

    def fail(*args, **kwargs):
        text = f"the {what} could not be loaded in the worker: {type(error).__name__}: {error}"
        raise RuntimeError(text) from error

    return fail


def raising(error):
    """A function that raises this error."""

    def fail(*args, **kwargs):
        raise error

    return fail


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
    if by_value_modules():
        return None
    names = global_names(function.__code__)
    values, modules, submodules = {"__package__": function.__globals__.get("__package__")}, {}, []
    for name in sorted(names):
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        if type(value) is ModuleType and sys.modules.get(value.__name__) is value and value.__name__ != "__main__":
            modules[name] = value.__name__
            submodules += used_submodules(value, names)
        elif is_plain(value):
            values[name] = value
        else:
            return None
    try:
        code = marshal.dumps(function.__code__)
    except ValueError:
        return None
    where = function.__name__, function.__qualname__, function.__module__
    return code, *where, defaults, annotations, values, modules, submodules


def by_value_modules():
    """Whether the user has told cloudpickle to send some modules by value."""
    if "cloudpickle" not in sys.modules:
        return False
    from cloudpickle import list_registry_pickle_by_value  # waits for a thread that is importing it

    return bool(list_registry_pickle_by_value())


def used_submodules(package, names):
    """The full names of modules inside `package` that are imported here and whose every part is among `names`.

    For after `import xml.etree.ElementTree` the function names `xml` alone.
    """
    if not hasattr(package, "__path__"):
        return []
    found, packages = [], [package.__name__]
    while packages:
        prefix = packages.pop() + "."
        inside = [prefix + name for name in names if prefix + name in sys.modules]
        found += inside
        packages += inside
    return sorted(found)


def from_code(code, name, qualname, module, defaults, annotations, values, modules, submodules):
    """The function again, with globals of its own."""
    namespace = {"__builtins__": __builtins__, "__name__": module, **values}
    for full_name in submodules:
        __import__(full_name)
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
