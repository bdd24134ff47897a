"""The whole chain on twelve real videos: convert, validate, make a model, train, evaluate.

Every step is a command that is printed before it runs, so that it can be typed by hand. `--model` trains a published
model in place of the tiny one; `--short` is the same chain with few steps.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARKER = ".written-by-the-demo"
SOURCE = Path(__file__).parent / "ucf101_subset"
TINY_FLAGS = "--num_crops 1 --learning_rate 1e-2 --batch_size 3 --num_train_epochs 25 --warmup_steps 5"
SHORT_FLAGS = "--num_crops 1 --learning_rate 1e-2 --batch_size 3 --max_steps 4 --warmup_steps 1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where everything is written")
    parser.add_argument("--model", help="hub id or folder of a published model; default: a tiny one, made here")
    parser.add_argument("--short", action="store_true", help="a few training steps only")
    options = parser.parse_args()

    started = time.perf_counter()
    out: Path = options.out
    source = SOURCE.relative_to(Path.cwd()) if SOURCE.is_relative_to(Path.cwd()) else SOURCE
    begin(out)
    for command in commands(source, out, model=options.model, short=options.short):
        run(command)
    for line in summary(out / "data", out / "trained"):
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"\ndone in {time.perf_counter() - started:.0f} s\n")


def begin(out: Path) -> None:
    """An empty folder; one that an earlier demo wrote is emptied, any other is left alone."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise SystemExit(f"{out} holds files that no demo wrote; name another folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()


def commands(source: Path, out: Path, *, model: str | None = None, short: bool = False) -> list[str]:
    """The chain, command by command; `model` is a published one that is trained in place of the tiny one."""
    data, used = out / "data", model or out / "model"
    flags = "" if model else f" {SHORT_FLAGS if short else TINY_FLAGS}"
    chain = [
        f"phidata convert --from ucf101 --source {source} --out {data}",
        f"phidata validate {data} --media decode",
        f"phitrain init {used} --size tiny",
        f"phitrain train ucf101 --model_name_or_path {used} --data_dir {data} --output_dir {out / 'trained'} "
        f"--eval_splits train,val,test{flags}",
    ]
    return [command for command in chain if model is None or not command.startswith("phitrain init")]


def run(command: str) -> None:
    """Print a command and run it with this environment's programs; a failure ends the demo with its exit code."""
    sys.stdout.write(f"\n$ {command}\n")
    sys.stdout.flush()
    program, *arguments = shlex.split(command)
    code = subprocess.run([sys.executable, "-m", program, *arguments], check=False).returncode
    if code:
        raise SystemExit(code)


def summary(data: Path, trained: Path) -> list[str]:
    """The closing table, read from the files that the commands wrote."""
    ledger = read(data / "manifest.json")
    report = read(trained / "train_summary.json")
    before, after = (read(trained / f"eval_{when}.json")["splits"] for when in ("before", "after"))
    splits = ledger["splits"].values()
    rows = [
        ("rows in / out", f"{sum(s['rows_in'] for s in splits)} / {sum(s['written'] for s in splits)}"),
        ("images written", str(ledger["images"]["num"])),
        ("loss first / last", f"{report['first_loss']:.3f} / {report['last_loss']:.4f}"),
    ]
    rows += [
        (f"accuracy {split} before / after", f"{before[split]['accuracy']:.3f} / {after[split]['accuracy']:.3f}")
        for split in before
    ]
    rows += [
        ("tokens/s", f"{report['tokens_per_s']:,.0f}"),
        ("data", str(data)),
        ("trained model", str(trained)),
        ("evaluations", f"{trained}/eval_before.json, eval_after.json"),
        ("log", f"{trained}/log.jsonl, {trained}/tensorboard"),
        ("page of the run", f"{trained}/report.html"),
    ]
    width = max(len(name) for name, _ in rows)
    return ["", *(f"{name:<{width}}  {value}" for name, value in rows)]


def read(path: Path) -> Any:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
