"""Saying something once: `if log_once("slow disk"): logger.warning(...)`.

What has been said is kept for this process.
"""

from __future__ import annotations

from time import monotonic

PERIOD_S = 60.0

_said: set[str] = set()
_last_said_s = 0.0
_is_disabled = False
_is_periodic = False


def log_once(key: str) -> bool:
    """Whether this is the first call with this key in this process: whether to say it now.

    Args: key: a string of the caller's choice.
    """
    global _last_said_s
    if _is_disabled:
        return False
    now_s = monotonic()
    if key not in _said:
        _said.add(key)
        _last_said_s = now_s
        return True
    if _is_periodic and now_s - _last_said_s > PERIOD_S:
        _said.clear()
        _last_said_s = now_s
    return False


def enable_periodic_logging() -> None:
    """Have log_once forget all keys of this process once nothing has been said for a minute."""
    global _is_periodic
    _is_periodic = True


def disable_log_once_globally() -> None:
    """Have log_once return False from now on, in this process."""
    global _is_disabled
    _is_disabled = True
