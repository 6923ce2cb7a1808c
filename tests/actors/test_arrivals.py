"""Calls that come to an async actor while it is busy with the ones before are begun, without another to announce them."""

from __future__ import annotations

from types import SimpleNamespace

from raylite.runtime.async_actor import AsyncActor


def test_a_call_that_comes_while_the_function_of_another_is_loaded():
    """Loading a function takes notices, and with them the word of what has come since."""
    arrived, announced, begun = ["first"], [True], []

    def take_notices():
        announced[0] = False

    def function_of(run):
        if run.name == "first":
            arrived.append("second")
            announced[0] = True
            take_notices()
        return None

    def take_runs():
        runs = [SimpleNamespace(name=name, task_id=name, position=0, group=0) for name in arrived]
        arrived.clear()
        return runs

    client = SimpleNamespace(take_runs=take_runs)
    worker = SimpleNamespace(client=client, take_notices=take_notices, function_of=function_of)
    actor = AsyncActor(worker, SimpleNamespace(name="Actor"), {"limits": [10]})
    actor.begin = lambda run, function: begun.append(run.name)
    actor.notice()
    assert begun == ["first", "second"] or announced[0]
