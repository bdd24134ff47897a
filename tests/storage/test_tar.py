"""What other programs write into a tar is read, and what no program writes is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from phidata import DataError
from phidata.storage.tar import BLOCK, END, header, members, padding


def with_sum(block: bytes) -> bytes:
    """The header with its sum made right."""
    blank = block[:148] + b" " * 8 + block[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def write_tar(path: Path, *parts: tuple[bytes, bytes]) -> Path:
    """Headers of a kind and their content, then the end."""
    blocks = b""
    for kind, content in parts:
        block = header("a.txt", len(content))
        blocks += with_sum(block[:156] + kind + block[157:]) + content + padding(len(content))
    path.write_bytes(blocks + END)
    return path


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read(tmp_path: Path, form: int) -> None:
    names = ["a.txt", "folder/" * 15 + "b.txt", "é/" + "c" * 90]
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as package:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = 1, 1.5
            package.addfile(info, io.BytesIO(b"x"))
    assert [(member.name, member.num_bytes) for member in members(tmp_path / "a.tar")] == [(name, 1) for name in names]


def test_the_last_of_several_pax_paths_is_the_name(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", (b"x", b"9 path=1\n11 mtime=1\n9 path=2\n"), (b"0", b"x"))
    assert [member.name for member in members(path)] == ["2"]


@pytest.mark.parametrize(
    "records",
    [b"0 mtime=1\n", b"-1 mtime=1\n", b"abc mtime=1\n", b"99 path=1\n", b"9 path=1 ", b"9 path:1\n", b" \n", b"9"],
)
def test_a_pax_header_that_is_none_is_damage(tmp_path: Path, records: bytes) -> None:
    path = write_tar(tmp_path / "a.tar", (b"0", b"x"), (b"x", records), (b"0", b"x"))
    with pytest.raises(DataError) as refusal:
        list(members(path))
    what = f"is damaged: what is at byte {2 * BLOCK} is no header of a member"
    assert str(refusal.value) == f"{path} {what}; copy it again"


def test_a_negative_size_is_damage(tmp_path: Path) -> None:
    block = header("a.txt", 0)
    bad = with_sum(block[:124] + b"-0000001000\0" + block[136:])
    (tmp_path / "a.tar").write_bytes(header("b.txt", 0) + bad + END)
    with pytest.raises(DataError, match=f"what is at byte {BLOCK} is no header of a member"):
        list(members(tmp_path / "a.tar"))
