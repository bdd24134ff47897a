"""What becomes of a row: it is written, or it failed and why."""

from __future__ import annotations

import msgspec


class ImageFile(msgspec.Struct, frozen=True, array_like=True):
    """One image as it was written: its path below the image folder, its size and its sha256."""

    path: str
    num_bytes: int
    sha256: str


class Written(msgspec.Struct, frozen=True, kw_only=True, tag="written", tag_field="outcome"):
    """The row's line of JSON, without its line end, and its images in order."""

    line: msgspec.Raw
    images: tuple[ImageFile, ...]


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="outcome"):
    """Why the row could not be converted; nothing of it is in the output."""

    reason: str


Outcome = Written | Failed
