"""Which running program a command asks, and the way to it: for every command that looks into a driver.

    @click.command()
    @address_option
    def stack(address):
        with attached(address):
            ...  # raylite.lifecycle has that driver's runtime as this process's

What a command cannot do, it says in a sentence on stderr, and the exit code is 1.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from raylite.runtime.attach import Driver

NONE_RUNS = (
    "No program of yours runs raylite on this machine, or in this container. (It is found from raylite.init() to its "
    "end, unless it was given attachable=False.)"
)

address_option = click.option(
    "--address",
    type=int,
    metavar="PID",
    help="The process to ask: that of the program that called raylite.init(). Needed if several run.",
)


@contextmanager
def attached(address: int | None) -> Iterator[Driver]:
    """For the time of the context, another process's runtime is this one's. Args: address: its process id; None: the
    only one that runs. Raises click.ClickException with what to do."""
    from raylite import lifecycle
    from raylite.exceptions import RaySystemError

    driver = chosen(address)
    try:
        lifecycle.attach(driver)
    except ConnectionError as error:
        raise click.ClickException(f"{error}.") from None
    try:
        yield driver
    except RaySystemError:
        raise click.ClickException(f"process {driver.pid} has ended, or has shut its runtime down.") from None
    finally:
        lifecycle.shutdown()


def chosen(address: int | None) -> Driver:
    """The driver with this process id; without one, the only one there is."""
    from raylite.runtime.attach import drivers

    running = drivers()
    if not running:
        raise click.ClickException(NONE_RUNS)
    if address is None:
        if len(running) > 1:
            raise click.ClickException(f"Several programs run raylite; say which is meant.\n\n{choices(running)}")
        return running[0]
    for driver in running:
        if driver.pid == address:
            return driver
    raise click.ClickException(f"There is no raylite driver in process {address}. There is:\n\n{choices(running)}")


def choices(running: list[Driver]) -> str:
    """A table of drivers, with what to pass for each."""
    from raylite.cli.tables import text_of

    rows = [
        {
            "pass": f"--address {driver.pid}",
            "running for": lasting(driver.running_s),
            "program": driver.program.replace(os.path.expanduser("~"), "~"),
        }
        for driver in running
    ]
    return text_of(rows, list(rows[0]), to_stderr=True)


def lasting(seconds: float) -> str:
    """A time in the two largest units that it has."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    first = next((i for i, (amount, _) in enumerate(parts) if amount), len(parts) - 1)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2])
