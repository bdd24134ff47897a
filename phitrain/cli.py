"""The `phitrain` command. Heavy libraries are imported when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

import phidata
from phidata.console import report as report_error
from phidata.console import run
from phidata.errors import DataError, UsageError
from phitrain.commands.doctor import doctor
from phitrain.commands.evaluate import evaluate
from phitrain.commands.models import export, init, merge
from phitrain.commands.ranks import silent_after_first_failure
from phitrain.commands.recipes import recipes
from phitrain.commands.report import report
from phitrain.commands.train import train

# what the extra 'train' installs, by the names that are imported
EXTRA = ("bitsandbytes", "deepspeed", "peft", "safetensors", "tensorboard", "tomli", "torch", "transformers")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        return run(cli, argv)
    except ImportError as error:
        missing = next((name for name in _missing(error) if name in EXTRA), None)
        if missing is None:
            raise
        sentence = f"phitrain needs {missing}, which is not installed here; run pip install 'phidata-vision[train]'"
        return report_error(UsageError(sentence), debug=_is_debugging(argv))
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        what = str(error).partition(".")[0]
        sentence = (
            f"the memory of the device is not enough ({what}); take a smaller --batch_size_per_gpu, a higher --zero, "
            "--offload or LoRA: --dry-run says what each of them needs"
        )
        return report_error(DataError(sentence), debug=_is_debugging(argv))


def _is_debugging(argv: Sequence[str] | None) -> bool:
    return "--debug" in (sys.argv if argv is None else argv)


def _is_out_of_memory(error: RuntimeError) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _missing(error: BaseException | None) -> Iterator[str]:
    """The packages that were not found; a library may say so in an error of its own."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            yield error.name.partition(".")[0]
        error = error.__cause__ or error.__context__


class Ranked(click.Group):
    """A group whose commands, and what is wrong with their command lines, are told by one process of several."""

    def invoke(self, ctx: click.Context) -> Any:
        with silent_after_first_failure():
            return super().invoke(ctx)


def _underscored(name: str) -> str:
    return name.replace("-", "_")


@click.group(cls=Ranked, context_settings={"token_normalize_func": _underscored, "max_content_width": 120})
@click.version_option(phidata.__version__, prog_name="phitrain")
@click.option("--local_rank", hidden=True, expose_value=False)  # DeepSpeed's launcher puts it here; the rank is in RANK
def cli() -> None:
    """Train and evaluate Phi vision models on phidata folders. `--debug` shows the traceback of an error."""


for command in (train, evaluate, recipes, doctor, init, merge, export, report):
    cli.add_command(command)
