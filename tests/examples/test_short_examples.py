"""The short examples, run as a user runs them: what they compute, and that they stay short."""

from __future__ import annotations

import ast
import inspect
import io
import re
import runpy
import tokenize
from collections import Counter

import numpy as np
import pytest

from tests.examples.output import EXAMPLES, TIME_LIMIT_S, number_in

SHORT = [
    "finish_order.py",
    "grid_search.py",
    "lbfgs.py",
    "logging_actor.py",
    "parameter_server.py",
    "policy_serving.py",
    "streaming_wordcount.py",
]
pytestmark = pytest.mark.timeout(3 * TIME_LIMIT_S)


@pytest.mark.parametrize("name", SHORT)
def test_a_short_example_stays_short(name):
    """Under 60 lines of substance: neither blank, nor a comment, nor part of a docstring."""
    source = (EXAMPLES / name).read_text()
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for each in tokens if each.type not in layout for line in range(each.start[0], each.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    assert len(lines) < 60


class TestParameterServer:
    NAME = "parameter_server.py"

    def test_the_loss_goes_down_by_updates_of_all_workers(self, run):
        finished = run(self.NAME, "--workers", "3", "--updates", "300")
        assert finished.returncode == 0, finished.stderr
        losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", finished.stdout)]
        assert len(losses) == 11
        assert losses[0] == pytest.approx(0.693, abs=0.01) and losses[-1] < 0.3
        assert losses == sorted(losses, reverse=True)
        assert number_in(r"([\d.]+)% right +#+\n300 updates in", finished.stdout) > 90
        by_worker = [int(count) for count in re.search(r"by worker: \[(.*)\]", finished.stdout)[1].split(", ")]
        assert len(by_worker) == 3 and sum(by_worker) == 300 and min(by_worker) > 0

    @pytest.mark.parametrize("updates", ["2", "3"])
    def test_makes_exactly_as_many_updates_as_asked_for(self, run, updates):
        finished = run(self.NAME, "--workers", "2", "--updates", updates)
        assert number_in(r"(\d+) updates in", finished.stdout) == int(updates)

    @pytest.mark.parametrize("arguments", [["--workers", "0"], ["--workers", "3", "--updates", "2"]], ids=" ".join)
    def test_refuses_bad_arguments(self, run, arguments):
        finished = run(self.NAME, *arguments)
        assert (finished.returncode, "there must be a worker" in finished.stderr) == (2, True)


class TestPolicyServing:
    NAME = "policy_serving.py"
    LINE = re.compile(r"^ +([\d.]+) +([\d,]+) +([\d,]+) +([\d.]+) ms +(\d+)%", re.MULTILINE)

    def test_clients_are_served_while_the_policy_improves(self, run):
        finished = run(self.NAME, "--seconds", "3")
        assert finished.returncode == 0, finished.stderr
        lines = [[float(figure.replace(",", "")) for figure in line] for line in self.LINE.findall(finished.stdout)]
        assert [line[0] for line in lines] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
        assert all(answers > 0 for _, answers, _, _, _ in lines)
        assert sum(weights for _, _, weights, _, _ in lines) > 0
        assert lines[-1][4] > lines[0][4]
        total, changes = re.search(
            r"([\d,]+) answers while the weights changed ([\d,]+) times", finished.stdout
        ).groups()
        assert int(total.replace(",", "")) == sum(answers / 2 for _, answers, _, _, _ in lines)
        assert int(changes.replace(",", "")) == sum(weights / 2 for _, _, weights, _, _ in lines)

    @pytest.mark.parametrize("arguments", [["--clients", "0"], ["--seconds", "0"], ["--seconds", "nan"]], ids=" ".join)
    def test_refuses_bad_arguments(self, run, arguments):
        finished = run(self.NAME, *arguments)
        assert (finished.returncode, "it takes a client, and 0.5 seconds" in finished.stderr) == (2, True)


class TestGridSearch:
    NAME = "grid_search.py"

    def test_finds_the_best_of_the_grid(self, run):
        finished = run(self.NAME, "--points", "200")
        assert finished.returncode == 0, finished.stderr
        best, width, ridge = search_serially(points=200)
        assert f"best of 35: width {width:g}, ridge {ridge:g}, error {best:.4f}" in finished.stdout
        errors = [float(error) for error in re.findall(r"^ *\d+/35 .* ([\d.]+)$", finished.stdout, re.MULTILINE)]
        assert errors == sorted(errors, reverse=True)  # each line a new best
        assert errors[-1] == pytest.approx(best, abs=1e-4)

    def test_refuses_bad_arguments(self, run):
        finished = run(self.NAME, "--points", "0")
        assert (finished.returncode, "0 is not positive" in finished.stderr) == (2, True)


def search_serially(points):
    """The least error of the grid search, with its parameters, by plain calls."""
    example = runpy.run_path(str(EXAMPLES / "grid_search.py"))
    rng = np.random.default_rng(0)
    training, validation = (example["noisy_curve"](points, rng) for _ in range(2))
    error = inspect.unwrap(example["validation_error"])
    return min(
        (error(training, validation, width, ridge), width, ridge)
        for width in example["WIDTHS"]
        for ridge in example["RIDGES"]
    )


class TestLoggingActor:
    NAME = "logging_actor.py"

    def test_the_actor_has_collected_every_report(self, run):
        finished = run(self.NAME, "--tasks", "6", "--lines", "400")
        assert finished.returncode == 0, finished.stderr
        made, collected, tasks = re.search(
            r"reports made (\d+), collected (\d+), of (\d+) tasks", finished.stdout
        ).groups()
        assert made == collected and int(made) > 100
        assert tasks == "6"
        levels = re.findall(r"^ +(INFO|ERROR|WARNING) +([\d,]+)", finished.stdout, re.MULTILINE)
        assert sum(int(count.replace(",", "")) for _, count in levels) == int(made)
        assert "6 of 6 tasks done" in finished.stdout
        assert len(re.findall(r"task \d: line \d+: 500 at /", finished.stdout)) == 3

    def test_one_seed_gives_one_log(self, run):
        first, again, other = (
            run(self.NAME, "--tasks", "2", "--lines", "300", "--seed", seed) for seed in ("1", "1", "2")
        )

        def counts(finished):
            return re.findall(r"^ +(\w+) +(\d+)  #", finished.stdout, re.MULTILINE)

        assert counts(first) == counts(again) != counts(other)

    def test_a_log_without_faults_is_no_error(self, run):
        finished = run(self.NAME, "--tasks", "1", "--lines", "1", "--seed", "0")
        assert finished.returncode == 0, finished.stderr
        assert "reports made 0, collected 0, of 0 tasks" in finished.stdout


class TestFinishOrder:
    NAME = "finish_order.py"

    def test_results_come_as_they_are_finished(self, run):
        finished = run(self.NAME, "2.4", "0", "1.2")
        assert finished.returncode == 0, finished.stderr
        assert re.findall(r"^page (\d).* (\d+) words so far$", finished.stdout, re.MULTILINE) == [
            ("1", "200"),
            ("2", "500"),
            ("0", "600"),
        ]
        first, last = re.search(r"after ([\d.]+) s; get\(\) of all returns after ([\d.]+) s", finished.stdout).groups()
        assert float(first) < float(last) >= 2.4

    def test_refuses_a_negative_duration(self, run):
        finished = run(self.NAME, "--", "1", "-1")
        assert (finished.returncode, "no duration is negative" in finished.stderr) == (2, True)


class TestLBFGS:
    NAME = "lbfgs.py"

    def test_finds_the_same_minimum_with_any_number_of_shards(self, run):
        pytest.importorskip("scipy")
        one, three = (run(self.NAME, "--rows", "600", "--shards", shards) for shards in ("1", "3"))
        for finished in (one, three):
            assert finished.returncode == 0, finished.stderr
            losses = [float(loss) for loss in re.findall(r"evaluation .* loss ([\d.]+)", finished.stdout)]
            assert losses[0] == pytest.approx(2.30259)  # ten kinds that are all alike
            assert number_in(r"loss ([\d.]+) after", finished.stdout) < 0.5
            assert number_in(r"([\d.]+)% of 600 rows", finished.stdout) > 90
            assert "the gradient is the same as that of one process" in finished.stdout

    def test_says_in_one_line_that_scipy_is_missing(self, run, without):
        finished = run(self.NAME, env=without("scipy"))
        assert (finished.returncode, finished.stdout) == (2, "")
        assert finished.stderr == "this example needs scipy: pip install scipy\n"

    @pytest.mark.parametrize("arguments", [["--shards", "0"], ["--rows", "1", "--shards", "2"]], ids=" ".join)
    def test_refuses_bad_arguments(self, run, arguments):
        pytest.importorskip("scipy")
        finished = run(self.NAME, *arguments)
        assert (finished.returncode, "there must be a shard" in finished.stderr) == (2, True)


class TestStreamingWordcount:
    NAME = "streaming_wordcount.py"

    @pytest.fixture
    def texts(self, tmp_path):
        """A folder of many small texts, and the counts of their words."""
        folder, counts = tmp_path / "texts", Counter()
        folder.mkdir()
        for number in range(60):
            words = ["the", "The", "quick", f"{number}fox"] + ["élan"] * (number % 3) + [chr(97 + number % 26) * 3]
            (folder / f"{number}.txt").write_text(", ".join(words), encoding="utf-8")
            counts.update(word.lower().lstrip("0123456789") for word in words)
        (folder / "empty.txt").touch()
        return folder, counts

    @pytest.mark.parametrize(("mappers", "reducers"), [("1", "1"), ("3", "2"), ("2", "3")])
    def test_counts_every_word_once(self, run, texts, mappers, reducers):
        folder, counts = texts
        options = ["--pattern", "*.txt", "--mappers", mappers, "--reducers", reducers, "--top", "4"]
        finished = run(self.NAME, str(folder), *options)
        assert finished.returncode == 0, finished.stderr
        top = sorted(counts.items(), key=lambda word: (-word[1], word[0]))[:4]
        assert re.findall(r"^ +(\w+) +(\d+)  #+$", finished.stdout, re.MULTILINE) == [(w, str(n)) for w, n in top]
        assert f"{counts.total()} words, {len(counts)} of them different, in 61 files" in finished.stdout

    def test_no_files_are_no_words(self, run, tmp_path):
        finished = run(self.NAME, str(tmp_path))
        assert finished.returncode == 0, finished.stderr
        assert "0 words, 0 of them different, in 0 files" in finished.stdout
