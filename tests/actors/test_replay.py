"""Actors that replay: processes killed at every moment, and the state is that of each call made once, in order."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import raylite
from raylite.exceptions import ActorDiedError, ActorUnavailableError

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")


class Ledger:
    """Notes what it is called with, and how often its methods really ran, in a Tally."""

    def __init__(self, tally=None):
        self.tally = tally
        self.seen = []

    def note(self, what, *more):
        if self.tally is not None:
            self.tally.add()
        self.seen.append(what)
        return len(self.seen)

    def read(self):
        return list(self.seen)

    def fail(self, what):
        self.seen.append(what)
        raise ValueError(what)

    def items(self, *whats):
        for what in whats:
            self.seen.append(what)
            yield what

    def pid(self):
        return os.getpid()

    def die_until(self, marker, n_times):
        """Die so many times, then note it."""
        with open(marker, "a") as file:
            file.write("x")
        if os.path.getsize(marker) <= n_times:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.note("survived")

    def leave(self):
        raylite.actor.exit_actor()

    def restarted(self):
        return raylite.get_runtime_context().was_current_actor_reconstructed


class SavedLedger(Ledger):
    def __raylite_save__(self):
        return self.tally, self.seen

    def __raylite_restore__(self, state):
        self.tally, self.seen = state


def crash(actor):
    """End the actor's process, with no call of it under way."""
    os.kill(raylite.get(actor.pid.remote()), signal.SIGKILL)


def replaying(cls, **options):
    return raylite.remote(cls).options(recovery="replay", **options)


WAYS = {
    "from the beginning": replaying(Ledger),
    "own checkpoints": replaying(SavedLedger, checkpoint_interval=3),
    "pickled checkpoints": replaying(Ledger, checkpoint_interval=1, checkpoint="pickle"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_state_is_there_after_every_crash(way):
    actor = WAYS[way].remote()
    crash(actor)
    for i in range(1, 6):
        assert raylite.get(actor.note.remote(i)) == i
        if i % 2:
            crash(actor)
    crash(actor)
    assert raylite.get(actor.read.remote()) == list(range(1, 6))


@pytest.mark.parametrize("way", WAYS)
def test_crashes_among_many_calls_under_way(way):
    actor = WAYS[way].remote()
    refs = []
    for i in range(60):
        refs.append(actor.note.remote(i))
        if i % 20 == 10:
            crash(actor)
    assert raylite.get(refs) == list(range(1, 61))
    assert raylite.get(actor.read.remote()) == list(range(60))


def test_only_the_calls_since_the_checkpoint_run_again(tally):
    actor = WAYS["own checkpoints"].remote(tally)
    for i in range(1, 5):  # the checkpoint is of three
        raylite.get(actor.note.remote(i))
    crash(actor)  # the fifth
    assert raylite.get(actor.read.remote()) == [1, 2, 3, 4]
    assert len(tally) == 5


def test_the_call_that_runs_when_the_process_dies_runs_again(tmp_path):
    actor = WAYS["from the beginning"].remote()
    raylite.get(actor.note.remote("first"))
    assert raylite.get(actor.die_until.remote(str(tmp_path / "marker"), 2)) == 2
    assert raylite.get(actor.read.remote()) == ["first", "survived"]


def test_one_under_which_it_always_dies_fails_and_is_left_out(tmp_path):
    actor = WAYS["own checkpoints"].remote()
    raylite.get(actor.note.remote("first"))
    bad = actor.die_until.remote(str(tmp_path / "marker"), 1000)
    after = actor.note.remote("after")
    with pytest.raises(ActorUnavailableError):
        raylite.get(bad)
    assert raylite.get(after) == 2
    assert os.path.getsize(tmp_path / "marker") == 4  # it is tried again three times
    once = replaying(Ledger, max_task_retries=0).remote()
    with pytest.raises(ActorUnavailableError):
        raylite.get(once.die_until.remote(str(tmp_path / "other"), 1))
    assert raylite.get(once.read.remote()) == []


def test_a_crash_while_a_checkpoint_is_taken(gate, tally, wait_until):
    @raylite.remote(recovery="replay", checkpoint_interval=2)
    class Slow(Ledger):
        def __init__(self, tally, gate):
            super().__init__()
            self.begun, self.gate = tally, gate

        def __raylite_save__(self):
            self.begun.add(os.getpid())
            self.gate.pass_through()
            return vars(self)

        def __raylite_restore__(self, state):
            vars(self).update(state)

    actor = Slow.remote(tally, gate)
    assert raylite.get([actor.note.remote(i) for i in (1, 2)]) == [1, 2]
    for n_begun in (1, 2):
        wait_until(lambda: len(tally) == n_begun, what="that a checkpoint is being taken")  # noqa: B023
        os.kill(int(tally.notes()[-1]), signal.SIGKILL)
    gate.open()
    assert raylite.get(actor.note.remote(3)) == 3
    crash(actor)
    assert raylite.get(actor.read.remote()) == [1, 2, 3]


def test_a_crash_on_the_way_back(tally):
    actor = WAYS["from the beginning"].remote(tally)
    for i in range(5):
        raylite.get(actor.note.remote(i))
    for _ in range(3):
        crash(actor)
    assert raylite.get(actor.read.remote()) == list(range(5))
    assert len(tally) == 20


def test_calls_that_raised_and_streams_are_replayed_too():
    actor = WAYS["from the beginning"].remote()
    with pytest.raises(ValueError, match="bad"):
        raylite.get(actor.fail.remote("bad"))
    stream = actor.items.options(num_returns="streaming").remote("a", "b", "c")
    first = raylite.get(next(stream))
    crash(actor)
    assert [first, *(raylite.get(ref) for ref in stream)] == ["a", "b", "c"]
    assert raylite.get(actor.read.remote()) == ["bad", "a", "b", "c"]


def test_arguments_are_kept_until_a_checkpoint_covers_them(n_objects, wait_until):
    @raylite.remote(recovery="replay", checkpoint_interval=3)
    class Sums(Ledger):
        def note(self, array):
            return super().note(float(array.sum()))

        def __raylite_save__(self):
            return self.seen

        def __raylite_restore__(self, seen):
            self.seen = seen

    actor = Sums.remote()
    before = n_objects()
    for i in range(2):
        raylite.get(actor.note.remote(raylite.put(np.full(50_000, i, float))))
    assert n_objects() > before
    crash(actor)  # and the third, after which it is saved
    assert raylite.get(actor.read.remote()) == [0.0, 50_000.0]
    crash(actor)
    assert raylite.get(actor.read.remote()) == [0.0, 50_000.0]


def test_memory_is_bounded_by_checkpoints(node_sizes):
    actor = replaying(SavedLedger, checkpoint_interval=10).remote()
    raylite.get([actor.note.remote(i, b"x" * 1000) for i in range(500)])
    raylite.get(actor.pid.remote())
    sizes = node_sizes()
    assert sizes["tasks"] <= 12 and sizes["objects"] <= 40
    assert raylite.get(actor.read.remote()) == list(range(500))


def test_arrays_in_a_restored_state_can_be_written_to():
    @raylite.remote(recovery="replay", checkpoint_interval=1, checkpoint="pickle")
    class Weights:
        def __init__(self):
            self.values = np.zeros(50_000)

        def add(self, amount):
            self.values += amount
            return float(self.values[-1])

        def pid(self):
            return os.getpid()

    actor = Weights.remote()
    assert raylite.get(actor.add.remote(1)) == 1.0
    crash(actor)
    assert raylite.get(actor.add.remote(2)) == 3.0


def test_references_and_actors_in_the_state_live_on(all_freed):
    @raylite.remote(recovery="replay", checkpoint_interval=2)
    class Keeper:
        def __init__(self):
            self.kept = []
            self.other = raylite.remote(recovery="replay")(Ledger).remote()

        def keep(self, refs):
            self.kept += refs
            self.kept.append(raylite.put(("put", len(self.kept))))
            return raylite.get(self.other.note.remote(len(self.kept)))

        def read(self):
            return raylite.get(self.kept), raylite.get(self.other.read.remote())

        def pid(self):
            return os.getpid()

        def __raylite_save__(self):
            return self.kept, self.other

        def __raylite_restore__(self, state):
            self.kept, self.other = state

    actor = Keeper.remote()
    for i in range(3):
        assert raylite.get(actor.keep.remote([raylite.put(i)])) == i + 1
        crash(actor)
    kept, other = raylite.get(actor.read.remote())
    assert kept == [0, ("put", 1), 1, ("put", 3), 2, ("put", 5)] and other == [2, 4, 6]
    del actor
    all_freed()


def test_what_a_call_had_others_do_is_not_done_again(tally):
    @raylite.remote
    def count(x):
        tally.add()
        return x

    other = raylite.remote(Ledger).remote()

    @raylite.remote(recovery="replay")
    class Boss(Ledger):
        def order(self, what):
            results = raylite.get([count.remote(what), other.note.remote(what)])
            self.seen.append(results)
            return results

    actor = Boss.remote()
    assert raylite.get(actor.order.remote("a")) == ["a", 1]
    assert raylite.get(actor.order.remote("b")) == ["b", 2]
    crash(actor)
    assert raylite.get(actor.read.remote()) == [["a", 1], ["b", 2]]
    assert len(tally) == 2 and raylite.get(other.read.remote()) == ["a", "b"]


def test_a_task_that_is_tried_again_has_called_once(tmp_path):
    actor = WAYS["own checkpoints"].remote()
    marker = str(tmp_path / "marker")

    @raylite.remote(max_retries=1)
    def caller():
        results = [raylite.get(actor.note.remote(i)) for i in range(5)]
        if not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return results

    assert raylite.get(caller.remote()) == [1, 2, 3, 4, 5]
    assert raylite.get(actor.read.remote()) == [0, 1, 2, 3, 4]


def test_an_actor_knows_that_it_was_restarted():
    actor = WAYS["pickled checkpoints"].remote()
    assert raylite.get(actor.restarted.remote()) is False
    crash(actor)
    assert raylite.get(actor.restarted.remote()) is True


def test_kill_with_a_restart_keeps_the_state():
    actor = WAYS["own checkpoints"].remote()
    raylite.get([actor.note.remote(i) for i in range(4)])
    raylite.kill(actor, no_restart=False)
    assert raylite.get(actor.read.remote()) == [0, 1, 2, 3]


def test_ends_are_ends(all_freed):
    killed, left = (WAYS["own checkpoints"].remote() for _ in range(2))
    for actor in (killed, left):
        raylite.get([actor.note.remote(i) for i in range(4)])
    raylite.kill(killed)
    left.leave.remote()
    for actor in (killed, left):
        with pytest.raises(ActorDiedError):
            raylite.get(actor.read.remote())
    del killed, left, actor
    all_freed()


def test_when_its_restarts_are_used_up_it_is_dead():
    actor = replaying(Ledger, max_restarts=1).remote()
    raylite.get(actor.note.remote(1))
    crash(actor)
    assert raylite.get(actor.note.remote(2)) == 2
    crash(actor)
    with pytest.raises(ActorDiedError):
        raylite.get(actor.note.remote(3))


def test_a_checkpoint_that_fails_leaves_the_one_before_it(capfd, wait_until):
    @raylite.remote(recovery="replay", checkpoint_interval=1)
    class Moody(SavedLedger):
        def __raylite_save__(self):
            if len(self.seen) == 2:
                raise RuntimeError("not now")
            return super().__raylite_save__()

    actor = Moody.remote()
    shown = ""
    for i in range(2):
        raylite.get(actor.note.remote(i))

    def is_told():
        nonlocal shown
        shown += capfd.readouterr().err
        return "The checkpoint of Moody after Moody.note failed; the one before it stays." in shown and (
            "RuntimeError: not now" in shown
        )

    wait_until(is_told, what="that the driver shows why")
    crash(actor)
    assert raylite.get(actor.read.remote()) == [0, 1]


def test_a_restore_that_fails_is_told_of():
    @raylite.remote(recovery="replay", checkpoint_interval=1)
    class Broken(SavedLedger):
        def __raylite_restore__(self, state):
            raise RuntimeError("cannot go back")

    actor = Broken.remote()
    raylite.get(actor.note.remote(1))
    crash(actor)
    with pytest.raises(ActorDiedError, match="cannot go back"):
        raylite.get(actor.read.remote())


# ---- bad input ----


class Async:
    async def call(self):
        pass


class Retries:
    @raylite.method(retry_exceptions=True)
    def call(self):
        pass


class HalfSaved:
    def __raylite_save__(self):
        pass


@pytest.mark.parametrize(
    ("cls", "options", "words"),
    [
        (
            Ledger,
            {"checkpoint_interval": 3},
            r"Ledger has no __raylite_save__ and no __raylite_restore__.*checkpoint='pi",
        ),
        (HalfSaved, {"checkpoint_interval": 3}, "HalfSaved has no __raylite_restore__, and"),
        (Ledger, {"checkpoint": "pickle"}, "needs checkpoint_interval"),
        (Ledger, {"checkpoint_interval": 0}, "option checkpoint_interval is 0"),
        (Ledger, {"checkpoint": "json", "checkpoint_interval": 1}, "'json'.*'pickle'"),
        (Ledger, {"recovery": "restart", "checkpoint_interval": 3}, "goes with recovery='replay'"),
        (Ledger, {"max_concurrency": 2}, "needs max_concurrency=1"),
        (Ledger, {"concurrency_groups": {"io": 1}}, "takes no concurrency_groups"),
        (Ledger, {"max_restarts": 0}, "needs restarts"),
        (Ledger, {"_actor_generator_backpressure_num_objects": 2}, "takes no _generator_backpressure"),
        (Async, {}, "Async has async methods"),
        (Retries, {}, "Retries.call.*takes no retry_exceptions"),
    ],
)
def test_what_cannot_be_replayed_is_refused(cls, options, words):
    with pytest.raises(ValueError, match=words):
        raylite.remote(**{"recovery": "replay", **options})(cls).remote()


@pytest.mark.parametrize("option", [{"retry_exceptions": True}, {"_generator_backpressure_num_objects": 1}])
def test_options_of_a_method_are_refused_on_the_handle(option):
    actor = WAYS["from the beginning"].remote()
    with pytest.raises(ValueError, match=f"Ledger.items.*takes no {next(iter(option))}"):
        actor.items.options(num_returns="streaming", **option)
