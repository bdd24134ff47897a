"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

from phidata.storage.sink import new_file, remove_temporaries


def test_two_writers_of_one_number_do_not_meet(tmp_path: Path) -> None:
    """As processes of two machines do that write into one folder."""
    with new_file(tmp_path / "a") as first, new_file(tmp_path / "b") as second:
        first.write(b"first")
        second.write(b"second")
    assert [(tmp_path / name).read_bytes() for name in ("a", "b")] == [b"first", b"second"]


def test_what_writers_have_left_is_removed(tmp_path: Path) -> None:
    for name in (".123.tmp", ".123-0f0f0f0f.tmp", ".0000000123000001.tmp", ".name.tmp", "b.tmp"):
        (tmp_path / name).touch()
    remove_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".name.tmp", "b.tmp"]
