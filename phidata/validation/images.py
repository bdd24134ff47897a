"""The images that rows name: each file looked at once, each finding at the place of its path in the row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Protocol

from phidata.diagnostics.excerpt import quoted
from phidata.media.defect import Defect
from phidata.media.pillow import strict_pillow
from phidata.media.presence import ImageFolder
from phidata.media.probe import probe
from phidata.media.sizes import image_size
from phidata.media.sound import file_head, has_sound_header
from phidata.validation.accept import AcceptedRow
from phidata.validation.inputs import Media
from phidata.validation.meaning import turns
from phidata.validation.paths import is_image_path
from phidata.validation.scan import Fault, Path, Scan
from phidata.validation.seen import Slots, SoundImages

NUM_REMEMBERED = 1024  # images with defects; sound ones are remembered by SoundImages
NUM_SIZES = 1 << 16


class RowImages(Protocol):
    """The images of rows; a row is named by its place. `are_looked_at` says whether they are checked at all."""

    are_looked_at: bool

    def strict(self) -> AbstractContextManager[object]:
        """What to be inside of while many images are looked at, because entering it for each takes time."""

    def are_sound(self, place: int, row: AcceptedRow) -> bool:
        """Whether nothing is wrong with any image of the row."""

    def faults(self, place: int, scan: Scan) -> Iterator[Fault]:
        """What is wrong with the images of a row. Paths that are wrong as paths are left out: the shape has them."""

    def sizes(self, place: int, row: AcceptedRow) -> list[tuple[int, int] | None]:
        """(width, height) of each image of the row; None for one that can not be opened."""


class FileImages:
    """The images below one folder, looked at as closely as `media` says."""

    def __init__(self, root: str, media: Media, slots: Slots) -> None:
        self._folder = ImageFolder(root)
        self._media = media
        self.are_looked_at = media != "none"
        self._sound = SoundImages(slots)
        self._defects = lru_cache(maxsize=NUM_REMEMBERED)(self._look)
        self._size = lru_cache(maxsize=NUM_SIZES)(self._read_size)

    def strict(self) -> AbstractContextManager[object]:
        return strictness(self._media)

    def are_sound(self, place: int, row: AcceptedRow) -> bool:  # noqa: ARG002 - the name alone tells the file
        return not self.are_looked_at or all(self._is_sound(name) for turn in row.conversations for name in turn.images)

    def faults(self, place: int, scan: Scan) -> Iterator[Fault]:  # noqa: ARG002
        if self.are_looked_at:
            for path, name in image_names(scan):
                if not self._is_sound(name):
                    yield from image_faults(scan, path, name, self._defects(name))

    def sizes(self, place: int, row: AcceptedRow) -> list[tuple[int, int] | None]:  # noqa: ARG002
        return [self._size(name) for turn in row.conversations for name in turn.images]

    def _is_sound(self, name: str) -> bool:
        path = self._folder.path(name)
        if path in self._sound:
            return True
        if self._defects(name):
            return False
        self._sound.add(path)
        return True

    def _look(self, name: str) -> tuple[Defect, ...]:
        if absent := self._folder.defect(name):
            return (absent,)
        if self._media == "exists":
            return ()
        path = self._folder.path(name)
        if self._media == "header" and _is_sound_file(path):
            return ()
        return tuple(probe(path, decode=self._media == "decode"))

    def _read_size(self, name: str) -> tuple[int, int] | None:
        return image_size(self._folder.path(name))


def strictness(media: Media) -> AbstractContextManager[object]:
    """Pillow's strict settings, where images are opened at all."""
    return strict_pillow() if media in ("header", "decode") else nullcontext()


def _is_sound_file(path: str) -> bool:
    try:
        return has_sound_header(file_head(path))
    except (OSError, ValueError):
        return False


def image_names(scan: Scan) -> Iterator[tuple[Path, str]]:
    """The image paths of a row that may be anything, each with its place in it."""
    for turn_path, turn in turns(scan.value):
        images = turn.get("images")
        for number, name in enumerate(images if isinstance(images, list) else ()):
            if isinstance(name, str) and is_image_path(name):
                yield (*turn_path, "images", number), name


def image_faults(scan: Scan, path: Path, name: str, defects: Iterable[Defect]) -> Iterator[Fault]:
    """The defects of an image as faults of the row that names it."""
    start, end = scan.spans[path]
    for rule, what in defects:
        yield Fault(rule=rule, start=start, end=end, path=path, message=f"image {quoted(name)} {what}")
