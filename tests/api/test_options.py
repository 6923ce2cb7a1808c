"""Every option takes what Ray's takes, and refuses the rest in words that help."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylite import options
from raylite.options import (
    ACTOR_OPTIONS,
    METHOD_OPTIONS,
    TASK_OPTIONS,
    resolve_num_returns,
    to_actor_demands,
    to_memory_units,
    to_resource_demand,
    to_units,
    validate_actor_options,
    validate_method_options,
    validate_task_options,
    with_defaults,
)

# Ray's options with their defaults, as Ray lists them.
RAY_TASK_OPTIONS = {
    "label_selector": None,
    "fallback_strategy": None,
    "accelerator_type": None,
    "memory": None,
    "name": None,
    "num_cpus": 1,
    "num_gpus": None,
    "object_store_memory": None,
    "placement_group": "default",
    "placement_group_bundle_index": -1,
    "placement_group_capture_child_tasks": None,
    "resources": None,
    "runtime_env": None,
    "scheduling_strategy": None,
    "enable_task_events": True,
    "_labels": None,
    "max_calls": 0,
    "max_retries": 3,
    "num_returns": None,
    "retry_exceptions": False,
    "_generator_backpressure_num_objects": None,
    "_num_objects_per_yield": 1,
}
RAY_ACTOR_OPTIONS = {
    "label_selector": None,
    "fallback_strategy": None,
    "accelerator_type": None,
    "memory": None,
    "name": None,
    "num_cpus": None,
    "num_gpus": None,
    "object_store_memory": None,
    "placement_group": "default",
    "placement_group_bundle_index": -1,
    "placement_group_capture_child_tasks": None,
    "resources": None,
    "runtime_env": None,
    "scheduling_strategy": None,
    "enable_task_events": True,
    "_labels": None,
    "concurrency_groups": None,
    "enable_tensor_transport": None,
    "lifetime": None,
    "max_concurrency": None,
    "max_restarts": 0,
    "max_task_retries": 0,
    "max_pending_calls": -1,
    "namespace": None,
    "get_if_exists": False,
    "allow_out_of_order_execution": None,
    "_actor_generator_backpressure_num_objects": None,
}
RAY_METHOD_OPTIONS = {
    "num_returns",
    "concurrency_group",
    "max_task_retries",
    "retry_exceptions",
    "_generator_backpressure_num_objects",
    "_num_objects_per_yield",
    "enable_task_events",
    "tensor_transport",
}


class Index:
    """A whole number of another library, as numpy's are."""

    def __init__(self, value):
        self.value = value

    def __index__(self):
        return self.value


class Affinity:
    node_id, soft = "ab", False


class PlacementGroup:
    bundle_specs = ()


def test_tables_are_rays():
    ours = {name: option.default for name, option in TASK_OPTIONS.items()}
    assert ours == {**RAY_TASK_OPTIONS, "retry_delay_s": 0, "retry_jitter": 0}
    ours = {name: option.default for name, option in ACTOR_OPTIONS.items()}
    assert ours == {**RAY_ACTOR_OPTIONS, "recovery": "restart", "checkpoint_interval": None, "checkpoint": None}
    assert METHOD_OPTIONS.keys() - {"name"} == RAY_METHOD_OPTIONS


@pytest.mark.parametrize("table", [TASK_OPTIONS, ACTOR_OPTIONS, METHOD_OPTIONS])
def test_every_default_is_valid(table):
    for name, option in table.items():
        assert option.validate(name, option.default) == option.default


# ---- what is taken, and its normal form ----


@pytest.mark.parametrize(
    "name, given_, normal",
    [
        ("num_cpus", 2, 2),
        ("num_cpus", 0, 0),
        ("num_cpus", 0.5, 0.5),
        ("num_cpus", 0.1 + 0.2, 0.3),
        ("num_cpus", 2.0, 2),
        ("num_cpus", 0.0001, 0.0001),
        ("num_cpus", True, 1),
        ("num_cpus", Index(3), 3),
        ("num_cpus", Decimal("0.25"), 0.25),
        ("num_cpus", None, None),
        ("num_gpus", 0.5, 0.5),
        ("num_gpus", 8, 8),
        ("memory", 1.5e9, 1_500_000_000),
        ("memory", 10.25, 11),
        ("memory", 2**46, 2**46),
        ("resources", {"a": 1, "b": 0.25}, {"a": 1, "b": 0.25}),
        ("resources", {}, {}),
        ("num_returns", 0, 0),
        ("num_returns", 1_000_000, 1_000_000),
        ("num_returns", "streaming", "streaming"),
        ("num_returns", "dynamic", "dynamic"),
        ("num_returns", None, None),
        ("max_retries", -1, -1),
        ("max_retries", 0, 0),
        ("max_retries", None, None),
        ("max_calls", 5, 5),
        ("retry_exceptions", True, True),
        ("retry_exceptions", [ValueError, KeyError], (ValueError, KeyError)),
        ("retry_exceptions", (), ()),
        ("name", "", ""),
        ("runtime_env", {"env_vars": {"A": "1"}}, {"env_vars": {"A": "1"}}),
        ("runtime_env", {"working_dir": "."}, {"working_dir": "."}),
        ("runtime_env", {"py_modules": [sys, "path"]}, {"py_modules": [sys, "path"]}),
        ("runtime_env", {}, {}),
        ("scheduling_strategy", None, None),
        ("scheduling_strategy", "DEFAULT", "DEFAULT"),
        ("scheduling_strategy", "SPREAD", "SPREAD"),
        ("scheduling_strategy", Affinity, Affinity),
        ("placement_group", None, None),
        ("placement_group", "default", "default"),
        ("placement_group", PlacementGroup, PlacementGroup),
        ("label_selector", {"region": "in(us-1, us-2)", "a.b/c": "!x", "d": ""}, None),
        ("fallback_strategy", [{"label_selector": {"a": "b"}}], None),
        ("accelerator_type", "A100", "A100"),
        ("_generator_backpressure_num_objects", -1, -1),
        ("_generator_backpressure_num_objects", 4, 4),
        ("enable_task_events", False, False),
    ],
)
def test_taken(name, given_, normal):
    assert validate_task_options({name: given_}) == {name: given_ if normal is None else normal}


def test_normal_form_is_a_copy():
    resources = {"a": 1}
    checked = validate_task_options({"resources": resources})
    resources["a"] = -1
    assert checked == {"resources": {"a": 1}}


# ---- what is refused ----


@pytest.mark.parametrize(
    "name, value, error, words",
    [
        ("num_cpus", -1, ValueError, "it is negative"),
        ("num_cpus", "1", TypeError, "of type str"),
        ("num_cpus", [1], TypeError, "of type list"),
        ("num_cpus", 1e-5, ValueError, "finer than 0.0001"),
        ("num_cpus", 1e-12, ValueError, "finer than 0.0001"),
        ("num_cpus", 1 / 3, ValueError, "0.3333 is the nearest"),
        ("num_cpus", 1.00001, ValueError, "finer than 0.0001"),
        ("num_cpus", float("nan"), ValueError, "finite"),
        ("num_cpus", float("inf"), ValueError, "finite"),
        ("num_cpus", -float("inf"), ValueError, "finite"),
        ("num_cpus", 1e18, ValueError, "it is more than"),
        ("num_cpus", 10**400, ValueError, ""),
        ("num_gpus", 1.5, ValueError, "whole"),
        ("num_gpus", -0.5, ValueError, "negative"),
        ("memory", -5, ValueError, "negative"),
        ("memory", 0.5, ValueError, "less than a byte"),
        ("memory", 2**60, ValueError, "it is more than"),
        ("memory", "1GB", TypeError, "of type str"),
        ("resources", {"CPU": 1}, ValueError, "use the option num_cpus"),
        ("resources", {"GPU": 1}, ValueError, "use the option num_gpus"),
        ("resources", {"memory": 1}, ValueError, "use the option memory"),
        ("resources", {"object_store_memory": 1}, ValueError, "object_store_memory of init"),
        ("resources", {"bundle": 1}, ValueError, "another name"),
        ("resources", {"a": -1}, ValueError, "its 'a' is -1: it is negative"),
        ("resources", {"a": 0.00001}, ValueError, "its 'a' is 1e-05"),
        ("resources", {"a": "b"}, TypeError, "its 'a' is 'b'"),
        ("resources", {"a": None}, TypeError, "its 'a' is None"),
        ("resources", {3: 1}, TypeError, "its key 3 is no string"),
        ("resources", {"": 1}, ValueError, "empty name"),
        ("resources", [("a", 1)], TypeError, "of type list"),
        ("num_returns", -1, ValueError, "less than 0"),
        ("num_returns", 1.0, TypeError, "of type float"),
        ("num_returns", "many", ValueError, "no such word"),
        ("num_returns", 10**12, ValueError, "it is more than"),
        ("max_retries", -2, ValueError, "less than -1"),
        ("max_retries", 1.0, TypeError, "of type float"),
        ("max_retries", 10**12, ValueError, "it is more than"),
        ("max_calls", -1, ValueError, "less than 0"),
        ("retry_exceptions", ValueError, TypeError, "of type type"),
        ("retry_exceptions", None, TypeError, "of type NoneType"),
        ("retry_exceptions", [3], ValueError, "3 in it is no type of exception"),
        ("retry_exceptions", [KeyboardInterrupt], ValueError, "KeyboardInterrupt"),
        ("name", 3, TypeError, "of type int"),
        ("runtime_env", 5, TypeError, "of type int"),
        ("runtime_env", {"foo": 1}, ValueError, "no field 'foo'; the fields are env_vars, working_dir"),
        ("runtime_env", {"pip": ["x"]}, ValueError, "install it there"),
        ("runtime_env", {"env_vars": {"a": 1}}, TypeError, "'a': 1 is not a string for a string"),
        ("runtime_env", {"env_vars": ["a"]}, TypeError, "in its field 'env_vars', it is of type list"),
        ("runtime_env", {"working_dir": 3}, TypeError, "in its field 'working_dir'"),
        ("scheduling_strategy", "FOO", ValueError, "'DEFAULT', 'SPREAD'"),
        ("scheduling_strategy", 5, TypeError, "of type int"),
        ("placement_group", "x", ValueError, "no such word"),
        ("placement_group", 5, TypeError, "of type int"),
        ("placement_group_bundle_index", -2, ValueError, "less than -1"),
        ("label_selector", {"a b": "c"}, ValueError, "'a b' is no label key"),
        ("label_selector", {"a": "in()"}, ValueError, "'in()' is no selector"),
        ("label_selector", {"x" * 64: "c"}, ValueError, "is no label key"),
        ("label_selector", {"-/a": "c"}, ValueError, "is no prefix"),
        ("label_selector", {1: "c"}, TypeError, "of type int"),
        ("fallback_strategy", [{}], ValueError, "'label_selector' alone"),
        ("fallback_strategy", [{"label_selector": {"a": "b"}, "x": 1}], ValueError, "'label_selector' alone"),
        ("object_store_memory", 5, ValueError, "not implemented for tasks"),
        ("_generator_backpressure_num_objects", 0, ValueError, "0 would stop"),
        ("_generator_backpressure_num_objects", -5, ValueError, "less than -1"),
        ("_num_objects_per_yield", 0, ValueError, "less than 1"),
        ("enable_task_events", None, TypeError, "of type NoneType"),
    ],
)
def test_refused(name, value, error, words):
    with pytest.raises(error) as caught:
        validate_task_options({name: value})
    text = str(caught.value)
    assert text.startswith(f"The option {name} is ") and words in text and "It takes " in text
    assert type(caught.value) is error and len(text) < 400


@pytest.mark.parametrize("validate", [validate_task_options, validate_actor_options, validate_method_options])
def test_unknown_option_lists_the_valid_ones(validate):
    with pytest.raises(ValueError, match="Invalid option keyword bogus for") as caught:
        validate({"bogus": 1})
    assert "num_returns" in str(caught.value) or "num_cpus" in str(caught.value)


def test_option_of_the_other_kind_says_so():
    with pytest.raises(ValueError, match=r"max_restarts for remote functions\. It is one for actors\. Valid ones are"):
        validate_task_options({"max_restarts": 1})
    with pytest.raises(ValueError, match=r"max_retries for actors\. It is one for remote functions"):
        validate_actor_options({"max_retries": 1})


def test_options_that_do_not_go_together():
    with pytest.raises(ValueError, match="max_calls"):
        validate_task_options({"max_calls": 1}, in_options=True)
    with pytest.raises(ValueError, match="scheduling_strategy alone"):
        validate_task_options({"placement_group": PlacementGroup, "scheduling_strategy": "SPREAD"})
    with pytest.raises(ValueError, match="concurrency_groups"):
        validate_actor_options({"concurrency_groups": {"io": 1}}, in_options=True)
    with pytest.raises(ValueError, match="name must be specified"):
        validate_actor_options({"get_if_exists": True})
    with pytest.raises(ValueError, match="max_concurrency=1"):
        validate_actor_options({"recovery": "replay", "max_concurrency": 2})
    assert validate_actor_options({"recovery": "replay"}) == {"recovery": "replay"}


@pytest.mark.parametrize("word", ["streaming", "dynamic"])
@pytest.mark.parametrize("validate", [validate_task_options, validate_method_options])
def test_streaming_is_for_generators(validate, word):
    with pytest.raises(ValueError, match="only be used with generator functions"):
        validate({"num_returns": word}, is_generator=False)
    assert validate({"num_returns": word}, is_generator=True) == {"num_returns": word}
    assert validate({"num_returns": word}) == {"num_returns": word}


@pytest.mark.parametrize(
    "name, value, error",
    [
        ("name", "", ValueError),
        ("name", 5, TypeError),
        ("namespace", "", ValueError),
        ("lifetime", "forever", ValueError),
        ("lifetime", 3, TypeError),
        ("max_concurrency", 0, ValueError),
        ("max_restarts", -2, ValueError),
        ("max_task_retries", 1.5, TypeError),
        ("max_pending_calls", -2, ValueError),
        ("concurrency_groups", {"io": 0}, ValueError),
        ("concurrency_groups", {"io": "a"}, TypeError),
        ("concurrency_groups", ["a"], TypeError),
        ("get_if_exists", None, TypeError),
        ("allow_out_of_order_execution", 3, TypeError),
        ("enable_tensor_transport", True, ValueError),
        ("_actor_generator_backpressure_num_objects", 0, ValueError),
        ("recovery", "none", ValueError),
    ],
)
def test_refused_for_actors(name, value, error):
    with pytest.raises(error):
        validate_actor_options({name: value})


def test_taken_for_actors():
    given_ = {
        "name": "a",
        "get_if_exists": True,
        "lifetime": "detached",
        "concurrency_groups": {"io": 2},
        "max_restarts": -1,
    }
    assert validate_actor_options(given_) == given_


# ---- defaults ----


def test_none_stands_for_the_default():
    filled = with_defaults({"max_retries": None, "num_gpus": 2}, TASK_OPTIONS)
    assert filled["max_retries"] == 3 and filled["num_gpus"] == 2 and filled.keys() == TASK_OPTIONS.keys()


def test_num_returns_by_kind_of_function():
    assert resolve_num_returns(None, False) == 1 and resolve_num_returns(None, True) == "streaming"
    assert resolve_num_returns(0, True) == 0


# ---- resources ----


@pytest.mark.parametrize(
    "given_, demand",
    [
        ({}, {"CPU": 10_000}),
        ({"num_cpus": None}, {"CPU": 10_000}),
        ({"num_cpus": 0}, {}),
        ({"num_cpus": 0, "resources": {"a": 0}}, {}),
        ({"num_cpus": 0.5, "num_gpus": 0.25}, {"CPU": 5_000, "GPU": 2_500}),
        ({"memory": 2**40}, {"CPU": 10_000, "memory": 2**40 * 10_000}),
        ({"resources": {"a": 0.0001}}, {"CPU": 10_000, "a": 1}),
        ({"accelerator_type": "A100"}, {"CPU": 10_000, "accelerator_type:A100": 10}),
    ],
)
def test_demand_of_a_task(given_, demand):
    found = to_resource_demand(validate_task_options(given_))
    assert found == demand and all(type(units) is int for units in found.values())


def test_demand_of_an_actor_is_as_in_ray():
    assert to_actor_demands({}) == ({"CPU": 10_000}, {})
    assert to_actor_demands({"num_cpus": 0}) == ({}, {})
    assert to_actor_demands({"num_gpus": 1}) == ({"CPU": 10_000, "GPU": 10_000},) * 2
    assert to_actor_demands({"num_cpus": 2}) == ({"CPU": 20_000},) * 2


@given(st.integers(0, 10**9))
def test_units_of_what_four_decimals_say_are_exact(units):
    assert to_units(units / 10_000) == units and to_units(float(f"{units / 10_000:.4f}")) == units


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_units_are_right_or_refused(quantity):
    try:
        units = to_units(quantity)
    except (ValueError, OverflowError):
        return
    assert 0 <= units <= options.MAX_UNITS
    assert abs(units / 10_000 - quantity) <= max(1e-7, quantity * 1e-12)


@given(st.integers(2, 2**40))
def test_memory_is_counted_in_whole_bytes(size_bytes):
    assert to_memory_units(size_bytes) == size_bytes * 10_000
    assert to_memory_units(size_bytes - 0.5) == size_bytes * 10_000


def test_numbers_of_numpy():
    np = pytest.importorskip("numpy")
    checked = validate_task_options({"num_cpus": np.float32(0.1), "max_retries": np.int64(2), "memory": np.float64(8)})
    assert checked == {"num_cpus": 0.1, "max_retries": 2, "memory": 8}
    assert [type(value) for value in checked.values()] == [float, int, int]


def test_import_is_light():
    code = (
        "import sys; before = set(sys.modules); import raylite.options, raylite.config, raylite.signature;"
        "new = set(sys.modules) - before;"
        "print(*sorted(new & {'re', 'typing', 'enum', 'inspect', 'json', 'functools', 'warnings'}))"
    )
    root = str(Path(options.__file__).parents[1])
    done = subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": root}, capture_output=True, text=True)
    assert done.stdout.strip() == "" and done.returncode == 0, done.stderr
