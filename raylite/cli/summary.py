"""`raylite summary`: how many of what there are in a running program."""

from __future__ import annotations

import click

from raylite.cli.driver import address_option, attached
from raylite.cli.tables import format_option, show_json, show_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RESOURCES = ["tasks", "actors", "objects"]


@click.command(short_help="Count the tasks, actors or objects of a running program, by what they are.")
@click.argument("resource", type=click.Choice(RESOURCES))
@format_option
@address_option
def summary(resource: str, form: str, address: int | None) -> None:
    """Count the tasks of each function, the actors of each class, or the objects, by their states, in a program that
    runs raylite on this machine, started by you.

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
    rows = [row_of(name, entry) for name, entry in cluster["summary"].items()]
    if rows:
        show_table(rows, list(rows[0]))
        click.echo()
    totals = [f"{key.removeprefix('total_').replace('_', ' ')}: {cluster[key]}" for key in cluster if "total" in key]
    click.echo("total " + ", ".join(totals))


def row_of(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: counts by state in one column, the most frequent first."""
    row = {"name": name}
    for key, value in entry.items():
        if isinstance(value, dict):
            counts = sorted(value.items(), key=lambda item: (-item[1], item[0]))
            row[key] = ", ".join(f"{count} {what}" for what, count in counts)
        elif value != name:
            row[key] = value
    return row
