"""Whole files: ranges of lines, numbers of lines and rows, ids over files, jobs, what is accepted as input."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import phidata
from phidata import DataError, UsageError
from phidata.validation import iter_parts
from phidata.validation import lines as lines_module
from phidata.validation import part as part_module
from phidata.validation.id_hashes import NO_ID, Repeated
from phidata.validation.lines import line_ranges, read_lines

GOOD = '{"id": "%s", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}'


def rows(*ids: object) -> str:
    return "".join(GOOD % id_ + "\n" for id_ in ids)


def found(paths: object, **options: object) -> list[tuple[str, str, int]]:
    report = phidata.validate(paths, **{"media": "none", **options})  # type: ignore[arg-type]
    return [(item.code, Path(item.path).name, item.line) for item in report.diagnostics]


@settings(deadline=None)
@given(st.binary(max_size=60).map(lambda data: data.replace(b"a", b"\n")), st.integers(1, 20))
def test_each_line_lies_in_exactly_one_range(tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int) -> None:
    file = tmp_path_factory.getbasetemp() / "ranges.jsonl"
    file.write_bytes(data)
    ranges = list(line_ranges(str(file), size))
    read = [line for part in ranges for line in read_lines(part, size).lines]
    whole = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    assert read == (whole if whole[-1] else whole[:-1])
    assert [part.start for part in ranges] == [0, *(part.end for part in ranges)][: len(ranges)]


def test_a_report_has_all_findings_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a", "b") + '{"id": 1}\n\n')
    report = phidata.validate(file, media="none")
    assert [(item.code, item.line, item.column, item.pointer) for item in report.diagnostics] == [
        ("PHI102", 3, 1, ""),
        ("PHI102", 3, 1, ""),
        ("PHI101", 3, 8, "/id"),
        ("PHI005", 4, 1, ""),
    ]
    assert (report.ok, report.rows, report.turns, report.images, report.errors, report.warnings) == (
        False,
        3,
        2,
        0,
        4,
        0,
    )


def test_warnings_leave_a_report_ok(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a").replace('"u"', '"<s>"'))
    report = phidata.validate(str(file))
    assert (report.ok, report.errors, report.warnings) == (True, 0, 1)


def test_check_line_finds_shape_and_meaning_of_one_row() -> None:
    from phidata.validation import check_line

    assert check_line((GOOD % "a").encode()) == []
    assert check_line((GOOD % "a").encode() + b"\r\n") == []
    [finding] = check_line((GOOD % "a").replace('"x"', '" "').encode(), path="there.jsonl", number=4)
    assert (finding.code, finding.path, finding.line, finding.column) == ("PHI202", "there.jsonl", 4, 87)


@pytest.mark.parametrize("size", [1, 97, 98, 99, 500])
def test_the_size_of_ranges_does_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    file = tmp_path / "rows.jsonl"
    text = rows("a", "b", "a") + "\n" + '{"id": "é", }\n' + rows("c").replace('"u"', '"<s>"') + '{"id"'
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    whole = phidata.validate(file)
    assert len(whole.diagnostics) == 6
    monkeypatch.setitem(part_module.RANGE_BYTES, "header", size)
    assert phidata.validate(file) == whole


@pytest.mark.parametrize("jobs", [1, 2])
def test_findings_come_in_parts_however_many_there_are(tmp_path: Path, jobs: int) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a") + "\n" * 20_000 + rows("b", "a"))
    parts = list(iter_parts(file, media="decode", jobs=jobs))  # in ranges of 16 KiB
    assert [len(part.diagnostics) for part in parts] == [*[1000] * 16, 291, *[1000] * 3, 709, 0, 1]
    lines = [found.line for part in parts for found in part.diagnostics]
    assert lines == [*range(2, 20_002), 20_003]
    assert sum(part.rows for part in parts) == 3


def test_blocks_of_a_range_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows(*range(3000)) + "{\n" + rows(*range(2999, 5000)))
    whole = phidata.validate(file)
    assert [(item.code, item.line) for item in whole.diagnostics] == [("PHI008", 3001), ("PHI201", 3002)]
    monkeypatch.setattr("phidata.validation.task.BLOCK_BYTES", 1000)
    assert phidata.validate(file) == whole


@pytest.mark.parametrize("many", [1, 1 << 20])
def test_hashes_that_stand_twice_are_found_at_their_places(monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr("phidata.validation.id_hashes._MANY", many)
    repeated = Repeated(array("q", [5, NO_ID, 7, -9, 5, NO_ID, 2**63 - 1, 8, 2**63 - 1, 7, 21]))
    assert (bool(repeated), repeated.places(0, 11), repeated.places(3, 9)) == (True, [0, 2, 4, 6, 8, 9], [1, 3, 5])
    assert not Repeated(array("q", [1, 2, NO_ID, NO_ID]))
    assert not Repeated(array("q"))


def test_the_number_of_jobs_does_not_show(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    image = '"images": ["a.png"]'
    lines = [
        (GOOD % f"row-{n % 1900}").replace('"images": []', image if n % 7 == 0 else '"images": []') for n in range(2000)
    ]
    lines[70] = lines[1500] = "{"
    file.write_text("\n".join(lines))
    one = phidata.validate(file, media="decode")
    assert (one.rows, one.errors) == (2000, 386)  # 2 lines that are not JSON, 285 missing images, 99 ids twice
    assert phidata.validate(file, media="decode", jobs=2) == one
    assert phidata.validate(file, media="decode", jobs=5) == one


def test_ids_are_unique_over_the_splits_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a", "b"))
    (tmp_path / "set_val.jsonl").write_text(rows("c", "a", "a"))
    assert found(tmp_path) == [("PHI201", "set_val.jsonl", 2), ("PHI201", "set_val.jsonl", 3)]
    report = phidata.validate(tmp_path)
    assert report.diagnostics[0].message == f"the id 'a' is also that of {tmp_path}/set_train.jsonl:1"


def test_files_given_one_by_one_are_data_sets_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for file in files:
        file.write_text(rows("a"))
    assert found(files) == []


def test_equal_hashes_of_different_ids_are_no_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a", "b", "c", "b") + "\n" + rows("a"))
    monkeypatch.setattr("phidata.validation.id_hashes.hash", lambda _: 7, raising=False)
    assert found(file) == [("PHI005", "rows.jsonl", 5), ("PHI201", "rows.jsonl", 4), ("PHI201", "rows.jsonl", 6)]


def test_a_file_named_twice_is_checked_once(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a"))
    (tmp_path / "link.jsonl").symlink_to("set_train.jsonl")
    report = phidata.validate([tmp_path, tmp_path / "set_train.jsonl", tmp_path / "link.jsonl"])
    assert (report.rows, report.diagnostics) == (1, ())


def test_a_line_beyond_the_limit_is_reported_and_not_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a") + (GOOD % "b").replace('"u"', f'"{"u" * (17 << 20)}"') + "\n" + rows("c", "a"))
    report = phidata.validate(file)
    assert [(item.code, item.line, item.column) for item in report.diagnostics] == [("PHI007", 2, 1), ("PHI201", 4, 8)]
    assert (report.rows, report.turns) == (4, 3)


def test_a_line_at_the_limit_is_a_row_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = len(GOOD % "a")
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", limit)
    monkeypatch.setattr(part_module, "MAX_LINE_BYTES", limit)
    monkeypatch.setitem(part_module.RANGE_BYTES, "none", 10)
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a", "bb", "c"))
    assert found(file) == [("PHI007", "rows.jsonl", 2)]


def manifest(**written: int) -> str:
    splits = {name: {"files": [{"name": f"set_{name}.jsonl", "rows": rows}]} for name, rows in written.items()}
    return json.dumps({"splits": splits})


def test_a_file_has_as_many_rows_as_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a", "b"))
    (tmp_path / "set_val.jsonl").write_text(rows("c"))
    (tmp_path / "manifest.json").write_text(manifest(train=3, val=1))
    assert found(tmp_path) == [("PHI016", "set_train.jsonl", 2)]
    assert found(tmp_path / "set_train.jsonl") == []


def test_a_manifest_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a"))
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json is not the manifest of a conversion"):
        phidata.validate(tmp_path)


def test_what_a_conversion_leaves_beside_the_splits_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a"))
    (tmp_path / "failures.jsonl").write_text("{}\n")
    assert found(tmp_path) == []


def test_an_unfinished_conversion_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set_train.jsonl").write_text(rows("a"))
    (tmp_path / ".journal").mkdir()
    with pytest.raises(DataError, match="unfinished conversion"):
        phidata.validate(tmp_path)


def refused(paths: str | Path | Iterable[str], match: str, **options: object) -> None:
    with pytest.raises(UsageError, match=match):
        phidata.validate(paths, **options)  # type: ignore[arg-type]


def test_what_can_not_be_checked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(rows("a"))
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "nowhere", "no file or folder .*nowhere; give a jsonl file or a data folder")
    refused([], "no path to check")
    refused(tmp_path, "holds no <name>_<split>.jsonl; it is not a data folder")
    refused(tmp_path / "pipe", "pipe is not a regular file")
    refused(file, "no image folder .*nowhere", images=tmp_path / "nowhere")
    refused(file, "media is 'all'; it can be 'none', 'exists', 'header', 'decode'", media="all")
    refused(file, "jobs is 0; it has to be 1 or more", jobs=0)
    monkeypatch.setattr("os.access", lambda *_: False)
    refused(file, r"rows\.jsonl can not be read; change its permissions")
