"""What `init` is told: its arguments, the RAYLITE_* variables behind them, and what is found on this machine.

This is the only reader of the environment. An argument beats its variable, and that beats the default; an argument of
None and a variable that is empty count as not given. What Ray's `init` takes and has no meaning here is passed over
where a program loses nothing by it, and refused with the reason where it would not do what its author expects.

In the simulator nothing is looked for: the same seed has to give the same run on every machine.
"""

from __future__ import annotations

import os

from raylite.options import (
    Option,
    check_resources,
    check_runtime_env,
    check_type,
    count,
    of_type,
    one_of,
    share,
    shown,
    text_not_empty,
    to_memory_units,
    to_resource_demand,
    to_units,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

MIN_OBJECT_STORE_BYTES = 1 << 20
MAX_DEFAULT_OBJECT_STORE_BYTES = 200 * 10**9
OBJECT_STORE_SHARE = 0.3  # of the memory
SPILL_FOLDERS = ("/var/tmp", "/tmp")
SPILL_OFF = "off"
MIN_DEFAULT_WORKER_CAP = 16
DEFAULT_WORKERS_PER_CPU = 4

DEFAULT_MEMORY_USAGE_THRESHOLD = 0.95
DEFAULT_MEMORY_REFRESH_MS = 250

DEFAULT_SEED = 0
DEFAULT_EXPLAIN_AFTER_S = 10.0
SIM_NUM_CPUS = 4
SIM_MEMORY_BYTES = 8 << 30

GPU_MASK_VARIABLE = "CUDA_VISIBLE_DEVICES"
MODULE_PATH_VARIABLE = "PYTHONPATH"
NOTES_VARIABLE = "RAYLITE_RUN_NOTES"  # set by raylite itself: see as_ray.notes
OTHER_VARIABLES = ("RAYLITE_BUILD", NOTES_VARIABLE)  # the first is read when the library is built


class Setting:
    """One argument of `init`: its variable, how the variable's text is read, and what it takes."""

    __slots__ = ("option", "read_text", "variable")

    def __init__(
        self,
        variable: str,
        read_text: Callable[[str], Any],
        takes: str,
        check: Callable[[Any], Any],
        no_effect: str = "",
    ) -> None:
        self.variable = variable
        self.read_text = read_text
        self.option = Option(takes, check, no_effect=no_effect)


class Config:
    """What holds for one runtime, all of it known and valid.

    Attributes:
        mode: "embedded" or "sim".
        num_cpus, num_gpus: how many the node has.
        gpu_ids: their ids as the user's CUDA_VISIBLE_DEVICES has them, one for each of num_gpus.
        resources: custom resources of the node.
        memory: bytes that tasks can ask for.
        object_store_memory: bytes that the object store may take.
        labels: of the node.
        namespace: of named actors, or None.
        runtime_env: of all tasks and actors.
        log_to_driver: whether workers' output is shown.
        ignore_reinit_error: whether a second `init` is no error.
        attachable: whether other processes of this user can look into the runtime.
        seed: of the simulator, or None.
        nodes: of the simulator: a tuple of sim.Node, the first of which this is the configuration of; or ().
        faults: of the simulator: a sim.Faults, or None.
        network: of the simulator: a sim.Network, or None.
        spill_dir: folder for objects that do not fit, SPILL_OFF, or None for the runtime's choice.
        worker_cap: how many worker processes there may be.
        explain_after_s: seconds after which a call that waits, while nothing goes on, says why; 0: never.
        record_call_sites: whether objects and tasks remember the line that made them.
        memory_usage_threshold: the part of the memory that may be in use before a task is killed.
        memory_monitor_refresh_ms: how often that is looked at; 0 for never.
    """

    __slots__ = (
        "attachable",
        "explain_after_s",
        "faults",
        "gpu_ids",
        "ignore_reinit_error",
        "labels",
        "log_to_driver",
        "memory",
        "memory_monitor_refresh_ms",
        "memory_usage_threshold",
        "mode",
        "namespace",
        "network",
        "nodes",
        "num_cpus",
        "num_gpus",
        "object_store_memory",
        "record_call_sites",
        "resources",
        "runtime_env",
        "seed",
        "spill_dir",
        "worker_cap",
    )

    mode: str
    num_cpus: int
    num_gpus: int
    gpu_ids: tuple[str, ...]
    resources: dict[str, float]
    memory: int
    object_store_memory: int
    labels: dict[str, str]
    namespace: str | None
    runtime_env: dict[str, Any]
    log_to_driver: bool
    ignore_reinit_error: bool
    attachable: bool
    seed: int | None
    nodes: tuple[Any, ...]
    faults: Any
    network: Any
    spill_dir: str | None
    worker_cap: int
    explain_after_s: float
    record_call_sites: bool
    memory_usage_threshold: float
    memory_monitor_refresh_ms: int

    @classmethod
    def from_call(cls, **arguments: Any) -> Config:
        """Return the configuration of `init(**arguments)`.

        Raises:
            TypeError: an argument is unknown, or of the wrong type.
            ValueError: an argument or variable is out of range or makes no sense, or an argument of Ray's is refused.
            ConnectionError: there is no cluster to connect to.
        """
        environment = dict(os.environ)
        _warn_of_unknown_variables(environment)
        given = _given(_without_rays_own(arguments), environment)
        self = cls()
        self.mode = given["mode"] or "embedded"
        self.seed = given["seed"]
        self.nodes, self.faults, self.network = (), None, None
        if self.mode == "sim":
            self._simulate(given)
        else:
            _refuse_simulated(arguments)
        _refuse_address(given["address"])
        self.resources = given["resources"] or {}
        self.labels = given["labels"] or {}
        self.namespace = given["namespace"]
        self.runtime_env = given["runtime_env"] or {}
        self.log_to_driver = given["log_to_driver"] is not False
        self.ignore_reinit_error = bool(given["ignore_reinit_error"])
        self.attachable = given["attachable"] is not False
        self.spill_dir = given["spill_dir"]
        self.explain_after_s = _first(given["explain_after_s"], DEFAULT_EXPLAIN_AFTER_S)
        self.record_call_sites = bool(given["record_call_sites"])
        self.memory_usage_threshold = _first(given["memory_usage_threshold"], DEFAULT_MEMORY_USAGE_THRESHOLD)
        self.memory_monitor_refresh_ms = _first(given["memory_monitor_refresh_ms"], DEFAULT_MEMORY_REFRESH_MS)
        if self.mode == "sim":
            self._fill_simulated(given)
        else:
            self._fill_from_machine(given, gpu_mask(environment.get(GPU_MASK_VARIABLE)))
        self.worker_cap = given["worker_cap"] or max(MIN_DEFAULT_WORKER_CAP, DEFAULT_WORKERS_PER_CPU * self.num_cpus)
        return self

    def node_resources(self) -> dict[str, int]:
        """Return all resources of the node in units of 1/10000, without zeros."""
        units = to_resource_demand({"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "resources": self.resources})
        units["memory"] = to_memory_units(self.memory)
        units["object_store_memory"] = to_memory_units(self.object_store_memory)
        return {name: amount for name, amount in units.items() if amount}

    @property
    def spill_folder(self) -> str | None:
        """The folder for objects that do not fit, on a disk rather than in memory (as /tmp may be), or None."""
        if self.spill_dir is not None:
            return None if self.spill_dir == SPILL_OFF else self.spill_dir
        return next((path for path in SPILL_FOLDERS if os.access(path, os.W_OK | os.X_OK)), None)

    @property
    def sim_seed(self) -> int:
        """The seed of a simulation."""
        return DEFAULT_SEED if self.seed is None else self.seed

    def of_node(self, number: int) -> Config:
        """The configuration of one node of a simulation, by its number."""
        from copy import copy

        from raylite.sim.nodes import SETTINGS_OF_NODES

        own, of_first = self.nodes[number].settings(), self.nodes[0].settings()
        given = {name: own.get(name, None if name in of_first else getattr(self, name)) for name in SETTINGS_OF_NODES}
        config = copy(self)
        config.resources, config.labels = given["resources"] or {}, given["labels"] or {}
        config._fill_simulated(given)
        return config

    def _simulate(self, given: dict[str, Any]) -> None:
        """Nodes, network and faults of a simulation; what is said of a node takes the place of what is said of all."""
        from raylite.sim.faults import Faults
        from raylite.sim.nodes import Node

        self.nodes = given["nodes"] or (Node(),)
        self.faults = Faults.of(given["faults"], self.sim_seed, len(self.nodes))
        self.network = given["network"]
        if self.network is not None:
            self.network.check(len(self.nodes))
        for name, value in self.nodes[0].settings().items():
            if name not in SETTINGS:
                continue
            if given[name] is not None:
                raise ValueError(f"{name} is given for a node, and for all of them too; leave one out.")
            given[name] = value

    def _fill_simulated(self, given: dict[str, Any]) -> None:
        self.num_cpus = _first(given["num_cpus"], SIM_NUM_CPUS)
        self.num_gpus = _first(given["num_gpus"], 0)
        self.gpu_ids = tuple(map(str, range(self.num_gpus)))
        self._fill_memory(given, SIM_MEMORY_BYTES)

    def _fill_from_machine(self, given: dict[str, Any], mask: list[str] | None) -> None:
        self.num_cpus = _first(given["num_cpus"], None)
        if self.num_cpus is None:
            self.num_cpus = detect_num_cpus()
        self.num_gpus = given["num_gpus"]
        if self.num_gpus is None:
            self.num_gpus = detect_num_gpus(mask)
        elif mask is not None and self.num_gpus > len(mask):
            raise ValueError(
                f"num_gpus is {self.num_gpus}, but {GPU_MASK_VARIABLE} has {len(mask)}: {','.join(mask)!r}."
            )
        self.gpu_ids = tuple(map(str, range(self.num_gpus)) if mask is None else mask[: self.num_gpus])
        self._fill_memory(given, detect_memory_bytes())

    def _fill_memory(self, given: dict[str, Any], total_bytes: int) -> None:
        share = min(int(total_bytes * OBJECT_STORE_SHARE), MAX_DEFAULT_OBJECT_STORE_BYTES)
        self.object_store_memory = _first(given["object_store_memory"], max(share, MIN_OBJECT_STORE_BYTES))
        self.memory = _first(given["memory"], max(total_bytes - self.object_store_memory, 0))


# ---- what is given ----


def _given(arguments: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Each setting's valid value, from its argument or its variable, or else None."""
    values: dict[str, Any] = {}
    for name, setting in SETTINGS.items():
        value = arguments.get(name)
        text = environment.get(setting.variable, "").strip()
        if value is not None:
            values[name] = setting.option.validate(f"argument {name}", value)
        elif text:
            values[name] = _read_variable(setting, text)
        else:
            values[name] = None
    return values


def _read_variable(setting: Setting, text: str) -> Any:
    try:
        value = setting.read_text(text)
    except ValueError as error:
        raise ValueError(
            f"The variable {setting.variable} is {shown(text)}: {error}. It takes {setting.option.takes}."
        ) from None
    return setting.option.validate(f"variable {setting.variable}", value)


def _without_rays_own(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments by our names, without those of Ray's that mean nothing here."""
    ours: dict[str, Any] = {}
    for name, value in arguments.items():
        ours_name = ALIASES.get(name, name)
        if ours_name in SETTINGS:
            if value is not None and ours.get(ours_name) is not None:
                raise TypeError(f"{name} is another name of {ours_name}, and both are given.")
            ours[ours_name] = value if value is not None else ours.get(ours_name)
        elif name in REFUSED:
            if value:
                raise ValueError(f"The argument {name} of Ray's init is not supported: {REFUSED[name]}.")
        elif name in IGNORED:
            if value:
                from raylite.absent import note

                note(f"argument {name} of init", f"no effect: {IGNORED[name]}")
        else:
            valid = ", ".join([*SETTINGS, *ALIASES, *IGNORED, *REFUSED])
            raise TypeError(f"init() got an unexpected keyword argument {name!r}. Valid ones are {valid}.")
    return ours


def _warn_of_unknown_variables(environment: Mapping[str, str]) -> None:
    known = {setting.variable for setting in SETTINGS.values()}.union(OTHER_VARIABLES)
    unknown = sorted(name for name in environment if name.startswith("RAYLITE_") and name not in known)
    if unknown:
        import warnings

        text = f"Variables that raylite does not know: {', '.join(unknown)}. It knows {', '.join(sorted(known))}."
        warnings.warn(text, stacklevel=4)


def _refuse_address(address: str | None) -> None:
    if address in (None, "local"):
        return
    if address == "auto":
        raise ConnectionError("There is no running cluster to connect to. Leave the address out to start a runtime.")
    raise ValueError(
        f"The address is {shown(address)}, but this version runs on one machine only. It takes None or 'local'."
    )


def _refuse_simulated(arguments: dict[str, Any]) -> None:
    for name in ("nodes", "network", "faults"):
        if arguments.get(name) is not None:
            raise ValueError(f"The argument {name} is the simulator's: it goes with mode='sim'.")


def _first(value: Any, default: Any) -> Any:
    return default if value is None else value


# ---- programs that `raylite run` has started ----


def notes_path() -> str:
    """The file in which this program notes what it asked for in vain; empty if it does not."""
    return os.environ.get(NOTES_VARIABLE, "")


def set_notes_path(path: str) -> None:
    """Have this process, and those that it starts, note in this file what the program asks for in vain."""
    os.environ[NOTES_VARIABLE] = path


def with_module_path(folder: str) -> dict[str, str]:
    """The environment of this process, with a folder in front of those in which Python looks for modules."""
    folders = [folder, *filter(folder.__ne__, os.environ.get(MODULE_PATH_VARIABLE, "").split(os.pathsep))]
    if folders[1:] == [""]:
        folders.pop()  # there was none: an empty one would be the working folder
    return {**os.environ, MODULE_PATH_VARIABLE: os.pathsep.join(folders)}


# ---- programs that the simulator runs ----


def simulation_variables(seed: int, nodes: int | None, faults: Any) -> dict[str, str]:
    """The variables under which a program that is not changed finds a simulator."""
    variables = {"mode": "sim", "seed": str(seed), "faults": str(faults), "nodes": str(nodes or "")}
    return {SETTINGS[name].variable: text for name, text in variables.items()}


class VariablesSet:
    """A context in which this process has these variables."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.before: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)

    def __exit__(self, *exc_info: object) -> None:
        for name, text in self.before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


# ---- what is found ----


def detect_num_cpus(root: str = "/") -> int:
    """Return how many CPUs this process may use: its affinity, cut by the quota of its cgroup, at least 1.

    Args:
        root: where /proc and /sys are looked for.
    """
    cpus = len(os.sched_getaffinity(0))
    for folder in cgroup_folders(root, "cpu"):
        quota, _, period = read_text(f"{folder}/cpu.max").partition(" ")
        if not quota:  # cgroup v1
            quota, period = read_text(f"{folder}/cpu.cfs_quota_us"), read_text(f"{folder}/cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period) > 0:
            cpus = min(cpus, -(-int(quota) // int(period)))
    return max(cpus, 1)


def detect_memory_bytes(root: str = "/") -> int:
    """Return how much memory there is for this process: the machine's, cut by the limit of its cgroup.

    Args:
        root: where /proc and /sys are looked for.

    Raises:
        OSError: the machine does not say how much it has.
    """
    total = 0
    for line in read_text(f"{root}/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            total = int(line.split()[1]) << 10
    if not total:
        raise OSError(f"{root}/proc/meminfo does not say how much memory there is; give `memory` to init.")
    for folder in cgroup_folders(root, "memory"):
        limit = read_text(f"{folder}/memory.max") or read_text(f"{folder}/memory.limit_in_bytes")
        if limit.isdigit():
            total = min(total, int(limit))
    return total


def detect_num_gpus(mask: list[str] | None, root: str = "/") -> int:
    """Return how many NVIDIA GPUs a program here can use: none where there is no device, whatever the mask says.

    Args:
        mask: the ids that CUDA_VISIBLE_DEVICES leaves visible, or None where it is not set.
        root: where /dev and /proc are looked for.
    """
    devices = [name for name in _names(f"{root}/dev") if name.startswith("nvidia") and name[6:].isdigit()]
    found = len(devices) or len(_names(f"{root}/proc/driver/nvidia/gpus"))
    if mask is None or not found:
        return found
    # A part of a GPU (MIG) or a GPU by its UUID is in the mask under a name of its own.
    return len([gpu for gpu in mask if not gpu.isdigit() or int(gpu) < found])


def gpu_mask(text: str | None) -> list[str] | None:
    """Return the ids in a CUDA_VISIBLE_DEVICES, or None where there is none; as CUDA does, end at the first bad one."""
    if text is None:
        return None
    ids: list[str] = []
    for gpu in map(str.strip, text.split(",")):
        if not gpu or gpu.startswith("-") or gpu == "NoDevFiles" or gpu in ids:
            break
        ids.append(gpu)
    return ids


def cgroup_folders(root: str, controller: str) -> Iterator[str]:
    """The folders of this process's cgroups for a controller, v2 and v1, each before those that it lies in."""
    for line in read_text(f"{root}/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = f"{root}/sys/fs/cgroup/{controller}" if controllers else f"{root}/sys/fs/cgroup"
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):
            yield "/".join([mount, *parts[:depth]])


def read_text(path: str) -> str:
    """Return what a file says, without white space around it; empty if it cannot be read."""
    try:
        with open(path) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


# ---- how the text of a variable is read ----


def _whole_from_text(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("it is no whole number") from None


def _bytes_from_text(text: str) -> int:
    try:
        return int(text) if text.isdigit() else int(float(text))
    except (ValueError, OverflowError):
        raise ValueError("it is no number") from None


def _number_from_text(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("it is no number") from None


def _flag_from_text(text: str) -> bool:
    word = text.lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("it is none of 1, true, yes, on, 0, false, no, off")


def _from_json(text: str) -> Any:
    from json import loads

    try:
        return loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None


# ---- the checks ----


def _bytes(at_least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        size_bytes = to_memory_units(value) // to_units(1)
        if size_bytes < at_least:
            raise ValueError(f"it is less than {at_least}")
        return size_bytes

    return check


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{shown(value)} is no number")
    if not 0 <= value < 1e9:
        raise ValueError(f"{shown(value)} is out of range")
    return float(value)


def _labels(value: Any) -> dict[str, str]:
    for key, label in check_type(value, dict).items():
        if not isinstance(key, str) or not isinstance(label, str):
            raise TypeError(f"{shown(key)}: {shown(label)} is not a string for a string")
        if key.startswith("ray.io/"):
            raise ValueError(f"{shown(key)} begins with 'ray.io/', which is kept for labels of the system")
    return dict(value)


def _nodes(value: Any) -> tuple[Any, ...]:
    from raylite.sim.nodes import check_nodes

    return check_nodes(value)


def _network(value: Any) -> Any:
    from raylite.sim.nodes import check_network

    return check_network(value)


def _faults(value: Any) -> Any:
    from raylite.sim.faults import Faults

    Faults.of(value, DEFAULT_SEED)
    return value  # "all" needs the seed


def _folder(value: Any) -> str:
    path = os.path.expanduser(check_type(os.fspath(value), str))
    if not path:
        raise ValueError("it is empty")
    return os.path.abspath(path)


def _spill_folder(value: Any) -> str:
    return SPILL_OFF if value == SPILL_OFF else _folder(value)


# ---- the tables ----

_COUNT = "a whole number from 0 up"
_FLAG = "True or False"
_NOT_PLACED_BY = "nodes() shows them, and nothing is placed by them yet"

SETTINGS = {
    "address": Setting("RAYLITE_ADDRESS", str, "'local'", of_type(str)),
    "mode": Setting("RAYLITE_MODE", str, "'embedded' or 'sim'", one_of("embedded", "sim")),
    "num_cpus": Setting("RAYLITE_NUM_CPUS", _whole_from_text, _COUNT, count(0)),
    "num_gpus": Setting("RAYLITE_NUM_GPUS", _whole_from_text, _COUNT, count(0)),
    "resources": Setting("RAYLITE_RESOURCES", _from_json, "a dict of names to numbers", check_resources),
    "labels": Setting("RAYLITE_LABELS", _from_json, "a dict of strings to strings", _labels, _NOT_PLACED_BY),
    "memory": Setting("RAYLITE_MEMORY", _bytes_from_text, "a number of bytes from 0 up", _bytes(0)),
    "object_store_memory": Setting(
        "RAYLITE_OBJECT_STORE_MEMORY",
        _bytes_from_text,
        f"a number of bytes from {MIN_OBJECT_STORE_BYTES} up",
        _bytes(MIN_OBJECT_STORE_BYTES),
    ),
    "namespace": Setting("RAYLITE_NAMESPACE", str, "a string that is not empty", text_not_empty),
    "runtime_env": Setting("RAYLITE_RUNTIME_ENV", _from_json, "a dict", check_runtime_env),
    "log_to_driver": Setting("RAYLITE_LOG_TO_DRIVER", _flag_from_text, _FLAG, of_type(bool)),
    "ignore_reinit_error": Setting("RAYLITE_IGNORE_REINIT_ERROR", _flag_from_text, _FLAG, of_type(bool)),
    "attachable": Setting("RAYLITE_ATTACHABLE", _flag_from_text, _FLAG, of_type(bool)),
    "explain_after_s": Setting("RAYLITE_EXPLAIN_AFTER_S", float, "a number of seconds from 0 up", _seconds),
    "record_call_sites": Setting("RAYLITE_RECORD_CALL_SITES", _flag_from_text, _FLAG, of_type(bool)),
    "seed": Setting("RAYLITE_SIM_SEED", _whole_from_text, _COUNT, count(0, (1 << 64) - 1)),
    "nodes": Setting("RAYLITE_SIM_NODES", _from_json, "a list of sim.Node, or how many there are", _nodes),
    "network": Setting("RAYLITE_SIM_NETWORK", _from_json, "a sim.Network, or a dict of its arguments", _network),
    "faults": Setting(
        "RAYLITE_SIM_FAULTS", str, "a sim.Faults, 'all', 'none' or a text such as 'worker_crash=0.01'", _faults
    ),
    "spill_dir": Setting("RAYLITE_SPILL_DIR", str, f"the path of a folder, or {SPILL_OFF!r}", _spill_folder),
    "worker_cap": Setting("RAYLITE_WORKER_CAP", _whole_from_text, "a whole number from 1 up", count(1)),
    "memory_usage_threshold": Setting(
        "RAYLITE_MEMORY_USAGE_THRESHOLD", _number_from_text, "a number from 0 to 1", share
    ),
    "memory_monitor_refresh_ms": Setting("RAYLITE_MEMORY_MONITOR_REFRESH_MS", _whole_from_text, _COUNT, count(0)),
}

# Other names, of Ray's, for arguments above.
ALIASES = {"_memory": "memory", "object_spilling_directory": "spill_dir"}

# Arguments of Ray's that a program loses nothing by.
IGNORED = {
    "include_dashboard": "there is no dashboard",
    "dashboard_host": "there is no dashboard",
    "dashboard_port": "there is no dashboard",
    "proxy_server_url": "there is no dashboard",
    "configure_logging": "raylite has no logger of its own",
    "logging_level": "raylite has no logger of its own",
    "logging_format": "raylite has no logger of its own",
    "_node_ip_address": "nothing listens on the network",
    "_node_name": "there is one node",
    "_temp_dir": "there is no folder of a session",
    "_plasma_directory": "the object store is in anonymous memory",
    "_driver_object_store_memory": "Ray ignores it too",
    "_enable_object_reconstruction": "lost objects are always made again",
    "_redis_username": "there is no Redis",
    "_redis_password": "there is no Redis",
    "_metrics_export_port": "nothing listens on the network",
    "_skip_env_hook": "there are no hooks",
}

# Arguments of Ray's that would be missed, unless they are given as None, False, 0 or empty.
REFUSED = {
    "local_mode": "Ray no longer has it; mode='sim' runs tasks in this process, in an order that a seed gives",
    "job_config": "give runtime_env and namespace to init",
    "logging_config": "set up logging in the tasks, or with PYTHON* variables in runtime_env['env_vars']",
    "enable_resource_isolation": "start the driver in a cgroup of its own",
    "cgroup_path": "start the driver in a cgroup of its own",
    "system_reserved_cpu": "give num_cpus",
    "system_reserved_memory": "give memory",
    "allow_multiple": "a process has one runtime",
    "storage": "Ray no longer has it",
    "_system_config": "it sets inner parts of Ray; where to spill is spill_dir",
    "_tracing_startup_hook": "use timeline()",
}
