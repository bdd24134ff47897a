"""Every hostile archive of the table: its name, and the archives themselves by what their files are called."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping

from .making import END, FORMATS, attributes, member, png, raw_member, with_field, zipped

SOUND = {"train/a/1.png": png("red"), "train/b/2.png": png("blue")}
SIZE = b"%011o\0"

Archives = dict[str, bytes]


def tar(*more: bytes) -> bytes:
    """Two pictures, and further members."""
    return b"".join([*(member(name, data) for name, data in SOUND.items()), *more, END])


def both(name: str, data: bytes = b"1") -> Archives:
    """A further member in a tar and in a zip."""
    return {"a.tar": tar(member(name, data)), "a.zip": zipped(SOUND | {name: data})}


def links(name: str, target: str) -> Archives:
    """A symbolic link in a tar and in a zip."""
    package = zipped(SOUND | {name: target.encode()}, modes={name: stat.S_IFLNK})
    return {"a.tar": tar(member(name, kind=tarfile.SYMTYPE, target=target)), "a.zip": package}


def sound() -> Archives:
    return {"a.zip": zipped(SOUND)} | {f"a.{name}": pack(tar()) for name, pack in FORMATS.items()}


def in_tar(*names: str) -> Archives:
    """Pictures of these names besides, in a tar."""
    return {"a.tar": tar(*(member(name, png("green")) for name in names))}


def in_zip(*names: str) -> Archives:
    """Pictures of these names besides, in a zip."""
    return {"a.zip": zipped(SOUND | {name: png("green") for name in names})}


def duplicate(name: str) -> Archives:
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as package:
        for text in ("train/a/1.png", "train/a/2.png"):
            package.writestr(text, png())
    same = twice.getvalue().replace(b"train/a/2.png", b"train/a/1.png")
    zips = same if name == "train/a/1.png" else zipped(SOUND | {name: png()})
    return {"a.tar": tar(member(name, png())), "a.zip": zips}


def through_a_link() -> Archives:
    found = links("train/out", "a")
    return {"a.tar": found["a.tar"][:-1024] + member("train/out/x.png", png()) + END, "a.zip": found["a.zip"]}


def links_inside() -> Archives:
    soft = member("train/a/2.png", kind=tarfile.SYMTYPE, target="1.png")
    return {"a.tar": tar(soft, member("train/a/3.png", kind=tarfile.LNKTYPE, target="train/a/1.png"))}


def negative() -> Archives:
    in_header = raw_member("x", b"\xff" * 10 + b"\xfc\x00")
    return {"a.tar": tar(in_header), "b.tar": tar(attributes({"size": "-1024"}) + raw_member("x", SIZE % 0))}


def sparse(map_: bytes, size: str) -> Archives:
    names = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x", "GNU.sparse.realsize": size}
    return {"a.tar": tar(attributes(names) + raw_member("x", SIZE % 512, data=map_.ljust(512, b"\0")))}


def chains() -> Archives:
    comment, name = attributes({"comment": "x"}), raw_member("x", SIZE % 5, tarfile.GNUTYPE_LONGNAME, b"hello")
    return {"a.tar": tar(comment * 3000 + member("x")), "b.tar": tar(name * 3000 + member("x"))}


def header_bomb() -> Archives:
    header = attributes({"comment": "x" * 1_000_000})
    return {"a.tar.gz": gzip.compress(tar(*(header + member(str(number)) for number in range(100))), 1, mtime=0)}


def end_bomb() -> Archives:
    return {"a.tar.gz": gzip.compress(tar(), mtime=0) + gzip.compress(bytes(1 << 26), 9, mtime=0) * 16}


def nested() -> Archives:
    inner = zipped({"0.zip": bytes(100 << 20)})
    return {"a.zip": zipped({"2.zip": zipped({"1.zip": inner})})}


def overlapping() -> Archives:
    """One member, to which ten thousand entries of the list lead, each by the same name as the member has."""
    package = zipped({"x": bytes(50_000)})
    at, end = package.index(b"PK\1\2"), package.index(b"PK\5\6")
    listed = package[at:end] * 10_000
    return {
        "a.zip": package[:at] + listed + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 10_000, 10_000, len(listed), at, 0)
    }


def zip64(extra: bytes) -> Archives:
    """A zip whose list gives a member's size in an extra field."""
    package = with_field(zipped({"x.png": png()}), b"PK\1\2", 24, "<I", 0xFFFFFFFF)
    package = with_field(package, b"PK\1\2", 30, "<H", len(extra))
    end = package.index(b"PK\5\6")
    package = package[:end] + extra + package[end:]
    return {"a.zip": with_field(package, b"PK\5\6", 12, "<I", end - package.index(b"PK\1\2") + len(extra))}


def wrong_sums() -> Archives:
    packed = gzip.compress(tar(), mtime=0)
    return {
        "a.tar.gz": packed[:-8] + struct.pack("<I", 1) + packed[-4:],
        "a.zip": with_field(zipped(SOUND), b"PK\1\2", 16, "<I", 1),
    }


def encrypted() -> Archives:
    package = bytearray(zipped(SOUND))
    package[6] |= 1
    package[package.index(b"PK\1\2") + 8] |= 1
    return {"a.zip": bytes(package)}


def unknown_method() -> Archives:
    package = with_field(zipped({"x.png": png()}), b"PK\1\2", 10, "<H", 99)
    return {"a.zip": with_field(package, b"PK\3\4", 8, "<H", 99)}


def one_behind_the_other() -> Archives:
    twice = {f"a.{name}": FORMATS[name](tar() + tar()) for name in ("tar", "tar.zst")}
    return twice | {"a.tar.gz": gzip.compress(tar(), mtime=0) * 2}


def cut() -> Archives:
    long = tar(member("train/b/3.png", bytes(range(256)) * 64))
    whole = {"a.zip": zipped(SOUND)} | {f"a.{name}": pack(long) for name, pack in FORMATS.items()}
    return {
        f"{sixteenths}-{name}": data[: len(data) * sixteenths // 16]
        for name, data in whole.items()
        for sixteenths in range(1, 16)
    }


def nothing() -> Archives:
    return {"a.tar": END, "a.zip": zipped({})}


def zeros() -> Archives:
    large = bytes(100 << 20)
    return {"a.zip": zipped({"x.png": large}), "a.tar.gz": gzip.compress(tar(member("x.png", large)), 1, mtime=0)}


BUILDERS: Mapping[str, Callable[[], Archives]] = {
    "sound": sound,
    "leads-out": lambda: both("../x.png"),
    "leads-out-later": lambda: both("train/../../x.png"),
    "absolute": lambda: both("/x.png"),
    "drive": lambda: both("C:x.png"),
    "backslash": lambda: both("..\\x.png"),
    "symlink-out": lambda: links("train/x.png", "../../x.png"),
    "symlink-absolute": lambda: links("x.png", "/etc/passwd"),
    "symlink-folder": through_a_link,
    "symlink-self": lambda: links("x.png", "x.png"),
    "hardlink-out": lambda: {"a.tar": tar(member("x.png", kind=tarfile.LNKTYPE, target="../x.png"))},
    "links-inside": links_inside,
    "device": lambda: {
        "a.tar": tar(member("x", kind=tarfile.CHRTYPE)),
        "b.tar": tar(member("x", kind=tarfile.BLKTYPE)),
    },
    "fifo": lambda: {
        "a.tar": tar(member("x", kind=tarfile.FIFOTYPE)),
        "a.zip": zipped({"x": b""}, modes={"x": stat.S_IFIFO}),
    },
    "duplicate": lambda: duplicate("train/a/1.png"),
    "duplicate-spelt": lambda: duplicate("./train//a/1.png"),
    "file-as-folder": lambda: both("train/a/1.png/x.png"),
    "case-twins": lambda: in_zip("train/a/1.PNG"),
    "unicode-twins": lambda: in_tar("train/\u00e9/1.png", "train/e\u0301/1.png"),
    "reserved": lambda: in_zip("train/CON/1.png", "train/aux.d/aux.png", "train/a./1.png", "train/a /1.png"),
    "long-name": lambda: both(f"train/{'x' * 300}.png"),
    "deep-name": lambda: both("a/" * 3000 + "x.png"),
    "control-name": lambda: in_tar("train/\x1b[31m\n/1.png"),
    "latin-name": lambda: in_tar("train/caf\udce9/3.png"),
    "sparse-bomb": lambda: sparse(b"0\n", "100000000000000"),
    "sparse-broken": lambda: sparse(b"no\nmap\n", "1000"),
    "zeros": zeros,
    "end-bomb": end_bomb,
    "header-bomb": header_bomb,
    "nested": nested,
    "overlapping": overlapping,
    "negative-size": negative,
    "attribute-chain": chains,
    "zip64-large": lambda: zip64(struct.pack("<HHQ", 1, 8, 1 << 62)),
    "zip64-short": lambda: zip64(struct.pack("<HHI", 1, 4, 1)),
    "says-less": lambda: {"a.zip": with_field(zipped({"x.png": png()}), b"PK\1\2", 24, "<I", 10)},
    "offset": lambda: {"a.zip": with_field(zipped(SOUND), b"PK\5\6", 16, "<I", 0xFFFFFFFF)},
    "crc": wrong_sums,
    "encrypted": encrypted,
    "method": unknown_method,
    "two-tars": one_behind_the_other,
    "garbage-behind": lambda: {"a.tar.gz": gzip.compress(tar(), mtime=0) + b"more"},
    "cut": cut,
    "foreign": lambda: {"a.rar": b"Rar!\x1a\x07\x01\x00", "a.7z": b"7z\xbc\xaf\x27\x1c"},
    "empty": nothing,
    "no-archive": lambda: {"a.tar.gz": b"text" * 200},
}
