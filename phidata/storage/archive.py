"""Tar and zip archives from strangers, unpacked into a folder and nowhere else."""

from __future__ import annotations

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

RAR = b"Rar!"
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
_ZIP = (b"PK\3\4", b"PK\5\6", b"PK\7\x08")
_ZIP_MARK_BYTES = 4  # of "PK\7\x08", which may stand before the first member
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    UnicodeDecodeError,
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
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into `folder`, which must not exist yet.

    Files and folders are made, and links to a file that came before them become that file. Raises DataError with the
    member's name, before anything of that member is written, for a name that is absolute, leads out of the folder or
    comes twice, for any other link, for devices and encrypted members, and for an archive that unpacks to more than
    100 times its own size; and DataError for one that is cut short or damaged. Raises UsageError for other files.
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
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's: gzip and bz2 raise OSError without a number
        raise DataError(f"{archive} is cut short or damaged ({error}); get it again") from error


def _members(archive: Path) -> Iterator[Member]:
    with archive.open("rb") as file:
        head = file.read(4)
    if head == RAR:
        raise UsageError(f"{archive} is a RAR archive, which can not be opened here; unpack it and give the folder")
    if head in _ZIP:  # its list is at its end, where the last member of a tar may have one too
        if not zipfile.is_zipfile(archive):
            raise DataError(f"{archive} is a zip archive that is cut short; get it again")
        return _zip_members(archive)
    try:
        return _tar_members(tarfile.open(archive, tarinfo=_StrictHeader))
    except tarfile.ReadError as error:
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
                raise _refusal(archive, member, f"is a link to {member.target!r}, which is no file before it")
            path.hardlink_to(target)
        elif member.kind == "file" and member.data is not None:
            with path.open("xb") as file:
                shutil.copyfileobj(member.data, file)
        else:
            raise _refusal(archive, member, f"is {member.kind}")
    except (FileExistsError, NotADirectoryError) as error:
        raise _refusal(archive, member, "collides with another member") from error


def _safe_name(archive: Path, member: Member, name: str) -> str:
    """The name without `.` and `..`, when it stays below the folder."""
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise _refusal(archive, member, f"names the absolute path {name!r}")
    if "\\" in name or "\0" in name:
        raise _refusal(archive, member, f"names {name!r}, with a backslash or NUL")
    safe = posixpath.normpath(name)
    if ".." in name.split("/") and (safe == ".." or safe.startswith("../")):
        raise _refusal(archive, member, f"names {name!r}, which leads out of the archive")
    return safe


def _refusal(archive: Path, member: Member, why: str) -> DataError:
    return DataError(f"{archive}: member {member.name!r} {why}; nothing of it is used, get a sound archive")


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
        if info.type in _HEADERS and info.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {info.size} bytes")
        return info


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    with tar:
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
            yield Member(name=info.name, kind=kind, num_bytes=info.size, target=target, data=data)
        assert tar.fileobj is not None
        while tar.fileobj.read(1 << 20):
            pass  # to the end of the compressed stream, where its checksum is


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
