"""The `phidata` command: a thin face over the functions of the package."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import click

import phidata
from phidata.console import run

# Each command's module is imported when the command is called; the short help stands here so that the list needs none.
COMMANDS = {
    "convert": ("phidata.commands.convert:convert", "Convert a source of data to a data folder."),
    "formats": ("phidata.commands.formats:formats", "List the sources that can be converted."),
    "detect": ("phidata.commands.formats:detect", "Say which format a file or folder is, and why no other."),
    "validate": ("phidata.commands.validate:validate", "Check rows and images; --fix repairs what is safe to repair."),
    "explain": ("phidata.commands.validate:explain", "Explain a diagnostic code."),
    "verify": ("phidata.commands.verify:verify", "Check a data folder against its manifest."),
    "stats": ("phidata.commands.stats:stats", "Show what is in a data set, in numbers."),
    "preview": ("phidata.commands.preview:preview", "Write a page that shows a data set."),
    "export": ("phidata.commands.export:export", "Write a data set in another trainer's format."),
    "merge": ("phidata.commands.merge:merge", "Join data sets."),
    "split": ("phidata.commands.split:split", "Divide a data set into splits, group by group."),
    "dedup": ("phidata.commands.dedup:dedup", "Find duplicates and leakage between splits, and leave them out."),
    "order": ("phidata.commands.order:order", "Print which rows a stream has in a batch."),
    "push": ("phidata.commands.push:push", "Upload a data folder to the hub."),
    "test-converter": ("phidata.commands.formats:test_converter", "Check a converter of your own."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(cli, argv)


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if name not in COMMANDS:
            return None
        module, _, function = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"max_content_width": 120})
@click.version_option(phidata.__version__, prog_name="phidata")
def cli() -> None:
    """Validated conversation data for vision-language models. `--debug` shows the traceback of an error."""
