"""`raylite list`: what there is in a running program."""

from __future__ import annotations

import os

import click

from raylite.cli.driver import address_option, attached
from raylite.cli.tables import format_option, note, show_blocks, show_json, show_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# What there is, and the columns of its table: the most important first, as those that do not fit are left out.
COLUMNS = {
    "tasks": "task_id name state worker_pid attempt_number error_type type actor_id func_or_class_name parent_task_id",
    "actors": "actor_id class_name state pid name ray_namespace",
    "objects": "object_id object_size reference_type pid task_status type attempt_number",
    "workers": "worker_id worker_type is_alive pid exit_type",
    "placement-groups": "placement_group_id state name creator_job_id",
    "nodes": "node_id state node_name node_ip resources_total labels",
    "jobs": "job_id status entrypoint driver_info type",
}
DEFAULT_LIMIT = 100
LIMIT_MOST = 10_000  # of raylite.util.state


class Filter(click.ParamType):
    """key=value or key!=value."""

    name = "filter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str, str]:
        key, equals, wanted = value.partition("=")
        if not equals or not key.rstrip("!"):
            self.fail(f"{value!r} is neither key=value nor key!=value", param, ctx)
        comparison = "!=" if key.endswith("!") else "="
        return key.removesuffix("!").strip(), comparison, wanted.strip()


@click.command("list", short_help="List what there is in a running program: tasks, actors, objects ...")
@click.argument("resource", metavar="WHAT", type=click.Choice(list(COLUMNS)))
@click.option(
    "--filter",
    "-f",
    "filters",
    type=Filter(),
    multiple=True,
    metavar="KEY=VALUE",
    help="Only those whose column KEY is VALUE; KEY!=VALUE: is not. Given several times, all must hold.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1, LIMIT_MOST),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="How many are listed at most: the latest.",
)
@click.option("--detail", is_flag=True, help="All that is known of each, a line for each column.")
@format_option
@address_option
def list_(
    resource: str, filters: tuple[tuple[str, str, str], ...], limit: int, detail: bool, form: str, address: int | None
) -> None:
    """List what there is in a program that runs raylite on this machine, started by you. WHAT is one of: tasks,
    actors, objects, workers (its processes), placement-groups, nodes, jobs.

    The program goes on meanwhile; it need not answer itself, so it may be busy or hang.

    \b
        raylite list tasks --filter state=RUNNING
        raylite list actors --detail
        raylite list objects --format json --limit 1000
    """
    with attached(address):
        rows = rows_of(resource, list(filters), min(limit + 1, LIMIT_MOST), detail)
    shown = [{key: row[key] for key in row.list_columns(detail)} for row in rows[-limit:]]
    if form == "json":
        show_json(shown)
    elif not shown:
        click.echo(f"There are no {resource.replace('-', ' ')}{' for which that holds' if filters else ''}.")
    elif detail:
        show_blocks(shown)
    else:
        show_table(shown, columns_of(resource, shown[0]))
    if len(rows) > limit:
        note(f"These are the latest {limit}; there are more: see --limit.")


def rows_of(resource: str, filters: list[tuple[str, str, str]], limit: int, detail: bool) -> list[Any]:
    """The rows. Raises click.UsageError for a question that makes no sense."""
    from raylite.util import state
    from raylite.util.state.exception import RayStateApiException

    kind = resource.replace("-", "_")
    try:
        rows = getattr(state, f"list_{kind}")(filters=filters, limit=limit, detail=detail)
    except ValueError as error:
        raise click.UsageError(f"{error}") from None
    except RayStateApiException as error:
        raise click.ClickException(f"{error}") from None
    return [row for row in rows if not (kind == "workers" and is_command(row))]


def is_command(row: Mapping[str, Any]) -> bool:
    """Whether a process is this command, or another that has looked into the program and has gone again."""
    return row["worker_type"] == "DRIVER" and (row["pid"] == os.getpid() or not row["is_alive"])


def columns_of(resource: str, row: dict[str, Any]) -> list[str]:
    """The columns of a table: ours in their order, then what else a row has."""
    ours = COLUMNS[resource].split()
    return [key for key in ours if key in row] + [key for key in row if key not in ours]
