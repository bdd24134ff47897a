"""A small data set, in every shape, and what the tests of exporting share."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

import phidata
from phidata.records import Conversation, Turn
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter

COLOURS = {
    "train/a/1.jpg": (200, 30, 30),
    "train/a/2.jpg": (30, 200, 30),
    "train/ü b.png": (30, 30, 200),
    "train/c.webp": (90, 90, 90),
}


def picture(path: str) -> bytes:
    """A small image in the format of its suffix."""
    file = io.BytesIO()
    suffix = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[path.rpartition(".")[2]]
    Image.new("RGB", (8, 6), COLOURS[path]).save(file, suffix)
    return file.getvalue()


def row(*turns: Turn, id: str = "a", source: str = "pets", metadata: dict[str, Any] | None = None) -> Conversation:
    return Conversation(id=id, source=source, conversations=turns, metadata=metadata)


def turn(user: str, assistant: str, *images: str, answers: tuple[str, ...] | None = None) -> Turn:
    return Turn(images=images, user=user, assistant=assistant, answers=answers)


ROWS = (
    row(turn("Who?", "Ann.", "train/a/1.jpg", "train/a/2.jpg"), turn("Here?", "Ben.", "train/ü b.png"), id="album/1"),
    row(turn("Hello", "Hi", answers=("Hi", "Hello")), turn("And?", "Ann.", "train/a/1.jpg"), id="2"),
    row(turn("日本語 <|end|> <s>", '\\u0000 "quoted"\n'), id="3", metadata={"licence": "CC0", "tags": [1, None]}),
)
WITH_SYSTEM = row(turn("Who?", "Ann.", "train/c.webp"), id="4", metadata={"system": "Be brief.", "n": 1})
WITH_TAG = row(turn("What does <image> mean?", "A tag."), id="5")


def write_folder(folder: Path, *rows: Conversation, shape: Shape = "images-jsonl") -> Path:
    versions = {"phidata": phidata.__version__}
    with DatasetWriter(
        folder, name="pets", converter="test", versions=versions, splits=("train", "my_val"), shape=shape
    ) as writer:
        for each in rows:
            writer.add("train", each, [picture(path) for path in each.images])
        writer.add("my_val", row(turn("Who?", "Nobody."), id="v"), [])
        writer.finish()
    return folder


def read_rows(folder: Path, split: str) -> tuple[Conversation, ...]:
    return tuple(phidata.load(folder, split))


def records(path: Path) -> list[Any]:
    """The records of a file, by its suffix."""
    if path.suffix == ".json":
        return list(msgspec.json.decode(path.read_bytes()))
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pets", *ROWS)
