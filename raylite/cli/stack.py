"""`raylite stack`: where the processes of a running program are in their Python code."""

from __future__ import annotations

import click

from raylite.cli.driver import address_option, attached
from raylite.cli.tables import format_option, show_json


@click.command(short_help="Show the current Python stacks of a running program's processes.")
@format_option
@address_option
def stack(form: str, address: int | None) -> None:
    """Show the current Python stack of each process of a program that runs raylite on this machine, started by you: the
    driver's and all workers', the innermost call last.

    A process that is stuck in C, or waits for the GIL, answers too, then with its main thread's stack only.

    \b
        raylite stack
        raylite stack --format json
    """
    with attached(address):
        from raylite.util.debug import stacks

        found = stacks()
    if form == "json":
        show_json([{"pid": each.pid, "type": each.type, "task": each.task, "threads": each.threads} for each in found])
        return
    for i, process in enumerate(found):
        if i:
            click.echo()
        click.echo(plain(f"{process}"))


def plain(text: str) -> str:
    """Text without control characters, which a name may have."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
