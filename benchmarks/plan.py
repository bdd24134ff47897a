"""Which strategy fits which machine: the table of docs/hardware.md, computed for the published size.

python benchmarks/plan.py             prints the table
python benchmarks/plan.py --write     puts it into docs/hardware.md
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from phitrain.config import STRATEGIES, config_from
from phitrain.create import model_config
from phitrain.fit import first_fit, is_tight
from phitrain.flops import Work
from phitrain.models.phi3v.layers import layers_of

PAGE = Path(__file__).parents[1] / "docs" / "hardware.md"
START, END = "<!-- table -->\n", "<!-- end -->\n"
TOKENS, CROPS, SUPERVISED = 2443, 17, 16  # one large page with 16 crops and a short answer
GIB = 2**30


class Machine(NamedTuple):
    name: str
    num_devices: int
    device_gib: int
    precision: str
    attention: str


MACHINES = (
    Machine("1 x A100 or H100 80 GB", 1, 80, "bf16", "flash_attention_2"),
    Machine("8 x A100 or H100 80 GB", 8, 80, "bf16", "flash_attention_2"),
    Machine("8 x V100 32 GB", 8, 32, "fp16", "sdpa"),
    Machine("4 x 48 GB (A6000, L40S)", 4, 48, "bf16", "flash_attention_2"),
    Machine("1 x 24 GB (RTX 4090, L4)", 1, 24, "bf16", "flash_attention_2"),
)


def table() -> str:
    """A row for each machine and strategy: the fastest way that fits."""
    layers = layers_of(model_config("full"))
    work = Work(lengths=(TOKENS,), num_crops=CROPS, num_supervised=SUPERVISED, shape=(1, TOKENS), num_crops_run=CROPS)
    rows = ["| machine | strategy | flags | GiB of a device | GiB of the host |", "|---|---|---|---:|---:|"]
    for machine in MACHINES:
        for kind in STRATEGIES:
            model = {"precision": machine.precision, "attention": machine.attention}
            config = config_from({"model": model, "strategy": {"kind": kind}, "train": {"batch_size": 64}})
            found = first_fit(config, layers, machine.num_devices, work, machine.device_gib * GIB)
            rows.append(f"| {machine.name} | {kind} | {_words(machine, found)} |")
    return "\n".join(rows) + "\n"


def _words(machine: Machine, found: object) -> str:
    if found is None:
        return "does not fit | | "
    way, memory = found  # type: ignore[misc]
    tight = " (tight)" if is_tight(memory, machine.device_gib * GIB) else ""
    host = f"{memory.host * machine.num_devices / GIB:.0f}" if memory.host else ""
    return f"`--precision {machine.precision} {way.flags}`{tight} | {memory.device / GIB:.1f} | {host}"


def main() -> None:
    if "--write" not in sys.argv:
        print(table(), end="")
        return
    text = PAGE.read_text("utf-8")
    before, rest = text.split(START)
    PAGE.write_text(before + START + table() + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
