"""`phitrain doctor`: what this machine can do."""

from __future__ import annotations

import json

import click

from phitrain.commands.options import form as form_option


@click.command()
@form_option()
def doctor(form: str) -> None:
    """Say which precisions, attention kernels and strategies run here, and what is missing for the others."""
    from phitrain.doctor import doctor as examine
    from phitrain.doctor import doctor_lines

    found = examine()
    click.echo(json.dumps(found) if form == "json" else "\n".join(doctor_lines(found)))
