"""Progress bars that work from inside tasks: tqdm, with all that it takes and does.

In a worker a bar draws nothing: it says how far it is, in the worker's output, and the driver draws the bars of all
(raylite.runtime.bars). Elsewhere it is tqdm's own. Nothing is shown if the driver shows no output (log_to_driver), or
if the bar is given a file of its own: then it is drawn there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from itertools import count
from time import monotonic

from raylite.runtime.bars import apart
from raylite.runtime.output_marks import BAR_MARK

try:
    from tqdm.auto import tqdm as auto_tqdm
    from tqdm.std import tqdm as std_tqdm
except ImportError as error:
    raise ImportError("raylite.util.tqdm needs tqdm: pip install 'raylite[tqdm]'") from error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["tqdm", "trange"]

REPORTS_PER_S = 10
REPORTS_AT_ONCE = 20
DRAWN_BY_DRIVER = ("ascii", "ncols", "nrows")  # what it knows better, unless the program says it


class Nowhere:
    """A file that takes what tqdm would draw."""

    def write(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


class ReportedTqdm(std_tqdm):  # type: ignore[misc]
    """A bar in a worker, drawn by the driver. Arguments are tqdm's; `position` has no meaning."""

    monitor_interval = 0  # tqdm's thread, that draws bars which nobody moves
    _lock = threading.RLock()  # tqdm's own lock is of multiprocessing
    _numbers = count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = arguments(args, kwargs)
        self._id = f"{os.getpid()}-{next(self._numbers)}"
        self._process = os.getpid()
        self._is_reported = given.get("file") in (None, sys.stderr, sys.stdout)
        self._fixed = {name: given[name] for name in DRAWN_BY_DRIVER if given.get(name) is not None}
        self._tty_only = "disable" in given and given["disable"] is None
        self._credit = float(REPORTS_AT_ONCE)
        self._credited = monotonic()
        self._is_closing = False
        if self._is_reported:
            given["file"] = Nowhere()
            given["disable"] = bool(given.get("disable"))
            if given.get("miniters") is None:
                given["miniters"] = 1  # else many items pass unseen after fast ones
        super().__init__(**given)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Say how far it is: as often as it is drawn, but for floods."""
        if not self._is_reported:
            return super().display(msg, pos)
        if os.getpid() == self._process and self._may_report():  # a fork has copies of its parent's bars
            report = BAR_MARK + json.dumps(bar_state(self), default=plain).encode() + b"\n"
            try:
                os.write(2, report)
            except OSError:
                pass  # the task has closed it
        return True

    def close(self) -> None:
        """Say that it has ended."""
        self._is_closing = True
        super().close()

    def _may_report(self) -> bool:
        now = monotonic()
        self._credit = min(REPORTS_AT_ONCE, self._credit + (now - self._credited) * REPORTS_PER_S)
        self._credited = now
        if self._credit < 1 and not self._is_closing:
            return False
        self._credit -= 1
        return True


def bar_state(bar: ReportedTqdm) -> dict[str, Any]:
    """What the driver has to know of a bar. format: the arguments of tqdm's format_meter, as it is now."""
    meter = {name: value for name, value in bar.format_dict.items() if name not in DRAWN_BY_DRIVER}
    return {
        "id": bar._id,
        "format": {**meter, **bar._fixed},
        "leave": bar.leave,
        "closed": bar._is_closing,
        "tty_only": bar._tty_only,
    }


def plain(value: Any) -> Any:
    """A number of numpy's as one of Python's; anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a tqdm by name."""
    import inspect

    bound = inspect.signature(std_tqdm.__init__).bind_partial(None, *args, **kwargs).arguments
    given = {name: value for name, value in bound.items() if name not in ("self", "kwargs")}
    return {**given, **bound.get("kwargs", {})}


class SilentTqdm(ReportedTqdm):
    """A bar in a worker whose output is not shown: it counts, and says nothing."""

    def _may_report(self) -> bool:
        return False


class DrawnTqdm(auto_tqdm):  # type: ignore[misc]
    """A bar outside workers: tqdm's own, of the kind that fits a terminal or a notebook."""

    get_lock = std_tqdm.get_lock  # one for all kinds

    def close(self) -> None:
        """End it: above the bars that go on."""
        if getattr(self, "disable", True):
            super().close()
            return
        with self.get_lock(), apart(std_tqdm, self.fp):
            super().close()


def bar_class() -> Any:
    """The class of bars in this process, under the name by which it is pickled: another process has its own."""
    worker = sys.modules.get("raylite.runtime.worker")
    current = None if worker is None else worker.current
    if current is None:
        kind = DrawnTqdm
    else:
        kind = ReportedTqdm if current.settings["log_to_driver"] else SilentTqdm
    return type("tqdm", (kind,), {"__module__": __name__, "__doc__": kind.__doc__})


tqdm: Any = bar_class()


def trange(*args: Any, **kwargs: Any) -> Any:
    """tqdm(range(*args), **kwargs)."""
    return tqdm(range(*args), **kwargs)
