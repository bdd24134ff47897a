"""Where lines and members begin is kept in a cache, and never believed of a file that is another by now."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import phidata
from phidata import DataError
from phidata.storage import jsonl, mapped_rows, offsets, webdataset
from phidata.storage.shape import Shape

from .conftest import RED, numbered, write_folder

IDS = [f"row-{number}" for number in range(40)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in which offsets of small and of new files are kept too."""
    monkeypatch.setenv("PHIDATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(offsets, "KEPT_FROM", 0)
    monkeypatch.setattr(offsets, "SETTLED_S", -1e9)
    return tmp_path / "cache"


def write_rows(path: Path, ids: list[str] = IDS) -> Path:
    turn = {"images": [], "user": "u", "assistant": "a"}
    path.write_text("".join(json.dumps({"id": id_, "source": "s", "conversations": [turn]}) + "\n" for id_ in ids))
    return path


def kept_files(cache: Path) -> list[Path]:
    return sorted(cache.glob("offsets/*"))


def read_ids(path: Path) -> list[str]:
    data = phidata.load(path)
    ids = [data[number].id for number in range(len(data))]
    assert [row.id for row in data] == ids
    return ids


def no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "_line_bounds", lambda _: pytest.fail("read all lines"))
    monkeypatch.setattr(mapped_rows, "_places", lambda *_: pytest.fail("read all batches"))
    monkeypatch.setattr(webdataset, "_member_places", lambda _: pytest.fail("read all headers"))


def test_lines_are_found_again_without_reading_the_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    assert read_ids(file) == IDS
    assert [path.suffix for path in kept_files(cache)] == [".lines"]
    no_scan(monkeypatch)
    assert read_ids(file) == IDS
    assert [row.id for row in pickle.loads(pickle.dumps(phidata.load(file)))] == IDS


def test_many_lines_are_mapped_and_not_read(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "_MAPPED_FROM", 0)
    assert [read_ids(write_rows(tmp_path / "a.jsonl")) for _ in range(2)] == [IDS, IDS]
    assert len(kept_files(cache)) == 1


@pytest.mark.parametrize(("shape", "kind"), [("webdataset", ".members"), ("arrow", ".batches")])
def test_places_are_found_again_without_reading_headers(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, shape: Shape, kind: str
) -> None:
    write_folder(tmp_path / "out", shape, numbered(40))
    assert read_ids(tmp_path / "out") == IDS
    assert [path.suffix for path in kept_files(cache)] == [kind]
    no_scan(monkeypatch)
    data = phidata.load(tmp_path / "out")
    assert [row.id for row in data] == IDS
    assert [data.image_bytes(number) for number in range(40)] == [[RED]] * 40


def test_nothing_is_kept_of_a_small_file(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "KEPT_FROM", 4 << 20)
    assert read_ids(write_rows(tmp_path / "a.jsonl")) == IDS
    assert kept_files(cache) == []


def test_nothing_is_kept_of_a_file_that_may_still_be_written(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets, "SETTLED_S", 1e9)
    assert read_ids(write_rows(tmp_path / "a.jsonl")) == IDS
    assert kept_files(cache) == []


def append(file: Path) -> None:
    with file.open("a") as end:
        end.write(json.dumps({"id": "new", "source": "s", "conversations": []}) + "\n")


def write_others_at_the_same_time(file: Path) -> None:
    stat = file.stat()
    write_rows(file, [f"eow-{number}" for number in range(40)])
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def put_others_in_its_place(file: Path) -> None:
    stat = file.stat()
    write_rows(file.with_name("b"), list(reversed(IDS)))
    os.utime(file.with_name("b"), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    file.with_name("b").replace(file)


@pytest.mark.parametrize("change", [append, write_others_at_the_same_time, put_others_in_its_place])
def test_a_file_that_has_changed_is_read_again(tmp_path: Path, cache: Path, change: Callable[[Path], None]) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    assert read_ids(file) == IDS
    change(file)
    assert read_ids(file) == [json.loads(line)["id"] for line in file.read_text().splitlines()] != IDS
    assert len(kept_files(cache)) == 1


@pytest.mark.parametrize("num_bytes", [0, 1, 8, 100, -1, -8, -16, -100])
def test_kept_offsets_that_are_cut_are_none(tmp_path: Path, cache: Path, num_bytes: int) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    read_ids(file)
    [kept] = kept_files(cache)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:num_bytes])
    assert read_ids(file) == IDS
    assert kept.read_bytes() == whole


def test_offsets_of_another_file_are_none(tmp_path: Path, cache: Path) -> None:
    write_rows(tmp_path / "a.jsonl")
    write_rows(tmp_path / "b.jsonl", list(reversed(IDS)))
    for name in ("a", "b"):
        read_ids(tmp_path / f"{name}.jsonl")
    first, second = kept_files(cache)
    first.write_bytes(second.read_bytes())
    assert read_ids(tmp_path / "a.jsonl") == IDS
    assert read_ids(tmp_path / "b.jsonl") == list(reversed(IDS))


@pytest.mark.parametrize("number", [0, 1, 7, 39, 40])
@pytest.mark.parametrize("change", [1, 9, -60, 2**40, -(2**40)])
def test_a_kept_offset_that_is_wrong_is_noticed(tmp_path: Path, cache: Path, number: int, change: int) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    read_ids(file)
    [kept] = kept_files(cache)
    content = bytearray(kept.read_bytes())
    numbers = memoryview(content)[: 8 * 41].cast("q")
    numbers[number] += change
    numbers.release()
    kept.write_bytes(content)
    assert read_ids(file) == IDS
    assert kept_files(cache) == []


@pytest.mark.parametrize("shape", ["webdataset", "arrow"])
def test_kept_places_that_are_wrong_are_none(tmp_path: Path, cache: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, numbered(40))
    assert read_ids(tmp_path / "out") == IDS
    [kept] = kept_files(cache)
    whole = kept.read_bytes()
    for place in range(0, len(whole), 61):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_ids(tmp_path / "out") == IDS


def test_a_tar_that_changes_while_it_is_open_is_told(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "webdataset", numbered(40))
    data = phidata.load(tmp_path / "out")
    assert [row.id for row in data] == IDS
    [shard] = (tmp_path / "out").glob("*.tar")
    shard.write_bytes(shard.read_bytes()[512:])
    for read in (lambda: data[0], lambda: data.image_bytes(3)):
        with pytest.raises(
            DataError, match=r"train-00000-of-00001\.tar has changed since it was opened; open it again"
        ):
            read()


@pytest.mark.parametrize("folder", ["a.jsonl/below-a-file", None])
def test_rows_are_read_where_nothing_can_be_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, folder: str | None
) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    monkeypatch.setattr(offsets, "cache_folder", lambda: folder and tmp_path / folder)
    assert read_ids(file) == IDS
    assert kept_files(cache) == []


def test_a_full_disk_keeps_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(offsets.UnnamedFile):
        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(offsets, "UnnamedFile", Full)
    assert read_ids(write_rows(tmp_path / "a.jsonl")) == IDS
    assert kept_files(cache) == []


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/a")
    for name in ("PHIDATA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert offsets.cache_folder() == Path("/home/a/.cache/phidata")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert offsets.cache_folder() == Path("/x/phidata")
    monkeypatch.setenv("PHIDATA_CACHE", "/p")
    assert offsets.cache_folder() == Path("/p")


def test_many_that_open_a_file_at_once_read_the_same(tmp_path: Path, cache: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_ids, [file] * 40)) == [IDS] * 40
    assert [path.suffix for path in kept_files(cache)] == [".lines"]


def test_offsets_of_a_file_that_is_gone_are_removed(tmp_path: Path, cache: Path) -> None:
    read_ids(write_rows(tmp_path / "a.jsonl"))
    (cache / "offsets" / "0.lines").write_bytes(b"what nobody knows")
    (cache / "offsets" / ".1.tmp").touch()
    os.utime(cache / "offsets" / ".1.tmp", (0, 0))
    (cache / "offsets" / ".2.tmp").touch()
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    read_ids(tmp_path / "b.jsonl")
    assert [path.suffix for path in kept_files(cache)] == [".tmp", ".lines"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_file_that_changes_while_it_is_open_is_told(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *, is_kept: bool
) -> None:
    if not is_kept:
        monkeypatch.setattr(offsets, "KEPT_FROM", 4 << 20)
    file = write_rows(tmp_path / "a.jsonl")
    data = phidata.load(file)
    sent = pickle.dumps(data)
    assert len(kept_files(cache)) == is_kept
    write_rows(file, ["much-longer-than-before", *IDS[:20]])
    for read in (lambda: data[3], lambda: list(data), lambda: data[39], lambda: pickle.loads(sent)):
        with pytest.raises(DataError) as refusal:
            read()
        assert str(refusal.value) == f"{file} has changed since it was opened; open it again"
