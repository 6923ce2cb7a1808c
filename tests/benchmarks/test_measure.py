"""Turns, failures and what is left afterwards, with real processes of the libraries that Python brings along."""

import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import processes
from benchmarks.handshake import Handshake, measure_in_task
from benchmarks.limits import LIMITS
from benchmarks.measure import Usage, contestants_of, run_workload
from benchmarks.peer_process import Peer, PeerFailed
from benchmarks.plan import Plan, quick_plan
from benchmarks.rows import REGISTRY
from benchmarks.workload import Registry, Row, Workload, rate

TASKS_SYNC = REGISTRY.workloads["tasks_sync"]


@pytest.fixture
def plan():
    cpus = tuple(sorted(os.sched_getaffinity(0))[:2])
    return quick_plan(cpus=cpus, sample_s=0.005, in_flight=20, work_iterations=100)


def send_all(pids, signal_number):
    for pid in pids:
        os.kill(pid, signal_number)


def test_contestants_take_turns_in_the_same_order_every_round(plan):
    said = []
    contestants = ["pool", "ppe", "limit:pickled_call"]
    (result,) = run_workload(TASKS_SYNC, TASKS_SYNC.rows, contestants, plan, said.append)
    rounds = [line.rpartition(" ")[2] for line in said if "round" in line]
    assert rounds == contestants * plan.runs
    assert [len(result.samples(name)) for name in ("pool", "ppe")] == [plan.runs, plan.runs]
    assert all(sample > 0 for sample in result.samples("pool"))


def test_who_cannot_start_is_out_with_its_last_words_and_the_others_go_on(plan):
    # Limits know nothing of workloads; a library asked for one that there is not ends with a KeyError.
    row = Row("imaginary", "imaginary", "tasks/s", limits=("pickled_call",))
    workload = Workload("imaginary", (row,), prepare=lambda library, plan: dict)
    (result,) = run_workload(workload, (row,), ["pool", "limit:pickled_call"], plan)
    assert "KeyError: 'imaginary'" in result.figures["pool"].error
    assert result.samples("pool") == []
    assert len(result.samples("limit:pickled_call")) == plan.runs
    assert result.limits == ["limit:pickled_call"]


def test_a_peer_that_dies_is_noticed_while_its_workers_hold_the_pipe_open(plan, tmp_path):
    peer = Peer("pool", "tasks_sync", plan, tmp_path)
    peer.ask("start")
    workers = processes.descendants(peer.pid)
    try:
        send_all(workers, signal.SIGSTOP)
        os.kill(peer.pid, signal.SIGKILL)
        with pytest.raises(PeerFailed, match="ended at 'sample'"):
            peer.ask("sample")
    finally:
        send_all(workers, signal.SIGKILL)
        assert "exit status -9" in peer.close()
    assert processes.await_gone(workers, timeout_s=10)


def test_a_peer_that_does_not_stop_is_ended_with_its_workers(plan, tmp_path):
    peer = Peer("pool", "tasks_sync", plan, tmp_path)
    peer.ask("start")
    tree = [peer.pid, *processes.descendants(peer.pid)]
    send_all(tree, signal.SIGSTOP)
    assert "did not stop" in peer.close(patience_s=0.01)
    assert processes.await_gone(tree, timeout_s=0)


def test_an_error_in_a_peer_is_told_and_the_peer_still_answers(plan, tmp_path):
    peer = Peer("pool", "tasks_sync", plan, tmp_path)
    try:
        with pytest.raises(PeerFailed, match="KeyError: 'nonsense'"):
            peer.ask("nonsense")
        assert peer.ask("start") is None
        assert peer.ask("sample")["tasks_sync"] > 0
    finally:
        peer.close()


def test_a_closed_peer_leaves_no_process(plan, tmp_path):
    peer = Peer("pool", "tasks_sync", plan, tmp_path)
    peer.ask("start")
    tree = [peer.pid, *processes.descendants(peer.pid)]
    assert len(tree) >= 1 + plan.workers
    assert peer.close() is None
    assert processes.await_gone(tree, timeout_s=0)


def test_a_workload_that_is_interrupted_leaves_no_process_and_ends_no_other(plan):
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    def interrupt_in_round_one(what):
        if "round 1" in what:
            raise KeyboardInterrupt

    try:
        before = processes.children()
        with pytest.raises(KeyboardInterrupt):
            run_workload(TASKS_SYNC, TASKS_SYNC.rows, ["pool"], plan, interrupt_in_round_one)
        assert processes.children() == before
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n")


def test_a_workload_has_its_libraries_first_and_only_limits_that_exist():
    contestants = contestants_of(TASKS_SYNC, ["pool"], {"spinning_round_trip": None})
    assert contestants == ["pool", "limit:spinning_round_trip"]


def test_usage_shares_are_of_the_turns_of_others():
    usage = Usage(turns_s=10.0, foreign_s=5.0, waiting_s={"ray": 0.4}, waited_s={"ray": 8.0})
    assert usage.waiting_share("ray") == pytest.approx(0.05)
    assert usage.waiting_share("unknown") == 0
    assert usage.foreign_share(cpu_count=2) == pytest.approx(0.25)


def test_a_rate_counts_what_was_done_and_leaves_out_the_first_time():
    calls = []
    sample = rate(lambda: calls.append(time.perf_counter()), amount=3, duration_s=0)
    assert sample() > 0
    assert len(calls) == 2  # one off the record, one on it


def test_two_rows_of_one_name_are_refused():
    registry = Registry()
    registry.row("twice", "twice", "tasks/s")(lambda library, plan: lambda: 1.0)
    with pytest.raises(ValueError, match="twice"):
        registry.row("twice", "twice", "tasks/s")(lambda library, plan: lambda: 1.0)


def test_a_plan_survives_its_way_to_a_peer():
    plan = Plan(cpus=(3, 5), runs=9)
    assert Plan.from_dict(plan.as_dict()) == plan


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_every_limit_can_be_measured_here(name, plan):
    if name in ("eventfd_round_trip", "spinning_round_trip") and len(plan.cpus) < 2:
        pytest.skip("takes two cores")
    before = processes.children()
    take = LIMITS[name].prepare(quick_plan(**{**plan.as_dict(), "large_bytes": 800_000}))
    assert take() > 0
    assert take() > 0
    assert processes.children() == before


def test_every_row_names_limits_that_exist_or_wait_for_the_rings():
    named = {limit for row in REGISTRY.rows() for limit in row.limits}
    assert named - set(LIMITS) <= {"two_ring_call", "two_ring_calls_in_flight"}


def test_submitter_and_driver_agree_on_when_to_measure(tmp_path):
    path = str(tmp_path / "handshake")
    with Handshake.create(path) as handshake:
        pid = os.fork()
        if pid == 0:
            rate_seen = measure_in_task(path, lambda: None, amount=1, window_s=0.01)
            os._exit(0 if rate_seen > 0 else 1)
        handshake.await_ready(timeout_s=30)
        assert not handshake.done
        handshake.go()
        _, status = os.waitpid(pid, 0)
        assert status == 0
        assert handshake.done


def test_a_submitter_that_fails_at_once_keeps_nobody_waiting(tmp_path):
    path = str(tmp_path / "handshake")
    with Handshake.create(path) as handshake:
        with pytest.raises(ZeroDivisionError):
            measure_in_task(path, lambda: 1 / 0, amount=1, window_s=0.01)
        handshake.await_ready(timeout_s=0)
        handshake.go()
        assert handshake.done


def test_a_submitter_that_never_runs_is_a_timeout(tmp_path):
    with Handshake.create(str(tmp_path / "handshake")) as handshake, pytest.raises(TimeoutError):
        handshake.await_ready(timeout_s=0)
