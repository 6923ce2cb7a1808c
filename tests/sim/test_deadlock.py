"""A program that waits for what cannot come is told so, and who waits for what."""

from __future__ import annotations

import pytest

import raylite
from raylite import sim


def test_a_resource_that_nobody_has_is_named(capsys):
    def program():
        @raylite.remote(resources={"laser": 2})
        def cut():
            pass

        @raylite.remote
        def after(x):
            pass

        raylite.get(after.remote(cut.remote()))

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(program, seed=3, resources={"laser": 1})
    text = str(caught.value)
    assert "the driver waits in get for the result of after (" in text
    assert "cut (" in text and "is ready, and lacks 2 laser, of which 1 of 1 are free" in text
    assert "after (" in text and "waits for its arguments: the result of" in text
    assert "seed 3" in text
    assert "No node can run" in capsys.readouterr().err


def test_a_circle_of_tasks_and_resources_is_shown():
    def program():
        @raylite.remote(num_cpus=0, resources={"lock": 1})
        def child():
            pass

        @raylite.remote(num_cpus=0, resources={"lock": 1})
        def parent():
            raylite.get(child.remote())

        raylite.wait([parent.remote()])

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(program, resources={"lock": 1})
    text = str(caught.value)
    assert "the driver waits in wait for the result of" in text
    assert "parent (" in text and "in get for the result of" in text
    assert "child (" in text and "is ready, and lacks 1 lock, of which 0 of 1 are free" in text


def test_the_program_can_go_on_after_it():
    def program():
        @raylite.remote
        def task(x):
            return x

        never = task.options(num_gpus=1).remote(1)
        for _ in range(2):
            with pytest.raises(sim.DeadlockError):
                raylite.get(never)
        with pytest.raises(raylite.exceptions.GetTimeoutError):
            raylite.get(never, timeout=1)
        return raylite.get(task.remote(2))

    assert sim.run(program).value == 2


def test_under_asyncio_too():
    import asyncio

    def program():
        @raylite.remote(num_gpus=1)
        def never():
            pass

        async def main():
            await never.remote()

        asyncio.run(main())

    with pytest.raises(sim.DeadlockError, match="lacks 1 GPU"):
        sim.run(program)


def test_a_long_list_is_cut():
    def program():
        @raylite.remote(num_gpus=1)
        def never():
            pass

        raylite.get([never.remote() for _ in range(200)])

    with pytest.raises(sim.DeadlockError, match=r"and 195 more(.|\n)*and 151 more tasks"):
        sim.run(program)
