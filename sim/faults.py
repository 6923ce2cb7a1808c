"""What goes wrong in a simulation, and how often.

Each kind of fault has occasions, and its rate says how likely each of them is a fault. The faults that happen in a run
are numbered, kind by kind, from 0 (see fault_draws), so a run can be repeated with some of them only.
"""

from __future__ import annotations

import random
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Kind:
    """One kind of fault.

    Attributes: happens: what; occasion: each of which is a fault with the likelihood that is its rate; hidden: whether
    a program whose tasks may be retried comes out the same; drawn: the lowest and highest rate that from_seed gives it;
    alone: whether it can befall a node that is the only one.
    """

    __slots__ = ("alone", "drawn", "happens", "hidden", "occasion")

    def __init__(
        self, happens: str, occasion: str, hidden: bool, drawn: tuple[float, float], alone: bool = False
    ) -> None:
        self.happens = happens
        self.occasion = occasion
        self.hidden = hidden
        self.drawn = drawn
        self.alone = alone


# The order is that of the enum in fault_draws.pxd.
KINDS = {
    "worker_crash": Kind(
        "a worker dies as by SIGKILL",
        "each call of a task, its start, its end, the end of a sleep",
        True,
        (5e-4, 0.01),
        alone=True,
    ),
    "node_crash": Kind(
        "a node dies with its workers and store, at times with its disk, and comes back empty",
        "each event of a node",
        True,
        (1e-5, 1e-3),
    ),
    "message_delay": Kind("a message takes up to 100 times as long", "each message between nodes", True, (1e-3, 0.1)),
    "message_loss": Kind("a message never arrives", "each message between nodes", True, (1e-3, 0.05)),
    "message_duplication": Kind("a message arrives twice", "each message between nodes", True, (1e-3, 0.05)),
    "message_reordering": Kind(
        "a message arrives before earlier ones", "each message between nodes", True, (1e-3, 0.1)
    ),
    "partition": Kind(
        "two nodes do not reach each other for a while, or one not the other",
        "each message between nodes",
        True,
        (1e-5, 1e-3),
    ),
    "slow_node": Kind("a node takes 10 times as long for everything", "each node, at its start", True, (0.05, 0.5)),
    "clock_skew": Kind("a node's clock is wrong by up to a minute", "each node, at its start", True, (0.05, 0.5)),
    "full_store": Kind(
        "a node has no memory for another segment of its object store", "each segment", False, (0.01, 0.2), alone=True
    ),
    "full_disk": Kind("a node cannot write to its disk", "each write", False, (1e-3, 0.05)),
    "eviction": Kind(
        "bytes in the object store are lost that nobody reads and that tasks can make again",
        "each event of a node",
        True,
        (1e-3, 0.05),
        alone=True,
    ),
    "replica_crash": Kind("a replica of a control-store shard dies", "each event of a replica", True, (1e-5, 1e-3)),
    "head_crash": Kind("the head dies, and comes back", "each event of the head", True, (1e-5, 1e-3)),
}

AT_START = {"slow_node": "slow_node()", "clock_skew": "skew_clock()"}  # with what does the same at any time

_ITEM = re.compile(r"(\w+)=([^@\s]+)(?:@([\d+]*))?")


class Faults:
    """What goes wrong, and how often: a value that never changes.

    Args: for each kind of fault its rate, from 0 (never, the default) to 1: how likely each occasion is one. `KINDS`
    says what each kind is and what its occasions are. kept: dict of kind to numbers: only these of the faults of that
    kind happen, by their order in the run, from 0.
    Raises TypeError for an unknown kind or a rate that is no number; ValueError for a rate out of range.
    """

    __slots__ = ("_rates", "kept")

    def __init__(self, *, kept: Mapping[str, Iterable[int]] | None = None, **rates: float) -> None:
        self._rates = {name: rate for name, value in rates.items() if (rate := _rate(name, value))}
        self.kept = {name: _numbers(name, numbers) for name, numbers in (kept or {}).items() if name in self._rates}
        for name in kept or {}:
            _check_name(name)

    @classmethod
    def from_seed(cls, seed: int, n_nodes: int | None = None) -> Faults:
        """Draw which faults there are, and how often: at least one kind, of those that a program need not notice.

        Args: n_nodes: how many nodes there are; if it is one, only what can befall that is drawn. Each kind is drawn by
        itself, so a kind that is new to the simulator changes nothing of how often the others happen.
        """
        check_seed(seed)
        names = [name for name, kind in KINDS.items() if kind.hidden and (n_nodes != 1 or kind.alone)]
        draws = {name: random.Random(f"{name} {seed}") for name in names}
        ranked = sorted(draws, key=lambda name: draws[name].random())
        n_kinds = sum(draws[name].random() < 0.5 for name in ranked)
        rates = {}
        for name in ranked[: max(n_kinds, 1)]:
            low, high = KINDS[name].drawn
            rates[name] = float(f"{low * (high / low) ** draws[name].random():.2g}")
        return cls(kept=None, **rates)

    @classmethod
    def parse(cls, text: str, seed: int, n_nodes: int | None = None) -> Faults:
        """The faults that a text means: "all" (as from_seed draws them), "none", or as str() gives them.

        Raises ValueError if it makes no sense.
        """
        if text in ("all", "none"):
            return cls.from_seed(seed, n_nodes) if text == "all" else cls()
        rates: dict[str, float] = {}
        kept: dict[str, Iterable[int]] = {}
        for item in text.split(","):
            match = _ITEM.fullmatch(item.strip())
            if match is None:
                raise ValueError(f"faults are 'all', 'none' or name=rate,..., not {text!r}. {_names()}")
            name, rate, numbers = match.groups()
            try:
                rates[name] = float(rate)
            except ValueError:
                raise ValueError(f"the rate of {name} is a number from 0 to 1, not {rate!r}") from None
            if numbers is not None:
                kept[name] = [int(number) for number in numbers.split("+") if number]
        try:
            return cls(kept=kept, **rates)
        except TypeError as error:
            raise ValueError(str(error)) from None

    @classmethod
    def of(cls, value: Faults | str | None, seed: int, n_nodes: int | None = None) -> Faults:
        """The faults that an argument means: a Faults, None, or a text as parse() reads it.

        Raises as they do, and ValueError for what cannot befall the one node, if there is one.
        """
        if value is None:
            return cls()
        if isinstance(value, str):
            value = cls.parse(value, seed, n_nodes)
        elif not isinstance(value, Faults):
            raise TypeError(
                f"faults are a sim.Faults, 'all', 'none' or a text such as 'worker_crash=0.01', not {value!r}"
            )
        if n_nodes == 1:
            value.check_alone()
        return value

    def check_alone(self) -> None:
        """Raise ValueError if there is a kind that cannot befall a node that is the only one."""
        possible = [name for name, kind in KINDS.items() if kind.alone]
        for name in self._rates:
            if name not in possible:
                raise ValueError(
                    f"{name} needs several nodes, and there is one; what can befall it is {', '.join(possible)}"
                )

    @property
    def rates(self) -> dict[str, float]:
        """The rate of each kind that happens."""
        return dict(self._rates)

    def only(self, *names: str) -> Faults:
        """These kinds, and no others."""
        for name in names:
            _check_name(name)
        return self._with({name: rate for name, rate in self._rates.items() if name in names}, self.kept)

    def without(self, *names: str) -> Faults:
        """All but these kinds."""
        for name in names:
            _check_name(name)
        return self._with({name: rate for name, rate in self._rates.items() if name not in names}, self.kept)

    def keeping(self, kept: Mapping[str, Iterable[int]]) -> Faults:
        """Of each kind the faults of these numbers only; kinds that are not named do not happen."""
        rates = {name: rate for name, rate in self._rates.items() if kept.get(name)}
        return self._with(rates, kept)

    @staticmethod
    def _with(rates: Mapping[str, float], kept: Mapping[str, Iterable[int]]) -> Faults:
        return Faults(kept={name: numbers for name, numbers in kept.items() if name in rates}, **rates)

    def __getattr__(self, name: str) -> float:
        if name not in KINDS:
            raise AttributeError(f"'Faults' has no attribute {name!r}")
        return self._rates.get(name, 0.0)

    def __bool__(self) -> bool:
        return bool(self._rates)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Faults) and (self._rates, self.kept) == (other._rates, other.kept)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        parts = [f"{name}={rate!r}" for name, rate in sorted(self._rates.items())]
        if self.kept:
            parts.append(f"kept={dict(sorted(self.kept.items()))!r}")
        return f"Faults({', '.join(parts)})"

    def __str__(self) -> str:
        """As parse() and the command line take it: name=rate@number+number,..."""
        if not self._rates:
            return "none"
        return ",".join(
            f"{name}={rate!r}" + (f"@{'+'.join(map(str, self.kept[name]))}" if name in self.kept else "")
            for name, rate in sorted(self._rates.items())
        )


def check_occasions(name: Any, n_nodes: int) -> None:
    """Raise ValueError unless this kind of fault has occasions while a program runs on so many nodes."""
    possible = [each for each, kind in KINDS.items() if (n_nodes > 1 or kind.alone) and each not in AT_START]
    if name in possible:
        return
    if name in AT_START:
        raise ValueError(f"{name} is drawn when a cluster starts; {AT_START[name]} does it at any time")
    if name in KINDS:
        raise ValueError(f"{name} needs several nodes, and there is one; what can befall it is {', '.join(possible)}")
    raise ValueError(f"there is no fault {name!r} to strike; there are {', '.join(possible)}")


def check_seed(seed: Any) -> int:
    """The seed, if it is one. Raises TypeError or ValueError."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"a seed is a whole number, not {seed!r}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"a seed is from 0 to 2**64 - 1, not {seed!r}")
    return seed


def _rate(name: str, rate: Any) -> float:
    _check_name(name)
    if isinstance(rate, bool) or not isinstance(rate, (int, float)):
        raise TypeError(f"{name} is a number from 0 to 1, not {rate!r}")
    if not 0 <= rate <= 1:
        raise ValueError(f"{name} is from 0 to 1, not {rate!r}: how likely is a fault at {KINDS[name].occasion}")
    return float(rate)


def _numbers(name: str, numbers: Any) -> tuple[int, ...]:
    found = tuple(sorted(set(numbers)))
    for number in found:
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"kept has the numbers of faults, from 0 up; {number!r} of {name} is none")
    return found


def _check_name(name: str) -> None:
    if name not in KINDS:
        raise TypeError(f"there is no fault {name!r}. {_names()}")


def _names() -> str:
    return f"There are {', '.join(KINDS)}"
