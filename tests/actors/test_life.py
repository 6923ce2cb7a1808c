"""How an actor begins and ends: its `__init__`, its last handle, kill, its own exit, its process's death."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

import raylite
from raylite.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


@raylite.remote
class Plain:
    def pid(self):
        return os.getpid()

    def die(self, code=1):
        os._exit(code)

    def leave(self):
        raylite.actor.exit_actor()

    def sys_exit(self, code):
        sys.exit(code)

    def echo(self, value):
        return value

    def through(self, gate, value=None):
        gate.pass_through()
        return value

    def restarted(self):
        return raylite.get_runtime_context().was_current_actor_reconstructed

    def die_then(self, marker, value):
        """Die the first time; give the value after that."""
        if not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(1)
        return value


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_init_that_raises_is_the_cause_of_every_calls_error():
    @raylite.remote
    class Bad:
        def __init__(self):
            raise RuntimeError("cannot begin")

        def call(self):
            return 1

    actor = Bad.remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="cannot begin") as seen:
            raylite.get(actor.call.remote())
    assert seen.value.actor_init_failed
    assert "Bad.__init__" in str(seen.value)


def test_an_init_that_takes_long_lets_calls_wait(gate):
    @raylite.remote
    class Slow:
        def __init__(self, gate):
            gate.pass_through()

        def call(self):
            return "made"

    ref = Slow.remote(gate).call.remote()  # its handle is gone at once, and its call is not
    assert raylite.wait([ref], timeout=0.2) == ([], [ref])
    gate.open()
    assert raylite.get(ref) == "made"


def test_an_argument_of_init_that_is_an_error():
    @raylite.remote
    def fail():
        raise KeyError("no argument")

    @raylite.remote
    class Takes:
        def __init__(self, value):
            self.value = value

        def get(self):
            return self.value

    with pytest.raises(ActorDiedError, match="an argument of its __init__"):
        raylite.get(Takes.remote(fail.remote()).get.remote())


def test_an_actor_that_can_never_be_placed_is_named_and_waits(capfd, wait_until):
    actor = Plain.options(resources={"impossible": 1}).remote()
    ref = actor.pid.remote()
    assert raylite.wait([ref], timeout=0.2) == ([], [ref])
    seen = []
    wait_until(lambda: seen.append(capfd.readouterr().err) or "impossible" in "".join(seen))
    assert "Plain" in "".join(seen)
    raylite.kill(actor)
    with pytest.raises(ActorDiedError):
        raylite.get(ref)


def test_the_process_ends_with_the_last_handle(wait_until):
    actor = Plain.remote()
    pid = raylite.get(actor.pid.remote())
    other = raylite.get(raylite.put([actor]))[0]
    del actor
    assert raylite.get(other.pid.remote()) == pid
    del other
    wait_until(lambda: not is_alive(pid))


def test_calls_already_sent_still_run_when_the_last_handle_goes(gate):
    actor = Plain.remote()
    refs = [actor.through.remote(gate, 0), *(actor.echo.remote(i) for i in range(1, 200))]
    del actor
    gate.open()
    assert raylite.get(refs) == list(range(200))


def test_an_actor_without_a_handle_has_run_its_init(tmp_path, wait_until):
    @raylite.remote
    class Writes:
        def __init__(self, path, handle_gone):
            handle_gone.pass_through()
            with open(path, "w") as file:
                file.write("ran")

    from tests.api.gates import Gate

    gate = Gate(tmp_path / "gate")
    actor = Writes.remote(tmp_path / "ran", gate)
    wait_until(lambda: len(raylite.lifecycle.runtime().workers()) >= 1)
    gate.open()
    wait_until(lambda: (tmp_path / "ran").exists())
    del actor


def test_kill_fails_what_has_not_ended(gate, wait_until):
    actor = Plain.remote()
    pid = raylite.get(actor.pid.remote())
    refs = [actor.through.remote(gate), actor.echo.remote(1)]
    raylite.kill(actor)
    for ref in [*refs, actor.echo.remote(2)]:
        with pytest.raises(ActorDiedError, match="kill") as seen:
            raylite.get(ref)
    assert seen.value.actor_id == actor._actor_id.hex()
    wait_until(lambda: not is_alive(pid))
    raylite.kill(actor)  # again: nothing happens


def test_kill_of_an_actor_that_is_being_made(gate):
    @raylite.remote
    class Slow:
        def __init__(self, gate):
            gate.pass_through()

        def call(self):
            return 1

    actor = Slow.remote(gate)
    ref = actor.call.remote()
    raylite.kill(actor)
    with pytest.raises(ActorDiedError):
        raylite.get(ref, timeout=20)


def test_kill_with_restart():
    actor = Plain.options(max_restarts=1).remote()
    pid = raylite.get(actor.pid.remote())
    raylite.kill(actor, no_restart=False)
    wait_for_other_pid(actor, pid)
    assert raylite.get(actor.restarted.remote()) is True


def wait_for_other_pid(actor, pid):
    """Until calls go to another process."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if raylite.get(actor.pid.remote()) != pid:
                return
        except ActorUnavailableError:
            pass
    pytest.fail("the actor did not come back")


def test_exit_actor(tmp_path, wait_until):
    @raylite.remote
    class Leaves:
        def prepare(self, path):
            import atexit

            atexit.register(path.write_text, "left")

        def leave(self):
            raylite.actor.exit_actor()

        def call(self):
            return 1

    actor = Leaves.options(max_restarts=5).remote()
    actor.prepare.remote(tmp_path / "left")
    left = actor.leave.remote()
    after = actor.call.remote()
    for ref in (left, after, actor.call.remote()):
        with pytest.raises(ActorDiedError, match="exit_actor"):
            raylite.get(ref)
    wait_until(lambda: (tmp_path / "left").exists())


def test_exit_actor_outside_an_actor():
    with pytest.raises(TypeError, match="no actor"):
        raylite.actor.exit_actor()

    @raylite.remote
    def in_task():
        raylite.actor.exit_actor()

    with pytest.raises(TypeError, match="no actor"):
        raylite.get(in_task.remote())


def test_terminate_runs_after_the_calls_before_it():
    actor = Plain.remote()
    refs = [actor.echo.remote(i) for i in range(100)]
    last = actor.__ray_terminate__.remote()
    assert raylite.get(refs) == list(range(100))
    with pytest.raises(ActorDiedError):
        raylite.get(last)


def test_sys_exit_without_a_status_is_an_exit_and_with_one_a_crash():
    actor = Plain.options(max_restarts=3).remote()
    with pytest.raises(ActorDiedError):
        raylite.get(actor.sys_exit.remote(0))
    with pytest.raises(ActorDiedError):
        raylite.get(actor.echo.remote(1))
    actor = Plain.options(max_restarts=1).remote()
    with pytest.raises(ActorUnavailableError, match="exit code 3"):
        raylite.get(actor.sys_exit.remote(3))
    assert raylite.get(actor.restarted.remote()) is True


@pytest.mark.parametrize("how", ["exit", "signal"])
def test_a_process_that_dies_is_the_cause_of_the_error(how):
    actor = Plain.remote()
    pid = raylite.get(actor.pid.remote())
    if how == "exit":
        ref, cause = actor.die.remote(7), "exit code 7"
    else:
        os.kill(pid, signal.SIGKILL)
        ref, cause = actor.echo.remote(1), "signal 9"
    with pytest.raises(ActorDiedError, match=cause) as seen:
        raylite.get(ref)
    assert f"pid: {pid}" in str(seen.value) and "class_name: Plain" in str(seen.value)
    with pytest.raises(ActorDiedError, match=cause):
        raylite.get(actor.echo.remote(2))


def test_restart_begins_anew_and_what_had_not_begun_runs_there(gate):
    actor = Plain.options(max_restarts=1).remote()
    pid = raylite.get(actor.pid.remote())
    dying = actor.die.remote()
    later = [actor.echo.remote(i) for i in range(100)]
    with pytest.raises(ActorUnavailableError, match="exit code 1"):
        raylite.get(dying)
    assert raylite.get(later) == list(range(100)), "they had not begun, so the next process runs them, in order"
    assert raylite.get(actor.pid.remote()) != pid
    with pytest.raises(ActorDiedError):
        raylite.get(actor.die.remote())
    with pytest.raises(ActorDiedError):
        raylite.get(actor.echo.remote(1))


def test_restarts_without_end():
    actor = Plain.options(max_restarts=-1).remote()
    for _ in range(5):
        with pytest.raises(ActorUnavailableError):
            raylite.get(actor.die.remote())
    assert raylite.get(actor.restarted.remote()) is True


def test_a_call_is_tried_again_in_the_restarted_actor(tmp_path):
    actor = Plain.options(max_restarts=1, max_task_retries=1).remote()
    refs = [actor.die_then.remote(tmp_path / "died", i) for i in range(20)]
    assert raylite.get(refs) == list(range(20))


def test_an_actor_that_dies_in_its_init_uses_up_restarts(tmp_path):
    @raylite.remote(max_restarts=2)
    class Dies:
        def __init__(self, path):
            with open(path, "a") as file:
                file.write("x")
            os._exit(1)

        def call(self):
            return 1

    with pytest.raises(ActorDiedError):
        raylite.get(Dies.remote(tmp_path / "tries").call.remote())
    assert (tmp_path / "tries").read_text() == "xxx"


def test_what_an_actor_put_and_returned_outlives_it():
    @raylite.remote
    class Maker:
        def make(self):
            return [raylite.put("inner"), bytes(200_000)]

    maker = Maker.remote()
    ref = maker.make.remote()
    inner, large = raylite.get(ref)
    raylite.kill(maker)
    assert raylite.get(inner) == "inner" and len(large) == 200_000
    assert len(raylite.get(ref)[1]) == 200_000


def test_grandchildren_of_an_actor_go_with_it(tmp_path, wait_until):
    @raylite.remote
    class Spawns:
        def spawn(self):
            import subprocess

            return subprocess.Popen(["sleep", "1000"]).pid

    actor = Spawns.remote()
    pid = raylite.get(actor.spawn.remote())
    assert is_alive(pid)
    raylite.kill(actor)
    wait_until(lambda: not is_alive(pid))


def test_errors_of_actors_are_of_one_family():
    assert issubclass(ActorDiedError, RayActorError) and issubclass(ActorUnavailableError, RayActorError)
