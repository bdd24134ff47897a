"""Converted data as a sequence of conversations, for training jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import msgspec

from phidata.errors import DataError, UsageError
from phidata.media.images import open_rgb
from phidata.records import Conversation
from phidata.storage.folder import DataFolder, open_folder
from phidata.storage.jsonl import LineIndex

if TYPE_CHECKING:
    import datasets
    from PIL.Image import Image

__all__ = ["ConversationData", "DataFolder", "load", "open_folder"]

_decode = msgspec.json.Decoder(Conversation).decode


def load(path: str | Path, split: str | None = None, *, images: str | Path | None = None) -> ConversationData:
    """Open one split of a data folder, or one jsonl file, as an indexable sequence of conversations.

    Opening reads the file once to find its lines (8 bytes of memory a row); a row is read, decoded and checked when it
    is asked for. `split` may be left out for a jsonl file or a folder with one split. `images` is the folder below
    which the image paths start: by default `images/` beside the file, else the file's folder.

    Raises UsageError for a missing folder or split, DataError for a folder whose conversion has not finished.
    """
    root = Path(path)
    if root.is_file():
        if split is not None:
            raise UsageError(f"{root} is one jsonl file without splits; leave split={split!r} out or give its folder")
        beside = root.parent / "images"
        file, image_root = root, beside if beside.is_dir() else root.parent
    else:
        folder = open_folder(root)
        if split is None and len(folder.splits) > 1:
            raise UsageError(f"{root} has the splits {', '.join(sorted(folder.splits))}; name one of them")
        file, image_root = folder.split(split or next(iter(folder.splits))), folder.images
    lines = LineIndex(file)
    return ConversationData(lines, Path(images) if images is not None else image_root, range(len(lines)))


class ConversationData(Sequence[Conversation]):
    """The rows of one split, in file order. Slices and shards are views of the same index and cost nothing.

    Made by `phidata.load`. Can be sent to DataLoader workers.
    """

    def __init__(self, lines: LineIndex, image_root: Path, rows: range) -> None:
        self.path = lines.path
        self.image_root = image_root
        self._lines = lines
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Conversation: ...
    @overload
    def __getitem__(self, index: slice) -> ConversationData: ...
    def __getitem__(self, index: int | slice) -> Conversation | ConversationData:
        """One row, or a view of several. Raises DataError naming file and line when the row is not a conversation."""
        if isinstance(index, slice):
            return ConversationData(self._lines, self.image_root, self._rows[index])
        number = self._rows[index]
        try:
            return _decode(self._lines[number])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path}:{number + 1}: this line is not a conversation ({error}); "
                f"`phidata validate {self.path}` says what is wrong and where"
            ) from error

    def __iter__(self) -> Iterator[Conversation]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"ConversationData({str(self.path)!r}, rows={len(self)})"

    def images(self, row: int, *, num_turns: int | None = None) -> list[Image]:
        """The images of one row, of all its turns (or the first `num_turns`), decoded now, as PIL images in mode RGB.

        Raises DataError naming file, line, row and path when an image is missing, can not be decoded or lies outside
        the image folder.
        """
        turns = self[row].conversations[:num_turns]
        try:
            return [open_rgb(self.image_path(image)) for turn in turns for image in turn.images]
        except DataError as error:
            raise DataError(f"{self.where(row)}: {error}") from error

    def where(self, row: int) -> str:
        """File, line and id of a row, for messages: `data/ucf101_train.jsonl:5: row 'train-0000000004'`."""
        return f"{self.path}:{self._rows[row] + 1}: row {self[row].id!r}"

    def image_path(self, path: str) -> Path:
        """Where the image that a row calls `path` lies on disk. Raises DataError when that leads out of the folder."""
        parts = path.split("/")
        if not parts[0] or ".." in parts or "\\" in path or "\0" in path:
            raise DataError(f"image path {path!r} leads out of {self.image_root}; paths are relative, without '..'")
        return self.image_root.joinpath(*parts)

    def shard(self, rank: int, world_size: int) -> ConversationData:
        """Every `world_size`-th row, starting with row `rank`: the shards of all ranks together are the whole split."""
        if not 0 <= rank < world_size:
            raise UsageError(f"rank {rank} is not one of the {world_size} ranks 0 … {world_size - 1}")
        return self[rank::world_size]

    def to_hf(self, *, decode_images: bool = True) -> datasets.Dataset:
        """The same rows as a `datasets.Dataset`, memory-mapped from its cache.

        Images are the library's lazily decoded `Image` features, or with `decode_images=False` the relative paths as
        they stand in the file. `answers` and `metadata` (as JSON text) are columns when any row has them.
        """
        from phidata.storage.hf import to_dataset

        return to_dataset(self, self.image_path if decode_images else None)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__
