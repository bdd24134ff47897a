"""Tar and zip archives from strangers, unpacked into a folder and nowhere else."""

from __future__ import annotations

import errno
import lzma
import posixpath
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from phidata.errors import DataError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

FOREIGN = {b"Rar!": "a RAR", b"7z\xbc\xaf": "a 7z"}
ZSTD = b"\x28\xb5\x2f\xfd"
MAX_RATIO = 100  # videos and images hardly shrink, so more than this is made to fill a disk
MAX_SMALL_BYTES = 64 << 20  # what any archive may unpack to
MEMBER_BYTES = 512  # what a member counts at least, so that empty ones are not free

_MAX_HEADER_BYTES = 1 << 20  # of a tar header that carries a long name or attributes; tarfile reads it into memory
_MAX_LINK_BYTES = 4096
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_MAX_END_BYTES = 64 << 20  # of the zeros behind the last member of a tar
_MAX_SHOWN = 200  # characters of a member's name in a message
_NO_NAME = (errno.ENAMETOOLONG, errno.EILSEQ)  # what the disk says of a name that it can not hold
_ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", ZSTD)
_USTAR_AT = 257  # where the header of a tar's first member has its mark
_ZIP_MARK_BYTES = 4  # of "PK\7\x08", which may stand before the first member
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    ValueError,  # numbers that are none in a tar's attributes, text that is not what it says
    OverflowError,
    RecursionError,  # attributes of attributes of attributes
    MemoryError,  # a dictionary for decompression that is larger than the memory
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One entry of an archive, as it says itself: nothing of it has been checked."""

    name: str
    kind: str  # "file", "folder", "link" or what else it is
    num_bytes: int
    target: str = ""  # of a link: where it points to, counted from the top of the archive
    data: IO[bytes] | None = None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar (plain, gz, bz2, xz, zst) or zip archive into `folder`, which must not exist yet.

    Files and folders are made, and links to a file that came before them become that file. Raises DataError with the
    member's name, before anything of that member is written, for a name that is absolute, leads out of the folder,
    comes twice or is too long for the disk, for any other link, for devices and encrypted members, and for an archive
    that unpacks to more than 100 times its own size; and DataError for one that is cut short, damaged, or followed by
    something else. Raises UsageError for other files.
    """
    budget = max(MAX_SMALL_BYTES, MAX_RATIO * archive.stat().st_size)
    folder.mkdir(parents=True)
    try:
        for member in _members(archive):
            budget -= max(MEMBER_BYTES, member.num_bytes)
            if budget < 0:
                raise _refusal(archive, member, f"makes it unpack to more than {MAX_RATIO} times its size")
            _unpack_member(archive, member, folder)
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk's, not the archive's: decompressors give no number, seeks to nowhere give EINVAL
        why = "it needs more memory than there is" if isinstance(error, MemoryError) else str(error)
        raise DataError(f"{archive} is cut short or damaged ({why}); get it again") from error


def _members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    head = start[:4]
    if kind := FOREIGN.get(head):
        raise UsageError(f"{archive} is {kind} archive, which can not be opened here; unpack it and give the folder")
    if head in _ZIP:  # its list is at its end, where the last member of a tar may have one too
        if not zipfile.is_zipfile(archive):
            raise DataError(f"{archive} is a zip archive that is cut short; get it again")
        return _zip_members(archive)
    try:
        if head == ZSTD:
            import pyarrow

            stream = pyarrow.input_stream(str(archive), compression="zstd")
            return _tar_members(tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictHeader))
        return _tar_members(tarfile.open(archive, tarinfo=_StrictHeader))
    except tarfile.ReadError as error:
        if start.startswith(_COMPRESSED) or start[_USTAR_AT:].startswith(b"ustar"):
            raise
        raise UsageError(f"{archive} is not a tar or zip archive; give one, or a folder") from error


def _unpack_member(archive: Path, member: Member, folder: Path) -> None:
    path = folder / _safe_name(archive, member, member.name)
    try:
        if member.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.kind == "link":
            target = folder / _safe_name(archive, member, member.target)
            if not target.is_file():
                raise _refusal(archive, member, f"is a link to {_shown(member.target)}, which is no file before it")
            path.hardlink_to(target)
        elif member.kind == "file" and member.data is not None:
            with path.open("xb") as file:
                shutil.copyfileobj(member.data, file)
        else:
            raise _refusal(archive, member, f"is {member.kind}")
    except (FileExistsError, NotADirectoryError) as error:
        raise _refusal(archive, member, "collides with another member") from error
    except OSError as error:
        if error.errno not in _NO_NAME:
            raise
        raise _refusal(archive, member, f"has a name that no file can have here ({error.strerror})") from error


def _safe_name(archive: Path, member: Member, name: str) -> str:
    """The name without `.` and `..`, when it stays below the folder."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _refusal(archive, member, f"names the absolute path {_shown(name)}")
    if "\\" in name or "\0" in name:
        raise _refusal(archive, member, f"names {_shown(name)}, with a backslash or NUL")
    safe = posixpath.normpath(name)
    if ".." in name.split("/") and (safe == ".." or safe.startswith("../")):
        raise _refusal(archive, member, f"names {_shown(name)}, which leads out of the archive")
    return safe


def _refusal(archive: Path, member: Member, why: str) -> DataError:
    return DataError(f"{archive}: member {_shown(member.name)} {why}; nothing of it is used, get a sound archive")


def _shown(name: str) -> str:
    return repr(name if len(name) <= _MAX_SHOWN else f"{name[:_MAX_SHOWN]}…")


class _StrictHeader(tarfile.TarInfo):
    """tarfile takes a header that it can not read for the end of the archive, and would lose the rest in silence."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        end_mark = len(buf) == tarfile.BLOCKSIZE and not any(buf)
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if end_mark:
                raise
            raise tarfile.ReadError(str(error)) from error
        if info.size < 0 or (info.type in _HEADERS and info.size > _MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a {'header' if info.type in _HEADERS else 'member'} of {info.size} bytes")
        return info

    def _block(self, count: int) -> int:
        """How many bytes a content fills; attributes can make it negative, and tarfile would go back to it for ever."""
        if count < 0:
            raise tarfile.ReadError(f"a member of {count} bytes")
        return -(-count // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    with tar:
        end = 0
        for info in tar:
            kind, target, data = "a device or pipe", "", None
            if info.isdir():
                kind = "folder"
            elif info.isreg():
                kind, data = "file", tar.extractfile(info)
            elif info.islnk():
                kind, target = "link", info.linkname
            elif info.issym():
                kind, target = "link", _beside(info.name, info.linkname)
            num_bytes = info.offset_data - end + info.size  # with its headers: they can be a bomb too
            yield Member(name=info.name, kind=kind, num_bytes=num_bytes, target=target, data=data)
            end = tar.offset
        _read_end(tar)


def _read_end(tar: tarfile.TarFile) -> None:
    """Read to the end of the compressed stream, where its checksum is; nothing but zeros may be there.

    A second archive behind the first would be lost.
    """
    assert tar.fileobj is not None
    num_bytes = 0
    while piece := tar.fileobj.read(1 << 20):
        if piece.count(0) < len(piece):
            raise tarfile.ReadError("something else is behind its end")
        num_bytes += len(piece)
        if num_bytes > _MAX_END_BYTES:
            raise tarfile.ReadError(f"more than {_MAX_END_BYTES} empty bytes are behind its end")


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as package:
        begin = min((info.header_offset for info in package.infolist()), default=0)
        if begin > _ZIP_MARK_BYTES:
            raise zipfile.BadZipFile(f"its list is that of another archive, which begins at byte {begin}")
        for info in package.infolist():
            mode = info.external_attr >> 16
            content: dict[str, Any] = {"name": info.filename, "num_bytes": info.file_size}
            if info.flag_bits & 1:
                yield Member(kind="encrypted", **content)
            elif info.is_dir():
                yield Member(kind="folder", **content)
            elif stat.S_ISLNK(mode):
                with package.open(info) as data:
                    target = data.read(_MAX_LINK_BYTES).decode(errors="replace")
                yield Member(kind="link", target=_beside(info.filename, target), **content)
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with package.open(info) as data:
                    yield Member(kind="file", data=data, **content)
            else:
                yield Member(kind="a device or pipe", **content)


def _beside(name: str, target: str) -> str:
    """What a symbolic link in the folder of `name` points to."""
    return posixpath.join(posixpath.dirname(name), target)
