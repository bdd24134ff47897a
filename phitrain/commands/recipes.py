"""`phitrain recipes`: what can be trained by name."""

from __future__ import annotations

import click

from phitrain.recipes import recipe_lines


@click.command()
def recipes() -> None:
    """List the recipes that ship with phitrain, with the score that was published for each."""
    click.echo("\n".join(recipe_lines()))
