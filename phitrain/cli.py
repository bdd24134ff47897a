"""The `phitrain` command. Heavy libraries are imported when a command runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

import phidata
from phidata.console import run
from phitrain.commands.doctor import doctor
from phitrain.commands.evaluate import evaluate
from phitrain.commands.models import export, init, merge
from phitrain.commands.recipes import recipes
from phitrain.commands.report import report
from phitrain.commands.train import train


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(cli, argv)


@click.group(context_settings={"token_normalize_func": lambda name: name.replace("-", "_"), "max_content_width": 120})
@click.version_option(phidata.__version__, prog_name="phitrain")
@click.option("--local_rank", hidden=True, expose_value=False)  # DeepSpeed's launcher puts it here; the rank is in RANK
def cli() -> None:
    """Train and evaluate Phi vision models on phidata folders. `--debug` shows the traceback of an error."""


for command in (train, evaluate, recipes, doctor, init, merge, export, report):
    cli.add_command(command)
