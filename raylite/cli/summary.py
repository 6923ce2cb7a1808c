"""`raylite summary`: how many of what there are in a running program."""

from __future__ import annotations

import click

from raylite.cli.driver import address_option, attached
from raylite.cli.tables import format_option, plain, show_blocks, show_json, show_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESOURCES = ["tasks", "actors", "objects"]


@click.command(short_help="Count the tasks, actors or objects of a running program, by what they are.")
@click.argument("resource", metavar="WHAT", type=click.Choice(RESOURCES))
@format_option
@address_option
def summary(resource: str, form: str, address: int | None) -> None:
    """Count what there is in a program that runs raylite on this machine, started by you, by its state. WHAT is one of:
    tasks (of each name), actors (of each class), objects.

    \b
        raylite summary tasks
        raylite summary objects --format json
    """
    with attached(address):
        from raylite.util import state

        answer = getattr(state, f"summarize_{resource}")()
    if form == "json":
        show_json(answer)
        return
    cluster = answer["cluster"]
    rows = [row_of(name, entry) for name, entry in sorted(cluster["summary"].items())]
    if resource == "objects":  # one row, of as many columns as a list has
        show_blocks([{key: value for key, value in row.items() if key != "name"} for row in rows])
    elif rows:
        show_table(rows, list(rows[0]))
    if rows:
        click.echo()
    click.echo(", ".join(f"{key.replace('_', ' ')}: {plain(key, cluster[key])}" for key in cluster if "total" in key))


def row_of(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: counts in one column, the largest first."""
    row = {"name": name}
    for key, value in entry.items():
        if isinstance(value, dict):
            counts = sorted(value.items(), key=lambda item: (-item[1], item[0]))
            row[key] = ", ".join(f"{count} {what}" for what, count in counts)
        elif value != name:
            row[key] = value
    return row
