"""Small data folders whose rows say where they stand."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from phidata import Conversation, Turn
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter


def _picture() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (4, 3), (200, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


TURN = Turn(images=("train/a.png",), user="u", assistant="a")
PICTURE = _picture()
ROW_BYTES = 200  # of one row with its picture, about

MakeFolder = Callable[..., Path]


def write_rows(out: Path, num_rows: int, *, name: str, shape: Shape, per_shard: int, split: str = "train") -> Path:
    """A finished folder with the rows `<name>-0`, `<name>-1`, … in shards of so many rows, a red picture in each."""
    with DatasetWriter(
        out,
        name=name,
        converter="merge",
        versions={},
        splits=[split],
        shape=shape,
        shard_bytes=per_shard * ROW_BYTES,
    ) as writer:
        for number in range(num_rows):
            writer.add(split, Conversation(id=f"{name}-{number}", source="s", conversations=(TURN,)), [PICTURE])
        writer.finish()
    return out


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """Folders of so many rows, each made once; without `per_shard` in one shard."""
    root = tmp_path_factory.mktemp("streams")

    def make(num_rows: int, *, name: str = "birds", shape: Shape = "arrow", per_shard: int = 1 << 30) -> Path:
        out = root / f"{num_rows}-{shape}-{per_shard}" / name
        return out if out.exists() else write_rows(out, num_rows, name=name, shape=shape, per_shard=per_shard)

    return make
