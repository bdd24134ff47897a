"""The images of one row, each with what keeps it from being read, for all shapes of data."""

from __future__ import annotations

import os
from collections.abc import Sequence

from phidata.errors import DataError
from phidata.loading import ConversationData
from phidata.media.headers import HEAD_BYTES, ImageHeader, plain_header, read_header
from phidata.records import Conversation
from phidata.regular import read_regular


def image_contents(data: ConversationData, number: int, row: Conversation) -> Sequence[bytes | DataError]:
    """The bytes of each image of a row as they are stored, or why there are none; errors name no row."""
    if data.image_root is not None:
        return [_content(data, path) for path in row.images]
    try:
        return data.image_bytes(number)
    except DataError as error:
        return [error] * len(row.images)


def image_headers(data: ConversationData, number: int, row: Conversation) -> list[tuple[ImageHeader, int] | DataError]:
    """Header and number of bytes of each image of a row; of files little more than the header is read."""
    if data.image_root is not None:
        return [_file_header(data, path) for path in row.images]
    return [
        content if isinstance(content, DataError) else _header(content) for content in image_contents(data, number, row)
    ]


def _header(content: bytes) -> tuple[ImageHeader, int] | DataError:
    try:
        return read_header(content), len(content)
    except DataError as error:
        return error


def _file_header(data: ConversationData, path: str) -> tuple[ImageHeader, int] | DataError:
    try:
        descriptor = os.open(data.image_path(path), os.O_RDONLY | os.O_NONBLOCK)
        try:
            for num_bytes in HEAD_BYTES:
                if header := plain_header(os.pread(descriptor, num_bytes, 0)):
                    return header, os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
    except (OSError, ValueError, DataError) as error:
        return _unreadable(path, error)
    content = _content(data, path)
    if isinstance(content, DataError):
        return content
    found = _header(content)
    return DataError(f"image {path!r}: {found}") if isinstance(found, DataError) else found


def _content(data: ConversationData, path: str) -> bytes | DataError:
    try:
        return read_regular(data.image_path(path))
    except (OSError, ValueError, DataError) as error:
        return _unreadable(path, error)


def _unreadable(path: str, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if isinstance(error, FileNotFoundError):
        return DataError(f"image {path!r} is missing")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return DataError(f"image {path!r} can not be read: {reason}")
