"""What the bytes of many rows tell together, before anybody looks at one of them.

numpy looks at sixteen bytes and more at a time, and takes longer to import than a small file takes to check: only large
blocks are left to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGE_BYTES = 1 << 15

_NEWLINE, _QUOTE, _DOT, _SLASH, _OPEN, _CLOSE = b'\n"./{}'
_ODD_NAME = re.compile(r"/[/.]")


def are_rows_on_lines(block: bytes, num_rows: int) -> bool:
    """Whether each of the `num_rows` objects that were decoded from a block has one line for itself, with nothing
    around it.

    Where `}` and `{` stand around a newline it parts two rows: inside a row there would be a comma or a colon.
    """
    end = len(block) - block.endswith(b"\n")
    if block[:1] != b"{" or block[end - 1 : end] != b"}":
        return False
    if end < LARGE_BYTES:
        return block.count(b"}\n{") == block.count(b"\n", 0, end) == num_rows - 1
    data = _bytes(block)[:end]
    newlines = (data == _NEWLINE).nonzero()[0]
    if len(newlines) != num_rows - 1:
        return False
    return bool((data[newlines - 1] == _CLOSE).all() and (data[newlines + 1] == _OPEN).all())


def num_quotes(block: bytes, *, escaped: bool) -> int:
    """The quotes that begin or end a string; `escaped` says whether there is any backslash."""
    if escaped:
        block = block.replace(rb"\\", b"")
        return block.count(b'"') - block.count(rb"\"")
    if len(block) < LARGE_BYTES:
        return block.count(b'"')
    import numpy as np

    return int(np.count_nonzero(_bytes(block) == _QUOTE))


def has_odd_names(joined: str) -> bool:
    """Whether a slash is followed by another or by a dot."""
    if len(joined) < LARGE_BYTES:
        return _ODD_NAME.search(joined) is not None
    data = _bytes(joined.encode("utf-8", "surrogatepass"))
    return bool(((data[:-1] == _SLASH) & (data[1:] - _DOT <= _SLASH - _DOT)).any())  # below a dot it wraps around


def _bytes(data: bytes) -> npt.NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(data, np.uint8)
