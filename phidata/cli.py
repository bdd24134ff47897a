"""The `phidata` command: a thin face over the functions of the package."""

from __future__ import annotations

from collections.abc import Sequence

import click

import phidata
from phidata.commands.convert import convert
from phidata.commands.validate import explain, validate
from phidata.console import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(cli, argv)


@click.group(context_settings={"max_content_width": 120})
@click.version_option(phidata.__version__, prog_name="phidata")
def cli() -> None:
    """Validated conversation data for vision-language models. `--debug` shows the traceback of an error."""


for command in (validate, explain, convert):
    cli.add_command(command)
