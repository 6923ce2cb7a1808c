"""`raylite memory`: the objects of a running program, who refers to them, and how much they take together."""

from __future__ import annotations

import click

from raylite.cli.driver import address_option, attached
from raylite.cli.tables import format_option, note, show_json, show_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from raylite.util.state.reports import ObjectReport
    from raylite.util.state.rows import Rows

PLACES = ("pending", "node", "shared memory", "freed", "other nodes")  # by ObjectState of objects.pxd
COLUMNS = ["object_id", "size_bytes", "where", "references", "call_site"]
SORTS = {"size": "size_bytes", "id": "object_id"}


@click.command(short_help="Show the objects of a running program: sizes, who refers to them, which line made them.")
@click.option(
    "--sort-by", type=click.Choice(list(SORTS)), default="size", show_default=True, help="Largest first, or by id."
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), default=100, show_default=True, help="How many are shown."
)
@format_option
@address_option
def memory(sort_by: str, limit: int, form: str, address: int | None) -> None:
    """Show every object of a program that runs raylite here, started by you: its size, where its value is, who
    refers to it, and the line that made it, if the program records them (RAYLITE_RECORD_CALL_SITES=1); then the totals.

    \b
        raylite memory
        raylite memory --format json
    """
    with attached(address):
        rows = object_rows()
        node = node_id()
    rows.sort(key=lambda row: (-row["size_bytes"], row["object_id"]) if sort_by == "size" else (0, row["object_id"]))
    sites = totals(rows, lambda row: row["call_site"] or "not recorded")
    nodes = totals(rows, lambda row: node)
    if form == "json":
        show_json({"objects": rows, "by_call_site": sites, "by_node": nodes})
        return
    if rows[:limit]:
        show_table(rows[:limit], COLUMNS)
        click.echo()
    if len(rows) > limit:
        note(f"There are {len(rows)} objects; {limit} are shown: see --limit.")
    for title, found in (("call_site", sites), ("node", nodes)):
        if found:
            show_table([{title: name, **total} for name, total in found.items()], [title, "objects", "size_bytes"])
            click.echo()
    click.echo(f"{len(rows)} objects, {sum(row['size_bytes'] for row in rows):,} bytes")


def object_rows() -> list[dict[str, Any]]:
    """A row for each object."""
    from raylite.api import connected_client
    from raylite.util.state.reports import Question
    from raylite.util.state.rows import Rows

    question = Question(connected_client(), 30.0)
    rows = Rows(question, False)
    return [object_row(rows, report) for report in question.objects()]


def object_row(rows: Rows, report: ObjectReport) -> dict[str, Any]:
    """One object. references: those who hold it, by process, and what else does."""
    names = [
        f"{row.reference_type}{f' ({row.type.lower()} {row.pid})' if row.pid and row.type else ''}"
        for row in rows.object(report)
    ]
    return {
        "object_id": report.id.hex(),
        "size_bytes": report.size,
        "where": PLACES[report.state] if report.state < len(PLACES) else "elsewhere",
        "references": ", ".join(names),
        "call_site": report.call_site or None,
    }


def node_id() -> str:
    """The id of the node that is asked, in hexadecimal."""
    from raylite.api import connected_client

    return connected_client().node_id().hex()


def totals(rows: list[dict[str, Any]], key: Any) -> dict[str, dict[str, int]]:
    """How many objects and bytes there are of each, the most bytes first."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        total = found.setdefault(key(row), {"objects": 0, "size_bytes": 0})
        total["objects"] += 1
        total["size_bytes"] += row["size_bytes"]
    return dict(sorted(found.items(), key=lambda item: (-item[1]["size_bytes"], item[0])))
