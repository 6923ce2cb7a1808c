"""Medians, spreads and ratios of samples."""

import math

import pytest

from benchmarks.summary import paired_ratio, summarize, times_better


def test_a_summary_is_the_median_with_the_full_range():
    summary = summarize([3.0, 1.0, 2.0, 10.0, 2.5])
    assert (summary.median, summary.low, summary.high, summary.count) == (2.5, 1.0, 10.0, 5)
    assert summary.spread == pytest.approx(9.0 / 2 / 2.5)


def test_the_spread_of_equal_samples_is_zero_even_when_they_are_zero():
    assert summarize([0.0, 0.0]).spread == 0
    assert summarize([7.0]).spread == 0


def test_a_median_of_zero_has_an_infinite_spread_if_any_sample_differs():
    assert summarize([0.0, 0.0, 1.0]).spread == math.inf


def test_nothing_cannot_be_summarized():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


def test_a_ratio_is_taken_turn_by_turn_so_that_a_drift_of_the_machine_cancels():
    # Everyone slows down in the course of the run; the ratio of medians would be the same only by luck.
    theirs = [100.0, 80.0, 40.0, 20.0, 10.0]
    ours = [200.0, 160.0, 80.0, 40.0, 90.0]
    assert paired_ratio(ours, theirs) == 2.0


def test_a_ratio_uses_the_turns_that_both_have():
    assert paired_ratio([6.0, 8.0, 100.0], [3.0, 4.0]) == 2.0
    assert paired_ratio([], [1.0]) is None


def test_a_ratio_to_zero_is_infinite_and_of_two_zeros_unknown():
    assert paired_ratio([1.0], [0.0]) == math.inf
    assert paired_ratio([0.0], [0.0]) is None


def test_better_follows_the_direction_of_the_row():
    assert times_better([30.0], [10.0], more_is_better=True) == 3.0
    assert times_better([30.0], [10.0], more_is_better=False) == pytest.approx(1 / 3)
