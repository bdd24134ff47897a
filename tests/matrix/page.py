"""docs/matrix.md: what was asked for, what ran, and how far it was from the plain loop."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from .cells import A100, CPU, DIMENSIONS, LEARNING_RATE, STEPS, V100, Cell, all_cells, refusal, runs_on
from .tolerances import TOLERANCES, complaints

PACKAGES = ("torch", "transformers", "deepspeed", "peft", "bitsandbytes")

Result = dict[str, Any]


def write_page(results: Sequence[Result], path: Path) -> None:
    path.write_text("\n".join(lines(results)) + "\n", "utf-8")


def lines(results: Sequence[Result]) -> Iterator[str]:
    ran = [result for result in results if "error" not in result]
    yield "# The matrix"
    yield ""
    yield (
        "Written by `make matrix`, which runs every combination on a CPU and goes on where it was stopped "
        "(`MATRIX_FLAGS='--minutes 60'` stops it, `out/matrix` holds its results: remove it when the trainer has "
        "changed). The numbers are those of the cells that have run. `tests/matrix` runs a few that hold every pair of "
        "values. A cell is one combination of:"
    )
    yield ""
    yield from table(("dimension", "values"), ((name, ", ".join(map(str, v))) for name, v in DIMENSIONS.items()))
    yield ""
    yield from counts(results)
    yield ""
    yield from how_it_is_compared()
    yield ""
    yield "## Losses and distances"
    yield ""
    yield from losses(ran)
    yield ""
    yield from by_value(ran)
    yield ""
    yield "## Refused"
    yield ""
    yield from refusals()
    yield ""
    yield "## Versions"
    yield ""
    yield ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def counts(results: Sequence[Result]) -> Iterator[str]:
    cells, runs = list(all_cells()), runs_on(CPU)
    accepted = [cell for cell in cells if refusal(cell, CPU) is None]
    failed = [result for result in results if "error" in result or complaints(result)]
    flash = [cell for cell in cells if cell.attention == "flash_attention_2" and refusal(cell, A100) is None]
    seconds = sum(result.get("seconds", 0.0) for result in results)
    yield f"- {len(cells)} cells. On a CPU {len(cells) - len(accepted)} are refused and {len(accepted)} are trained."
    yield (
        f"- These are {len(runs)} different runs: bf16 and fp16 with ZeRO 0 are run as ZeRO 1. "
        f"**{len(results)} have run** ({seconds / 3600:.1f} hours of runs), {len(failed)} of them with a complaint."
    )
    skipped = sum(result.get("skipped", 0) > 0 for result in results)
    yield f"- In {skipped} of them, all in fp16, the loss scale was halved once."
    yield f"- {len(flash)} cells with flash_attention_2 are accepted for an A100 with flash-attn: not run here."
    for result in failed:
        yield f"  - {Cell(**result['cell'])}: {result.get('error') or '; '.join(complaints(result))}"


def how_it_is_compared() -> Iterator[str]:
    yield "## How a cell is compared"
    yield ""
    yield (
        "A model of the published shape with 2 decoder layers of 32 and 3 CLIP layers of 16 trains "
        f"{STEPS} steps with a learning rate of {LEARNING_RATE:g} (0 in the first step, as published). Beside it "
        "stands a plain loop: one process, fp32, eager attention, no checkpointing, no DeepSpeed, torch's AdamW, the "
        "libraries' own model, adapters and 4-bit layers (packed from weights in the cell's precision). Compared are "
        "each step's loss and gradient norm, relative to the plain loop's, and after the last step all trained "
        "(master) weights: the length of the difference, relative to the length of the way that training took them."
    )
    yield ""
    rows = ((name, *(f"{limit:g}" for limit in limits)) for name, limits in TOLERANCES.items())
    yield from table(("precision", "loss", "gradient norm", "weights"), rows)
    yield ""
    yield (
        "In every cell besides: the trained tensors are those of the plain loop; each of them that must have a "
        "gradient has a first moment that is not zero; frozen and 4-bit weights are unchanged bit for bit; the "
        "weights are the master weights, rounded; in half precision the fp32 master weights are finer than the "
        "weights; no step is skipped, but for one at most in fp16, where the loss scale was too high: the plain loop "
        "then leaves out that update too."
    )


def losses(results: Iterable[Result]) -> Iterator[str]:
    """A row for each strategy, precision and stage; the losses are those of mixed batches in one process."""
    groups: dict[tuple[str | int, ...], list[Result]] = defaultdict(list)
    for result in results:
        cell = result["cell"]
        groups[cell["strategy"], cell["precision"], cell["zero"]].append(result)
    total: Counter[tuple[str | int, ...]] = Counter((cell.strategy, cell.precision, cell.zero) for cell in runs_on(CPU))
    rows = []
    for key in product(*(DIMENSIONS[name] for name in ("strategy", "precision", "zero"))):
        if key not in total:
            continue
        found = groups[key]
        rows.append((*key, f"{len(found)} of {total[key]}", *ends(found), *furthest(found)))
    head = ("strategy", "precision", "ZeRO", "ran", "first loss", "last loss", *DISTANCES)
    yield "First and last loss of `mixed in a batch`, smallest and largest of the cells; the furthest of all cells:"
    yield ""
    yield from table(head, rows)


DISTANCES = ("loss off by", "gradient norm", "weights")


def ends(results: Sequence[Result]) -> tuple[str, str]:
    mixed = [result["losses"] for result in results if result["cell"]["data"] == "mixed in a batch"]
    if not mixed:
        return "", ""
    first, last = ([losses[at] for losses in mixed] for at in (0, -1))
    return span(first), span(last)


def span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.5f}", f"{max(values):.5f}"
    return low if low == high else f"{low} - {high}"


def furthest(results: Sequence[Result]) -> tuple[str, ...]:
    if not results:
        return ("", "", "")
    return tuple(f"{max(result[what] for result in results):.1e}" for what in ("loss", "grad_norm", "weights"))


def by_value(results: Sequence[Result]) -> Iterator[str]:
    """The furthest loss for each value of the other dimensions, by precision."""
    rows = []
    for name in ("attention", "offload", "checkpointing", "processes", "data"):
        for value in DIMENSIONS[name]:
            having = [result for result in results if result["cell"][name] == value]
            if having:
                far = [
                    furthest([result for result in having if result["cell"]["precision"] == precision])[0]
                    for precision in TOLERANCES
                ]
                rows.append((name, value, len(having), *far))
    yield "The furthest loss by the value of the other dimensions:"
    yield ""
    yield from table(("dimension", "value", "cells", *TOLERANCES), rows)


def refusals() -> Iterator[str]:
    yield "Before anything is loaded, in one sentence. Cells by sentence, on a CPU, an A100 with flash-attn and a V100:"
    yield ""
    counted = [Counter(refusal(cell, hardware) for cell in all_cells()) for hardware in (CPU, A100, V100)]
    sentences = sorted({sentence for count in counted for sentence in count if sentence is not None})
    yield from table(
        ("sentence", "CPU", "A100", "V100"),
        ((sentence, *(count.get(sentence, 0) for count in counted)) for sentence in sentences),
    )


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(map(str, head)) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"
