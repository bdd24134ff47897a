"""What `make demo` prints, put into README.md.

    python -m benchmarks.demo [--page README.md]

Runs the demo as `make demo` does. All steps but the first and the last are left out, and the long line is broken.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

FIRST = "$ phidata convert --from ucf101 --source examples/ucf101_subset --out out/demo/data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=Path("README.md"))
    page: Path = parser.parse_args().page
    done = subprocess.run(
        [sys.executable, "examples/demo.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout)
    text = page.read_text("utf-8")
    before, begin, rest = text.partition(f"```\n{FIRST}")
    assert begin, f"{page} shows no demo"
    _, end, after = rest.partition("\n```")
    page.write_text(f"{before}```\n{shown(done.stdout)}{end}{after}", "utf-8")


def shown(printed: str) -> str:
    """The lines of a demo, those of the steps between the first and the last as one `…`."""
    lines = printed.strip("\n").replace(" --eval_splits", " \\\n    --eval_splits").split("\n")
    kept: list[str] = []
    for is_between, group in groupby(lines, key=between):
        kept += ["…"] if is_between else group
    return "\n".join(kept)


def between(line: str) -> bool:
    step = re.match(r"step (\d+)/(\d+) ", line)
    return step is not None and step[1] not in ("1", step[2])


if __name__ == "__main__":
    main()
