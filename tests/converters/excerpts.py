"""The table at the end of docs/sources.md: what becomes of the excerpts in ../shared/data, or $PHIDATA_TEST_DATA.

`python -m tests.converters.excerpts` converts them and writes the table anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import phidata

ROOT = Path(__file__).parents[2]
COLLECTION = Path(os.environ.get("PHIDATA_TEST_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "sources.md"
BEGIN, END = "<!-- excerpts -->\n", "<!-- end of excerpts -->\n"


class Excerpt(NamedTuple):
    """A source in the collection, and the converter's options as they are written on the command line."""

    converter: str
    source: str
    options: str = ""
    settings: dict[str, Any] = {}  # noqa: RUF012
    images: str | None = None


RECEIPT = ("images={_stem}.jpg", "user=What does this come to?", "assistant=total")
EXCERPTS = (
    Excerpt("captions", "annotations/coco_captions"),
    Excerpt("docvqa", "annotations/docvqa"),
    Excerpt("image-folder", "image/ok"),
    Excerpt(
        "messages",
        "annotations/llamafactory/v1_multimodal_demo.jsonl",
        "--images data=annotations/llamafactory",
        images="data=annotations/llamafactory",
    ),
    Excerpt("messages", "annotations/llamafactory/v1_sft_demo.jsonl"),
    Excerpt("nlvr2", "annotations/nlvr2"),
    Excerpt("nlvr2", "annotations/nlvr2", "--turns split", {"turns": "split"}),
    Excerpt("sharegpt", "annotations/llamafactory/mllm_demo.json"),
    Excerpt("sharegpt", "annotations/llamafactory/mllm_video_demo.json"),
    Excerpt("swift", "annotations/xtuner/mllm_sft_single_image_example_data.jsonl"),
    Excerpt("swift", "annotations/xtuner/mllm_sft_video_example_data.jsonl"),
    Excerpt("table", "annotations/sroie", "--map …", {"map": RECEIPT}),
    Excerpt("ucf101", "ucf101_subset"),
    Excerpt("ucf101", "annotations/ucf101_lists", "--images ucf101_subset", images="ucf101_subset"),
    Excerpt("video-folder", "ucf101_subset"),
    Excerpt("vqa", "annotations/visual_genome"),
)


def table() -> str:
    """The table in Markdown."""
    head = "| converter | source | | rows in | written | skipped | failed |\n|---|---|---|---:|---:|---:|---:|\n"
    with TemporaryDirectory() as folder:
        return head + "".join(_lines(Path(folder)))


def _lines(folder: Path) -> Iterator[str]:
    for number, excerpt in enumerate(EXCERPTS):
        manifest = phidata.convert(
            excerpt.converter,
            source=COLLECTION / excerpt.source,
            out=folder / str(number),
            settings=excerpt.settings,
            images=_below(excerpt.images) if excerpt.images else None,
            num_frames=2,
            max_failures=1000,
            jobs=2,
        )
        rows = manifest.rows
        assert rows.rows_in == rows.written + rows.skipped + rows.failed
        options = f"`{excerpt.options}`" if excerpt.options else ""
        counts = f"{rows.rows_in} | {rows.written} | {rows.skipped} | {rows.failed}"
        yield f"| {excerpt.converter} | {excerpt.source} | {options} | {counts} |\n"


def _below(images: str) -> str:
    """`--images`, which may be `PREFIX=DIR`, with the folder in the collection."""
    prefix, equals, folder = images.rpartition("=")
    return f"{prefix}{equals}{COLLECTION / folder}"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2], "utf-8")
