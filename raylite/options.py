"""The options of tasks, actors and methods: what each takes, its default, and the resources they ask for.

One table for each kind, of Ray's names. An option is checked where it is written (the decorator or `.options`), and
the error names the option, what was given and what it takes: TypeError for the wrong type, ValueError for a value
out of range or a name that is no option. None stands for the default wherever it is taken.

Resources are counted in units of 1/10000, as integers: a quantity that is finer is refused and not rounded away.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, NoReturn

UNITS_PER_ONE = 10_000
MAX_UNITS = 1 << 60  # of one quantity: sums of several still fit in 64 bits with a sign
MAX_COUNT = (1 << 31) - 1
MAX_RETURNS = 1 << 20
DEFAULT_MAX_RETRIES = 3
ACCELERATOR_UNITS = 10  # what `accelerator_type` takes of the resource of that name, as in Ray


class Option:
    """One row of a table: what the option takes in words, how that is checked, and its default.

    Args:
        takes: what it takes, to complete "It takes ...".
        check: returns the normal form of a value, or raises TypeError or ValueError with what is wrong with it.
        default: what holds where it is not given.
        allows_none: whether None may be given, for the default.
        no_effect: why it makes no difference what is given, where that is so.
    """

    __slots__ = ("allows_none", "check", "default", "no_effect", "takes")

    def __init__(
        self,
        takes: str,
        check: Callable[[Any], Any],
        default: Any = None,
        allows_none: bool = True,
        no_effect: str = "",
    ) -> None:
        self.takes = takes
        self.check = check
        self.default = default
        self.allows_none = allows_none
        self.no_effect = no_effect

    def validate(self, what: str, value: Any) -> Any:
        """Return the normal form of `value`, given for `what` ("option num_cpus").

        Raises:
            TypeError, ValueError: naming the option, the value, and what it takes.
        """
        if value is None and self.allows_none:
            return None
        try:
            checked = self.check(value)
        except (TypeError, ValueError, OverflowError) as error:
            cls = TypeError if isinstance(error, TypeError) else ValueError
            none = "None, or " if self.allows_none else ""
            raise cls(f"The {what} is {shown(value)}: {error}. It takes {none}{self.takes}.") from None
        if self.no_effect and checked != self.default:
            from raylite.absent import note

            note(f"{what}={shown(value)}", f"no effect: {self.no_effect}")
        return checked


def validate_task_options(
    options: Mapping[str, Any], *, in_options: bool = False, is_generator: bool | None = None
) -> dict[str, Any]:
    """Return the options of a task in their normal form.

    Args:
        options: what was given, by name.
        in_options: whether it was given to `.options()` and not to the decorator.
        is_generator: whether the function yields, if known.

    Raises:
        TypeError: an option is of the wrong type.
        ValueError: an option is out of range, or is none of a task's, or does not go with another.
    """
    checked = _validate(options, TASK_OPTIONS, "remote functions", _ACTOR_ONLY, "actors")
    if in_options and "max_calls" in options:
        raise ValueError("Setting 'max_calls' is not supported in '.options()': give it to the decorator.")
    _refuse_generator_options(checked, is_generator)
    return checked


def validate_actor_options(options: Mapping[str, Any], *, in_options: bool = False) -> dict[str, Any]:
    """Return the options of an actor in their normal form; arguments and errors as for validate_task_options."""
    checked = _validate(options, ACTOR_OPTIONS, "actors", _TASK_ONLY, "remote functions")
    if in_options and "concurrency_groups" in options:
        raise ValueError("Setting 'concurrency_groups' is not supported in '.options()': give it to the decorator.")
    if checked.get("get_if_exists") and not checked.get("name"):
        raise ValueError("The actor name must be specified to use `get_if_exists`.")
    if checked.get("name") == "":
        raise ValueError("Actor name cannot be an empty string.")
    _check_recovery(checked)
    return checked


def _check_recovery(checked: Mapping[str, Any]) -> None:
    if checked.get("recovery") != "replay":
        for name in ("checkpoint_interval", "checkpoint"):
            if checked.get(name) is not None:
                raise ValueError(f"{name} goes with recovery='replay': an actor that restarts begins with __init__.")
        return
    if (checked.get("max_concurrency") or 1) > 1:
        raise ValueError("recovery='replay' needs max_concurrency=1: calls that run at once have no order to replay.")
    if checked.get("concurrency_groups"):
        raise ValueError(
            "recovery='replay' takes no concurrency_groups: calls that run at once have no order to replay."
        )
    if checked.get("max_restarts") == 0:
        raise ValueError("recovery='replay' needs restarts, and max_restarts=0 leaves none. Unset, they have no limit.")
    if (checked.get("_actor_generator_backpressure_num_objects") or 0) > 0:
        raise ValueError(f"recovery='replay' {NO_BACKPRESSURE}")
    if checked.get("checkpoint") is not None and checked.get("checkpoint_interval") is None:
        raise ValueError("checkpoint needs checkpoint_interval: the number of calls from one checkpoint to the next.")


def validate_method_options(options: Mapping[str, Any], *, is_generator: bool | None = None) -> dict[str, Any]:
    """Return the options of an actor's method in their normal form; as for validate_task_options."""
    checked = _validate(options, METHOD_OPTIONS, "actor methods", {}, "")
    _refuse_generator_options(checked, is_generator)
    return checked


def with_defaults(options: Mapping[str, Any], table: Mapping[str, Option]) -> dict[str, Any]:
    """Return every option of the table: what `options` has, or else the default."""
    filled = {name: option.default for name, option in table.items()}
    filled.update((name, value) for name, value in options.items() if value is not None)
    return filled


def resolve_num_returns(num_returns: int | str | None, is_generator: bool) -> int | str:
    """Return what `num_returns=None` stands for: 1, or "streaming" for a function that yields."""
    if num_returns is None:
        return "streaming" if is_generator else 1
    return num_returns


# ---- resources ----


def to_units(quantity: Any) -> int:
    """Return a quantity of a resource in units of 1/10000.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, finer than a unit, too large, or no finite number.
    """
    number = _number(quantity)
    if number < 0:
        raise ValueError("it is negative")
    units = round(number * UNITS_PER_ONE)
    finer = abs(number - units / UNITS_PER_ONE) > max(1e-7, number * 1e-12)  # what is left is noise of the float
    if finer or (number and not units):
        raise ValueError(f"it is finer than 0.0001; {units / UNITS_PER_ONE} is the nearest that is not")
    if units > MAX_UNITS:
        raise ValueError(f"it is more than {MAX_UNITS // UNITS_PER_ONE}")
    return units


def to_memory_units(size_bytes: Any) -> int:
    """Return an amount of memory, made whole bytes, in units of 1/10000 byte. Errors as for to_units."""
    number = _number(size_bytes)
    if 0 < number < 1:
        raise ValueError("it is less than a byte")
    return to_units(-int(-number // 1))


def to_resource_demand(options: Mapping[str, Any], default_num_cpus: float = 1) -> dict[str, int]:
    """Return the resources that a task with these (valid) options takes, in units of 1/10000, without zeros.

    Args:
        options: a task's or actor's options in normal form.
        default_num_cpus: what holds where `num_cpus` is not given.
    """
    num_cpus = options.get("num_cpus")
    demand = {"CPU": to_units(default_num_cpus if num_cpus is None else num_cpus)}
    demand["GPU"] = to_units(options.get("num_gpus") or 0)
    demand["memory"] = to_memory_units(options.get("memory") or 0)
    for name, quantity in (options.get("resources") or {}).items():
        demand[name] = to_units(quantity)
    if options.get("accelerator_type"):
        demand[f"accelerator_type:{options['accelerator_type']}"] = ACCELERATOR_UNITS
    return {name: units for name, units in demand.items() if units}


def to_actor_demands(options: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the resources that must be free to place an actor, and those that it holds while it lives.

    As in Ray: an actor that names no resource needs 1 CPU to be placed and holds none; one that names any resource
    holds what it names, and 1 CPU where it names no number of them.
    """
    named = ("num_cpus", "num_gpus", "memory", "resources", "accelerator_type")
    if all(options.get(name) is None for name in named):
        return {"CPU": UNITS_PER_ONE}, {}
    held = to_resource_demand(options, default_num_cpus=1)
    return held, held


def check_resources(resources: Any) -> dict[str, float]:
    """Return custom resources in normal form: a name to a number.

    Raises:
        TypeError, ValueError: it is no dict of names to quantities, or names what has an option of its own.
    """
    check_type(resources, dict)
    checked: dict[str, float] = {}
    for name, quantity in resources.items():
        if not isinstance(name, str):
            raise TypeError(f"its key {shown(name)} is no string")
        if name in _OWN_OPTION:
            raise ValueError(f"use {_OWN_OPTION[name]} instead of {name!r} in resources")
        if not name:
            raise ValueError("it has an empty name")
        try:
            checked[name] = _from_units(to_units(quantity))
        except (TypeError, ValueError) as error:
            raise type(error)(f"its {name!r} is {shown(quantity)}: {error}") from None
    return checked


_OWN_OPTION = {
    "CPU": "the option num_cpus",
    "GPU": "the option num_gpus",
    "memory": "the option memory",
    "object_store_memory": "the argument object_store_memory of init",
    "bundle": "another name (this one is kept for placement groups)",
}


def check_runtime_env(runtime_env: Any) -> dict[str, Any]:
    """Return a runtime environment in normal form.

    Raises:
        TypeError, ValueError: it is no dict, or a field is ill-typed, unknown, or not supported.
    """
    check_type(runtime_env, dict)
    for name, value in runtime_env.items():
        if name in _REFUSED_ENV_FIELDS:
            raise ValueError(f"its field {name!r} is not supported: {_REFUSED_ENV_FIELDS[name]}")
        if name not in _ENV_FIELDS:
            raise ValueError(f"it has no field {shown(name)}; the fields are {', '.join(_ENV_FIELDS)}")
        try:
            if value is not None:
                _ENV_FIELDS[name](value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"in its field {name!r}, {error}") from None
    return {name: value for name, value in runtime_env.items() if value is not None}


def _check_env_vars(value: Any) -> None:
    check_type(value, dict)
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise TypeError(f"{shown(name)}: {shown(text)} is not a string for a string")
        if not name or "=" in name or "\0" in name + text:
            raise ValueError(f"{shown(name)}: {shown(text)} cannot be a variable: a name without '=', no zero bytes")


def _check_texts(value: Any) -> None:
    check_type(value, (list, tuple))
    for item in value:
        check_type(item, str)


def _check_path(value: Any) -> None:
    if not check_type(value, str):
        raise ValueError("it is empty")
    if "://" in value:
        raise ValueError(f"{shown(value)} is no path of this machine: download it first")


def _check_modules(value: Any) -> None:
    import os
    from types import ModuleType

    for module in check_type(value, (list, tuple)):
        if isinstance(module, str):
            _check_path(module)
        elif not isinstance(module, (os.PathLike, ModuleType)):
            raise TypeError(f"{shown(module)} is neither a path nor a module")


_ENV_FIELDS: dict[str, Callable[[Any], object]] = {
    "env_vars": _check_env_vars,
    "working_dir": _check_path,
    "py_modules": _check_modules,
    "excludes": _check_texts,
    "config": lambda value: check_type(value, dict),  # of Ray's agent; nothing here waits for one
}
_ENV_FIELDS_OF_INSTALLERS = ("pip", "uv", "conda", "py_executable")
_ENV_FIELDS_OF_CONTAINERS = ("container", "image_uri")
_REFUSED_ENV_FIELDS = {
    **dict.fromkeys(_ENV_FIELDS_OF_INSTALLERS, "workers run in the environment of the driver, so install it there"),
    **dict.fromkeys(
        _ENV_FIELDS_OF_CONTAINERS, "workers are processes of this machine; start the driver in a container"
    ),
    **dict.fromkeys(("java_jars",), "raylite runs Python only"),
    **dict.fromkeys(("nsight", "rocprof_sys", "mpi"), "start the tool around the driver"),
    "worker_process_setup_hook": "call the set-up in the task",
}


# ---- the checks: each returns the normal form, or raises what is wrong ----


def shown(value: object) -> str:
    """Return `repr` of a value, cut to fit into a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_type(value: Any, types: type | tuple[type, ...]) -> Any:
    """Return the value, or raise TypeError with what it is instead of these types."""
    if not isinstance(value, types):
        raise TypeError(f"it is of type {type(value).__name__}")
    return value


def of_type(types: type | tuple[type, ...]) -> Callable[[Any], Any]:
    """Return the check for values of these types."""
    return lambda value: check_type(value, types)


def _number(value: Any) -> int | float:
    number: int | float
    if isinstance(value, (int, float)):
        number = value
    elif hasattr(value, "__index__"):  # numpy's integers
        number = value.__index__()
    elif hasattr(value, "__float__"):
        number = float(value)
    else:
        raise TypeError(f"it is of type {type(value).__name__}")
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError("it is not a finite number")
    return number


def _from_units(units: int) -> int | float:
    whole, rest = divmod(units, UNITS_PER_ONE)
    return units / UNITS_PER_ONE if rest else whole


def _quantity(value: Any) -> int | float:
    return _from_units(to_units(value))


def _gpus(value: Any) -> int | float:
    units = to_units(value)
    if units > UNITS_PER_ONE and units % UNITS_PER_ONE:
        raise ValueError("GPU quantities greater than 1 must be whole numbers")
    return _from_units(units)


def _memory(value: Any) -> int:
    return to_memory_units(value) // UNITS_PER_ONE


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        if not hasattr(value, "__index__"):
            raise TypeError(f"it is of type {type(value).__name__}")
        value = value.__index__()
    return int(value)


def count(lowest: int, highest: int = MAX_COUNT) -> Callable[[Any], int]:
    """Return the check for whole numbers from `lowest` to `highest`."""

    def check(value: Any) -> int:
        number = _whole(value)
        if number < lowest:
            raise ValueError(f"it is less than {lowest}")
        if number > highest:
            raise ValueError(f"it is more than {highest}")
        return number

    return check


def _seconds(value: Any) -> int | float:
    number = _number(value)
    if number < 0:
        raise ValueError("it is negative")
    if number > MAX_COUNT / 1000:
        raise ValueError(f"it is more than {MAX_COUNT // 1000}")
    return number


def share(value: Any) -> int | float:
    """Return the value, a number from 0 to 1, or raise what is wrong with it."""
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError("it is not between 0 and 1")
    return number


def _count_but_zero(value: Any) -> int:
    number = count(-1)(value)
    if number == 0:
        raise ValueError("0 would stop the generator before its first object")
    return number


def _num_returns(value: Any) -> int | str:
    if isinstance(value, str):
        if value in ("streaming", "dynamic"):
            return value
        raise ValueError("it is no such word")
    return count(0, MAX_RETURNS)(value)


def one_of(*words: str) -> Callable[[Any], str]:
    """Return the check for one of these words."""

    def check(value: Any) -> str:
        if check_type(value, str) not in words:
            raise ValueError("it is no such word")
        return value

    return check


def _retry_exceptions(value: Any) -> bool | tuple[type[Exception], ...]:
    if isinstance(value, bool):
        return value
    for cls in check_type(value, (list, tuple)):
        if not isinstance(cls, type) or not issubclass(cls, Exception):
            raise ValueError(f"{shown(cls)} in it is no type of exception")
    return tuple(value)


def _refused(why: str) -> Callable[[Any], NoReturn]:
    def check(value: Any) -> NoReturn:
        raise ValueError(why)

    return check


def _refused_if_true(why: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if check_type(value, bool):
            raise ValueError(why)
        return value

    return check


def text_not_empty(value: Any) -> str:
    """Return the value, a string that is not empty, or raise what is wrong with it."""
    if not check_type(value, str):
        raise ValueError("it is empty")
    return value


def _concurrency_groups(value: Any) -> dict[str, int]:
    if isinstance(value, list):  # of Ray's other languages: of dicts with a name
        raise TypeError("it is of type list")
    groups = {}
    for name, max_concurrency in check_type(value, dict).items():
        check_type(name, str)
        groups[name] = count(1)(max_concurrency)
    return groups


def _placement_group(value: Any) -> Any:
    # Of the class: an instance may have to ask the node.
    if value == "default" or hasattr(type(value), "bundle_specs") or hasattr(value, "bundle_specs"):
        return value
    if isinstance(value, str):
        raise ValueError("it is no such word")
    raise TypeError(f"it is of type {type(value).__name__}")


# The strategies are known by what they hold, and not by class: this module is imported before they are.
_STRATEGY_FIELDS = (("node_id", "soft"), ("placement_group", "placement_group_bundle_index"), ("hard", "soft"))


def _scheduling_strategy(value: Any) -> Any:
    if isinstance(value, str):
        return one_of("DEFAULT", "SPREAD")(value)
    if any(all(hasattr(value, field) for field in fields) for fields in _STRATEGY_FIELDS):
        return value
    raise TypeError(f"it is of type {type(value).__name__}")


def _label_selector(value: Any) -> dict[str, str | None]:
    for key, selector in check_type(value, dict).items():
        check_label_key(key)
        if selector is not None:
            _check_label_selector_value(selector)
    return dict(value)


def _fallback_strategy(value: Any) -> list[dict[str, Any]]:
    for strategy in check_type(value, list):
        if check_type(strategy, dict).keys() != {"label_selector"}:
            raise ValueError(f"{shown(strategy)} in it is no dict of 'label_selector' alone")
        _label_selector(strategy["label_selector"])
    return list(value)


# ---- labels: the syntax of Kubernetes, as in Ray ----

_LABEL_WORD = "[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"


def check_label_key(key: Any) -> None:
    """Raise TypeError or ValueError unless `key` is the key of a label: a name of up to 63 characters."""
    from re import fullmatch

    prefix, slash, name = check_type(key, str).rpartition("/")
    if not fullmatch(_LABEL_WORD, name):
        raise ValueError(f"{shown(key)} is no label key: 1 to 63 letters, digits, '-', '_', '.', its ends alphanumeric")
    if slash and (len(prefix) > 253 or not fullmatch(rf"{_LABEL_WORD}(\.{_LABEL_WORD})*", prefix)):
        raise ValueError(f"{shown(prefix)} is no prefix of a label key: names with dots between, 253 characters")


def _check_label_selector_value(selector: Any) -> None:
    from re import fullmatch

    pattern = rf"!?{_LABEL_WORD}|!?in\({_LABEL_WORD}(, ?{_LABEL_WORD})*\)|"
    if not fullmatch(pattern, check_type(selector, str)):
        raise ValueError(f"{shown(selector)} is no selector: a value, '!value', 'in(a, b)' or '!in(a, b)'")


# ---- the tables ----

NO_BACKPRESSURE = (
    "takes no _generator_backpressure_num_objects: how far a generator gets would depend on its reader, and not on the "
    "calls that are replayed."
)
NO_RETRY_EXCEPTIONS = (
    "takes no retry_exceptions: a call that raised has been applied, and is replayed as such. Try again in the method, "
    "or call it again."
)

_NUMBER = "a number from 0 up, in steps of 0.0001"
_RETRIES = "a whole number from 0 up, or -1 for no limit"
_BACKPRESSURE = Option("a whole number from 1 up, or -1 for no limit", _count_but_zero)
_RETRY_EXCEPTIONS = Option("True, False, or a list of exception types", _retry_exceptions, False, allows_none=False)
_DELAY = Option("a number of seconds from 0 up", _seconds, 0)
_JITTER = Option("a number from 0 to 1", share, 0)
_NUM_RETURNS = Option("a whole number from 0 up, 'streaming' or 'dynamic'", _num_returns)
_PER_YIELD = Option("a whole number from 1 up", count(1), 1, no_effect="items travel one by one")
_TASK_EVENTS = Option("True or False", of_type(bool), True, allows_none=False, no_effect="they cost nothing")

_COMMON_OPTIONS = {
    "label_selector": Option("a dict of label keys to selectors", _label_selector),
    "fallback_strategy": Option("a list of dicts of 'label_selector'", _fallback_strategy),
    "accelerator_type": Option("a string", of_type(str)),
    "memory": Option("a number of bytes from 0 up", _memory),
    "name": Option("a string", of_type(str)),
    "num_cpus": Option(_NUMBER, _quantity),
    "num_gpus": Option(f"{_NUMBER} to 1, whole above", _gpus),
    "object_store_memory": Option("a whole number of bytes from 0 up", count(0, MAX_UNITS)),
    "placement_group": Option("'default' or a placement group", _placement_group, "default"),
    "placement_group_bundle_index": Option("a whole number from 0 up, or -1 for any", count(-1), -1, allows_none=False),
    "placement_group_capture_child_tasks": Option("True or False", of_type(bool)),
    "resources": Option("a dict of names to numbers from 0 up, in steps of 0.0001", check_resources),
    "runtime_env": Option("a dict", check_runtime_env),
    "scheduling_strategy": Option("'DEFAULT', 'SPREAD', or an object of a strategy class", _scheduling_strategy),
    "enable_task_events": _TASK_EVENTS,
    "_labels": Option("a dict", of_type(dict), no_effect="Ray keeps them for itself"),
}

TASK_OPTIONS = {
    **_COMMON_OPTIONS,
    "num_cpus": Option(_NUMBER, _quantity, 1),
    "object_store_memory": Option("nothing else for tasks", _refused("setting it is not implemented for tasks")),
    "max_calls": Option("a whole number from 0 up", count(0), 0, no_effect="not there yet"),
    "max_retries": Option(_RETRIES, count(-1), DEFAULT_MAX_RETRIES),
    "num_returns": _NUM_RETURNS,
    "retry_exceptions": _RETRY_EXCEPTIONS,
    "retry_delay_s": _DELAY,
    "retry_jitter": _JITTER,
    "_generator_backpressure_num_objects": _BACKPRESSURE,
    "_num_objects_per_yield": _PER_YIELD,
}

ACTOR_OPTIONS = {
    **_COMMON_OPTIONS,
    "concurrency_groups": Option("a dict of names to whole numbers from 1 up", _concurrency_groups),
    "enable_tensor_transport": Option("False", _refused_if_true("tensors move through the object store")),
    "lifetime": Option("'detached' or 'non_detached'", one_of("detached", "non_detached")),
    "max_concurrency": Option("a whole number from 1 up", count(1)),
    "max_restarts": Option(_RETRIES, count(-1), 0),
    "max_task_retries": Option(_RETRIES, count(-1), 0),
    "max_pending_calls": Option("a whole number from 0 up, or -1 for no limit", count(-1), -1),
    "namespace": Option("a string that is not empty", text_not_empty),
    "get_if_exists": Option("True or False", of_type(bool), False, allows_none=False),
    "allow_out_of_order_execution": Option("True or False", of_type(bool)),
    "_actor_generator_backpressure_num_objects": _BACKPRESSURE,
    "recovery": Option("'restart' or 'replay'", one_of("restart", "replay"), "restart"),
    "checkpoint_interval": Option("a whole number of calls from 1 up", count(1)),
    "checkpoint": Option("'pickle'", one_of("pickle")),
}

METHOD_OPTIONS = {
    "num_returns": _NUM_RETURNS,
    "name": Option("a string", of_type(str)),
    "concurrency_group": Option("a string", of_type(str)),
    "max_task_retries": Option(_RETRIES, count(-1)),
    "retry_exceptions": _RETRY_EXCEPTIONS,
    "_generator_backpressure_num_objects": _BACKPRESSURE,
    "_num_objects_per_yield": _PER_YIELD,
    "enable_task_events": _TASK_EVENTS,
    "tensor_transport": Option("nothing else", _refused("tensors move through the object store")),
}

_TASK_ONLY = TASK_OPTIONS.keys() - ACTOR_OPTIONS.keys()
_ACTOR_ONLY = ACTOR_OPTIONS.keys() - TASK_OPTIONS.keys()


def _validate(
    options: Mapping[str, Any], table: Mapping[str, Option], of_what: str, of_others: Collection[str], others: str
) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, value in options.items():
        option = table.get(name)
        if option is None:
            hint = f" It is one for {others}." if name in of_others else ""
            raise ValueError(f"Invalid option keyword {name} for {of_what}.{hint} Valid ones are {', '.join(table)}.")
        checked[name] = option.validate(f"option {name}", value)
    if checked.get("placement_group") not in (None, "default") and checked.get("scheduling_strategy") is not None:
        raise ValueError("Give the placement group in scheduling_strategy alone, not in placement_group as well.")
    return checked


def _refuse_generator_options(checked: Mapping[str, Any], is_generator: bool | None) -> None:
    num_returns = checked.get("num_returns")
    if is_generator is False and num_returns in ("streaming", "dynamic"):
        raise ValueError(f"num_returns={num_returns!r} can only be used with generator functions (that use 'yield').")
