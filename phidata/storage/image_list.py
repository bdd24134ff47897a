"""The list of all images of a data set, of which the manifest keeps number, bytes and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from phidata.errors import DataError
from phidata.storage.manifest import ImageTree


class ImageList:
    """The images of one split, or of all, each path once, in the order in which rows first name them."""

    def __init__(self) -> None:
        self._images: dict[str, tuple[bytes, int]] = {}  # path → digest, num_bytes

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, path: str) -> bool:
        return path in self._images

    def add(self, path: str, data: bytes) -> bool:
        """Take an image into the list; False when it stood there already.

        Raises DataError when the same path stood for another image before.
        """
        return self._take(path, (hashlib.sha256(data).digest(), len(data)))

    def note(self, path: str, *, sha256: str, num_bytes: int) -> bool:
        """The same for an image that is known by its hash in hexadecimal digits."""
        return self._take(path, (bytes.fromhex(sha256), num_bytes))

    def extend(self, other: ImageList) -> None:
        """Take all of another list, behind those that are here."""
        for path, entry in other._images.items():
            self._take(path, entry)

    def tree(self) -> ImageTree:
        """What the manifest says of the images."""
        total = hashlib.sha256()
        for path, (digest, _) in self._images.items():
            total.update(f"{digest.hex()}  {path}\n".encode())
        num_bytes = sum(num_bytes for _, num_bytes in self._images.values())
        return ImageTree(num=len(self._images), bytes=num_bytes, sha256=total.hexdigest())

    def _take(self, path: str, entry: tuple[bytes, int]) -> bool:
        known = self._images.setdefault(path, entry)
        if known != entry:
            raise DataError(f"two different images are called {path!r}; give one of them another path")
        return known is entry


def joined(lists: Iterable[ImageList]) -> ImageList:
    """One list of several, in their order."""
    total = ImageList()
    for images in lists:
        total.extend(images)
    return total
