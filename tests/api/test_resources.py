"""Resources: what tasks ask for, what they get, and what is said when nobody has it."""

from __future__ import annotations

import os

import pytest

import raylite


@pytest.fixture
def start(leaves_nothing):
    """raylite.init; ended with the test."""
    return raylite.init


def free(name):
    return raylite.available_resources().get(name, 0)


@raylite.remote(num_cpus=0)
def visible_gpus(gate=None):
    if gate is not None:
        gate.pass_through()
    return raylite.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


def n_running():
    return sum(worker["running"] for worker in raylite.lifecycle.runtime().workers())


# ---- quantities ----


def test_what_the_node_has(start):
    start(num_cpus=3, num_gpus=2, resources={"disk": 2.5, "tokens": 7}, object_store_memory=1 << 26)
    total = raylite.cluster_resources()
    assert {name: total[name] for name in ("CPU", "GPU", "disk", "tokens")} == {
        "CPU": 3,
        "GPU": 2,
        "disk": 2.5,
        "tokens": 7,
    }
    assert total["object_store_memory"] == 1 << 26
    assert total["memory"] > 0
    assert all(type(amount) is float for amount in total.values())
    assert raylite.available_resources() == total


def test_tasks_take_what_they_ask_for_and_give_it_back(start, gate, wait_until):
    start(num_cpus=4, resources={"disk": 1})

    @raylite.remote(num_cpus=1.5, resources={"disk": 0.25}, memory=1000)
    def use():
        gate.pass_through()

    memory = raylite.cluster_resources()["memory"]
    refs = [use.remote() for _ in range(2)]
    wait_until(lambda: n_running() == 2)
    assert (free("CPU"), free("disk"), free("memory")) == (1.0, 0.5, memory - 2000)
    gate.open()
    raylite.get(refs)
    wait_until(lambda: raylite.available_resources() == raylite.cluster_resources())


LIMITS = {
    "CPUs": ({"num_cpus": 2}, {"num_cpus": 1}, 2),
    "half CPUs": ({"num_cpus": 1}, {"num_cpus": 0.5}, 2),
    "tenths": ({"num_cpus": 8, "resources": {"slot": 0.3}}, {"resources": {"slot": 0.1}, "num_cpus": 0}, 3),
    "custom": ({"num_cpus": 8, "resources": {"slot": 3}}, {"resources": {"slot": 1}}, 3),
    "the least there is": ({"num_cpus": 8, "resources": {"s": 0.0003}}, {"resources": {"s": 0.0001}}, 3),
    "memory": ({"num_cpus": 8, "_memory": 1000}, {"memory": 400}, 2),
    "GPUs": ({"num_cpus": 8, "num_gpus": 2}, {"num_gpus": 1}, 2),
    "parts of GPUs": ({"num_cpus": 8, "num_gpus": 1}, {"num_gpus": 0.25}, 4),
}


@pytest.mark.parametrize("what", LIMITS)
def test_no_more_run_than_there_is_room_for(start, what, gate, wait_until, tally):
    node, demand, most = LIMITS[what]
    start(**node)

    @raylite.remote(**demand)
    def use():
        tally.add()
        gate.pass_through()

    refs = [use.remote() for _ in range(2 * most + 1)]
    wait_until(lambda: len(tally) == most)
    assert n_running() == most
    assert raylite.wait(refs, timeout=0)[0] == []
    gate.open()
    raylite.get(refs)
    assert len(tally) == 2 * most + 1


def test_the_default_is_one_cpu(start, gate, wait_until):
    start(num_cpus=3)

    @raylite.remote
    def one():
        gate.pass_through()

    ref = one.remote()
    wait_until(lambda: n_running() == 1)
    assert free("CPU") == 2
    gate.open()
    raylite.get(ref)


def test_tasks_that_need_nothing(start, gate, wait_until):
    start(num_cpus=0)

    @raylite.remote(num_cpus=0)
    def nothing():
        gate.pass_through()
        return 1

    refs = [nothing.remote() for _ in range(4)]
    wait_until(lambda: n_running() == 4)
    gate.open()
    assert raylite.get(refs) == [1] * 4


def test_small_tasks_go_past_a_large_one_that_waits(start, new_gate, wait_until):
    """What does not fit now holds up nobody who fits."""
    start(num_cpus=2, resources={"slot": 1})
    hold, other = new_gate(), new_gate()

    @raylite.remote(num_cpus=1)
    def take(gate):
        gate.pass_through()

    holder = take.remote(hold)
    wait_until(lambda: n_running() == 1)
    large = take.options(num_cpus=2).remote(other)
    small = take.remote(other)
    other.open()
    raylite.get(small)
    assert raylite.wait([large], timeout=0) == ([], [large])
    hold.open()
    raylite.get([holder, large])


def test_resources_come_back_after_a_crash_and_an_error(start, wait_until):
    start(num_cpus=2, num_gpus=1, resources={"slot": 1})

    @raylite.remote(num_cpus=2, num_gpus=1, resources={"slot": 1}, max_retries=0)
    def end(how):
        how()

    for how in (lambda: os._exit(1), lambda: {}["missing"]):
        with pytest.raises((raylite.exceptions.WorkerCrashedError, KeyError)):
            raylite.get(end.remote(how))
        wait_until(lambda: raylite.available_resources() == raylite.cluster_resources())


def test_a_task_on_a_loan_takes_back_only_cpus(start, wait_until, new_gate):
    """While it waits for another a task lends its CPUs, and nothing else."""
    start(num_cpus=1, num_gpus=1, resources={"slot": 1})
    inner = new_gate()

    @raylite.remote
    def child():
        inner.pass_through()
        return raylite.available_resources()

    @raylite.remote(num_gpus=1, resources={"slot": 1})
    def parent():
        return raylite.get(child.remote())

    ref = parent.remote()
    wait_until(lambda: n_running() == 2)
    assert (free("CPU"), free("GPU"), free("slot")) == (0, 0, 0)
    inner.open()
    raylite.get(ref)


# ---- GPUs ----


def test_gpu_ids_are_handed_out(start, gate, wait_until, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=4, num_gpus=4)
    refs = [visible_gpus.options(num_gpus=n).remote(gate) for n in (1, 2, 1)]
    wait_until(lambda: n_running() == 3)
    gate.open()
    seen = raylite.get(refs)
    assert sorted(gpu for ids, _, _ in seen for gpu in ids) == [0, 1, 2, 3]
    assert [len(ids) for ids, _, _ in seen] == [1, 2, 1]
    assert all(",".join(map(str, ids)) == mask for ids, mask, _ in seen)


@pytest.mark.parametrize(
    "mask, num_gpus, all_ids",
    [("3,5", 2, [3, 5]), ("GPU-abc,GPU-def", 2, ["GPU-abc", "GPU-def"]), ("7,8,9", 2, [7, 8]), ("MIG-x", 1, ["MIG-x"])],
)
def test_ids_are_those_of_the_user_s_mask(start, monkeypatch, gate, wait_until, mask, num_gpus, all_ids):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    start(num_cpus=2, num_gpus=num_gpus)
    refs = [visible_gpus.options(num_gpus=1).remote(gate) for _ in all_ids]
    wait_until(lambda: n_running() == len(all_ids))
    gate.open()
    assert sorted([ids for ids, _, _ in raylite.get(refs)], key=str) == sorted([[gpu] for gpu in all_ids], key=str)
    assert sorted([visible for _, visible, _ in raylite.get(refs)]) == sorted(map(str, all_ids))
    both, visible, _ = raylite.get(visible_gpus.options(num_gpus=num_gpus).remote())
    assert (both, visible) == (all_ids, ",".join(map(str, all_ids)))
    assert raylite.get_gpu_ids() == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == mask


def test_more_gpus_than_the_mask_has(start, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with pytest.raises(ValueError, match=r"num_gpus is 3.*3,5"):
        start(num_gpus=3)
    assert not raylite.is_initialized()


@pytest.mark.parametrize("mask", [None, "", "0,1", "GPU-abc"])
def test_the_mask_is_untouched_without_gpus(start, monkeypatch, mask):
    if mask is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    start(num_cpus=1, num_gpus=1 if mask else 0)
    assert raylite.get(visible_gpus.remote())[:2] == ([], mask)
    assert raylite.get(visible_gpus.options(num_gpus=0).remote())[:2] == ([], mask)


def test_a_worker_is_not_used_again_for_other_gpus(start, monkeypatch, new_gate, wait_until):
    """What it has loaded sees the GPUs of its first task, for good."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=4, num_gpus=2)
    seen = {}
    gate = new_gate()
    for n_gpus in (0, 1, 2, 0, 1, 2, 1, 1, 0, 2):
        ids, mask, pid = raylite.get(visible_gpus.options(num_gpus=n_gpus).remote())
        assert seen.setdefault(pid, (ids, mask)) == (ids, mask)
    holder = visible_gpus.options(num_gpus=1).remote(gate)
    wait_until(lambda: n_running() == 1)
    ids, mask, pid = raylite.get(visible_gpus.options(num_gpus=1).remote())
    assert seen.setdefault(pid, (ids, mask)) == (ids, mask)
    gate.open()
    assert raylite.get(holder)[0] != ids


def test_the_same_gpus_get_the_same_worker(start, monkeypatch):
    """It has paid for loading its libraries already."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=1, num_gpus=1)
    pids = {raylite.get(visible_gpus.options(num_gpus=1).remote())[2] for _ in range(5)}
    assert len(pids) == 1
    assert raylite.get(visible_gpus.remote())[2] not in pids


def test_parts_of_one_gpu(start, monkeypatch, gate, wait_until):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=4, num_gpus=2)
    refs = [visible_gpus.options(num_gpus=0.5).remote(gate) for _ in range(4)]
    wait_until(lambda: n_running() == 4)
    assert free("GPU") == 0
    gate.open()
    ids = [ids for ids, _, _ in raylite.get(refs)]
    assert sorted(ids) == [[0], [0], [1], [1]]


def test_a_part_leaves_whole_gpus_whole(start, monkeypatch, new_gate, wait_until):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=4, num_gpus=2)
    gate = new_gate()
    part = visible_gpus.options(num_gpus=0.5).remote(gate)
    whole = visible_gpus.options(num_gpus=1).remote(gate)
    wait_until(lambda: n_running() == 2)
    two = visible_gpus.options(num_gpus=1).remote()
    assert raylite.wait([two], timeout=0) == ([], [two])  # half of one is free, and half of none is whole
    gate.open()
    (a,), (b,) = raylite.get(part)[0], raylite.get(whole)[0]
    assert {a, b} == {0, 1}
    assert len(raylite.get(two)[0]) == 1


def test_nested_tasks_have_gpus_of_their_own(start, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    start(num_cpus=1, num_gpus=2)

    @raylite.remote(num_gpus=1)
    def parent():
        inner = raylite.get(visible_gpus.options(num_gpus=1).remote())[0]
        return raylite.get_gpu_ids(), inner, raylite.get(visible_gpus.remote())[0]

    mine, inner, none = raylite.get(parent.remote())
    assert sorted(mine + inner) == [0, 1] and none == []
    assert raylite.get_runtime_context().get_accelerator_ids() == {"GPU": []}


# ---- what nobody has ----


WISHES = {
    "CPUs": ({"num_cpus": 3}, ["3 CPU", "CPU 2"]),
    "GPUs": ({"num_gpus": 1}, ["1 GPU"]),
    "custom": ({"resources": {"unicorn": 0.5}}, ["0.5 unicorn", "slot 1.5"]),
    "more of it": ({"resources": {"slot": 2}}, ["2 slot", "1.5"]),
    "memory": ({"memory": 1 << 45}, [f"{1 << 45} memory"]),
    "accelerator": ({"accelerator_type": "H100"}, ["accelerator_type:H100"]),
}


@pytest.mark.parametrize("what", WISHES)
def test_a_task_that_nobody_can_run_warns_once(start, what, capfd, wait_until):
    wish, said = WISHES[what]
    start(num_cpus=2, resources={"slot": 1.5})

    @raylite.remote(**wish)
    def wants_too_much():
        pass

    refs = [wants_too_much.remote() for _ in range(3)]
    text = []
    wait_until(lambda: text.append(capfd.readouterr().err) or "wants_too_much" in "".join(text))
    assert raylite.wait(refs, num_returns=3, timeout=0.05) == ([], refs)

    @raylite.remote
    def goes_on():
        return 1

    assert raylite.get(goes_on.remote()) == 1
    raylite.shutdown()
    warning = "".join(text) + capfd.readouterr().err
    assert warning.count("wants_too_much") == 1
    for words in said:
        assert words in warning


def test_what_waits_for_resources_ends_with_the_runtime(start):
    start(num_cpus=1)

    @raylite.remote(num_cpus=100)
    def never():
        pass

    ref = never.remote()
    with pytest.raises(raylite.exceptions.GetTimeoutError):
        raylite.get(ref, timeout=0.01)
    raylite.shutdown()
    with pytest.raises(raylite.exceptions.RaySystemError):
        raylite.get(ref)
