"""The seeds that ever failed: read from corpus.txt, and run again."""

from __future__ import annotations

import shlex
from pathlib import Path

from raylite.sim.trials import Trial

PATH = Path(__file__).with_name("corpus.txt")


class Entry:
    """One line. Attributes: arguments: of `python -m raylite.sim`; cause: why it failed, in words."""

    def __init__(self, line: str) -> None:
        arguments, _, cause = line.partition("#")
        self.arguments = shlex.split(arguments)
        self.cause = cause.strip()

    def __repr__(self) -> str:
        return shlex.join(self.arguments)

    def run(self) -> Trial:
        """Run it again. Raises click.UsageError if its arguments make no sense."""
        from raylite.sim.__main__ import main, trials_of

        given = main.make_context("corpus", list(self.arguments)).params
        return trials_of(**given).run(given["seed"])


def entries() -> list[Entry]:
    """All of them, in their order."""
    lines = (line.strip() for line in PATH.read_text().splitlines())
    return [Entry(line) for line in lines if line and not line.startswith("#")]
