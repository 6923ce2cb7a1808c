"""Medians, spreads and paired ratios of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Summary:
    """What the samples of one contestant on one row come to."""

    median: float
    low: float
    high: float
    count: int

    @property
    def spread(self) -> float:
        """Half of the full range as a share of the median: 0.1 reads as plus or minus 10%."""
        if self.high == self.low:
            return 0.0
        return (self.high - self.low) / 2 / self.median if self.median else math.inf


def summarize(samples: Sequence[float]) -> Summary:
    """Summarize at least one sample; ValueError where there is none."""
    if not samples:
        raise ValueError("no samples to summarize")
    return Summary(median(samples), min(samples), max(samples), len(samples))


def paired_ratio(upper: Sequence[float], lower: Sequence[float]) -> float | None:
    """The median over turns of `upper` to `lower`, None where the two share no turn or a turn says 0 to 0."""
    ratios = [_ratio(above, below) for above, below in zip(upper, lower, strict=False)]
    known = [ratio for ratio in ratios if ratio is not None]
    return median(known) if known else None


def times_better(ours: Sequence[float], theirs: Sequence[float], more_is_better: bool) -> float | None:
    """How many times better `ours` are, whichever direction is better: 2.0 is twice as good."""
    return paired_ratio(ours, theirs) if more_is_better else paired_ratio(theirs, ours)


def _ratio(above: float, below: float) -> float | None:
    if below:
        return above / below
    return math.inf if above else None
