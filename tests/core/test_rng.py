"""Seeded draws: SplitMix64, the same sequence everywhere."""

from __future__ import annotations

import pytest

from raylite._core.rng import Random

SPLITMIX64_1234567 = [  # published with the algorithm's reference implementation
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_the_published_sequence():
    random = Random(1234567)
    assert [random.next() for _ in range(5)] == SPLITMIX64_1234567


def test_equal_seeds_give_equal_draws_of_every_kind():
    a, b = Random(5), Random(5)
    for _ in range(100):
        assert (a.next(), a.below(10), a.unit()) == (b.next(), b.below(10), b.unit())


def test_below_reaches_every_number_below_and_no_other():
    random = Random(0)
    assert {random.below(7) for _ in range(1000)} == set(range(7))
    assert {random.below(1) for _ in range(10)} == {0}
    assert all(0 <= random.below(2**64 - 1) < 2**64 - 1 for _ in range(10))


def test_below_zero_numbers_is_refused_and_draws_nothing():
    random = Random(1234567)
    with pytest.raises(ValueError, match="positive"):
        random.below(0)
    assert random.next() == SPLITMIX64_1234567[0]


def test_unit_is_the_top_53_bits_of_a_draw():
    assert Random(1234567).unit() == (SPLITMIX64_1234567[0] >> 11) / 2**53
    random = Random(3)
    draws = [random.unit() for _ in range(1000)]
    assert 0 <= min(draws) < 0.01
    assert 0.99 < max(draws) < 1


def test_a_split_generator_is_seeded_by_one_draw():
    random = Random(1234567)
    split = random.split()
    assert split.next() == Random(SPLITMIX64_1234567[0]).next()
    assert random.next() == SPLITMIX64_1234567[1]


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_no_64_bit_number_is_refused(seed):
    with pytest.raises(OverflowError):
        Random(seed)
