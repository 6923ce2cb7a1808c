"""Actors: what `@raylite.remote` makes of a class, handles of what that makes, and their methods.

An ActorClass makes actors, an ActorHandle calls one. A handle travels as the reference of the actor's object and a
description of the class (HandleInfo), so that who gets one needs neither the class nor the node to use it. Nothing
here holds a handle that the user has let go of: with the last one the actor ends.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from raylite import lifecycle
from raylite.demand import Demand
from raylite.exceptions import RayError
from raylite.functions import pack_class, pack_method
from raylite.options import (
    DEFAULT_MAX_RETRIES,
    NO_BACKPRESSURE,
    NO_RETRY_EXCEPTIONS,
    resolve_num_returns,
    to_resource_demand,
    validate_actor_options,
    validate_method_options,
)
from raylite.remote_function import STREAMING
from raylite.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from raylite.runtime.client import ObjectRef

    Function = TypeVar("Function", bound=Callable[..., Any])

PLACED_ON_CPU, OUT_OF_ORDER, DETACHED, REPLAYS = 1, 2, 4, 8
ASYNC_CONCURRENCY = 1000
BUILT_IN = ("__ray_ready__", "__ray_terminate__", "__ray_call__")
METHOD_OPTIONS_ATTRIBUTE = "__raylite_method_options__"


def method(*args: Any, **options: Any) -> Callable[[Function], Function]:
    """Set options of an actor's method: `@method(num_returns=2)`.

    Raises TypeError if used without options, TypeError or ValueError for a wrong one.
    """
    if args or not options:
        raise TypeError(
            "The @raylite.method decorator must be applied using at least one of its options, for example "
            "'@raylite.method(num_returns=2)'."
        )
    checked = validate_method_options(options)

    def mark(function: Function) -> Function:
        setattr(function, METHOD_OPTIONS_ATTRIBUTE, checked)
        return function

    return mark


def exit_actor() -> None:
    """End the actor whose method calls this; calls that have not ended get ActorDiedError.

    Raises TypeError outside an actor.
    """
    if current_actor() is None:
        raise TypeError("exit_actor() ends the actor whose method calls it, and this is no actor")
    raise SystemExit(0)


def current_actor():
    """What this process is as an actor (runtime.actor_process.Actor), or None."""
    client = lifecycle.current_client()
    worker = None if client is None else client.worker
    return None if worker is None else worker.actor


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """A handle of the actor of this name, in this job's namespace or another.

    Raises ValueError if there is none, or the name is no string or empty.
    """
    from raylite.api import client_or_init

    if not isinstance(name, str):
        raise TypeError(f"the name of an actor is a string, not {name!r}")
    if not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    client = client_or_init()
    found = find(client, full_name(name, namespace))
    if found is None:
        where = namespace or lifecycle.namespace()
        raise ValueError(
            f"Failed to look up actor with name '{name}'. This could because 1. You are trying to look up a named "
            "actor you didn't create. 2. The named actor died. 3. You did not use a namespace matching the namespace "
            f"of the actor. (The namespace looked in is '{where}'.)"
        )
    return found


def find(client, name):
    """The handle of the actor of this full name, or None."""
    ref = client.find_actor(name)
    return None if ref is None else rebuild_handle(ref, client.get([ref])[0])


def full_name(name, namespace):
    """By what the node knows a name: namespace, line feed, name."""
    if namespace is not None and not isinstance(namespace, str):
        raise TypeError(f"a namespace is a string or None, not {namespace!r}")
    for text in (name, namespace or ""):
        if "\n" in text:
            raise ValueError(f"the name of an actor or namespace has no line feed: {text!r}")
    return f"{namespace or lifecycle.namespace()}\n{name}".encode()


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """Kill an actor at once: calls that have not ended get ActorDiedError.

    Args: actor: its handle; no_restart: do not restart it, whatever its max_restarts.
    Raises ValueError if `actor` is no handle.
    """
    from raylite.api import connected_client

    if not isinstance(actor, ActorHandle):
        raise ValueError(f"kill() only supported for actors. For tasks, try raylite.cancel(). Got: {type(actor)}.")
    connected_client().kill(actor._ref, no_restart)


# ---- methods ----


class MethodInfo:
    """What a caller must know of a method.

    Args: name: its name; label: what messages call it; signature: of the function, without self; options: validated
    options of the method; defaults: those of the actor that apply to its methods.
    """

    __slots__ = (
        "backpressure",
        "group",
        "is_generator",
        "label",
        "max_retries",
        "n_returns",
        "name",
        "retries",
        "retry_on",
        "signature",
    )

    def __init__(self, name, label, signature, options, max_retries, backpressure):
        self.name = name
        self.label = label
        self.signature = signature
        self.is_generator = signature.is_generator
        self.max_retries = max_retries
        self.group = None
        self.retries, self.retry_on = False, None  # type: bool, bytes | None
        self.n_returns = 1
        self.backpressure = backpressure
        self.set(options)

    def set(self, options):
        """Let these options hold."""
        num_returns = resolve_num_returns(options.get("num_returns"), self.is_generator)
        self.n_returns = STREAMING if num_returns in ("streaming", "dynamic") else num_returns
        if options.get("max_task_retries") is not None:
            self.max_retries = options["max_task_retries"]
        if "retry_exceptions" in options:
            retry_on = options["retry_exceptions"]
            self.retries = bool(retry_on)
            self.retry_on = retry_on if isinstance(retry_on, bytes) else None
        if options.get("_generator_backpressure_num_objects") is not None:
            self.backpressure = max(options["_generator_backpressure_num_objects"], 0)
        if options.get("concurrency_group") is not None:
            self.group = options["concurrency_group"]


class HandleInfo:
    """What handles of actors of one class and one set of options share.

    Args: state: (class name, {method name: (signature parts, options)}, concurrency groups, max_task_retries,
    backpressure of generators, whether pending calls are limited, names that are no methods and why, whether the actor
    replays its calls).
    """

    def __init__(self, state):
        self.state = state
        self.class_name, methods, self.groups, max_retries, backpressure = state[:5]
        self.limits_calls, self.not_methods, self.replays = state[5:]
        self.methods = {}
        for name, (parts, options) in methods.items():
            label = f"{self.class_name}.{name}"
            signature = Signature.from_parts(parts)
            self.methods[name] = MethodInfo(name, label, signature, options, max_retries, backpressure)
        self.exports = {}  # (method name, what to retry on) -> (client, reference)

    def export(self, client, method):
        """The reference of a method as its function, known to the node."""
        key = method.name, method.retry_on
        export = self.exports.get(key)
        if export is None or export[0] is not client:
            packed = pack_method(method.label, method.name, method.retry_on)
            export = self.exports[key] = client, client.register_function(packed, method.label)
        return export[1]

    def group_number(self, name):
        """The number of a concurrency group. Raises ValueError naming those there are."""
        if name is None:
            return 0
        if name not in self.groups:
            known = ", ".join(self.groups) or "none"
            raise ValueError(f"{self.class_name} has no concurrency group {name!r}; it has {known}")
        return 1 + self.groups.index(name)


_infos: WeakValueDictionary[bytes, HandleInfo] = WeakValueDictionary()


def info_of(state):
    """The HandleInfo of a state; one for all handles of a process."""
    from pickle import dumps

    key = dumps(state)
    info = _infos.get(key)
    if info is None:
        info = _infos[key] = HandleInfo(state)
    return info


class ActorHandle:
    """What calls an actor: `handle.method.remote(...)`. Made by ActorClass.remote() and get_actor()."""

    __slots__ = ("__weakref__", "_info", "_ref")

    _info: HandleInfo
    _ref: ObjectRef[Any]

    def __init__(self, *args):
        raise TypeError("handles are made by an actor class's .remote() and by get_actor, not by calling ActorHandle")

    @property
    def _actor_id(self):
        from raylite.ids import ActorID

        return ActorID(self._ref.binary()[:16])

    def __getattr__(self, name: str) -> ActorMethod:
        info = self._info
        found = info.methods.get(name)
        if found is None:
            raise AttributeError(
                info.not_methods.get(name)
                or f"'{info.class_name}' actors have no method '{name}'; they have "
                f"{', '.join(sorted(set(info.methods) - set(BUILT_IN))) or 'none'}"
            )
        return ActorMethod(self, found)

    def __dir__(self):
        return sorted(self._info.methods)

    def __repr__(self):
        return f"Actor({self._info.class_name}, {self._ref.hex()[:32]})"

    def __eq__(self, other):
        return type(other) is ActorHandle and other._ref == self._ref

    def __hash__(self):
        return hash(self._ref)

    def __reduce__(self):
        return rebuild_handle, (self._ref, self._info.state)


def rebuild_handle(ref, state):
    """A handle from its parts."""
    handle = ActorHandle.__new__(ActorHandle)
    handle._ref = ref
    handle._info = info_of(state)
    return handle


class ActorMethod:
    """A method of an actor."""

    __slots__ = ("_handle", "_info")

    def __init__(self, handle, info):
        self._handle = handle
        self._info = info

    def __call__(self, *args, **kwargs):
        name = self._info.name
        raise TypeError(
            "Actor methods cannot be called directly. Instead of running "
            f"'object.{name}()', try 'object.{name}.remote()'."
        )

    def remote(self, *args, **kwargs):
        """Call the method. Returns as RemoteFunction.remote.

        Raises TypeError if the method does not take these arguments; PendingCallsLimitExceeded.
        """
        return submit(self._handle, self._info, args, kwargs, b"")

    def options(self, **options):
        """The same method with other options (see raylite.method). Raises ValueError or TypeError for a wrong one."""
        checked = portable(validate_method_options(options, is_generator=self._info.is_generator))
        if self._handle._info.replays:
            check_replayable(self._info.label, checked)
        return BoundMethodOptions(self._handle, self._info, checked)

    def bind(self, *args, **kwargs):
        raise NotImplementedError("graphs bound beforehand (Ray's DAG API) are not supported: call .remote()")

    def __repr__(self):
        return f"<ActorMethod {self._info.label}>"


class BoundMethodOptions:
    """A method with options of its own: what its `.options()` returns."""

    def __init__(self, handle, info, options):
        self._handle = handle
        self._info = MethodInfo.__new__(MethodInfo)
        for name in MethodInfo.__slots__:
            setattr(self._info, name, getattr(info, name))
        if "num_returns" not in options:
            options = {**options, "num_returns": "streaming" if info.n_returns == STREAMING else info.n_returns}
        self._info.set(options)
        handle._info.group_number(self._info.group)
        self._name = (options.get("name") or "").encode()

    def remote(self, *args, **kwargs):
        """As ActorMethod.remote."""
        return submit(self._handle, self._info, args, kwargs, self._name)


def submit(handle, method, args, kwargs, name):
    """Call an actor's method."""
    from raylite.api import connected_client

    client = connected_client()
    info = handle._info
    method.signature.check(args, kwargs)
    try:
        refs = client.submit_call(
            handle._ref,
            info.export(client, method),
            args,
            kwargs,
            method.n_returns,
            method.max_retries,
            method.retries,
            name,
            info.group_number(method.group),
            info.limits_calls,
            method.backpressure,
        )
    except RayError:
        raise
    except Exception as error:
        from raylite.pickling_errors import refuse_arguments

        refuse_arguments(method.label, args, kwargs, error)
        raise
    if method.n_returns == 1:
        return refs[0]
    if method.n_returns == STREAMING:
        from raylite.generator import ObjectRefGenerator

        return ObjectRefGenerator(refs[0], client)
    return refs if refs else None


# ---- classes ----


class ActorClass:
    """A class whose instances are actors when made by `.remote()`.

    Args: cls: the class; options: validated actor options.
    """

    def __init__(self, cls, options):
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__module__ = cls.__module__
        self.__doc__ = cls.__doc__
        self.__wrapped__ = self._class = cls
        self._options = options
        self._creation = None

    def __call__(self, *args, **kwargs):
        raise TypeError(
            f"Actors cannot be instantiated directly. Instead of '{self.__name__}()', use '{self.__name__}.remote()'."
        )

    def __mro_entries__(self, bases):
        raise TypeError(
            "Inheriting from an actor class is not possible: derive from the plain class, and decorate the derived one "
            f"(raylite.remote(Derived)), or use {self.__name__}.__wrapped__ as the base."
        )

    def __getattr__(self, name):
        cls = self.__dict__.get("_class")
        if cls is None or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        return getattr(cls, name)

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Make an actor, with these arguments for its `__init__`. Returns its ActorHandle.

        Raises TypeError if `__init__` does not take these arguments; ValueError if the name is taken.
        """
        if self._creation is None:
            self._creation = Creation(self._class, self._options)
        return self._creation.make(args, kwargs)

    def options(self, **options):
        """The same class with other options; see `remote`. Raises ValueError or TypeError for a wrong one."""
        checked = validate_actor_options({**self._options, **options}, in_options="concurrency_groups" in options)
        return BoundActorOptions(Creation(self._class, checked))

    def bind(self, *args, **kwargs):
        raise NotImplementedError("graphs bound beforehand (Ray's DAG API) are not supported: call .remote()")

    def __reduce__(self):
        return rebuild_class, (self._class, self._options)

    def __repr__(self):
        return f"<ActorClass {self.__qualname__}>"


def rebuild_class(cls, options):
    """An ActorClass that was pickled."""
    return ActorClass(cls, options)


class BoundActorOptions:
    """An actor class with options of its own: what `.options()` returns."""

    def __init__(self, creation):
        self._creation = creation

    def remote(self, *args, **kwargs):
        """As ActorClass.remote."""
        return self._creation.make(args, kwargs)


class Creation:
    """How actors of one class and one set of options are made."""

    def __init__(self, cls, options):
        self.cls = cls
        self.options = options
        self.signature = Signature.of_class(cls)
        self.export = None
        self.label = cls.__name__
        methods, not_methods, is_async = methods_of(cls)
        concurrency = options.get("max_concurrency")
        if concurrency is None:
            concurrency = ASYNC_CONCURRENCY if is_async else 1
        groups = options.get("concurrency_groups") or {}
        check_groups(cls, methods, groups)
        self.limits = [concurrency, *groups.values()]
        replays = options.get("recovery") == "replay"
        if replays:
            check_replays(cls, options, methods, is_async)
        self.settings = {"is_async": is_async, "limits": self.limits}
        if options.get("checkpoint_interval"):
            self.settings["checkpoint_interval"] = options["checkpoint_interval"]
            self.settings["pickles"] = options.get("checkpoint") == "pickle"
        limits_calls = (options.get("max_pending_calls") or -1) > 0
        backpressure = max(options.get("_actor_generator_backpressure_num_objects") or 0, 0)
        max_retries = options.get("max_task_retries")
        if max_retries is None:
            max_retries = DEFAULT_MAX_RETRIES if replays else 0
        self.max_restarts = options.get("max_restarts") or (-1 if replays else 0)
        state = cls.__name__, methods, tuple(groups), max_retries, backpressure, limits_calls, not_methods, replays
        self.info = info_of(state)
        demand = to_resource_demand({"num_cpus": 1, **options} if options.get("num_cpus") is None else options)
        self.demand = Demand(options, demand, self.label)
        self.flags = PLACED_ON_CPU if options.get("num_cpus") is None else 0
        out_of_order = options.get("allow_out_of_order_execution")
        if out_of_order or (out_of_order is None and (is_async or concurrency > 1 or groups)):
            self.flags |= OUT_OF_ORDER
        if options.get("lifetime") == "detached":
            self.flags |= DETACHED
        if replays:
            self.flags |= REPLAYS

    def make(self, args, kwargs):
        from raylite.api import client_or_init

        options = self.options
        self.signature.check(args, kwargs)
        client = client_or_init()
        name = full_name(options["name"], options.get("namespace")) if options.get("name") else b""
        if name and options.get("get_if_exists"):
            from raylite.exceptions import ActorAlreadyExistsError

            while True:
                found = find(client, name)
                if found is not None:
                    return found
                try:
                    return self.submit(client, args, kwargs, name)
                except ActorAlreadyExistsError:
                    pass  # somebody was faster
        return self.submit(client, args, kwargs, name)

    def submit(self, client, args, kwargs, name):
        if self.export is None or self.export[0] is not client:
            packed = pack_class(self.cls, self.label, self.settings)
            self.export = client, client.register_function(packed, self.label)
        options = self.options
        max_pending = options.get("max_pending_calls")
        try:
            ref = client.create_actor(
                self.export[1],
                args,
                kwargs,
                self.demand.bytes_for(client),
                f"{self.label}.__init__".encode(),
                self.max_restarts,
                max_pending if max_pending and max_pending > 0 else -1,
                self.flags,
                self.limits,
                name,
                self.info.state,
            )
        except RayError:
            raise
        except Exception as error:
            from raylite.pickling_errors import refuse_arguments

            refuse_arguments(f"{self.label}.__init__", args, kwargs, error)
            raise
        return rebuild_handle(ref, self.info.state)


def check_groups(cls, methods, groups):
    """Raise ValueError if a method names a concurrency group that the class does not have."""
    for name, (_, options) in methods.items():
        group = options.get("concurrency_group")
        if group is not None and group not in groups:
            raise ValueError(
                f"{cls.__name__}.{name} is in the concurrency group {group!r}, which the class does not have; give "
                "concurrency_groups to the decorator"
            )


def check_replays(cls, options, methods, is_async):
    """Raise ValueError if an actor of this class, with these options, could not come back to where it was."""
    if is_async:
        raise ValueError(
            f"{cls.__name__} has async methods: they run at once, and have no order that recovery='replay' could keep"
        )
    for name, (_, method_options) in methods.items():
        check_replayable(f"{cls.__name__}.{name}", method_options)
    missing = [name for name in ("__raylite_save__", "__raylite_restore__") if not hasattr(cls, name)]
    if options.get("checkpoint_interval") and options.get("checkpoint") is None and missing:
        raise ValueError(
            f"{cls.__name__} has no {' and no '.join(missing)}, and checkpoints need both: __raylite_save__(self) "
            "gives the state, __raylite_restore__(self, state) takes it. Or give checkpoint='pickle', if they pickle"
        )


def check_replayable(label, method_options):
    """Raise ValueError if calls with these options could not be replayed."""
    if method_options.get("retry_exceptions"):
        raise ValueError(f"{label} is of an actor with recovery='replay', which {NO_RETRY_EXCEPTIONS}")
    if (method_options.get("_generator_backpressure_num_objects") or 0) > 0:
        raise ValueError(f"{label} is of an actor with recovery='replay', which {NO_BACKPRESSURE}")


def methods_of(cls):
    """What can be called of a class: ({name: (signature parts, options)}, {name: why it is no method}, whether any of
    the methods is async)."""
    import inspect

    methods, not_methods, is_async = {}, {}, False
    for name in dir(cls):
        static = inspect.getattr_static(cls, name)
        if name.startswith("__") and name.endswith("__") and is_everyones(name, static):
            continue
        if isinstance(static, property):
            not_methods[name] = (
                f"'{name}' is a property of '{cls.__name__}', and an actor's state is in another process: add a method "
                "that returns it"
            )
            continue
        is_bound = not isinstance(static, staticmethod)
        function = getattr(cls, name)
        if not callable(function) or isinstance(static, type):
            not_methods[name] = (
                f"'{name}' is no method of '{cls.__name__}', and an actor's state is in another process: add a method "
                "that returns it"
            )
            continue
        if isinstance(static, (classmethod, staticmethod)):
            function = static.__func__
        signature = Signature(function, bound=is_bound)
        is_async |= signature.is_coroutine or inspect.isasyncgenfunction(function)
        methods[name] = signature.parts(), portable(getattr(function, METHOD_OPTIONS_ATTRIBUTE, {}))
    for name in BUILT_IN:
        methods[name] = Signature(built_in, bound=False).parts(), {}
    return methods, not_methods, is_async


def is_everyones(name, static):
    """Whether this special method is one that every class has, or that Python itself looks up on the class."""
    looked_up = ("__class_getitem__", "__del__", "__init_subclass__", "__set_name__")
    return name in looked_up or name in vars(object) or not callable(getattr(static, "__func__", static))


def portable(options):
    """Method options as plain data: exception types, which may be `__main__`'s, as their pickle."""
    if not isinstance(options.get("retry_exceptions"), tuple):
        return dict(options)
    import cloudpickle

    types = options["retry_exceptions"]
    return {**options, "retry_exceptions": cloudpickle.dumps(types) if types else False}


def built_in(*args, **kwargs):
    """The parameters of the methods that every actor has."""
