"""The demo's clips learned in all four strategies, and each result opened by those who read it.

    python -m benchmarks.strategies [--out out/strategies] [--page docs/training.md]

Every command is printed before it runs, so that it can be typed by hand; what it has made below --out is not made
again. The tables are printed, and written into the page between the marks that it has for them.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import put
from benchmarks.strategies_readers import (
    Answers,
    answers_in,
    by_peft,
    by_the_model_class,
    clips_of,
    read_evaluation,
)

SOURCE = "examples/ucf101_subset"
SHARED = "--num_crops 1 --batch_size 3 --warmup_steps 5"
LEARNING = {  # adapters begin by nothing, and move random layers that stay as they are: slower, and for longer
    "full": "--learning_rate 1e-2 --num_train_epochs 25",
    "frozen-vision": "--learning_rate 1e-2 --num_train_epochs 25",
    "lora": "--learning_rate 2e-3 --num_train_epochs 40",
    "qlora": "--learning_rate 2e-3 --num_train_epochs 40",
}
SPLITS = ("train", "val", "test")
HEADINGS = (
    "strategy",
    "learning rate",
    "steps",
    "trained parameters",
    "loss, first to last step",
    "tokens/s",
    "peak memory, GiB",
)
GIB = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/strategies"))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    work = Work(options.out)
    work.prepare()
    tables = {"strategies": "\n".join(scores(work)), "readers": "\n".join(readers(work))}
    for part, table in tables.items():
        print(table, end="\n\n")
        if options.page is not None:
            put(options.page, part, table)


@dataclass(frozen=True)
class Work:
    """Where everything lies, and the commands that make it; each returns what it made."""

    out: Path

    def prepare(self) -> None:
        made(self.out / "data", f"phidata convert --from ucf101 --source {SOURCE} --out {self.out / 'data'}")
        made(self.out / "model", f"phitrain init {self.out / 'model'} --size tiny --num_crops 1")

    def trained(self, strategy: str) -> Path:
        folder = self.out / strategy
        return made(
            folder,
            f"phitrain train ucf101 --model_name_or_path {self.out / 'model'} --data_dir {self.out / 'data'} "
            f"--output_dir {folder} --strategy {strategy} --eval_splits {','.join(SPLITS)} {SHARED} "
            f"{LEARNING[strategy]}",
            by="report.html",
        )

    def exported(self, strategy: str) -> Path:
        folder = self.out / f"{strategy}-exported"
        return made(folder, f"phitrain export {self.trained(strategy)} {folder} --dtype bf16 --max_shard_size 5MB")

    def merged(self, strategy: str) -> Path:
        folder = self.out / f"{strategy}-merged"
        return made(folder, f"phitrain merge {self.out / 'model'} {self.trained(strategy)} {folder}")

    def evaluated(self, strategy: str) -> dict[str, Any]:
        file = self.out / f"{strategy}.json"
        command = f"phitrain eval {self.trained(strategy)} --data_dir {self.out / 'data'} --split {','.join(SPLITS)}"
        return read_evaluation(made(file, f"{command} --output {file}"))


def made(result: Path, command: str, *, by: str = "") -> Path:
    """What a command makes, after it was printed and run unless the result, or the file in it that comes last, is
    there; a failure ends everything with the command's exit code."""
    if not (result / by).exists():
        print(f"$ {command}", file=sys.stderr, flush=True)
        code = subprocess.run([sys.executable, "-m", *shlex.split(command)], stdout=sys.stderr, check=False).returncode
        if code:
            raise SystemExit(code)
    return result


def scores(work: Work) -> Iterator[str]:
    """A row for each strategy: what was trained, how fast, and accuracy before and after."""
    yield row(*HEADINGS, *(f"accuracy {split}, before to after" for split in SPLITS))
    yield row("---", *["---:"] * (len(HEADINGS) - 1), *["---"] * len(SPLITS))
    for strategy, flags in LEARNING.items():
        folder = work.trained(strategy)
        summary = read_evaluation(folder / "train_summary.json")
        before, after = (read_evaluation(folder / f"eval_{when}.json")["splits"] for when in ("before", "after"))
        yield row(
            strategy,
            flags.split()[1],
            f"{summary['steps']}",
            f"{summary['trained_parameters']:,}",
            f"{summary['first_loss']:.3f} to {summary['last_loss']:.4f}",
            f"{summary['tokens_per_s']:,.0f}",
            f"{summary['peak_memory_bytes'] / GIB:.2f}",
            *(f"{told(before[split])} to {told(after[split])}" for split in SPLITS),
        )


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def told(split: dict[str, Any]) -> str:
    score = split["scores"]["accuracy"]
    return f"{score['mean']:.3f} ({score['low']:.2f}-{score['high']:.2f})"


def readers(work: Work) -> Iterator[str]:
    """A row for each reader of each result: how many of its answers are those that the run itself gave at its end."""
    yield row("strategy", "opened by", "answers as in the run", "on the first clip to test")
    yield row("---", "---", "---:", "---")
    for strategy in LEARNING:
        after = read_evaluation(work.trained(strategy) / "eval_after.json")
        own, first = answers_in(after), after["splits"]["test"]["rows"][0]["id"]
        for reader, answers in readings(work, strategy, after):
            equal = sum(answers[name] == answer for name, answer in own.items())
            yield row(strategy, reader, f"{equal} of {len(own)}", answers[first])


def readings(work: Work, strategy: str, after: dict[str, Any]) -> Iterator[tuple[str, Answers]]:
    """Who opens the result of a strategy, and its answers to the clips of an evaluation."""
    folder, clips = work.trained(strategy), list(clips_of(work.out / "data", after))
    yield "`phitrain eval`", answers_in(work.evaluated(strategy))
    if "lora" in strategy:
        four_bit = strategy == "qlora"
        base = ", on the base in NF4" if four_bit else ""
        yield f"`PeftModel`{base}", by_peft(work.out / "model", folder, clips, four_bit=four_bit)
        yield "`phitrain merge`, then `Phi3VForCausalLM`", by_the_model_class(work.merged(strategy), clips)
    else:
        yield "`Phi3VForCausalLM`", by_the_model_class(folder, clips)
        yield (
            "`phitrain export --dtype bf16`, then `Phi3VForCausalLM`",
            by_the_model_class(work.exported(strategy), clips),
        )


if __name__ == "__main__":
    main()
