"""The command line: `raylite`, or `python -m raylite`.

Each file here has one family of commands. COMMANDS says where each command is; only the one that is asked for is
loaded. click is needed here and nowhere else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# command -> module and what of it; a click.Command each
COMMANDS = {
    "list": "raylite.cli.list:list_",
    "memory": "raylite.cli.memory:memory",
    "run": "raylite.cli.run:run",
    "stack": "raylite.cli.stack:stack",
    "summary": "raylite.cli.summary:summary",
    "version": "raylite.cli.version:version",
}


def main() -> NoReturn:
    """Do what the arguments of this process say, and end it."""
    from raylite.cli.group import raylite

    raylite.main(prog_name="raylite")
    raise AssertionError("click ends the process")
