"""`log_once`: the first call with a key says so, in each process; what may change that."""

from __future__ import annotations

import pytest

from raylite.util import debug


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    """Nothing said so far, and a clock that the test moves: a list of one time."""
    clock_s = [1000.0]
    monkeypatch.setattr(debug, "_said", set())
    monkeypatch.setattr(debug, "_is_disabled", False)
    monkeypatch.setattr(debug, "_is_periodic", False)
    monkeypatch.setattr(debug, "monotonic", lambda: clock_s[0])
    return clock_s


def test_each_key_once(afresh):
    assert [debug.log_once(key) for key in "aabab"] == [True, False, True, False, False]
    afresh[0] += 10 * debug.PERIOD_S
    assert not debug.log_once("a")


def test_periodically(afresh):
    debug.enable_periodic_logging()
    assert [debug.log_once(key) for key in "aba"] == [True, True, False]
    afresh[0] += debug.PERIOD_S
    assert not debug.log_once("a"), "not more than a minute yet"
    afresh[0] += 1
    assert [debug.log_once(key) for key in "aba"] == [False, True, True], "the first call forgets, as in Ray"


def test_disabled():
    debug.disable_log_once_globally()
    assert not debug.log_once("a")
