"""`raylite version`."""

from __future__ import annotations

import click


@click.command()
def version() -> None:
    """Print the version."""
    import raylite

    click.echo(raylite.__version__)
