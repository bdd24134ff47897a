"""Archives byte by byte, sound and otherwise, and the small pictures that are in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache

import pyarrow as pa
from PIL import Image

END = bytes(1024)  # of a tar
FORMATS: Mapping[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda data: zstd(data),
}


@lru_cache
def png(colour: str = "red") -> bytes:
    """A picture of 16×16 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), colour).save(buffer, "PNG")
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    """One Zstandard frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def member(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    """A member of a tar with its headers, as tarfile writes it."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    return info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape") + padded(data)


def raw_member(name: str, size: bytes, kind: bytes = tarfile.REGTYPE, data: bytes = b"") -> bytes:
    """A member whose header has a right sum and says any size: 12 bytes, as they stand there."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + padded(data)


def attributes(values: Mapping[str, str]) -> bytes:
    """The header of a tar with pax attributes of the member after it."""
    records = b"".join(_record(f" {key}={value}\n".encode()) for key, value in values.items())
    return raw_member("attributes", b"%011o\0" % len(records), tarfile.XHDTYPE, records)


def zipped(members: Mapping[str, bytes], *, modes: Mapping[str, int] | None = None) -> bytes:
    """A zip; `modes` are the kinds of members, as of `stat`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (modes or {}).get(name, 0) << 16
            package.writestr(info, data)
    return buffer.getvalue()


def with_field(package: bytes, mark: bytes, at: int, layout: str, value: int) -> bytes:
    """A zip with another number in the last record that begins with the mark."""
    begin = package.rindex(mark) + at
    return package[:begin] + struct.pack(layout, value) + package[begin + struct.calcsize(layout) :]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _record(rest: bytes) -> bytes:
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest
