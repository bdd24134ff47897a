"""Sources in the layouts of their makers, small and real, and what a converter makes of them without processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from phidata.conversion.converter import Row, Skip, find_converter, full_settings
from phidata.conversion.listing import list_rows
from phidata.conversion.options import Options
from phidata.conversion.selection import Selection
from phidata.conversion.worker import Attempt, attempt
from phidata.storage.source import find_source, opened

PICTURES = Path(__file__).parent / "pictures"
KITCHEN = (PICTURES / "kitchen.jpg").read_bytes()
LEFT, RIGHT = ((PICTURES / f"dev-850-2-img{k}.png").read_bytes() for k in (0, 1))
PAGE = (PICTURES / "page.png").read_bytes()

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXT = pa.struct({"user": pa.string(), "assistant": pa.string(), "source": pa.string()})
CAULDRON = pa.schema({"images": pa.list_(IMAGE), "texts": pa.list_(TEXT)})
QUERY = pa.struct({language: pa.string() for language in ("de", "en", "es", "fr", "it")})
EXCERPT = pa.schema({
    "id": pa.string(),
    "image": IMAGE,
    "query": QUERY,
    "answers": pa.list_(pa.string()),
    "words": pa.list_(pa.string()),
    "bounding_boxes": pa.list_(pa.list_(pa.float32())),
})  # fmt: skip


def write(path: Path, content: Any) -> Path:
    """Write bytes and text as they are, anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
    path.write_bytes(content)
    return path


def write_lines(path: Path, *records: Any) -> Path:
    return write(path, "".join(json.dumps(record) + "\n" for record in records))


def write_parquet(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, **options)
    return path


def picture(data: bytes | None) -> dict[str, Any]:
    """A picture as the `datasets` library stores it."""
    return {"bytes": data, "path": None}


def cauldron_row(source: str, *texts: tuple[str, str], images: Sequence[bytes] = (KITCHEN,)) -> dict[str, Any]:
    return {
        "images": [picture(data) for data in images],
        "texts": [{"user": user, "assistant": assistant, "source": source} for user, assistant in texts],
    }


def excerpt_row(id_: str, question: str, answers: list[str]) -> dict[str, Any]:
    """A row of nielsr/docvqa_1200_examples."""
    query = {language: f"({language}) {question}" for language in ("de", "es", "fr", "it")} | {"en": question}
    return {
        "id": id_,
        "image": picture(PAGE),
        "query": query,
        "answers": answers,
        "words": ["a", "b"],
        "bounding_boxes": [[0.0, 1.0, 2.0, 3.0]],
    }


def converted(
    name: str,
    source: Path,
    *,
    images: Path | None = None,
    selection: Selection | None = None,
    ids: str = "count",
    num_frames: int = 2,
    **settings: Any,
) -> list[Any]:
    """Every row as it would be written, decoded; `failed PLACE: REASON` and `skipped PLACE: REASON` for the others."""
    converter = find_converter(name)
    with ExitStack() as stack:
        given = stack.enter_context(opened(find_source(source, ()), source.parent / "unpacked"))
        root = replace(given, images=images)
        rows = converter.rows(root, full_settings(converter.about, settings))
        folder = stack.enter_context(TemporaryDirectory())
        listing = list_rows(
            rows, root, selection or Selection(), converter.about, folder=Path(folder), source_ids=ids == "source"
        )
        options = Options(keep_bytes=True, num_frames=num_frames)
        tasks = sorted((task for rows in listing.ranges for task in listing.tasks(rows)), key=lambda task: task.number)
        outcomes = [(task, attempt(task, root, options, converter)) for task in tasks]
        skips = list(listing.skips)
    told: list[Any] = [
        json.loads(found.line) if isinstance(found, Attempt) else f"failed {task.row.place}: {found.reason}"
        for task, found in outcomes
    ]
    return [*told, *(f"skipped {_place(skip)}: {skip.reason}" for skip in skips)]


def turns(name: str, source: Path, **options: Any) -> list[Any]:
    """The same, of each written row only its turns."""
    return [row["conversations"] if isinstance(row, dict) else row for row in converted(name, source, **options)]


def _place(skip: Skip | Row) -> str:
    return skip.file if skip.line is None else f"{skip.file}:{skip.line}"
