"""The short form of `make chaos`."""

from __future__ import annotations

import pytest

from tests.chaos import programs
from tests.chaos.campaign import Campaign


@pytest.mark.timeout(180)
def test_programs_whose_workers_are_killed_come_out_as_a_serial_run():
    *_, tally = Campaign(seed=1, interval_s=0.1, seconds=8).run()
    assert tally.n_rounds and tally.n_results and tally.killed.total()


def test_a_seed_draws_the_same_program_every_time():
    assert programs.draw_program("1 0", 60) == programs.draw_program("1 0", 60) != programs.draw_program("1 1", 60)


def test_a_wrong_result_is_told(raylite_2cpu, tmp_path):
    program = programs.draw_program("1 0", 60)
    expected = programs.serial(program)
    at = next(at for at, step in enumerate(program.steps) if step.kind == "digest")
    expected[at] = (expected[at][0] + 1,)
    with pytest.raises(programs.WrongResult, match=f"step {at}, "):
        programs.Run(program, tmp_path, programs.random.Random(1)).check(expected)
