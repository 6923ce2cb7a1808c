"""The examples, run as a user runs them: their results, and what they say when something is missing or wrong."""

from __future__ import annotations

import os
import re
import struct

import pytest

from tests.examples.output import EXAMPLES, TIME_LIMIT_S, number_in

pytestmark = pytest.mark.timeout(2 * TIME_LIMIT_S)


def png_size(path):
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", header[16:])


def without_times(text):
    return re.sub(r"\d+\.\d+ s", "", text)


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help_says_how_to_call_it(run, name):
    finished = run(name, "--help")
    assert finished.returncode == 0
    assert finished.stdout.startswith(f"usage: {name}")


class TestQuickstart:
    def test_shows_tasks_objects_wait_and_errors(self, run):
        finished = run("quickstart.py")
        assert finished.returncode == 0, finished.stderr
        assert "squares: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]" in finished.stdout
        assert "by a tree of tasks: 285" in finished.stdout
        assert "[1249999.5, 3749999.5, 6249999.5, 8749999.5]" in finished.stdout
        assert "two gets share their memory: True, writable: False" in finished.stdout
        assert "as they finished: [0.1, 0.3]" in finished.stdout
        assert "caught a ZeroDivisionError that is also a RayTaskError: True" in finished.stdout
        assert finished.stdout.count("return x / y") == 1  # the line that failed, in the one traceback


class TestEvolutionStrategies:
    NAME = "evolution_strategies.py"

    def test_reaches_the_goal_and_agrees_with_the_serial_run(self, run, tmp_path):
        finished = run(self.NAME, "--seed", "4", "--workers", "2")
        assert finished.returncode == 0, finished.stderr
        assert (
            number_in(r"mean reward ([\d.]+) over 20 evaluation episodes, goal of 475 reached", finished.stdout) >= 475
        )
        assert number_in(r"([\d.]+) before training", finished.stdout) < 100
        assert number_in(r"rollouts per second: (\d+) on 2 workers", finished.stdout) > 0
        assert number_in(r"(\d+) serially", finished.stdout) > 0
        assert "the same weights to the bit" in finished.stdout
        assert min(png_size(tmp_path / "learning_curve.png")) >= 400

    def test_a_short_run_improves_and_ends_when_told(self, run, tmp_path):
        finished = run(self.NAME, "--generations", "4", "--workers", "2", "--out", "curve.png")
        assert finished.returncode == 0, finished.stderr
        before = number_in(r"([\d.]+) before training", finished.stdout)
        assert number_in(r"mean reward ([\d.]+)", finished.stdout) > 2 * before
        assert "goal of 475 missed" in finished.stdout
        assert "4 generations of" in finished.stdout
        assert "the same weights to the bit" in finished.stdout
        png_size(tmp_path / "curve.png")

    def test_the_number_of_workers_changes_nothing_and_the_seed_does(self, run):
        def outcome(seed, workers):
            finished = run(self.NAME, "--generations", "2", "--seed", seed, "--workers", workers)
            return finished.stdout.partition(";")[0]

        assert outcome("4", "1") == outcome("4", "3") != outcome("5", "3")

    @pytest.mark.parametrize("env", ["Pendulum-v1", "FrozenLake-v1"], ids=["continuous", "discrete-observations"])
    def test_plays_other_environments(self, run, tmp_path, env):
        finished = run(self.NAME, "--env", env, "--generations", "1", "--workers", "2")
        assert finished.returncode == 0, finished.stderr
        assert "\n1 generations of" in finished.stdout
        assert "the same weights to the bit" in finished.stdout
        png_size(tmp_path / "learning_curve.png")

    def test_draws_its_progress_on_one_line_of_a_terminal(self, run):
        controller, terminal = os.openpty()
        with os.fdopen(controller, "rb", buffering=0) as screen:
            finished = run(self.NAME, "--generations", "1", "--workers", "2", stderr=terminal)
            os.close(terminal)
            drawn = screen.read(65536).decode()
        assert finished.returncode == 0
        assert re.search(r"\rCartPole-v1 \[[#.]{24}\] mean reward [\d.]+, generation 1, \d+ s\x1b\[K", drawn)
        assert drawn.count("\n") == 1

    def test_writes_whole_lines_of_progress_where_there_is_no_terminal(self, run):
        finished = run(self.NAME, "--generations", "1", "--workers", "2")
        assert finished.stderr.endswith("\n")
        for line in finished.stderr.splitlines():
            assert re.fullmatch(r"CartPole-v1 \[[#.]{24}\] mean reward [\d.]+, generation 1, \d+ s", line)

    def test_says_in_one_line_that_gymnasium_is_missing(self, run, without):
        finished = run(self.NAME, env=without("gymnasium"))
        assert finished.returncode == 2
        assert finished.stdout == ""
        assert finished.stderr == "this example needs gymnasium: pip install gymnasium\n"

    def test_trains_without_matplotlib_and_says_that_it_is_missing(self, run, without, tmp_path):
        finished = run(self.NAME, "--generations", "1", "--workers", "2", env=without("matplotlib"))
        assert finished.returncode == 0, finished.stderr
        assert "no learning curve: matplotlib is not installed" in finished.stdout
        assert not (tmp_path / "learning_curve.png").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--env", "NoSuchGame-v0"], "cannot play 'NoSuchGame-v0': .*NoSuchGame"),
            (["--env", "no_such_module:Game-v0"], "cannot play 'no_such_module:Game-v0': .*no_such_module"),
            (["--env", ""], "cannot play '': "),
            (["--workers", "0"], "--workers: 0 is not positive"),
            (["--seed", "-1"], "--seed must not be negative"),
            (["--out", "no/such/folder/curve.png"], "cannot write a file no/such/folder/curve.png"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_refuses_bad_arguments_by_name(self, run, arguments, message):
        finished = run(self.NAME, *arguments)
        assert finished.returncode == 2
        assert re.search(message, finished.stderr)
        assert "Traceback" not in finished.stderr


class TestMonteCarloTreeSearch:
    NAME = "monte_carlo_tree_search.py"

    def test_one_seed_gives_one_answer_for_any_number_of_workers(self, run):
        first, again = (run(self.NAME, "--simulations", "5000", "--workers", workers) for workers in ("1", "3"))
        assert first.returncode == 0, first.stderr
        assert without_times(first.stdout) == without_times(again.stdout)
        other = run(self.NAME, "--simulations", "5000", "--seed", "1")
        assert without_times(other.stdout) != without_times(first.stdout)

    def test_tasks_create_tasks_that_create_tasks(self, run):
        finished = run(self.NAME, "--simulations", "20000", "--moves", "4")
        tasks = number_in(r"by (\d+) tasks", finished.stdout)
        assert tasks > 1 + 7 + 4 + 2  # more than the first search asked for by itself
        visits = [
            int(count.replace(",", "")) for count in re.findall(r"^ +\d +([\d,]+) +[+-]\d", finished.stdout, re.M)
        ]
        assert len(visits) == 7
        assert sum(visits) == number_in(r"([\d,]+) simulations by", finished.stdout) > 19_000

    @pytest.mark.parametrize(
        ("moves", "columns"),
        [("112233", {4}), ("11223", {4}), ("12131", {1}), ("4433", {2, 5})],
        ids=["wins at once", "blocks", "blocks a column", "makes a double threat"],
    )
    @pytest.mark.parametrize("simulations", ["300", "6000"], ids=["one task", "many tasks"])
    def test_sees_what_must_be_played(self, run, moves, columns, simulations):
        finished = run(self.NAME, "--moves", moves, "--simulations", simulations)
        assert finished.returncode == 0, finished.stderr
        assert number_in(r"plays column (\d)", finished.stdout) in columns

    def test_beats_a_random_player(self, run):
        finished = run(self.NAME, "--games", "10", "--simulations", "60")
        assert finished.returncode == 0, finished.stderr
        won, drawn, lost = (number_in(rf"(\d+) {outcome}", finished.stdout) for outcome in ("won", "drawn", "lost"))
        assert won + drawn + lost == 10
        assert won >= 9

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--simulations", "0"], "--simulations: 0 is not positive"),
            (["--moves", "44444444"], "'4' is no possible move in '44444444'"),
            (["--moves", "48"], "'8' is no possible move"),
            (["--moves", "1212121"], "the game is over after '1212121'"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_refuses_bad_arguments_by_name(self, run, arguments, message):
        finished = run(self.NAME, *arguments)
        assert finished.returncode == 2
        assert message in finished.stderr
        assert "Traceback" not in finished.stderr
