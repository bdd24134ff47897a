"""How fast rows and images are checked, beside others that do a part of the same; all in one run.

    python benchmarks/validate.py [--rows 6000000] [--images 60000] [--many 10000000]

Rows are like those of UCF-101: about 750 bytes, one turn, eight images. Rows and images a second are of one process and
count its CPU time, the best of three; whole commands are fresh processes with their wall time and the memory of all of
them. The seconds of commands mean nothing on a machine that is busy otherwise; the last line says how busy it was.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import datasets
import msgspec
import orjson
import pydantic
from jsonschema import Draft202012Validator
from PIL import Image
from processes import Measured, measure
from processes import phidata as phidata_command

import phidata
from phidata.media.presence import ImageFolder
from phidata.media.probe import probe
from phidata.media.sound import file_head, has_sound_header
from phidata.schema import conversation_schema, image_path_pattern
from phidata.validation.accept import AcceptedRow, accept_block
from phidata.validation.block import are_rows_on_lines, num_quotes
from phidata.validation.id_hashes import Repeated, id_hashes
from phidata.validation.lines import line_ranges, read_blocks, read_lines
from phidata.validation.part import BLOCK_BYTES, RANGE_BYTES
from phidata.validation.paths import are_image_paths
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
ROWS_ALONE = 200_000  # as many as those are given that hold them all in memory
FRAMES = 8
LOOPED = 6000  # images that one process looks at
NUM_PICTURES = 500  # different files; the others are links to them

Step = tuple[Callable[[Any], object], Sequence[Any]]
Steps = dict[str, Step]


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--images", type=int, default=60_000, help="that are decoded; ten times as many are opened")
    parser.add_argument("--many", type=int, default=10_000_000, help="short rows, of which memory is measured")
    options = parser.parse_args()
    started_s = time.perf_counter(), time.process_time()
    with TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl")
        write_rows(file, min(ROWS_ALONE, options.rows))
        compare_rows(file)
        divide_rows(file)
        write_rows(file, options.rows)
        time_commands("rows", options.rows, str(file), "--media", "none")
        write_short_rows(file, options.many)
        time_commands("short rows", options.many, str(file), "--media", "none")
        file.unlink()
        compare_images(Path(folder, "images"), options.images)
    wall_s, cpu_s = time.perf_counter() - started_s[0], time.process_time() - started_s[1]
    print(f"\n{os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f}; {cpu_s:.0f} of {wall_s:.0f} s in this process")


def write_rows(file: Path, num_rows: int) -> None:
    with file.open("w") as out:
        for number in range(num_rows):
            name = CLASSES[number % len(CLASSES)]
            video = f"train/{name}/v_{name}_g{number % 25:02d}_c{number:07d}"
            images = [f"{video}.{frame}.jpg" for frame in range(FRAMES)]
            turn = {"images": images, "user": QUESTION, "assistant": name}
            out.write(json.dumps({"id": f"train-{number:010d}", "source": "ucf101", "conversations": [turn]}) + "\n")


def write_short_rows(file: Path, num_rows: int) -> None:
    """Rows of one image each, so that many fit on a disk."""
    row = (
        '{"id": "row-%010d", "source": "synthetic", "conversations": [{"images": ["%04d/%010d.jpg"], '
        '"user": "What is in the picture?", "assistant": "A picture of the number %d."}]}\n'
    )
    with file.open("w", buffering=1 << 20) as out:
        out.writelines(row % (number, number // 10_000, number, number) for number in range(num_rows))


def compare_rows(file: Path) -> None:
    lines = file.read_bytes().splitlines()
    few = lines[:SLOW_ROWS]
    blocks = [read_lines(part, BLOCK_BYTES).data for part in line_ranges(str(file), BLOCK_BYTES)]
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
    show("datasets json loader", "parses, types, writes Arrow, from disk", len(lines), load_json, [file])
    slow = show("jsonschema", "parses, types, path rules", len(few), lambda line: is_valid(json.loads(line)), few)
    show("phidata, slow path", "all rules, with places", len(few), lambda line: read_row(line, path="", number=1), few)
    show("phidata, fast path", "all rules", len(lines), accept_block, blocks)
    whole = show("phidata.validate", "all rules, unique ids, from disk", len(lines), validate_rows, [file])
    print(f"\nphidata.validate checks {whole / slow:.0f} times as many rows a second as jsonschema.")


def divide_rows(file: Path) -> None:
    """Where the time of a row goes: its steps one by one, and what is left for all that is between them."""
    ranges = list(line_ranges(str(file), RANGE_BYTES["none"]))
    blocks = [block.data for part in ranges for block in read_blocks(part, BLOCK_BYTES)]
    decoder = msgspec.json.Decoder(AcceptedRow)
    rows = [decoder.decode_lines(block) for block in blocks]
    paths = [[path for row in some for turn in row.conversations for path in turn.images] for some in rows]
    ids = [[row.id for row in some] for some in rows]
    hashes = id_hashes(id_ for some in ids for id_ in some)
    steps: Steps = {
        "reading from the page cache": (lambda part: deque(read_blocks(part, BLOCK_BYTES), maxlen=0), ranges),
        "JSON to typed objects (msgspec)": (decoder.decode_lines, blocks),
        "newlines and quotes (numpy)": (
            lambda block: are_rows_on_lines(block, num_quotes(block, escaped=False)),
            blocks,
        ),
        "image paths": (lambda some: are_image_paths(some, escaped=False), paths),
        "hashes of ids": (id_hashes, ids),
        "ids compared at the end": (lambda some: bool(Repeated(some)), [hashes]),
    }
    divide(len(hashes), "row", steps, (validate_rows, [file]))


def divide(count: int, what: str, steps: Steps, whole: Step) -> None:
    """A table of the nanoseconds that each step takes, and of what remains of the whole."""
    total_s = min(cpu_s(*whole) for _ in range(3))
    took = {name: min(cpu_s(*step) for _ in range(3)) for name, step in steps.items()}
    print(f"\n| of a {what} | ns | |\n|---|---:|---:|")
    for name, step_s in (took | {"all else": total_s - sum(took.values()), "together": total_s}).items():
        print(f"| {name} | {step_s / count * 1e9:,.0f} | {step_s / total_s:.0%} |", flush=True)


def validate_rows(file: Path) -> None:
    assert phidata.validate(file, media="none").ok


def load_json(file: Path) -> None:
    datasets.disable_progress_bars()
    with TemporaryDirectory() as cache:
        datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=cache)


def compare_images(folder: Path, num_images: int) -> None:
    """One process on a few images, then whole commands on many; ten times as many are opened as decoded."""
    names = write_images(folder, 10 * num_images)
    few = names[: min(LOOPED, num_images)]
    decoded, opened = image_rows(folder, few), image_rows(folder, names[: 10 * len(few)])
    paths = [str(folder / name) for name in few]
    print("\n| JPEG images, 320 × 240 | images/s | |\n|---|---:|---|")
    show("phidata, exists", "there under this name", len(few), ImageFolder(str(folder)).defect, few)
    show("Pillow, open", "", len(few), lambda path: Image.open(path).close(), paths)
    show("phidata, sound header", "told by its bytes", len(few), lambda path: has_sound_header(file_head(path)), paths)
    show("phidata, other header", "all that a header tells", len(few), lambda path: probe(path, decode=False), paths)
    show("phidata.validate, header", "from the rows on", 10 * len(few), validate_images("header"), [opened])
    show("Pillow, open and load", "", len(few), lambda path: Image.open(path).load(), paths)
    show("phidata, decode", "every frame", len(few), lambda path: probe(path, decode=True), paths)
    show("phidata.validate, decode", "from the rows on", len(few), validate_images("decode"), [decoded])
    divide_images(few, folder)
    for media, some in (("header", names), ("decode", names[:num_images])):
        file = image_rows(folder, some)
        time_commands("images", len(some), str(file), "--images", str(folder), "--media", media)


def write_images(folder: Path, num_images: int) -> list[str]:
    """That many names of JPEG files; all but NUM_PICTURES are links."""
    folder.mkdir()
    picture = Image.effect_mandelbrot((320, 240), (-2.0, -1.5, 1.0, 1.5), 100).convert("RGB")
    names = [f"{number}.jpg" for number in range(num_images)]
    for name in names[:NUM_PICTURES]:
        picture.save(folder / name, quality=75)
    for number, name in enumerate(names[NUM_PICTURES:]):
        os.link(folder / names[number % NUM_PICTURES], folder / name)
    return names


def image_rows(folder: Path, names: Sequence[str]) -> Path:
    """A new file with rows that name these images, eight each."""
    file = folder / f"rows-{len(names)}.jsonl"
    with file.open("w") as out:
        for start in range(0, len(names), FRAMES):
            turn = {"images": names[start : start + FRAMES], "user": QUESTION, "assistant": "Archery"}
            out.write(json.dumps({"id": f"train-{start:010d}", "source": "ucf101", "conversations": [turn]}) + "\n")
    return file


def divide_images(names: list[str], folder: Path) -> None:
    """Where the time of an image goes."""
    file = image_rows(folder, names)
    paths = [str(folder / name) for name in names]
    head = file_head(paths[0])
    there: Step = (ImageFolder(str(folder)).defect, names)
    header: Steps = {
        "whether it is there (stat)": there,
        "open, read, close": (file_head, paths),
        "its header": (lambda _: has_sound_header(head), paths),
    }
    divide(len(names), "JPEG of which the header is checked", header, (validate_images("header"), [file]))
    decode: Steps = {
        "whether it is there (stat)": there,
        "reading all of it": (lambda path: Path(path).read_bytes(), paths),
        "Pillow, an eighth of each side": (decode_eighth, paths),
    }
    divide(len(names), "JPEG that is decoded", decode, (validate_images("decode"), [file]))


def decode_eighth(path: str) -> None:
    with Image.open(path) as image:
        image.draft(None, (1, 1))
        image.load()


def validate_images(media: phidata.validation.Media) -> Callable[[Path], None]:
    def check(file: Path) -> None:
        assert phidata.validate(file, images=file.parent, media=media).ok

    return check


def time_commands(what: str, count: int, *arguments: str) -> None:
    """`phidata validate` with one and two jobs, the best of three."""
    shown = " ".join(Path(argument).name for argument in arguments)
    print(f"\n| `phidata validate {shown}`, {count:,} {what} | seconds | {what}/s | MB, all processes |")
    print("|---|---:|---:|---:|")
    first_s = 0.0
    for jobs, measured in runs(*arguments):
        first_s = first_s or measured.wall_s
        rates = f"{measured.wall_s:.2f} | {count / measured.wall_s:,.0f} | {measured.peak_mb:.0f}"
        print(f"| --jobs {jobs}: {first_s / measured.wall_s:.2f}× | {rates} |", flush=True)


def runs(*arguments: str) -> Iterator[tuple[int, Measured]]:
    for jobs in (1, 2):
        command = phidata_command("validate", *arguments, "--jobs", str(jobs))
        yield jobs, min((measure(command) for _ in range(3)), key=lambda measured: measured.wall_s)


def show(name: str, does: str, count: int, work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """One line of a table: how many a second when `work` does all the inputs, the best of three times; returned too."""
    best_s = min(cpu_s(work, inputs) for _ in range(3))
    print(f"| {name} | {count / best_s:,.0f} | {does} |", flush=True)
    return count / best_s


def cpu_s(work: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    started_s = time.process_time()
    deque(map(work, inputs), maxlen=0)
    return time.process_time() - started_s


if __name__ == "__main__":
    main()
