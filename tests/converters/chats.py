"""Converts records without processes and output, for the tests of the conversation formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from phidata.conversion.converter import Converter, Row, Skip, find_converter, full_settings
from phidata.conversion.options import Options
from phidata.conversion.task import Task
from phidata.conversion.worker import Attempt, attempt
from phidata.storage.source import Root, find_source, opened

COLOURS = {"a/1.jpg": (200, 30, 30), "a/2.jpg": (30, 200, 30), "a/3.png": (30, 30, 200)}


def write_images(folder: Path) -> None:
    for name, colour in COLOURS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), colour).save(path)


def converted(name: str, source: Path, **settings: Any) -> list[Any]:
    """What a converter makes of each row: its line, decoded, without id and source; or why it failed or was skipped."""
    converter = find_converter(name)
    with opened(find_source(source, ()), source / "unpacked") as root:
        rows = list(converter.rows(root, full_settings(converter.about, settings)))
        return [_outcome(row, root, converter) for row in rows]


def convert_records(name: str, folder: Path, *records: Any, **settings: Any) -> list[Any]:
    """The same for records, written as JSON lines beside three small images."""
    write_images(folder)
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return converted(name, path, **settings)


def listed(name: str, source: Path) -> list[Row]:
    """The rows that a converter lists."""
    converter = find_converter(name)
    with opened(find_source(source, ()), source / "unpacked") as root:
        rows = converter.rows(root, full_settings(converter.about, {}))
        return [row for row in rows if not isinstance(row, Skip)]


def _outcome(row: Row | Skip, root: Root, converter: Converter[Row]) -> Any:
    if isinstance(row, Skip):
        return f"{row.file}: {row.reason}"
    found = attempt(Task(number=0, id="0", row=row), root, Options(keep_bytes=True, num_frames=2), converter)
    if not isinstance(found, Attempt):
        return f"{row.line}: {found.reason}"
    line = json.loads(found.line)
    return {key: value for key, value in line.items() if key not in ("id", "source")}
