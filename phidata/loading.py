"""Converted data as a sequence of conversations, for training jobs; the same for every shape of output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from phidata.errors import DataError, UsageError
from phidata.records import Conversation
from phidata.storage.folder import DataFolder, image_file, open_folder
from phidata.storage.remote import is_remote
from phidata.storage.rows import RowStore
from phidata.storage.stores import open_file, open_split

if TYPE_CHECKING:
    import datasets
    from PIL.Image import Image

    from phidata.storage.remote_rows import RemoteSplit

__all__ = ["ConversationData", "DataFolder", "load", "open_folder"]


def load(
    path: str | Path,
    split: str | None = None,
    *,
    images: str | Path | None = None,
    cache: str | Path | None = None,
    cache_bytes: int | str | None = None,
) -> ConversationData:
    """Open one split of a data folder, or one file of it, as an indexable sequence of conversations.

    A folder of any shape that phidata writes; a jsonl file, or a Parquet, Arrow or tar shard by itself. Opening reads
    what tells where the rows lie (of a jsonl file 8 bytes of memory a row); a row is read, decoded and checked when it
    is asked for. `split` may be left out for a file or a folder with one split. `images` is the folder below which the
    image paths of a jsonl file start: by default `images/` beside it, else its own folder.

    The paths are those of now: rows can be read after the process has changed its working directory, or in another.

    A folder in a store, `s3://bucket/birds`, is opened by its manifest. Its shards are fetched when they are used, into
    the folder `cache` (default: `files` in $PHIDATA_CACHE, else in ~/.cache/phidata), where those used least recently
    are removed so that there are no more than `cache_bytes` (64 GB; a number, or "200GB"). Processes share it.

    Raises UsageError for a missing folder or split, DataError for a folder whose conversion has not finished, for a
    missing shard, for a file that is damaged or not phidata's, and for a store that does not answer.
    """
    if is_remote(path):
        if images is not None:
            raise UsageError(f"{path} holds its images itself; leave out the image folder {images}")
        from phidata.storage.remote_rows import find_remote_split

        return open_remote_data(find_remote_split(str(path), split), cache, cache_bytes)
    if not Path(path).exists():
        open_folder(path)  # says why not, of the path as it was given
    return open_data(Path(path).absolute(), split, images=None if images is None else Path(images).absolute())


def open_data(path: str | Path, split: str | None = None, *, images: str | Path | None = None) -> ConversationData:
    """`load` for a command, which stays where it is: its messages call the files as they were given."""
    root = Path(path)
    if root.is_file():
        if split is not None:
            raise UsageError(f"{root} is one file without splits; leave split={split!r} out or give its folder")
        store = open_file(root, images=images)
    else:
        folder = open_folder(root)
        if split is None and len(folder.files) > 1:
            raise UsageError(f"{root} has the splits {', '.join(sorted(folder.files))}; name one of them")
        store = open_split(folder, split or next(iter(folder.files)), images=images)
    return ConversationData(store, range(len(store)))


def open_remote_data(split: RemoteSplit, cache: str | Path | None, cache_bytes: int | str | None) -> ConversationData:
    """`load` for a split whose manifest has been read."""
    from phidata.storage.cache import cache_at
    from phidata.storage.remote_rows import open_remote_split

    store = open_remote_split(split, cache_at(cache, cache_bytes))
    return ConversationData(store, range(len(store)))


class ConversationData(Sequence[Conversation]):
    """The rows of one split, in file order. Slices and shards are views of the same store and cost nothing.

    Made by `phidata.load`. Can be sent to DataLoader workers and shared by threads.
    """

    def __init__(self, store: RowStore, rows: range) -> None:
        self._store = store
        self._rows = rows

    @property
    def path(self) -> Path:
        """The file with the rows, or the folder that holds its shards."""
        return self._store.path

    @property
    def image_root(self) -> Path | None:
        """The folder below which image paths start; None where images lie in the shards."""
        return self._store.image_root

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Conversation: ...
    @overload
    def __getitem__(self, index: slice) -> ConversationData: ...
    def __getitem__(self, index: int | slice) -> Conversation | ConversationData:
        """One row, or a view of several. Raises DataError naming file and line when the row is not a conversation."""
        if isinstance(index, slice):
            return ConversationData(self._store, self._rows[index])
        return self._store.row(self._rows[index])

    def __iter__(self) -> Iterator[Conversation]:
        return self._store.rows(self._rows)

    def __repr__(self) -> str:
        return f"ConversationData({str(self.path)!r}, rows={len(self)})"

    def images(self, row: int, *, num_turns: int | None = None) -> list[Image]:
        """The images of one row, of all its turns (or the first `num_turns`), decoded now, as PIL images in mode RGB.

        Raises DataError naming file, line, row and path when an image is missing, can not be decoded or lies outside
        the image folder.
        """
        paths = [path for turn in self[row].conversations[:num_turns] for path in turn.images]
        encoded = self._read_images(row, len(paths))
        try:
            return [_decoded(data, self._image_name(path)) for data, path in zip(encoded, paths, strict=True)]
        except DataError as error:
            raise DataError(f"{self.where(row)}: {error}") from error

    def image_bytes(self, row: int) -> list[bytes]:
        """The images of one row as they are stored, one for each path of `self[row].images`.

        Raises DataError naming file, line, row and path when one is missing or lies outside the image folder.
        """
        return self._read_images(row, len(self[row].images))

    def missing_images(self, row: int) -> list[str]:
        """The paths of the images of one row that are not there; the others are not read."""
        return self._store.missing_images(self._rows[row])

    def where(self, row: int) -> str:
        """File, line and id of a row, for messages.

        `data/ucf101_train.jsonl:5: row 'train-0000000004'`, or of a shard
        `data/train-00000-of-00002.parquet: row 5: row 'train-0000000004'`; lines and rows are counted from 1.
        """
        return f"{self._store.place(self._rows[row])}: row {self[row].id!r}"

    def image_path(self, path: str) -> Path:
        """Where the image that a row calls `path` lies on disk. Raises DataError when that leads out of the folder,
        and UsageError where images are not files."""
        if self.image_root is None:
            raise UsageError(f"the images of {self.path} lie in its shards, not in files; read them with image_bytes")
        return image_file(self.image_root, path)

    def shard(self, rank: int, world_size: int) -> ConversationData:
        """Every `world_size`-th row, starting with row `rank`: the shards of all ranks together are the whole split."""
        if not 0 <= rank < world_size:
            raise UsageError(f"rank {rank} is not one of the {world_size} ranks 0 … {world_size - 1}")
        return self[rank::world_size]

    def to_hf(self, *, decode_images: bool = True) -> datasets.Dataset:
        """The same rows as a `datasets.Dataset`, memory-mapped from its cache.

        Images are the library's lazily decoded `Image` features, or with `decode_images=False` the relative paths as
        they stand in the rows. `answers` and `metadata` (as JSON text) are columns when any row has them.
        """
        from phidata.storage.hf import to_dataset

        return to_dataset(self._store, self._rows, decode_images=decode_images)

    def _read_images(self, row: int, num_images: int) -> list[bytes]:
        try:
            return self._store.images(self._rows[row], num_images)
        except DataError as error:
            raise DataError(f"{self.where(row)}: {error}") from error

    def _image_name(self, path: str) -> str:
        return f"image {path!r}" if self.image_root is None else str(image_file(self.image_root, path))


def _decoded(data: bytes, name: str) -> Image:
    from phidata.media.images import decode_rgb

    try:
        return decode_rgb(data)
    except DataError as error:
        raise DataError(f"{name}: {error}; replace it or drop its row") from error
