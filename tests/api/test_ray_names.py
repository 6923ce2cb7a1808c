"""Every public name of Ray is there, or is refused with a sentence why; ray_names.txt lists them."""

from __future__ import annotations

import pickle
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import raylite
from raylite import absent

REASONS = {**absent.MODULES, **absent.NAMES, **absent.CALLS}
ARGUMENTS = {"java_function": ("Class", "name"), "java_actor_class": ("Class",), "cpp_function": ("name",)}
# Members that no program can use here: what they make or tell of is Ray's own.
ABSENT_MEMBERS = """
    ActorID.of ObjectID.from_random ObjectID.nil ObjectRef.from_binary ObjectRef.from_hex ObjectRef.from_random
    ObjectRef.nil ObjectRef.redis_shard_hash PlacementGroupID.of TaskID.actor_id TaskID.for_actor_creation_task
    TaskID.for_actor_task TaskID.for_driver_task TaskID.for_fake_task TaskID.for_normal_task
""".split()


def listed():
    """Module and name of each line, by our names; the name of a member has its class before it."""
    found = []
    module = holder = ""
    for line in (Path(__file__).parent / "ray_names.txt").read_text().splitlines():
        if line.startswith("## "):
            module = line.removeprefix("## ").replace("ray", "raylite", 1)
        elif line.startswith("."):
            found.append((module, f"{holder}{line}"))
        elif line and not line.startswith("#"):
            holder = line
            found.append((module, line))
    return found


LISTED = listed()
NAMES = [f"{module}.{name}" for module, name in LISTED if "." not in name]
MEMBERS = [f"{module}.{name}" for module, name in LISTED if "." in name]


def looked_up(full_name):
    """What a full name stands for; AttributeError if there is no such thing."""
    module, _, name = full_name.rpartition(".")
    return getattr(import_module(module), name)


def member(full_name):
    home, _, name = full_name.rpartition(".")
    return getattr(looked_up(home), name)


def test_the_list_is_whole():
    assert len(NAMES) == len(set(NAMES)) > 120
    assert {name.rpartition(".")[0] for name in NAMES} == {
        "raylite",
        "raylite.actor",
        "raylite.exceptions",
        "raylite.runtime_context",
        "raylite.util",
        "raylite.util.state",
    }


@pytest.mark.parametrize("full_name", NAMES)
def test_a_name_is_there_or_refused_with_a_sentence(full_name):
    if full_name not in REASONS and full_name.rpartition(".")[0] not in REASONS:
        assert looked_up(full_name) is not None
    elif full_name in absent.CALLS:
        name = full_name.rpartition(".")[2]
        with pytest.raises(NotImplementedError) as refused:
            looked_up(full_name)(*ARGUMENTS.get(name, ()))
        assert str(refused.value) == f"{full_name}: {absent.CALLS[full_name]}."
    elif full_name in REASONS:
        with pytest.raises(AttributeError) as refused:
            looked_up(full_name)
        assert str(refused.value).endswith(f" has no attribute {full_name.rpartition('.')[2]!r}: {REASONS[full_name]}")


@pytest.mark.parametrize("full_name", MEMBERS)
def test_a_member_is_there_unless_its_class_is_refused(full_name):
    home, _, name = full_name.rpartition(".")
    if home in REASONS:
        return
    if f"{home.rpartition('.')[2]}.{name}" in ABSENT_MEMBERS:
        with pytest.raises(AttributeError):
            member(full_name)
    elif f"{home}.{name}" in REASONS:
        with pytest.raises(AttributeError, match=re.escape(REASONS[full_name])):
            getattr(looked_up(home)(), name)
    else:
        assert hasattr(looked_up(home), name)


def test_what_is_absent_is_nowhere_said_to_be_there():
    for full_name in absent.MODULES:
        assert find_spec(full_name) is None, f"{full_name} is there: take it off absent.MODULES"
    for full_name in [*absent.MODULES, *absent.NAMES]:
        home, _, name = full_name.rpartition(".")
        if home in ("raylite", "raylite.util"):
            assert name not in import_module(home).__all__
            assert not hasattr(import_module(home), name), f"{full_name} is there: take it off absent.NAMES"


def test_a_name_of_nobody_s_gets_python_s_own_words():
    for module in (raylite, raylite.util):
        with pytest.raises(AttributeError) as refused:
            module.nonsense  # noqa: B018
        assert str(refused.value) == f"module {module.__name__!r} has no attribute 'nonsense'"


# ---- and means the same ----


def test_other_names_of_one_thing():
    assert raylite.ObjectID is raylite.ObjectRef
    assert raylite.DynamicObjectRefGenerator is raylite.ObjectRefGenerator
    assert (raylite.SCRIPT_MODE, raylite.WORKER_MODE) == (0, 1)
    assert raylite.cloudpickle.dumps is import_module("cloudpickle").dumps


RANDOM_IDS = ["ActorID", "ActorClassID", "FunctionID", "NodeID", "PlacementGroupID", "UniqueID", "WorkerID"]


@pytest.mark.parametrize("name", [*RANDOM_IDS, "TaskID", "JobID"])
def test_an_id(name):
    cls = getattr(raylite, name)
    one = cls(bytes(range(cls.size())))
    assert cls.from_hex(one.hex()) == cls.from_binary(one.binary()) == pickle.loads(pickle.dumps(one)) == one
    assert len({one, cls.from_hex(one.hex()), cls.nil()}) == 2
    assert cls.nil().is_nil() and not one.is_nil()
    assert repr(one) == f"{name}({one.hex()})"
    for bad in (b"1", "1" * cls.size(), None):
        with pytest.raises(ValueError, match=f"a {name} has {cls.size()} bytes, got"):
            cls(bad)


@pytest.mark.parametrize("name", RANDOM_IDS)
def test_a_random_id_is_no_other(name):
    cls = getattr(raylite, name)
    assert type(cls.from_random()) is cls
    assert cls.from_random() != cls.from_random()


def test_which_ids_are_unique_ids():
    ids = {name for name in [*RANDOM_IDS, "TaskID", "JobID"] if issubclass(getattr(raylite, name), raylite.UniqueID)}
    assert ids == {"ActorClassID", "FunctionID", "NodeID", "UniqueID", "WorkerID"}


def test_ids_know_their_job(raylite_2cpu):
    job = raylite.get_runtime_context().job_id
    assert raylite.put(1).task_id().job_id() == job
    assert raylite.ActorID.from_random().job_id == job


def test_languages():
    language = raylite.Language
    assert [each.value() for each in (language.PYTHON, language.JAVA, language.CPP)] == [0, 1, 2]
    assert len({language.PYTHON, language.JAVA, language.CPP, pickle.loads(pickle.dumps(language.JAVA))}) == 3
    assert repr(language.PYTHON) == "PYTHON"


def test_what_a_reference_says_of_itself(raylite_2cpu):
    ref = raylite.put(1)
    assert (ref.call_site(), ref.owner_address(), ref.tensor_transport()) == ("", b"", None)
    assert raylite.ObjectRef.size() == len(ref.binary())


def test_accelerators_are_strings_for_the_option():
    from raylite.util import accelerators

    names = {name: value for name, value in vars(accelerators).items() if name.isupper()}
    assert names["NVIDIA_H100"] == "H100"
    assert len(names) == 41

    @raylite.remote(accelerator_type=accelerators.NVIDIA_H100)
    def f():
        pass

    assert f is not None


def test_this_node(raylite_2cpu):
    assert raylite.util.get_node_ip_address() == raylite.nodes()[0]["NodeManagerAddress"]
    assert raylite.util.get_node_instance_id() == ""
