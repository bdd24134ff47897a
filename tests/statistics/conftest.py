"""Data folders to count, made of a few rows."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import phidata
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter

MakeFolder = Callable[[Shape], Path]


def picture(width: int, height: int, format: str = "JPEG") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (200, 40, 40)).save(buffer, format)
    return buffer.getvalue()


PHOTO, PAGE, BANNER = picture(320, 240), picture(600, 800, "PNG"), picture(640, 160, "WEBP")

ROWS = {
    "train": (
        (
            phidata.Conversation(
                id="a",
                source="album",
                conversations=(
                    phidata.Turn(images=("1.jpg", "page.png"), user="Which is red?", assistant="both"),
                    phidata.Turn(images=(), user="Sure?", assistant="yes"),
                ),
                metadata={"seconds": 2.5, "fps": 25},
            ),
            (PHOTO, PAGE),
        ),
        (
            phidata.Conversation(
                id="b",
                source="album",
                conversations=(phidata.Turn(images=("1.jpg",), user="Red?", assistant="yes"),),
                metadata={"seconds": 1, "fps": True},
            ),
            (PHOTO,),
        ),
    ),
    "test": (
        (
            phidata.Conversation(
                id="c",
                source="web",
                conversations=(phidata.Turn(images=("banner.webp",), user="Wide?", assistant="yes"),),
            ),
            (BANNER,),
        ),
        (
            phidata.Conversation(
                id="d", source="web", conversations=(phidata.Turn(images=(), user="Hello", assistant="Hi"),)
            ),
            (),
        ),
    ),
}


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write the rows above in one of the shapes."""

    def make(shape: Shape) -> Path:
        out = tmp_path / shape
        with DatasetWriter(out, name="few", converter="test", versions={}, splits=tuple(ROWS), shape=shape) as writer:
            for split, rows in ROWS.items():
                for row, images in rows:
                    writer.add(split, row, images)
            writer.finish()
        return out

    return make
