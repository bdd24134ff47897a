"""The shapes in which a data folder can hold its rows and images, and what sizes and names they may have."""

from __future__ import annotations

import re
from typing import Literal, get_args

from phidata.errors import UsageError

Shape = Literal["images-jsonl", "arrow", "parquet", "webdataset"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
SUFFIXES: dict[Shape, str] = {"arrow": "arrow", "parquet": "parquet", "webdataset": "tar"}  # of the shards' names
SHARD_BYTES = 512 << 20

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SPLIT = re.compile(r"\w+(?:\.\w+)*")  # what the `datasets` library takes for one
_NAME = re.compile(r"\w[\w.-]*")
_MAX_NAME_BYTES = 100  # both names are in those of files, which can have 255


def check_shape(name: str) -> Shape:
    """Return the shape of that name. Raises UsageError naming those there are."""
    for shape in SHAPES:
        if name == shape:
            return shape
    raise UsageError(f"no shape {name!r}; a data folder is {', '.join(SHAPES[:-1])} or {SHAPES[-1]}")


def parse_size(text: str) -> int:
    """Read a size such as `512MB`, `1.5G` or `1000000` as bytes; K, M, G and T are powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    num_bytes = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if num_bytes < 1:
        raise UsageError(f"{text!r} is not a size; write for example 512MB or 2GB")
    return num_bytes


def check_split_name(name: str) -> str:
    """Return the name of a split as it is. Raises UsageError when it can not be one."""
    if not _SPLIT.fullmatch(name):
        raise UsageError(f"{name!r} can not be the name of a split; use letters, digits and underscores")
    return _short(name, "split")


def check_data_name(name: str) -> str:
    """Return the name of a data set as it is. Raises UsageError when files can not be called so."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} can not be the name of a data set; use letters, digits, '_', '-' and '.'")
    return _short(name, "data set")


def _short(name: str, what: str) -> str:
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise UsageError(f"{name[:40]!r}… is too long for the name of a {what}; use {_MAX_NAME_BYTES} bytes at most")
    return name
