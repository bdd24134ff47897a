"""How fast rows and images are checked, beside others that do a part of the same; all in one run.

    python benchmarks/validate.py [--rows 200000] [--images 500]

Rows are like those of UCF-101: about 750 bytes, one turn, eight images. Rows and images a second are of one process and
count its CPU time, the best of three; whole commands are fresh processes with their wall time and their peak memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import orjson
import pydantic
from jsonschema import Draft202012Validator
from PIL import Image

import phidata
from phidata.media.presence import ImageFolder
from phidata.media.probe import probe
from phidata.schema import conversation_schema, image_path_pattern
from phidata.validation.accept import AcceptedRow, accept
from phidata.validation.row import read_row

CLASSES = (
    "ApplyEyeMakeup",
    "ApplyLipstick",
    "Archery",
    "BabyCrawling",
    "BalanceBeam",
    "BandMarching",
    "BaseballPitch",
    "Basketball",
    "BenchPress",
)
QUESTION = f"Classify the video into one of the following classes: {', '.join(CLASSES)}."
SLOW_ROWS = 3000  # as many as the slow ones are given

# Runs a command from a small process: a child begins with the memory of the process that starts it.
MEASURE = """
import resource, subprocess, sys, time
started_s = time.perf_counter()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class PatternTurn(msgspec.Struct, forbid_unknown_fields=True):
    images: list[Annotated[str, msgspec.Meta(pattern=image_path_pattern())]]
    user: Annotated[str, msgspec.Meta(min_length=1)]
    assistant: Annotated[str, msgspec.Meta(min_length=1)]
    answers: list[str] | None = None


class PatternRow(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(min_length=1)]
    source: Annotated[str, msgspec.Meta(min_length=1)]
    conversations: Annotated[list[PatternTurn], msgspec.Meta(min_length=1)]
    metadata: dict[str, Any] | None = None


class ModelTurn(pydantic.BaseModel, extra="forbid", strict=True):
    images: list[str]
    user: str
    assistant: str
    answers: list[str] | None = None


class ModelRow(pydantic.BaseModel, extra="forbid", strict=True):
    id: str
    source: str
    conversations: list[ModelTurn]
    metadata: dict[str, Any] | None = None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--images", type=int, default=500)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl")
        write_rows(file, arguments.rows)
        compare_rows(file)
        compare_images(Path(folder, "images"), arguments.images)
        time_commands(file)


def write_rows(file: Path, num_rows: int) -> None:
    with file.open("w") as out:
        for number in range(num_rows):
            name = CLASSES[number % len(CLASSES)]
            video = f"train/{name}/v_{name}_g{number % 25:02d}_c{number:07d}"
            images = [f"{video}.{frame}.jpg" for frame in range(8)]
            turn = {"images": images, "user": QUESTION, "assistant": name}
            out.write(json.dumps({"id": f"train-{number:010d}", "source": "ucf101", "conversations": [turn]}) + "\n")


def compare_rows(file: Path) -> None:
    lines = file.read_bytes().splitlines()
    few = lines[:SLOW_ROWS]
    blocks = [lines[start : start + 64] for start in range(0, len(lines), 64)]
    is_valid = Draft202012Validator(conversation_schema()).is_valid
    print(f"{len(lines):,} rows of {file.stat().st_size // len(lines)} bytes\n")
    print("| rows | rows/s | |\n|---|---:|---|")
    show("json", "parses", len(lines), json.loads, lines)
    show("orjson", "parses", len(lines), orjson.loads, lines)
    show("msgspec", "parses, types", len(lines), msgspec.json.Decoder(AcceptedRow).decode, lines)
    show(
        "msgspec with patterns", "parses, types, path rules", len(lines), msgspec.json.Decoder(PatternRow).decode, lines
    )
    show("pydantic", "parses, types", len(lines), ModelRow.model_validate_json, lines)
    show("jsonschema", "parses, types, path rules", len(few), lambda line: is_valid(json.loads(line)), few)
    show("phidata, slow path", "all rules, with places", len(few), lambda line: read_row(line, path="", number=1), few)
    show("phidata, fast path", "all rules", len(lines), accept, blocks)
    show("phidata.validate", "all rules, unique ids, from disk", len(lines), validate_rows, [file])


def validate_rows(file: Path) -> None:
    assert phidata.validate(file, media="none").ok


def compare_images(folder: Path, num_images: int) -> None:
    folder.mkdir()
    picture = Image.effect_mandelbrot((320, 240), (-2.0, -1.5, 1.0, 1.5), 100).convert("RGB")
    paths = [str(folder / f"{number}.jpg") for number in range(num_images)]
    for path in paths:
        picture.save(path, quality=75)
    names = [Path(path).name for path in paths]
    print("\n| JPEG images, 320 × 240 | images/s | |\n|---|---:|---|")
    show("phidata, exists", "there under this name", num_images, ImageFolder(str(folder)).defect, names)
    show("Pillow, open", "", num_images, lambda path: Image.open(path).close(), paths)
    show("phidata, header", "all that a header tells", num_images, lambda path: probe(path, decode=False), paths)
    show("Pillow, open and load", "", num_images, lambda path: Image.open(path).load(), paths)
    show("phidata, decode", "every pixel", num_images, lambda path: probe(path, decode=True), paths)


def time_commands(file: Path) -> None:
    print("\n| command | seconds | peak MB of a process |\n|---|---:|---:|")
    for jobs in ("1", "2"):
        command = ["phidata", "validate", str(file), "--media", "none", "--jobs", jobs]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, sys.executable, "-m", *command], capture_output=True, text=True, check=True
        )
        seconds, peak_kb = map(float, done.stdout.split())
        shown = " ".join([*command[:2], file.name, *command[3:]])
        print(f"| {shown} | {seconds:.2f} | {peak_kb / 1024:.0f} |")


def show(name: str, does: str, count: int, work: Callable[[Any], object], inputs: Sequence[Any]) -> None:
    """One line of a table: how many a second when `work` does all the inputs, the best of three times."""
    best_s = min(cpu_s(work, inputs) for _ in range(3))
    print(f"| {name} | {count / best_s:,.0f} | {does} |", flush=True)


def cpu_s(work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    started_s = time.process_time()
    deque(map(work, inputs), maxlen=0)
    return time.process_time() - started_s


if __name__ == "__main__":
    main()
