"""Archives from strangers are unpacked into their folder or refused by the member's name."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from phidata import DataError, UsageError
from phidata.storage import archive
from phidata.storage.archive import unpack

from .conftest import tree

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, data: bytes = b"", target: str = "") -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data)
    return info, data


def write_tar(path: Path, *entries: Entry, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as package:  # type: ignore[call-overload]  # the mode is one of the literal ones
        for info, data in entries:
            package.addfile(info, io.BytesIO(data))
    return path


def unpacked(path: Path) -> dict[str, str]:
    unpack(path, path.parent / "unpacked")
    return tree(path.parent / "unpacked")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked(tmp_path: Path, mode: str) -> None:
    path = write_tar(
        tmp_path / "a",
        entry("./", tarfile.DIRTYPE),
        entry("./a/x.avi", data=b"1"),
        entry("a/../b/" + "long" * 40, data=b"2"),
        entry("a/hard", tarfile.LNKTYPE, target="a/x.avi"),
        entry("a/soft", tarfile.SYMTYPE, target="x.avi"),
        mode=mode,
    )
    found = unpacked(path)
    assert list(found) == ["a/hard", "a/soft", "a/x.avi", "b/" + "long" * 40]
    assert found["a/hard"] == found["a/soft"] == found["a/x.avi"]
    assert not (tmp_path / "unpacked" / "a" / "soft").is_symlink()


def test_a_zip_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as package:
        package.mkdir("empty") if hasattr(package, "mkdir") else package.writestr("empty/", "")
        package.writestr("a/x.avi", "1")
    assert list(unpacked(tmp_path / "a.zip")) == ["a/x.avi"]
    assert (tmp_path / "unpacked" / "empty").is_dir()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (entry("../out.avi"), "member '../out.avi' names '../out.avi', which leads out of the archive"),
        (entry("a/../../out.avi"), "member 'a/../../out.avi' names 'a/../../out.avi', which leads out of the archive"),
        (entry("/etc/out.avi"), "member '/etc/out.avi' names the absolute path '/etc/out.avi'"),
        (entry("C:out.avi"), "member 'C:out.avi' names the absolute path 'C:out.avi'"),
        (entry("a\\..\\out.avi"), "member 'a\\\\..\\\\out.avi' names 'a\\\\..\\\\out.avi', with a backslash or NUL"),
        (entry("link", tarfile.SYMTYPE, target="/etc/passwd"), "member 'link' names the absolute path '/etc/passwd'"),
        (
            entry("a/link", tarfile.SYMTYPE, target="../../x"),
            "member 'a/link' names 'a/../../x', which leads out of the archive",
        ),
        (entry("hard", tarfile.LNKTYPE, target="../x"), "member 'hard' names '../x', which leads out of the archive"),
        (entry("link", tarfile.SYMTYPE, target="a"), "member 'link' is a link to 'a', which is no file before it"),
        (entry("dev", tarfile.CHRTYPE), "member 'dev' is a device or pipe"),
        (entry("pipe", tarfile.FIFOTYPE), "member 'pipe' is a device or pipe"),
        (entry("a/x.avi"), "member 'a/x.avi' collides with another member"),
        (entry("./a//x.avi"), "member './a//x.avi' collides with another member"),
        (entry("a/x.avi/y.avi"), "member 'a/x.avi/y.avi' collides with another member"),
    ],
)
def test_a_dangerous_member_of_a_tar_is_refused(tmp_path: Path, bad: Entry, why: str) -> None:
    path = write_tar(tmp_path / "a.tar.gz", entry("a/x.avi", data=b"1"), bad)
    with pytest.raises(DataError) as refusal:
        unpack(path, tmp_path / "below" / "unpacked")
    assert str(refusal.value) == f"{path}: {why}; nothing of it is used, get a sound archive"
    assert set(tree(tmp_path)) <= {"a.tar.gz", "below/unpacked/a/x.avi"}


def zip_entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("bad", "content", "why"),
    [
        (zip_entry("../out.avi"), "", "member '../out.avi' names '../out.avi', which leads out of the archive"),
        (zip_entry("/out.avi"), "", "member '/out.avi' names the absolute path '/out.avi'"),
        (zip_entry("link", stat.S_IFLNK), "../x", "member 'link' names '../x', which leads out of the archive"),
        (zip_entry("pipe", stat.S_IFIFO), "", "member 'pipe' is a device or pipe"),
    ],
)
def test_a_dangerous_member_of_a_zip_is_refused(tmp_path: Path, bad: zipfile.ZipInfo, content: str, why: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        package.writestr(bad, content)
    with pytest.raises(DataError) as refusal:
        unpack(tmp_path / "a.zip", tmp_path / "below" / "unpacked")
    assert str(refusal.value) == f"{tmp_path / 'a.zip'}: {why}; nothing of it is used, get a sound archive"
    assert list(tree(tmp_path)) == ["a.zip"]


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_SMALL_BYTES", 1 << 20)
    path = write_tar(tmp_path / "a.tar.gz", entry("a.avi", data=b"1"), entry("zeros.avi", data=bytes(2 << 20)))
    with pytest.raises(DataError, match=r"member 'zeros\.avi' makes it unpack to more than 100 times its size"):
        unpack(path, tmp_path / "unpacked")
    assert list(tree(tmp_path / "unpacked")) == ["a.avi"]


def test_a_bomb_of_empty_members_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_SMALL_BYTES", 100 * 512)
    monkeypatch.setattr(archive, "MAX_RATIO", 1)
    path = write_tar(tmp_path / "a.tar.gz", *(entry(f"{number}") for number in range(101)))
    with pytest.raises(DataError, match=r"member '100' makes it unpack to more than 1 times its size"):
        unpack(path, tmp_path / "unpacked")


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", entry("a"), entry("b", tarfile.GNUTYPE_LONGNAME, data=bytes(2 << 20)))
    with pytest.raises(DataError, match=r"cut short or damaged \(a header of 2097152 bytes\)"):
        unpack(path, tmp_path / "unpacked")


def cut(data: bytes, at: float) -> bytes:
    return data[: int(len(data) * at)]


def flip(data: bytes, at: float) -> bytes:
    index = int(len(data) * at)
    return data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]


NOISE = bytes((number * number // 7) % 251 for number in range(40_000))


@pytest.mark.parametrize("at", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("spoil", [cut, flip])
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_damaged_archive_is_refused(
    tmp_path: Path, mode: str, spoil: Callable[[bytes, float], bytes], at: float
) -> None:
    path = write_tar(tmp_path / "a", entry("a.avi", data=NOISE), entry("b.avi", data=NOISE[::-1]), mode=mode)
    path.write_bytes(spoil(path.read_bytes(), at))
    with pytest.raises((DataError, UsageError), match=r"is cut short or damaged|is not a tar or zip archive"):
        unpack(path, tmp_path / "unpacked")


@pytest.mark.parametrize("num_bytes", [40_000, 40_960, 41_000, 41_472])
def test_a_plain_tar_is_refused_wherever_it_is_cut(tmp_path: Path, num_bytes: int) -> None:
    """Also at the end of a member and in a header, where tarfile itself sees a whole archive."""
    path = write_tar(tmp_path / "a.tar", entry("a.avi", data=NOISE), entry("b.avi", data=NOISE), mode="w")
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(DataError, match="is cut short or damaged"):
        unpack(path, tmp_path / "unpacked")


@pytest.mark.parametrize("at", [0.3, 0.9])
def test_a_damaged_zip_is_refused(tmp_path: Path, at: float) -> None:
    for number, spoil in enumerate((cut, flip)):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
            package.writestr("a.avi", NOISE)
        path.write_bytes(spoil(path.read_bytes(), at))
        with pytest.raises(DataError, match=r"is cut short|is cut short or damaged"):
            unpack(path, tmp_path / f"unpacked{number}")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("a.avi", "secret")
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"member 'a\.avi' is encrypted"):
        unpack(path, tmp_path / "unpacked")


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"text", mtime=0), b"\x1f\x8b"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises((DataError, UsageError), match=r"is not a tar or zip archive; give one|is cut short or damaged"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "unpacked")


def test_a_rar_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "UCF101.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    with pytest.raises(UsageError) as refusal:
        unpack(tmp_path / "UCF101.rar", tmp_path / "unpacked")
    assert str(refusal.value) == (
        f"{tmp_path}/UCF101.rar is a RAR archive, which can not be opened here; unpack it and give the folder"
    )


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as package:
        for name in names:
            package.writestr(name, "inner")
    return path


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", "x.txt").read_bytes()
    for name in ("a.txt", "PK.txt"):
        path = write_tar(tmp_path / "a.tar", entry(name, data=b"1"), entry("z.zip", data=inner), mode="w")
        unpack(path, tmp_path / name)
        assert list(tree(tmp_path / name)) == [name, "z.zip"]


def test_half_a_zip_that_ends_with_another_is_refused(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "inner.zip", "x.txt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        package.writestr("a.txt", "1")
        package.write(inner, "z.zip")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: whole.index(b"PK\5\6") + 22])  # as the inner zip ends
    with pytest.raises(DataError, match=r"a\.zip is cut short or damaged \(its list is that of another archive"):
        unpack(tmp_path / "a.zip", tmp_path / "unpacked")


def test_a_zip_whose_name_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", "é.txt")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(DataError, match=r"a\.zip is cut short or damaged \('utf-8' codec"):
        unpack(path, tmp_path / "unpacked")
