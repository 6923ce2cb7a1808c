"""Calls that come to an async actor while it is busy with what came before are begun, without another to announce them."""

from __future__ import annotations

from types import SimpleNamespace

from raylite.runtime.async_actor import AsyncActor


def test_a_call_that_comes_behind_a_notice_while_others_are_taken():
    """A call that brings a function is not handed out before the notices that came before it."""
    calls, notices, begun = ["first"], [], []

    def take_runs():
        if notices:
            return []
        runs = [SimpleNamespace(name=name, task_id=name, position=0, group=0) for name in calls]
        calls.clear()
        return runs

    def function_of(run):
        if run.name == "first":
            notices.append("forget a function")
            calls.append("second")
        return None

    client = SimpleNamespace(take_runs=take_runs, has_notices=lambda: bool(notices))
    worker = SimpleNamespace(client=client, take_notices=notices.clear, function_of=function_of)
    actor = AsyncActor(worker, SimpleNamespace(name="Actor"), {"limits": [10]})
    actor.begin = lambda run, function: begun.append(run.name)
    actor.notice()
    assert begun == ["first", "second"]
    assert not notices


def test_a_notice_that_comes_between_the_notices_and_the_calls():
    notices, begun = [], []
    calls = ["only"]
    late = ["forget a function"]

    def take_runs():
        notices.extend(late)
        late.clear()
        if notices:
            return []
        return [SimpleNamespace(name=calls.pop(), task_id="only", position=0, group=0)] if calls else []

    client = SimpleNamespace(take_runs=take_runs, has_notices=lambda: bool(notices))
    worker = SimpleNamespace(client=client, take_notices=notices.clear, function_of=lambda run: None)
    actor = AsyncActor(worker, SimpleNamespace(name="Actor"), {"limits": [10]})
    actor.begin = lambda run, function: begun.append(run.name)
    actor.notice()
    assert begun == ["only"]
