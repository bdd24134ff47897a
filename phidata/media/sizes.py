"""The size that a picture has once it is decoded, from its header alone."""

from __future__ import annotations

from phidata.errors import DataError
from phidata.media.headers import HEAD_BYTES, plain_header, read_header


def image_size(source: str | bytes) -> tuple[int, int] | None:
    """(width, height) of an image file, given as its path or its content; None for what can not be opened as one."""
    try:
        if isinstance(source, bytes):
            header = read_header(source)
        else:
            with open(source, "rb") as file:  # noqa: PTH123 - a Path would cost more than the call
                head = file.read(HEAD_BYTES[0])
                header = plain_header(head) or read_header(head + file.read())
    except (OSError, ValueError, DataError):
        return None
    return header.width, header.height
