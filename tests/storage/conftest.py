"""Rows with everything that must survive, their images, and folders of every shape made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from phidata import Conversation, Turn
from phidata.storage.manifest import Manifest
from phidata.storage.shape import SHAPES, SHARD_BYTES, Shape
from phidata.storage.writer import DatasetWriter


def picture(colour: tuple[int, int, int] = (200, 10, 10), kind: str = "PNG", size: tuple[int, int] = (4, 3)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


RED, GREEN = picture(), picture((10, 200, 10), "JPEG")

ROWS = (
    Conversation(
        id="plain-0",
        source="birds",
        conversations=(
            Turn(images=("train/a.png", "train/b.c d.é.jpg"), user="Which <|image_1|>?", assistant="Left.<|end|>"),
            Turn(images=(), user="And\0now?", assistant="\u2028Ja, 日本語 👩‍👩‍👧", answers=("ja", "Ja")),
            Turn(images=("train/a.png", "train/a.png"), user="Again", assistant="a"),
        ),
        metadata={"big": 2**70, "float": 0.1, "whole": 3.0, "nested": {"list": [None, True, "x", {}]}, "": ""},
    ),
    Conversation(
        id="photos/é.tif/1", source="s", conversations=(Turn(images=(), user="No picture", assistant="none"),)
    ),
    Conversation(
        id="x" * 200, source="s", conversations=(Turn(images=("train/a.png",), user="u", assistant="a"),), metadata={}
    ),
)


def images_of(row: Conversation) -> list[bytes]:
    return [GREEN if path.endswith("jpg") else RED for path in row.images]


def numbered(count: int) -> list[Conversation]:
    turn = Turn(images=("train/a.png",), user="u", assistant="a")
    return [Conversation(id=f"row-{number}", source="s", conversations=(turn,)) for number in range(count)]


ROW_BYTES = len(msgspec.json.encode(numbered(1)[0])) + len(RED)  # of one numbered row, as shards count


def write_folder(
    out: Path,
    shape: Shape,
    rows: Sequence[Conversation] = ROWS,
    *,
    splits: Sequence[str] = ("train",),
    shard_bytes: int = SHARD_BYTES,
) -> Manifest:
    """The same rows in every split, with the split's name before their ids."""
    with DatasetWriter(
        out, name="birds", converter="merge", versions={}, splits=splits, shape=shape, shard_bytes=shard_bytes
    ) as writer:
        for split in splits:
            for row in rows:
                named = Conversation(
                    id=f"{split}-{row.id}" if len(splits) > 1 else row.id,
                    source=row.source,
                    conversations=row.conversations,
                    metadata=row.metadata,
                )
                writer.add(split, named, images_of(row))
        return writer.finish()


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the sha256 of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Shape:
    name: Shape = request.param
    return name


@pytest.fixture(params=[shape for shape in SHAPES if shape != "images-jsonl"])
def sharded(request: pytest.FixtureRequest) -> Shape:
    name: Shape = request.param
    return name
