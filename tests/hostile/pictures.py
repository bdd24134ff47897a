"""Every hostile picture of the table: its name, and the bytes of its file."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from PIL import Image

EXIF = b"Exif\0\0"
ORIENTATION = 0x112
SHORT, LONG, RATIONAL, DOUBLE = 3, 4, 5, 12  # TIFF 6.0, section 2
LOOP = (0x8769, LONG, 1, 8)  # the EXIF folder of a folder is itself


@lru_cache
def noise(size: tuple[int, int] = (48, 40), mode: str = "RGB") -> Image.Image:
    num_bytes = size[0] * size[1] * Image.getmodebands(mode)
    return Image.frombytes(mode, size, random.Random(7).randbytes(num_bytes))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 4, height: int = 4, *, pixels: bytes | None = None, extra: bytes = b"") -> bytes:
    """A PNG in 8-bit RGB that claims any size; black where `pixels`, already deflated, are not given."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = zlib.compress(bytes(4 * 13)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def animated_png(num_frames: int) -> bytes:
    frame = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4, 4, 0, 0, 1, 1, 0, 0))
    return png(extra=chunk(b"acTL", struct.pack(">II", num_frames, 0)) + frame)


def gif(width: int, height: int, num_frames: int = 1, *, frame: tuple[int, int] = (1, 1), end: bytes = b";") -> bytes:
    control = b"\x21\xf9\4\0\0\0\0\0"
    image = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x44\1\0"
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + (control + image) * num_frames + end


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"", after: int = 0) -> bytes:
    """A TIFF of one folder of tags (tag, type, count, value), and the data that they refer to behind it."""
    folder = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + folder + struct.pack("<I", after) + data


def grey_tiff(width: int, height: int) -> list[tuple[int, int, int, int]]:
    sizes = [(256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 1, 8), (259, SHORT, 1, 1), (262, SHORT, 1, 1)]
    return [*sizes, (273, LONG, 1, 8), (277, SHORT, 1, 1), (278, LONG, 1, height), (279, LONG, 1, 16)]


def paged_tiff(num_pages: int) -> bytes:
    """A TIFF of many pages of one pixel."""
    entries = b"".join(struct.pack("<HHII", *entry) for entry in grey_tiff(1, 1))
    size = 2 + len(entries) + 4
    starts = [*(8 + size * (number + 1) for number in range(num_pages - 1)), 0]
    pages = (struct.pack("<H", 9) + entries + struct.pack("<I", start) for start in starts)
    return b"II*\0" + struct.pack("<I", 8) + b"".join(pages)


def bmp(width: int, height: int, *, bits: int = 24, kind: int = 0, data: bytes = b"") -> bytes:
    table = bytes(1024) if bits == 8 else b""
    start = 54 + len(table)
    size = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, kind, 0, 0, 0, 256 if table else 0, 0)
    return b"BM" + struct.pack("<IHHI", start, 0, 0, start) + size + table + data


def webp(width: int, height: int, num_frames: int) -> bytes:
    """An animated WebP whose frames are a pixel each."""
    frame = bytes(15) + b"\0" + saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    frames = (b"ANMF" + struct.pack("<I", len(frame)) + frame) * num_frames
    canvas = b"\2\0\0\0" + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6) + frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(*, segments: bytes = b"", size: tuple[int, int] | None = None) -> bytes:
    """A JPEG with further segments at its front, that may claim another size."""
    data = saved(noise(), "JPEG")
    if size:
        at = data.index(b"\xff\xc0") + 5
        data = data[:at] + struct.pack(">HH", size[1], size[0]) + data[at + 4 :]
    return data[:2] + segments + data[2:]


def segment(payload: bytes, marker: bytes = b"\xff\xe1") -> bytes:
    return marker + struct.pack(">H", len(payload) + 2) + payload


def with_exif(*entries: tuple[int, int, int, int], data: bytes = b"") -> bytes:
    return jpeg(segments=segment(EXIF + tiff(*entries, data=data)))


def progressive_jpeg(width: int, height: int, num_scans: int) -> bytes:
    """A grey progressive JPEG (ITU-T T.81, annex G) whose every scan says in a few bytes that nothing changes."""
    num_blocks = (width + 7) // 8 * ((height + 7) // 8)
    tables = segment(b"\0" + b"\1" * 64, b"\xff\xdb") + segment(b"\0\1" + bytes(15) + b"\0", b"\xff\xc4")
    tables += segment(b"\x10\1" + bytes(15) + b"\xe0", b"\xff\xc4")
    frame = segment(struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0", b"\xff\xc2")
    first = segment(b"\1\1\0\0\0\0", b"\xff\xda") + bytes((num_blocks + 7) // 8)
    runs = ("0" + "1" * 14) * -(-num_blocks // 0x7FFF)
    bits = int(runs + "1" * (-len(runs) % 8), 2).to_bytes(-(-len(runs) // 8), "big")
    scan = segment(b"\1\1\0\1\x3f\0", b"\xff\xda") + bits.replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + tables + frame + first + scan * num_scans + b"\xff\xd9"


def sequential_jpeg(num_scans: int) -> bytes:
    """A JPEG of three components, baseline, whose scans are of one component each and are empty."""
    data = saved(Image.new("RGB", (64, 64)), "JPEG")
    return data[: data.index(b"\xff\xda")] + segment(b"\1\1\0\0\x3f\0", b"\xff\xda") * num_scans + b"\xff\xd9"


def jpeg_2000(width: int, height: int) -> bytes:
    data = bytearray(saved(noise(), "JPEG2000"))
    box, size = data.index(b"ihdr") + 4, data.index(b"\xff\x51") + 6
    data[box : box + 8] = struct.pack(">II", height, width)
    data[size : size + 8] = data[size + 16 : size + 24] = struct.pack(">II", width, height)
    return bytes(data)


def ico(content: bytes) -> bytes:
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22) + content


def avif(width: int, height: int) -> bytes:
    data = saved(noise(), "AVIF")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def unpacks(kind: bytes, head: bytes) -> bytes:
    """A PNG with a chunk of 16 MB of zeros, deflated to 16 KB."""
    return png(extra=chunk(kind, head + zlib.compress(bytes(1 << 24), 9)))


BUILDERS: Mapping[str, Callable[[], bytes]] = {
    "claims.png": lambda: png(60_000, 60_000),
    "claims-most.png": lambda: png(2**31 - 1, 2**31 - 1),
    "claims.jpg": lambda: jpeg(size=(65_535, 65_535)),
    "claims.webp": lambda: webp(1 << 24, 1 << 24, 1),
    "claims.gif": lambda: gif(65_535, 65_535),
    "claims-frame.gif": lambda: gif(4, 4, frame=(65_000, 65_000)),
    "claims.tif": lambda: tiff(*grey_tiff(2**31 - 1, 2**31 - 1)),
    "claims.bmp": lambda: bmp(2**31 - 1, 2**31 - 1),
    "claims.ppm": lambda: b"P6 100000 100000 255\n",
    "claims.jp2": lambda: jpeg_2000(65_535, 65_535),
    "claims.avif": lambda: avif(65_535, 65_535),
    "claims-ico.png": lambda: ico(png(60_000, 60_000)),
    "negative.bmp": lambda: bmp(-5, -5),
    "claims-below-limit.png": lambda: png(13_000, 13_000),
    "claims-below-limit.bmp": lambda: bmp(13_000, 13_000),
    "nothing-wide.png": lambda: png(0, 10),
    "nothing-wide.jpg": lambda: jpeg(size=(0, 40)),
    "text-unpacks.png": lambda: unpacks(b"zTXt", b"k\0\0"),
    "international-text-unpacks.png": lambda: unpacks(b"iTXt", b"k\0\1\0\0\0"),
    "profile-unpacks.png": lambda: unpacks(b"iCCP", b"k\0\0"),
    "texts-unpack.png": lambda: png(extra=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**6), 9)) * 70),
    "pixels-unpack.png": lambda: png(pixels=zlib.compress(bytes(1 << 24), 9)),
    "many-chunks.png": lambda: png(extra=chunk(b"tEXt", b"k\0v") * 20_000),
    "frames.png": lambda: animated_png(2**31 - 1),
    "frames.gif": lambda: gif(1, 1, 6_000),
    "frames.webp": lambda: webp(4, 4, 6_000),
    "large-frames.webp": lambda: webp(1_000, 1_000, 2_000),
    "pages.tif": lambda: paged_tiff(6_000),
    "own-successor.tif": lambda: tiff(*grey_tiff(4, 4), data=bytes(16), after=8),
    "tags.tif": lambda: b"II*\0" + struct.pack("<IH", 8, 65_535) + b"\xff" * (65_535 * 12) + bytes(4),
    "values.tif": lambda: tiff(*grey_tiff(4, 4)[:5], (273, LONG, 2**32 - 1, 8), *grey_tiff(4, 4)[6:], data=bytes(16)),
    "scans.jpg": lambda: progressive_jpeg(600, 600, 2_000),
    "empty-scans.jpg": lambda: sequential_jpeg(2_000),
    "filling.jpg": lambda: b"\xff\xd8" + b"\xff" * 100_000,
    "comments.pbm": lambda: b"P1 4 4\n" + b"#\n" * 100_000,
    "no-end-of-comment.ppm": lambda: b"P6\n#" + b"x" * 100_000,
    "runs.bmp": lambda: bmp(200, 200, bits=8, kind=1, data=b"\0\2\xff\xff" * 100 + b"\0\1"),
    "no-end.gif": lambda: gif(4, 4, end=b"\x21\xfe\1x\0" * 10_000),
    "exif-loop.jpg": lambda: with_exif(LOOP, (ORIENTATION, SHORT, 1, 6)),
    "exif-fraction.jpg": lambda: with_exif((ORIENTATION, RATIONAL, 1, 26), data=struct.pack("<II", 6, 1)),
    "exif-float.jpg": lambda: with_exif((ORIENTATION, DOUBLE, 1, 26), data=struct.pack("<d", 6.0)),
    "exif-text.jpg": lambda: with_exif((ORIENTATION, 2, 2, 0x36)),
    "exif-out-of-range.jpg": lambda: with_exif((ORIENTATION, SHORT, 1, 65_535)),
    "exif-count.jpg": lambda: with_exif((ORIENTATION, SHORT, 2**31 - 1, 8)),
    "exif-tags.jpg": lambda: with_exif(*[(ORIENTATION, SHORT, 1, 6)] * 5_000),
    "exif-megabytes.jpg": lambda: jpeg(segments=segment(EXIF + b"MM\0*\0\0\0\x08" + b"\xff" * 65_000) * 40),
    "exif-megabytes.png": lambda: png(extra=chunk(b"eXIf", b"MM\0*\0\0\0\x08" + b"\xff" * 2_000_000)),
    "xmp.jpg": lambda: jpeg(segments=segment(b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:Orientation" * 4_000)),
    "profile.jpg": lambda: saved(noise(), "JPEG", icc_profile=b"\xff" * 1_000_000),
    "wide.png": lambda: saved(noise((65_000, 1)), "PNG"),
    "high.png": lambda: saved(noise((1, 65_000)), "PNG"),
    "wide.jpg": lambda: saved(noise((65_000, 1)), "JPEG"),
    "too-wide.png": lambda: saved(noise((65_536, 1)), "PNG"),
    "cmyk.jpg": lambda: saved(noise(mode="CMYK"), "JPEG"),
    "grey-16.png": lambda: saved(Image.frombytes("I;16", (8, 8), random.Random(7).randbytes(128)), "PNG"),
    "transparent-palette.png": lambda: saved(noise(mode="L").convert("P"), "PNG", transparency=bytes(range(256))),
    "floats.tif": lambda: saved(Image.new("F", (4, 4), 0.5), "TIFF"),
    "is-a-png.jpg": lambda: saved(noise(), "PNG"),
    "is-a-gif.webp": lambda: gif(4, 4),
    "empty.png": lambda: b"",
    "zeros.png": lambda: bytes(10_000),
    "one-byte.jpg": lambda: b"\xff",
    "text.jpg": lambda: b"not an image",
    "vector.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "vector-xml.png": lambda: b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
    "page.png": lambda: b"<!DOCTYPE html><script>alert(1)</script>",
    "postscript.png": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%touch pwned) (w) file\n",
    "phone.heic": lambda: b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(100),
    "film.png": lambda: b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(100),
}
