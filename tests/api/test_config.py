"""`init` is told by argument, by variable, by what the machine has: in that order, and says what is wrong with each."""

import os

import pytest

from raylite import config
from raylite.config import SETTINGS, Config, detect_memory_bytes, detect_num_cpus, detect_num_gpus, gpu_mask
from raylite.sim.faults import Faults
from raylite.sim.nodes import Network, Node

GIB = 1 << 30
OF_THE_SIMULATOR = ("nodes", "network", "faults")
# For each setting: the text of its variable, the value that it stands for, another value to give as the argument.
SAMPLES = {
    "address": ("local", None, "local"),
    "mode": ("sim", "sim", "embedded"),
    "num_cpus": ("3", 3, 5),
    "num_gpus": ("2", 2, 1),
    "resources": ('{"a": 0.5}', {"a": 0.5}, {"b": 1}),
    "labels": ('{"k": "v"}', {"k": "v"}, {"l": "w"}),
    "memory": ("2e9", 2_000_000_000, 5),
    "object_store_memory": ("104857600", 100 << 20, 1 << 20),
    "namespace": ("blue", "blue", "red"),
    "runtime_env": ('{"env_vars": {"A": "1"}}', {"env_vars": {"A": "1"}}, {"working_dir": "."}),
    "log_to_driver": ("off", False, True),
    "ignore_reinit_error": ("Yes", True, False),
    "attachable": ("0", False, True),
    "seed": ("0x10", 16, 7),
    "nodes": ('[{"num_cpus": 2}]', (Node(num_cpus=2),), [Node(num_gpus=1)]),
    "network": ('{"latency_s": 0.5}', Network(latency_s=0.5), Network(jitter_s=0.1)),
    "faults": ("worker_crash=0.5", Faults(worker_crash=0.5), Faults(eviction=0.1)),
    "spill_dir": ("/x/spill", "/x/spill", "off"),
    "worker_cap": ("9", 9, 4),
    "memory_usage_threshold": ("0.5", 0.5, 0.75),
    "memory_monitor_refresh_ms": ("0", 0, 1000),
    "explain_after_s": ("2.5", 2.5, 60.0),
    "record_call_sites": ("1", True, False),
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("RAYLITE_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def configuration(name, **arguments):
    """What holds for a setting, under the arguments."""
    return Config.from_call(**({"mode": "sim"} if name in OF_THE_SIMULATOR else {}), **arguments)


def found(configuration, name):
    return None if name == "address" else getattr(configuration, name)


def test_every_argument_has_a_variable_and_a_sample_here():
    assert SETTINGS.keys() == SAMPLES.keys()
    assert set(Config.__slots__) == SETTINGS.keys() - {"address"} | {"gpu_ids"}
    assert len({setting.variable for setting in SETTINGS.values()}) == len(SETTINGS)


@pytest.mark.parametrize("name", SAMPLES)
def test_variable_is_read(name, monkeypatch):
    text, value, _ = SAMPLES[name]
    monkeypatch.setenv(SETTINGS[name].variable, text)
    assert found(configuration(name), name) == value
    assert found(configuration(name, **{name: None}), name) == value


@pytest.mark.parametrize("name", SAMPLES)
def test_argument_beats_variable(name, monkeypatch):
    text, _, value = SAMPLES[name]
    monkeypatch.setenv(SETTINGS[name].variable, text)
    value = tuple(value) if name == "nodes" else value
    assert found(configuration(name, **{name: value}), name) == (None if name == "address" else value)


@pytest.mark.parametrize("name", SAMPLES)
def test_empty_variable_is_none(name, monkeypatch):
    expected = found(configuration(name), name)
    monkeypatch.setenv(SETTINGS[name].variable, " ")
    assert found(configuration(name), name) == expected


@pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name][2] in (False, 0)])
def test_false_is_an_argument(name, monkeypatch):
    monkeypatch.setenv(SETTINGS[name].variable, SAMPLES[name][0])
    assert found(Config.from_call(**{name: SAMPLES[name][2]}), name) is False


def test_zero_is_a_number_and_not_a_default(monkeypatch):
    assert Config.from_call(num_cpus=0, num_gpus=0, memory=0, seed=0).num_cpus == 0
    monkeypatch.setenv("RAYLITE_NUM_CPUS", "0")
    assert Config.from_call().num_cpus == 0


@pytest.mark.parametrize(
    "variable, text, words",
    [
        ("RAYLITE_NUM_CPUS", "two", "it is no whole number"),
        ("RAYLITE_NUM_CPUS", "-1", "less than 0"),
        ("RAYLITE_NUM_CPUS", "1.5", "it is no whole number"),
        ("RAYLITE_RESOURCES", "{a:1}", "it is no JSON"),
        ("RAYLITE_RESOURCES", '{"CPU": 1}', "use the option num_cpus"),
        ("RAYLITE_RESOURCES", '{"a": -1}', "its 'a' is -1"),
        ("RAYLITE_RESOURCES", "[]", "of type list"),
        ("RAYLITE_OBJECT_STORE_MEMORY", "100", "less than 1048576"),
        ("RAYLITE_OBJECT_STORE_MEMORY", "much", "it is no number"),
        ("RAYLITE_OBJECT_STORE_MEMORY", "inf", "it is no number"),
        ("RAYLITE_LOG_TO_DRIVER", "maybe", "none of 1, true"),
        ("RAYLITE_MODE", "fast", "'embedded' or 'sim'"),
        ("RAYLITE_SIM_SEED", str(1 << 64), "it is more than"),
        ("RAYLITE_SIM_NODES", "2000", "up to 1000 nodes"),
        ("RAYLITE_SIM_NETWORK", '{"latency": 1}', "it has latency_s, jitter_s, bytes_per_s, links"),
        ("RAYLITE_SIM_NODES", "0", "at least one node"),
        ("RAYLITE_SIM_NODES", '[{"cpus": 1}]', "it has num_cpus, num_gpus"),
        ("RAYLITE_SIM_FAULTS", "worker_crash", "name=rate"),
        ("RAYLITE_SIM_FAULTS", "worker_crush=0.1", "There are worker_crash, node_crash"),
        ("RAYLITE_LABELS", '{"k": 1}', "not a string for a string"),
        ("RAYLITE_RUNTIME_ENV", '{"pip": ["x"]}', "install it there"),
        ("RAYLITE_WORKER_CAP", "0", "less than 1"),
    ],
)
def test_bad_variable_is_named_with_what_it_takes(variable, text, words, monkeypatch):
    monkeypatch.setenv(variable, text)
    with pytest.raises((ValueError, TypeError)) as caught:
        Config.from_call()
    message = str(caught.value)
    assert message.startswith(f"The variable {variable} is ") and words in message and "It takes " in message


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ({"num_cpus": "2"}, TypeError, "The argument num_cpus is '2': it is of type str"),
        ({"num_cpus": -1}, ValueError, "less than 0"),
        ({"num_gpus": 1.5}, TypeError, "of type float"),
        ({"resources": {"GPU": 1}}, ValueError, "use the option num_gpus"),
        ({"resources": {"a": 0.00001}}, ValueError, "finer than 0.0001"),
        ({"object_store_memory": 1000}, ValueError, "less than 1048576"),
        ({"object_store_memory": "5"}, TypeError, "of type str"),
        ({"namespace": ""}, ValueError, "it is empty"),
        ({"namespace": 5}, TypeError, "of type int"),
        ({"log_to_driver": 1}, TypeError, "of type int"),
        ({"mode": "simulated"}, ValueError, "'embedded' or 'sim'"),
        ({"labels": {"ray.io/x": "y"}}, ValueError, "kept for labels of the system"),
        ({"spill_dir": ""}, ValueError, "it is empty"),
        ({"spill_dir": 4}, TypeError, "spill_dir"),
        ({"memory_usage_threshold": 1.5}, ValueError, "not between 0 and 1"),
        ({"memory_monitor_refresh_ms": -1}, ValueError, "less than 0"),
        ({"worker_cap": 0}, ValueError, "less than 1"),
        ({"runtime_env": {"conda": "x"}}, ValueError, "install it there"),
    ],
)
def test_bad_argument_is_named_with_what_it_takes(arguments, error, words):
    with pytest.raises(error) as caught:
        Config.from_call(**arguments)
    assert words in str(caught.value) and "It takes " in str(caught.value)


def test_unknown_argument_lists_the_valid_ones():
    with pytest.raises(TypeError, match="unexpected keyword argument 'num_cpu'") as caught:
        Config.from_call(num_cpu=2)
    assert "num_cpus" in str(caught.value) and "include_dashboard" in str(caught.value)


def test_unknown_variable_is_warned_of(monkeypatch):
    monkeypatch.setenv("RAYLITE_NUM_CPU", "2")
    monkeypatch.setenv("RAYLITE_BUILD", "debug")
    with pytest.warns(UserWarning, match="does not know: RAYLITE_NUM_CPU\\. It knows .*RAYLITE_NUM_CPUS"):
        Config.from_call()


# ---- Ray's own arguments ----


def test_every_argument_of_rays_init_is_decided():
    rays = """address num_cpus num_gpus resources labels object_store_memory local_mode ignore_reinit_error
    include_dashboard dashboard_host dashboard_port job_config configure_logging logging_level logging_format
    logging_config log_to_driver namespace runtime_env enable_resource_isolation cgroup_path system_reserved_cpu
    system_reserved_memory proxy_server_url _enable_object_reconstruction _plasma_directory object_spilling_directory
    _node_ip_address _driver_object_store_memory _memory _redis_username _redis_password _temp_dir
    _metrics_export_port _system_config _tracing_startup_hook _node_name _skip_env_hook allow_multiple storage"""
    tables = [SETTINGS.keys(), config.ALIASES.keys(), config.IGNORED.keys(), config.REFUSED.keys()]
    for name in rays.split():
        assert sum(name in table for table in tables) == 1, name


@pytest.mark.parametrize("name", config.IGNORED)
def test_ignored_arguments_change_nothing(name):
    plain, with_it = Config.from_call(num_cpus=1, memory=5), Config.from_call(num_cpus=1, memory=5, **{name: "x"})
    assert [found(plain, each) for each in Config.__slots__] == [found(with_it, each) for each in Config.__slots__]


@pytest.mark.parametrize("name", config.REFUSED)
def test_refused_arguments_say_why_and_may_be_given_empty(name):
    with pytest.raises(ValueError, match=f"The argument {name} of Ray's init is not supported: ."):
        Config.from_call(**{name: {"x": 1}})
    Config.from_call(**{name: None})
    Config.from_call(**{name: False})


def test_other_names_of_arguments():
    assert Config.from_call(_memory=77).memory == 77
    assert Config.from_call(object_spilling_directory="/x").spill_dir == "/x"
    assert Config.from_call(_memory=None, memory=5).memory == 5
    assert Config.from_call(memory=5, _memory=None).memory == 5
    with pytest.raises(TypeError, match="_memory is another name of memory"):
        Config.from_call(memory=5, _memory=6)


@pytest.mark.parametrize("address, error", [("auto", ConnectionError), ("ray://h:1", ValueError), ("h:1", ValueError)])
def test_addresses_of_clusters_are_refused(address, error, monkeypatch):
    with pytest.raises(error):
        Config.from_call(address=address)
    monkeypatch.setenv("RAYLITE_ADDRESS", address)
    with pytest.raises(error):
        Config.from_call()
    Config.from_call(address="local")


# ---- defaults ----


def test_defaults():
    default = Config.from_call()
    assert default.mode == "embedded" and default.log_to_driver and not default.ignore_reinit_error
    assert default.resources == {} and default.namespace is None and default.seed is None
    assert 1 <= default.num_cpus <= len(os.sched_getaffinity(0))
    assert default.object_store_memory + default.memory <= detect_memory_bytes()
    assert default.worker_cap >= max(16, default.num_cpus)


def test_memory_default_leaves_room_for_the_object_store(monkeypatch):
    monkeypatch.setattr(config, "detect_memory_bytes", lambda: 10 * GIB)
    assert Config.from_call().object_store_memory == 3 * GIB
    assert Config.from_call(object_store_memory=GIB).memory == 9 * GIB
    assert Config.from_call(object_store_memory=20 * GIB).memory == 0
    monkeypatch.setattr(config, "detect_memory_bytes", lambda: 10_000 * GIB)
    assert Config.from_call().object_store_memory == config.MAX_DEFAULT_OBJECT_STORE_BYTES


def test_simulator_looks_at_nothing_of_the_machine(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    for name in ("detect_num_cpus", "detect_memory_bytes", "detect_num_gpus"):
        monkeypatch.setattr(config, name, lambda *_: pytest.fail("the machine was looked at"))
    simulated = Config.from_call(mode="sim", num_gpus=2)
    assert (simulated.num_cpus, simulated.num_gpus, simulated.gpu_ids) == (config.SIM_NUM_CPUS, 2, ("0", "1"))
    assert simulated.memory + simulated.object_store_memory == config.SIM_MEMORY_BYTES


def test_spill_dir_is_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert Config.from_call(spill_dir="x").spill_dir == str(tmp_path / "x")
    assert Config.from_call(spill_dir=tmp_path / "y").spill_dir == str(tmp_path / "y")
    assert Config.from_call(spill_dir="~/z").spill_dir == "/home/me/z"


def test_where_to_spill(monkeypatch):
    assert Config.from_call(spill_dir="/x").spill_folder == "/x"
    assert Config.from_call(spill_dir="off").spill_folder is None
    assert Config.from_call().spill_folder in ("/var/tmp", "/tmp")
    monkeypatch.setattr("raylite.config.SPILL_FOLDERS", ("/not/there",))
    assert Config.from_call().spill_folder is None


def test_node_resources_are_in_units_without_zeros():
    made = Config.from_call(num_cpus=2, num_gpus=0, resources={"a": 0.5, "b": 0}, memory=7, object_store_memory=GIB)
    assert made.node_resources() == {
        "CPU": 20_000,
        "a": 5_000,
        "memory": 70_000,
        "object_store_memory": GIB * 10_000,
    }
    assert "CPU" not in Config.from_call(num_cpus=0).node_resources()


# ---- what the machine has ----


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that writes files of /proc, /sys and /dev; the process may run on 8 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def make(**files):
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc/meminfo").write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path)

    return make


V2 = {"proc/self/cgroup": "0::/user/app\n"}
V1 = {"proc/self/cgroup": "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n1:name=systemd:/\n"}


@pytest.mark.parametrize(
    "files, cpus",
    [
        ({}, 8),
        ({**V2, "sys/fs/cgroup/user/app/cpu.max": "250000 100000\n"}, 3),
        ({**V2, "sys/fs/cgroup/user/app/cpu.max": "max 100000\n"}, 8),
        ({**V2, "sys/fs/cgroup/user/cpu.max": "150000 100000\n", "sys/fs/cgroup/user/app/cpu.max": "max 100000\n"}, 2),
        ({**V2, "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
        ({**V2, "sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
        ({**V2, "sys/fs/cgroup/cpu.max": "nonsense\n"}, 8),
        ({"proc/self/cgroup": "0::/../..\n", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 4),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 8),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "0"}, 8),
    ],
)
def test_cpus_by_affinity_and_quota(machine, files, cpus):
    assert detect_num_cpus(machine(**files)) == cpus


@pytest.mark.parametrize(
    "files, size_bytes",
    [
        ({}, 16 * GIB),
        ({**V2, "sys/fs/cgroup/user/app/memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ({**V2, "sys/fs/cgroup/user/app/memory.max": "max\n"}, 16 * GIB),
        ({**V2, "sys/fs/cgroup/user/memory.max": f"{GIB}\n", "sys/fs/cgroup/user/app/memory.max": "max\n"}, GIB),
        ({**V1, "sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": str(3 * GIB)}, 3 * GIB),
        ({**V1, "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 16 * GIB),
    ],
)
def test_memory_by_machine_and_limit(machine, files, size_bytes):
    assert detect_memory_bytes(machine(**files)) == size_bytes


def test_memory_that_is_not_told_is_asked_for(tmp_path):
    with pytest.raises(OSError, match="give `memory` to init"):
        detect_memory_bytes(str(tmp_path))


@pytest.mark.parametrize(
    "text, ids",
    [
        (None, None),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0", ["0"]),
        ("3, 5", ["3", "5"]),
        ("0,-1,1", ["0"]),
        ("1,,2", ["1"]),
        ("2,2,3", ["2"]),
        ("GPU-8932f937,MIG-1", ["GPU-8932f937", "MIG-1"]),
    ],
)
def test_gpu_mask_is_read_as_cuda_does(text, ids):
    assert gpu_mask(text) == ids


@pytest.mark.parametrize(
    "files, mask, count",
    [
        ({}, None, 0),
        ({}, ["0", "1"], 0),
        ({}, ["GPU-8932f937"], 0),
        ({"dev/nvidia0": "", "dev/nvidia1": "", "dev/nvidiactl": "", "dev/nvidia-uvm": ""}, None, 2),
        ({"dev/nvidia0": "", "dev/nvidia1": ""}, ["1"], 1),
        ({"dev/nvidia0": "", "dev/nvidia1": ""}, ["1", "7"], 1),
        ({"dev/nvidia0": "", "dev/nvidia1": ""}, [], 0),
        ({"dev/nvidia0": ""}, ["MIG-1", "MIG-2"], 2),
        ({"proc/driver/nvidia/gpus/0000:01:00.0/information": ""}, None, 1),
    ],
)
def test_gpus_by_device_and_mask(machine, files, mask, count):
    assert detect_num_gpus(mask, machine(**files)) == count


def test_gpu_ids_are_the_users_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,GPU-ab")
    assert Config.from_call(num_gpus=2).gpu_ids == ("3", "5")
    assert Config.from_call(num_gpus=0).gpu_ids == ()
    with pytest.raises(ValueError, match="num_gpus is 4, but CUDA_VISIBLE_DEVICES has 3"):
        Config.from_call(num_gpus=4)
    monkeypatch.setattr(config, "detect_num_gpus", len)
    assert Config.from_call().gpu_ids == ("3", "5", "GPU-ab")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert Config.from_call(num_gpus=3).gpu_ids == ("0", "1", "2")


def test_what_is_said_of_a_node_is_not_said_of_all_too():
    assert Config.from_call(mode="sim", nodes=[Node(num_cpus=3, num_gpus=2)]).gpu_ids == ("0", "1")
    with pytest.raises(ValueError, match="num_cpus is given for a node"):
        Config.from_call(mode="sim", nodes=[Node(num_cpus=3)], num_cpus=2)


@pytest.mark.parametrize(("name", "value"), [("nodes", 1), ("network", {"latency_s": 0.1}), ("faults", "all")])
def test_what_is_the_simulators_is_refused_elsewhere(name, value, monkeypatch):
    with pytest.raises(ValueError, match=f"{name} is the simulator's"):
        Config.from_call(**{name: value})
    monkeypatch.setenv(SETTINGS[name].variable, str(value).replace("'", '"'))
    assert not getattr(Config.from_call(), name)  # a variable waits for a program that is simulated


def test_all_faults_are_those_of_the_seed(monkeypatch):
    monkeypatch.setenv("RAYLITE_SIM_FAULTS", "all")
    drawn = [Faults.from_seed(seed, n_nodes=1) for seed in (1, 2)]
    assert [Config.from_call(mode="sim", seed=seed).faults for seed in (1, 2)] == drawn
    drawn = [Faults.from_seed(seed) for seed in (1, 2)]
    assert [Config.from_call(mode="sim", seed=seed, nodes=2).faults for seed in (1, 2)] == drawn
