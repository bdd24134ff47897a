"""Whether runs that are killed or moved go on as if nothing had been, and what a checkpoint takes.

    python -m benchmarks.resume [--parts kills,moves,costs] [--out out/resume] [--page docs/resume.md]

kills: every strategy, precision, ZeRO stage and number of processes, killed at twelve seeded moments, beside a run that
is left alone. moves: runs that are asked to stop and go on with other processes, in another stage, offloaded. costs:
seconds and bytes of checkpoints of a larger model. Results are kept below --out, so that it goes on where it was
interrupted; the tables are printed, and written into the page between the marks that it has for them.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.page import put
from tests.trainer.conftest import write_model
from tests.trainer.killing import (
    KINDS,
    Moment,
    Patch,
    at_moment,
    differing,
    import_everything,
    kill,
    launch,
    moments_by_kind,
    outcome,
    recording,
    terminate,
)
from tests.trainer.resuming import Changes, Place, done, losses, noting_rows, rows_by_step

STRATEGIES = ("full", "frozen-vision", "lora", "qlora")
STAGES = {"fp32": (0, 1, 2, 3), "bf16": (1, 2, 3), "fp16": (1, 2, 3)}  # half precision in stage 0 is run in stage 1
ROUNDS = 3  # times a run is killed once at a moment of each kind
MOVED = (("full", "fp32"), ("lora", "fp32"), ("full", "bf16"), ("lora", "bf16"))
TOLERANCES = {"fp32": 1e-6, "bf16": 5e-3}  # of a loss, relative

Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One way to train."""

    strategy: str
    precision: str
    zero: int
    processes: int
    offload: str = "none"

    def __str__(self) -> str:
        offload = "" if self.offload == "none" else f", {self.offload} offloaded"
        return f"{self.strategy}, {self.precision}, zero {self.zero}, {self.processes} processes{offload}"

    def changes(self, *, dropout: float = 0.2) -> Changes:
        has_lora = "lora" in self.strategy
        return {
            "strategy": {"kind": self.strategy} | ({"lora_rank": 4, "lora_dropout": dropout} if has_lora else {}),
            "model": {"precision": self.precision},
            "train": {"zero": self.zero, "offload": self.offload},
        }


OFFLOADED = (  # killed too
    Cell(strategy="full", precision="bf16", zero=2, offload="optimizer", processes=2),
    Cell(strategy="frozen-vision", precision="fp16", zero=3, offload="parameters", processes=1),
    Cell(strategy="lora", precision="fp32", zero=3, offload="parameters", processes=2),
    Cell(strategy="qlora", precision="bf16", zero=1, offload="optimizer", processes=1),
)


class Results:
    """What was found so far, by name, on disk; what is there is not measured again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text("utf-8").splitlines() if file.is_file() else []
        self.found: dict[str, Result] = {line["name"]: line for line in map(json.loads, lines)}

    def of(self, name: str, measure: Callable[[], Result]) -> Result:
        if name not in self.found:
            started = time.monotonic()
            self.found[name] = {"name": name, **measure(), "seconds": round(time.monotonic() - started, 1)}
            with self._file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(self.found[name]) + "\n")
            print(json.dumps(self.found[name]), file=sys.stderr, flush=True)
        return self.found[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="kills,moves,costs")
    parser.add_argument("--out", type=Path, default=Path("out/resume"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--every", type=int, default=1, help="of the ways to train that are killed or moved, each n-th")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "model" / "config.json").is_file():
        (options.out / "model").mkdir(exist_ok=True)
        write_model(options.out / "model")
    import_everything()
    for part in options.parts.split(","):
        results = Results(options.out / f"{part}.jsonl")
        table = "\n".join(PARTS[part](options.out.absolute(), results, options.every))
        print(table, end="\n\n")
        if options.page is not None:
            put(options.page, part, table)


def kills(out: Path, results: Results, every: int) -> Iterator[str]:
    chosen = killed_cells()[::every]
    found = {cell: results.of(str(cell), partial(killed, out, cell)) for cell in chosen}
    rows: dict[tuple[str, str, int, str], dict[int, str]] = defaultdict(dict)
    for cell, result in found.items():
        rows[cell.strategy, cell.precision, cell.zero, cell.offload][cell.processes] = told(result)
    yield "| strategy | precision | ZeRO | offload | 1 process: kills, equal | 2 processes: kills, equal |"
    yield "|---|---|---:|---|---:|---:|"
    for (strategy, precision, zero, offload), cells in rows.items():
        yield f"| {strategy} | {precision} | {zero} | {offload} | {cells.get(1, '')} | {cells.get(2, '')} |"
    whole = list(found.values())
    kinds = Counter(point["kind"] for one in whole for point in one["points"])
    runs = [differing for one in whole for differing in one["differing"]]
    yield ""
    yield (
        f"{sum(kinds.values())} kills ({', '.join(f'{count} within a {kind}' for kind, count in kinds.items())}) in "
        f"{len(runs)} runs of {len(chosen)} of the {len(killed_cells())} ways; {runs.count([])} runs ended bit for bit "
        "as one that was left alone."
    )


def killed_cells() -> list[Cell]:
    plain = [
        Cell(strategy=strategy, precision=precision, zero=zero, processes=processes)
        for strategy, (precision, stages) in product(STRATEGIES, STAGES.items())
        for zero, processes in product(stages, (1, 2))
    ]
    return [*plain, *OFFLOADED]


def told(result: Result) -> str:
    is_equal = all(not differing for differing in result["differing"])
    return f"{len(result['points'])}, {'yes' if is_equal else 'no'}"


def killed(out: Path, cell: Cell) -> Result:
    """A run without a disturbance, and others that are killed at a moment of each kind, each time gone on with."""
    place = fresh_place(out / "kills")
    changes = varied(cell)
    calm, names = place.output("calm"), place.folder / "moments"
    done(launch(place.values("calm", **changes), processes=cell.processes, patches=[recording(calm, names)]))
    found = moments_by_kind(names, cell.processes)
    points, differs = [], []
    for number in range(ROUNDS):
        draw = random.Random(f"{cell} {number}")
        chosen = [(kind, draw.choice(found[kind])) for kind in KINDS]
        points += [{"kind": kind, "moment": f"rank {moment.rank}: {moment.name}"} for kind, moment in chosen]
        differs.append(after_kills(place, f"round {number}", cell, changes, [moment for _, moment in chosen]))
    return {"points": points, "differing": differs}


def varied(cell: Cell) -> Changes:
    """Every other cell opens its images in another process, and evaluates after every step."""
    changes = cell.changes()
    if (cell.zero + cell.processes) % 2:
        return {**changes, "data": {"num_workers": 2}}
    return {**changes, "eval": {"every": 1}}


def after_kills(place: Place, name: str, cell: Cell, changes: Changes, moments: Sequence[Moment]) -> list[str]:
    """What differs from the undisturbed run in one that was killed at each of these moments and gone on with."""
    values = place.values(name, **changes)
    for moment in sorted(moments, key=lambda moment: (moment.step, moment.at)):
        at = at_moment(place.output(name), moment.rank, moment.name, kill)
        ended = launch(values, processes=cell.processes, patches=[at])
        assert -9 in ended.codes, (cell, moment, ended.said)
    done(launch(values, processes=cell.processes))
    return differing(outcome(place.output("calm")), outcome(place.output(name)))


def moves(out: Path, results: Results, every: int) -> Iterator[str]:
    yield "| strategy | precision | moves | with the same rows a step | largest difference of a loss | tolerance |"
    yield "|---|---|---:|---:|---:|---:|"
    for strategy, precision in MOVED:
        found = [
            results.of(f"from {cell}", partial(moved, out, cell))
            for cell in places_of(strategy, precision, offload=False)[::every]
        ]
        count = sum(len(one["differences"]) for one in found)
        same = sum(sum(one["same_rows"]) for one in found)
        furthest = max(max(one["differences"]) for one in found)
        yield f"| {strategy} | {precision} | {count} | {same} | {furthest:.1e} | {TOLERANCES[precision]:.0e} |"


def places_of(strategy: str, precision: str, *, offload: bool) -> list[Cell]:
    """Every stage and number of processes; with `offload` also the optimizer's, and in stage 3 the parameters'."""
    kinds = ("none", "optimizer", "parameters") if offload else ("none",)
    return [
        Cell(strategy=strategy, precision=precision, zero=zero, processes=processes, offload=kind)
        for zero, processes, kind in product(STAGES[precision], (1, 2), kinds)
        if not (kind == "optimizer" and zero == 0) and not (kind == "parameters" and zero != 3)
    ]


def moved(out: Path, cell: Cell) -> Result:
    """A run that is asked to stop in its second step, and goes on everywhere else; beside one that goes through."""
    place = fresh_place(out / "moves")
    calm = Cell(strategy=cell.strategy, precision=cell.precision, zero=STAGES[cell.precision][0], processes=1)
    done(launch(quick(place, "calm", calm), patches=[noting_rows(place.folder / "calm.rows")]))
    stop = at_moment(place.output("stopped"), cell.processes - 1, "2 backward 1", terminate)
    note = noting_rows(place.folder / "stopped.rows")
    done(launch(quick(place, "stopped", cell), processes=cell.processes, patches=[note, stop]))
    expected, rows = losses(place.output("calm")), rows_by_step(place.folder, "calm")
    differences, same = [], []
    for target in places_of(cell.strategy, cell.precision, offload=True):
        if target != cell:
            gone_on(place, target)
            pairs = zip(losses(place.output("moved")), expected, strict=True)
            differences.append(max(abs(found - wanted) / wanted for found, wanted in pairs))
            same.append(rows_by_step(place.folder, "moved") == rows)
    return {"differences": differences, "same_rows": same}


def gone_on(place: Place, target: Cell) -> None:
    """Go on elsewhere with a copy of the stopped run."""
    shutil.rmtree(place.output("moved"), ignore_errors=True)
    shutil.copytree(place.output("stopped"), place.output("moved"))
    for file in place.folder.glob("moved.rows.*"):
        file.unlink()
    for file in place.folder.glob("stopped.rows.*"):
        shutil.copy(file, file.with_name(file.name.replace("stopped", "moved")))
    note = noting_rows(place.folder / "moved.rows")
    done(launch(quick(place, "moved", target), processes=target.processes, patches=[note]))


def quick(place: Place, name: str, cell: Cell) -> Changes:
    """Without evaluation, and without dropout, whose random numbers go with the processes."""
    return place.values(name, **cell.changes(dropout=0.0), eval={"splits": [], "every": None})


def costs(out: Path, results: Results, _every: int) -> Iterator[str]:
    from phitrain.create import create_model_folder

    model = out / "model-small"
    if not (model / "config.json").is_file():
        create_model_folder(model, "small", num_crops=1)
    yield "| strategy | ZeRO | processes | trained parameters | bytes | a parameter | save s | verify s | restore s |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for strategy, zero, processes in product(("full", "lora"), (1, 3), (1, 2)):
        cell = Cell(strategy=strategy, precision="bf16", zero=zero, processes=processes)
        one = results.of(str(cell), partial(cost, out, model, cell))
        yield (
            f"| {strategy} | {zero} | {processes} | {one['parameters']:,} | {one['bytes']:,} | "
            f"{one['bytes'] / one['parameters']:.2f} | {one['save_checkpoint']:.2f} | {one['find_checkpoint']:.2f} | "
            f"{one['restore']:.2f} |"
        )


def cost(out: Path, model: Path, cell: Cell) -> Result:
    """Of a run of three steps with a checkpoint after the second, which is gone on with."""
    place = fresh_place(out / "costs", model)
    plain = quick(place, "run", cell)
    values = {**plain, "train": {**plain["train"], "max_steps": 3}}
    times = place.folder / "times"
    stop = at_moment(place.output("run"), 0, "3 update 1", kill)
    launch(values, processes=cell.processes, patches=[timing(times), stop])
    done(launch(values, processes=cell.processes, patches=[timing(times)]))
    seconds: dict[str, list[float]] = defaultdict(list)
    for line in times.read_text("utf-8").splitlines():
        name, taken = line.split()
        seconds[name].append(float(taken))
    files = (place.output("run") / "checkpoint-2").iterdir()
    summary = json.loads((place.output("run") / "train_summary.json").read_text("utf-8"))
    found = {name: seconds[name][-1] for name in ("save_checkpoint", "find_checkpoint", "restore")}
    size = sum(file.stat().st_size for file in files)
    shutil.rmtree(place.folder)
    return {**found, "bytes": size, "parameters": summary["trained_parameters"]}


def timing(file: Path) -> Patch:
    """Write the seconds of what is done with a checkpoint, on the first rank."""

    def patch(rank: int) -> None:
        from phitrain import loop, resume, trainer

        if rank == 0:
            for module, name in ((loop, "save_checkpoint"), (resume, "find_checkpoint"), (trainer, "restore")):
                setattr(module, name, timed(getattr(module, name), name, file))

    return patch


def timed(inner: Callable[..., Any], name: str, file: Path) -> Callable[..., Any]:
    def measured(*arguments: Any) -> Any:
        started = time.perf_counter()
        result = inner(*arguments)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"{name} {time.perf_counter() - started}\n")
        return result

    return measured


def fresh_place(folder: Path, model: Path | None = None) -> Place:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return Place(model or folder.parent / "model", folder)


PARTS: dict[str, Callable[[Path, Results, int], Iterator[str]]] = {"kills": kills, "moves": moves, "costs": costs}

if __name__ == "__main__":
    main()
