"""Small data folders of literal rows, and three photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

import phidata
from phidata.records import Conversation, Turn

PHOTOS = Path(__file__).parent / "photos"  # plate.jpg, street.jpg, bus.jpg: nothing alike

Folder = Callable[..., Path]


def row(id: str, *images: str, user: str = "What is it?", assistant: str = "A bird.", **rest: Any) -> Conversation:
    """A row of one turn."""
    answers = rest.pop("answers", None)
    turn = Turn(images=images, user=user, assistant=assistant, answers=answers)
    return Conversation(id=id, source=rest.pop("source", "birds"), conversations=(turn,), **rest)


def photo(name: str) -> bytes:
    return (PHOTOS / f"{name}.jpg").read_bytes()


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def smaller(name: str) -> bytes:
    """A photograph at three quarters of its size, compressed anew: other bytes, the same look."""
    image = Image.open(PHOTOS / f"{name}.jpg")
    return encoded(image.resize((image.width * 3 // 4, image.height * 3 // 4)), quality=60)


def ids(folder: Path, split: str) -> list[str]:
    return [row.id for row in phidata.load(folder, split)]


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in (folder / "ledger.jsonl").read_bytes().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Writes a data folder of rows by split, and of images by path."""

    def write(
        place: str, splits: Mapping[str, Sequence[Conversation]], images: Mapping[str, bytes], name: str = "birds"
    ) -> Path:
        root = tmp_path / place
        (root / "images").mkdir(parents=True)
        for split, rows in splits.items():
            (root / f"{name}_{split}.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        for path, data in images.items():
            (root / "images" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "images" / path).write_bytes(data)
        return root

    return write
