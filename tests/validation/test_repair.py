"""`--fix`: what is repaired, what is left alone, that nothing else changes, and what the folder says afterwards."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

import phidata
from phidata import Conversation, DataError, Turn, UsageError
from phidata.cli import main
from phidata.repair.diff import Diff
from phidata.storage.ledger import LedgerLine, read_ledger, write_ledger
from phidata.storage.manifest import Manifest, read_manifest
from phidata.storage.splits import finish_folder
from phidata.storage.unnamed import UnnamedFile
from phidata.storage.writer import DatasetWriter
from phidata.verification import verify

from .strategies import lines

ROW = '{"id": %s, "source": "s", "conversations": [{"images": [%s], "user": "u", "assistant": "x"}]}'
GOOD = ROW % ('"%s"', "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "images" / "train").mkdir(parents=True)
    for name in ("Dog.jpg", "train/cat.jpg"):
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / name)
    return tmp_path / "rows.jsonl"


def fixed(file: Path, content: str | bytes, **options: object) -> bytes:
    """The file after a repair; a second one has to change nothing."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    phidata.fix(file, **options)  # type: ignore[arg-type]
    once = file.read_bytes()
    assert phidata.fix(file, **options).files == ()  # type: ignore[arg-type]
    assert file.read_bytes() == once
    return once


SAFE = [
    (b"\xef\xbb\xbf{}\n", b"{}\n"),
    (b"{}\r\n{} \r\n", b"{}\n{} \n"),
    (b"\n{}\n \t\n\n", b"{}\n"),
    (ROW % ("17", ""), ROW % ('"17"', "")),
    (ROW % ('"a"', r'"train\\cat.jpg"'), ROW % ('"a"', '"train/cat.jpg"')),
    (ROW % ('"a"', r'"TRAIN\\Cat.jpg"'), ROW % ('"a"', '"train/cat.jpg"')),
    (ROW % ('"a"', '"./train//./cat.jpg"'), ROW % ('"a"', '"train/cat.jpg"')),
    (ROW % ('"a"', '"dog.JPG"'), ROW % ('"a"', '"Dog.jpg"')),
    (f"{GOOD}\n{GOOD}\n{GOOD}\n" % ("a", "b", "a"), f"{GOOD}\n{GOOD}\n" % ("a", "b")),
    (f"{GOOD}\n{GOOD}\r" % ("a", "a"), f"{GOOD}\n" % "a"),
    (b"\xef\xbb\xbf\xef\xbb\xbf{}\n", b"{}\n"),
    (b"\n\xef\xbb\xbf\r\n\xef\xbb\xbf{}\r\r\n", b"{}\n"),
    (f"{ROW}\n{ROW}\n" % ("0", "", "-0", ""), f"{ROW}\n{ROW}\n" % ('"0"', "", '"-0"', "")),
    (f"{ROW}\n{ROW}\r\n{ROW}\n" % ("5", "", "5", "", "6", ""), f"{GOOD}\n{GOOD}\n" % ("5", "6")),
]


@pytest.mark.parametrize(("before", "after"), SAFE)
def test_what_is_safe_is_repaired(file: Path, before: str | bytes, after: str | bytes) -> None:
    assert fixed(file, before) == (after.encode() if isinstance(after, str) else after)


@pytest.mark.parametrize(
    "content",
    [
        ROW % ('"a"', r'"gone\\cat.jpg"'),  # nothing says that a separator is meant
        ROW % ('"a"', '"train/cat.jpg/"'),
        ROW % ("1.0", ""),
        ROW % ("true", ""),
        f"{ROW}\n{GOOD}\n" % ("17", "", "17"),  # two rows would have one id
        f"{ROW}\n{ROW} \n" % ("17", "", "17", ""),
        f"{GOOD}\n{GOOD} \n" % ("a", "a"),  # the same to a reader, and not byte for byte
        ROW.replace('"u"', r'"<|end|>\\u0000"') % ('"a"', ""),
        '{"id": "a", "id": "a"}',
        '{"id": "a",}',
        '{"id": ',
        b"\xff\n",
        f"{ROW}\n{ROW} \n" % (f"{10**30}", "", f"{10**30}", ""),
        (f"{ROW}\n{ROW} \n" % ("5", "", "5", "")).replace(', "source"', ', "x": NaN, "source"'),
        f"{GOOD}\r{GOOD}\r" % ("a", "b"),  # line ends are all CR
        b"{}\r\r",
        b"\0\0\0",
        "[\n",
        "\n\n",
        '# T\n\ntext {"a":1}\r\n\r\nx,\n',
        '# T\r\n\r\n```\r\n{"a": 1}\r\n```\r\n\r\nx\r\n',
    ],
)
def test_what_is_not_certain_is_left_alone(file: Path, content: str | bytes) -> None:
    assert fixed(file, content) == (content.encode() if isinstance(content, str) else content)


TURN = '{"id": "a", "source": "s", "conversations": [%s]}'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ROW % ('"a"', r'"gone\\cat.jpg"'), ROW % ('"a"', '"gone/cat.jpg"')),
        (ROW % ('"a"', '"x/../train/cat.jpg"'), ROW % ('"a"', '"train/cat.jpg"')),
        ('{"id": "a", "id": "b", "source": "s"}', '{"id": "b", "source": "s"}'),
        ('{"id": "a", "source": "s", "id": "b"}', '{"source": "s", "id": "b"}'),
        ('{"x": [{"y": 1, "y": 2,}, None, True, ],}', '{"x": [{"y": 2}, null, true ]}'),
        ('{"metadata": {"a": NaN, "b": -Infinity, "c": 1e999}}', '{"metadata": {"a": null, "b": null, "c": 1e999}}'),
        ('{"id": "a"}{"id": "b"} ', '{"id": "a"}\n{"id": "b"} '),
        ('{"id": "a\tb"}', r'{"id": "a\tb"}'),
        (r'{"id": "a\d\ud800"}', r'{"id": "a\\d\ud800"}'),
        ('{"source": 5}', '{"source": "5"}'),
        (TURN % '{"images": "1.jpg", "user": 2}', TURN % '{"images": ["1.jpg"], "user": "2"}'),
        (TURN % '{"images": null, "user": "u", "answers": 5}', TURN % '{"images": [], "user": "u", "answers": 5}'),
        (TURN % '{"user": "u", "assistant": "x"}', TURN % '{"images": [], "user": "u", "assistant": "x"}'),
        (TURN % "{}", TURN % '{"images": []}'),
        (TURN % '{"image": "1.jpg", "User": "u"}', TURN % '{"images": ["1.jpg"], "user": "u"}'),
        (TURN % '{"image": [], "imagess": [], "user": "u"}', TURN % '{"image": [], "imagess": [], "user": "u"}'),
        (TURN % '{"answers": []}', TURN % '{"images": []}'),
        (TURN % '{"images": [], "answers": ["", "x", ""]}', TURN % '{"images": [], "answers": ["x"]}'),
        (TURN % r'{"images": [], "user": "a\u0000b\u0000"}', TURN % '{"images": [], "user": "ab"}'),
        (TURN.replace("[%s]", '{"images":[]}'), TURN % '{"images":[]}'),
        ('{"id": "a"}\r{"id": "b"}\r', '{"id": "a"}\n{"id": "b"}'),
        ('{"id": 1.5}\n{"id": 1.5}\n', '{"id": "1.5"}\n'),
        ('{"id": 1.5}\n{"id": "1.5"}\n', '{"id": 1.5}\n{"id": "1.5"}\n'),
    ],
)  # fmt: skip
def test_what_is_mechanical_is_repaired_when_it_is_asked_for(file: Path, before: str, after: str) -> None:
    assert fixed(file, before) == before.encode()
    assert fixed(file, before, unsafe=True).decode() == after


def test_an_absolute_path_below_the_image_folder_becomes_relative(file: Path) -> None:
    row = ROW % ('"a"', f'"{file.parent}/images/Dog.jpg"')
    assert fixed(file, row, unsafe=True).decode() == ROW % ('"a"', '"Dog.jpg"')
    elsewhere = ROW % ('"a"', '"/images/Dog.jpg"')
    assert fixed(file, elsewhere, unsafe=True).decode() == elsewhere


@pytest.mark.parametrize(
    ("content", "safe"),
    [
        (f"{ROW}\n{GOOD}\n" % ("5", "", "5"), 0),
        (f"{ROW}\n{ROW} \n" % ("5", "", "5", ""), 0),
        (f"{ROW}\n{ROW}\n" % ("5", "", "5", ""), 2),
        (f"{ROW}\n{GOOD}\n" % ("5", "", "6"), 1),
        ("# T\n\ntext\n", 0),
    ],
)
def test_only_what_would_be_repaired_is_counted(file: Path, content: str, safe: int) -> None:
    file.write_text(content)
    report = phidata.validate(file)
    assert report.fixable == safe
    helps = {found.help for found in report.diagnostics if found.pointer == "/id" and found.code == "PHI101"}
    taken = "another row has the id '5' too; give each row an id of its own, in double quotes"
    assert helps == ({"put it in double quotes"} if safe else {taken} if "id" in content else set())
    phidata.fix(file)
    assert phidata.validate(file).fixable == 0


def test_copies_with_a_number_stay_where_no_copy_is_to_be_deleted(file: Path) -> None:
    content = f"{ROW}\n{ROW}\n" % ("5", "", "5", "")
    assert fixed(file, content, ignore="PHI201").decode() == content
    assert phidata.validate(file, ignore="PHI201").fixable == 0


def test_a_number_is_known_behind_byte_order_marks(file: Path) -> None:
    content = f"\ufeff\ufeff{GOOD}\n{ROW}\n" % ("5", "5", "")
    assert fixed(file, content, select="PHI101").decode() == content
    assert phidata.validate(file, select="PHI101").fixable == 0


def test_a_file_that_is_none_of_rows_is_left_alone_and_says_so(tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_bytes(b'# T\n\ntext {"a":1}\r\n\r\nx,\n')
    assert phidata.fix(notes).remarks == (f"{notes} is not repaired: too few of its lines are JSON objects",)


def test_letter_case_is_left_alone_where_two_files_can_be_meant(file: Path) -> None:
    (file.parent / "images" / "DOG.jpg").write_bytes(b"x")
    row = ROW % ('"a"', '"dog.jpg"')
    assert fixed(file, row) == row.encode()


def test_codes_choose_what_is_repaired(file: Path) -> None:
    content = b"\xef\xbb\xbf{}\r\n\r\n"
    assert fixed(file, content, select="PHI005") == b"\xef\xbb\xbf{}\r\n"
    assert fixed(file, content, ignore="PHI002") == b"\xef\xbb\xbf{}\n"


def test_a_copy_of_another_row_than_the_first_of_its_id_can_be_deleted(file: Path) -> None:
    one, other = (ROW % ('"a"', f'"{name}.jpg"') for name in ("dog", "cat"))
    file.write_text(f"{one}\n{other}\n{other}\n")
    found = phidata.validate(file, media="none").diagnostics
    assert [(one.line, one.message, one.fix) for one in found] == [
        (2, "the id 'a' is also that of line 1", None),
        (3, "the id 'a' is also that of line 2", "safe"),
    ]
    phidata.fix(file, media="none")
    assert file.read_text() == f"{one}\n{other}\n"


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, max_size=4), st.booleans(), st.booleans())
def test_a_repair_leaves_fewer_findings_and_a_second_one_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, several: list[bytes], unsafe: bool, crlf: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "repaired.jsonl"
    content = (b"\r\n" if crlf else b"\n").join(several)
    file.write_bytes(content)
    before = phidata.validate(file, media="none")
    done = phidata.fix(file, media="none", unsafe=unsafe)
    after = phidata.validate(file, media="none")
    assert len(after.diagnostics) <= len(before.diagnostics) or done.num_changes
    if not unsafe and before.fixable == 0 and not crlf and b"\r" not in content:
        assert file.read_bytes() == content
    assert phidata.fix(file, media="none", unsafe=unsafe).files == ()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=2).map(lambda text: text.replace(b"\n", b"")), st.integers(0, 9))))
def test_a_diff_tells_the_new_file(changes: list[tuple[bytes, int]]) -> None:
    """Applied by the rules of unified diffs, the hunks make the new file of the old one."""
    pairs = [
        (text + b"\n", {0: [], 1: [b"new\n"], 2: [b"x\n", b"y\n"]}.get(kind, [text + b"\n"])) for text, kind in changes
    ]
    written: list[bytes] = []
    diff = Diff("f", written.append)
    for old, new in pairs:
        diff.line(old, new)
    diff.end()
    before = [old for old, _ in pairs]
    assert applied(b"".join(written), before) == [line for _, new in pairs for line in new]


def applied(diff: bytes, old: list[bytes]) -> list[bytes]:
    new: list[bytes] = []
    position = 0
    for line in (text + b"\n" for text in diff.split(b"\n")[:-1]):
        if line.startswith(b"@@"):
            start, count = (int(part) for part in line.split()[1][1:].split(b","))
            begin = start - 1 if count else start
            new += old[position:begin]
            position = begin
        elif line[:1] in (b" ", b"-") and not line.startswith(b"---"):
            assert old[position] == line[1:]
            position += 1
            new += [line[1:]] if line[:1] == b" " else []
        elif line[:1] == b"+" and not line.startswith(b"+++"):
            new.append(line[1:])
    return new + old[position:]


def test_the_command_shows_the_changes_and_then_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    content = b"\n" + (ROW % ("1", "")).encode() + b"\n" + (ROW % ('"b"', "")).encode().replace(b'"u"', b'" "')
    Path("rows.jsonl").write_bytes(content)
    changes = (
        b"--- rows.jsonl\n+++ rows.jsonl\n@@ -1,3 +1,2 @@\n-\n"
        b'-{"id": 1, "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}\n'
        b'+{"id": "1", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}\n'
        b' {"id": "b", "source": "s", "conversations": [{"images": [], "user": " ", "assistant": "x"}]}\n'
        b"\\ No newline at end of file\n"
    )
    assert main(["validate", "rows.jsonl", "--diff"]) == 1
    assert capsysbinary.readouterr() == (changes, b"rows.jsonl: 2 repairs would be made (PHI005 1, PHI101 1)\n")
    assert Path("rows.jsonl").read_bytes() == content
    assert main(["validate", "rows.jsonl", "--fix"]) == 1
    out, err = capsysbinary.readouterr()
    assert out.startswith(changes + b"rows.jsonl:2:69: error PHI202: `user` is only white space\n")
    assert err == b"rows.jsonl: 2 repairs made (PHI005 1, PHI101 1)\n"
    assert main(["validate", "rows.jsonl", "--diff"]) == 0


def test_without_repairing_the_command_tells_how_much_could_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('\n{"id": "a",}\n')
    assert main(["validate", str(file)]) == 1
    assert capsys.readouterr().err == "1 can be repaired by --fix, 1 more with --unsafe-fixes\n"


def test_a_repaired_file_keeps_its_permissions_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "rows.jsonl", tmp_path / "link.jsonl"
    file.write_text("\n{}\n")
    file.chmod(0o640)
    link.symlink_to("rows.jsonl")
    phidata.fix(link)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode), link.is_symlink()) == ("{}\n", 0o640, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.jsonl", "rows.jsonl"]


def test_a_file_that_can_not_be_repaired_whole_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "val"):
        (tmp_path / f"set_{split}.jsonl").write_text("\n{}\n")
    monkeypatch.setattr("phidata.repair.file.UnnamedFile.write", failing_write)
    with pytest.raises(OSError, match="disk full"):
        phidata.fix(tmp_path)
    assert sorted((path.name, path.read_text()) for path in tmp_path.iterdir()) == [
        ("set_train.jsonl", "\n{}\n"),
        ("set_val.jsonl", "\n{}\n"),
    ]


def test_a_folder_that_takes_no_file_is_told_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text("\n{}\n")
    good.write_text("{}\n")
    monkeypatch.setattr("phidata.repair.file.UnnamedFile", refused)
    sentence = (
        f"{bad} can not be repaired: no file can be written in its folder (Permission denied); "
        "change the permissions, or repair a copy"
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        phidata.fix(bad)
    assert phidata.fix(good).files == ()


def refused(*_: object) -> None:
    raise PermissionError(13, "Permission denied", ".0000000001.tmp")


def failing_write(*_: object) -> None:
    raise OSError(28, "disk full")


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Path]:
    """A finished data folder, whose second row is a copy and whose paths are spelt otherwise than its files."""

    def make() -> Path:
        root = tmp_path / "birds"
        with DatasetWriter(root, name="birds", converter="merge", versions={}, splits=("train",)) as writer:
            for id_ in ("a", "b"):
                turn = Turn(images=(f"train/{id_}.jpg",), user="u", assistant="x")
                writer.add("train", Conversation(id=id_, source="s", conversations=(turn,)), [id_.encode()])
            writer.finish()
        return root

    return make


def with_a_copy(root: Path) -> Manifest:
    """Make the folder one that was converted with its second row twice."""
    rows = root / "birds_train.jsonl"
    content = rows.read_bytes() + rows.read_bytes().splitlines(keepends=True)[1]
    rows.write_bytes(content)
    manifest = read_manifest(root)
    split = manifest.splits["train"]
    file = replace(split.files[0], rows=3, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
    splits = {"train": replace(split, files=(file,), rows_in=3, written=3)}
    changed = replace(manifest, splits=splits, rows=replace(manifest.rows, rows_in=3, written=3))
    finish_folder(root, changed)
    write_ledger(root, [LedgerLine(split="train", outcome="written", count=3)])
    return changed


def test_the_manifest_of_a_folder_stays_true(folder: Callable[[], Path]) -> None:
    root = folder()
    before = read_manifest(root)
    card = (root / "README.md").read_text()
    with_a_copy(root)
    assert verify(root).ok
    done = phidata.fix(root)
    assert (done.files[0].changes, done.remarks) == ({"PHI201": 1}, ())
    after = read_manifest(root)
    assert after.splits["train"].files == before.splits["train"].files
    assert after.rows == replace(
        before.rows,
        rows_in=3,
        skipped=1,
        skip_reasons={"is the copy of another row, deleted by phidata validate --fix": 1},
    )
    assert after.options == {"fix": {"PHI201": 1}}
    assert [(line.outcome, line.count) for line in read_ledger(root)] == [("written", 2), ("skipped", 1)]
    assert (root / "README.md").read_text().splitlines()[0] == card.splitlines()[0]
    verified = verify(root)
    assert (verified.ok, verified.mismatches) == (True, ())


def test_a_row_that_the_manifest_does_not_know_is_not_counted_as_skipped(folder: Callable[[], Path]) -> None:
    root = folder()
    rows = root / "birds_train.jsonl"
    before = read_manifest(root)
    changed = rows.read_bytes().replace(b'"u"', b'"w"')
    rows.write_bytes(changed + changed.splitlines(keepends=True)[1])
    assert phidata.fix(root).remarks == (
        f"{rows} was not what the manifest says before it was repaired; the manifest has its new sha256",
        f"{rows} had 3 rows and its manifest says 2, which is left as it is",
    )
    file = replace(before.splits["train"].files[0], sha256=hashlib.sha256(changed).hexdigest())
    splits = {"train": replace(before.splits["train"], files=(file,))}
    assert read_manifest(root) == replace(before, splits=splits, options={"fix": {"PHI201": 1}})
    assert verify(root).ok


def test_a_file_that_is_again_what_the_manifest_says_leaves_it_as_it_is(folder: Callable[[], Path]) -> None:
    root = folder()
    rows = root / "birds_train.jsonl"
    before = (root / "manifest.json").read_bytes()
    with rows.open("ab") as file:
        file.write(rows.read_bytes().splitlines(keepends=True)[1])
    assert phidata.fix(root).remarks == (f"{rows} is again what its manifest says",)
    assert (root / "manifest.json").read_bytes() == before
    assert verify(root).ok


@pytest.mark.parametrize("num_writes", range(4))
def test_a_repair_that_is_cut_short_is_ended_by_the_next(
    folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, num_writes: int
) -> None:
    """Ledger, card, manifest and rows take their names one by one."""
    root = folder()
    with_a_copy(root)
    rename = Path.replace
    left = iter(range(num_writes))

    def cut_short(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut_short)
        with pytest.raises(KeyboardInterrupt):
            phidata.fix(root)
    assert list(root.rglob(".*")) == []
    phidata.fix(root)
    after = read_manifest(root)
    assert (after.rows.rows_in, after.rows.written, after.rows.skipped) == (3, 2, 1)
    assert after.options == {"fix": {"PHI201": 1}}
    assert [(line.outcome, line.count) for line in read_ledger(root)] == [("written", 2), ("skipped", 1)]
    assert "2 are written, 1 skipped" in (root / "README.md").read_text()
    assert (verify(root).ok, verify(root).mismatches) == (True, ())


def test_files_that_could_not_be_put_in_place_are_repaired_by_the_next(
    folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder()
    shown = (root / "birds_train.jsonl").read_bytes()
    with DatasetWriter(
        two := root.parent / "two", name="birds", converter="merge", versions={}, splits=("train", "val")
    ) as writer:
        for split, line in zip(("train", "val"), shown.splitlines(), strict=True):
            writer.add(split, msgspec.json.decode(line, type=Conversation), [b"x"])
        writer.finish()
    for path in two.glob("*.jsonl"):
        if path.name != "ledger.jsonl":
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    put = UnnamedFile.take_name

    def refuse_the_second(file: UnnamedFile, final: Path) -> None:
        if final.name == "birds_val.jsonl":
            raise OSError(5, "Input/output error")
        put(file, final)

    with monkeypatch.context() as patched:
        patched.setattr(UnnamedFile, "take_name", refuse_the_second)
        with pytest.raises(OSError, match="Input/output error"):
            phidata.fix(two)
    assert list(two.rglob(".*")) == []
    assert not verify(two).ok
    assert [file.path for file in phidata.fix(two).files] == [str(two / "birds_val.jsonl")]
    assert verify(two).ok


def test_a_repair_that_can_not_be_written_down_is_not_made(folder: Callable[[], Path]) -> None:
    root = folder()
    with_a_copy(root)
    (root / "ledger.jsonl").write_text("no ledger\n")
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(DataError, match=r"ledger\.jsonl:1: this is not a line of a ledger"):
        phidata.fix(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_a_card_that_somebody_has_changed_stays(folder: Callable[[], Path]) -> None:
    root = folder()
    with_a_copy(root)
    (root / "README.md").write_bytes(b"# V\xf6gel\n")
    phidata.fix(root)
    assert (root / "README.md").read_bytes() == b"# V\xf6gel\n"
    assert verify(root).ok


def test_a_path_that_is_spelt_anew_is_spelt_so_in_the_list_of_images(folder: Callable[[], Path]) -> None:
    root = folder()
    (root / "images" / "train" / "a.jpg").rename(root / "images" / "train" / "A.jpg")
    before = read_manifest(root)
    phidata.fix(root)
    after = read_manifest(root)
    assert '"train/A.jpg"' in (root / "birds_train.jsonl").read_text()
    assert after.images.num == 2
    assert after.images.sha256 != before.images.sha256
    assert after.options == {"fix": {"PHI402": 1}}
    assert [(line.outcome, line.count) for line in read_ledger(root)] == [("written", 2)]
    verified = verify(root)
    assert (verified.ok, verified.mismatches) == (True, ())


def test_a_folder_that_lacks_a_split_keeps_its_list_of_images(folder: Callable[[], Path]) -> None:
    root = folder()
    before = read_manifest(root)
    splits = {**before.splits, "val": replace(before.splits["train"], files=())}
    finish_folder(root, replace(before, splits=splits))
    (root / "images" / "train" / "a.jpg").rename(root / "images" / "train" / "A.jpg")
    assert phidata.fix(root).remarks == (
        "the manifest keeps its old list of images, since one can not be read: "
        f"no split 'val' in {root}; it has 'train'",
    )
    assert read_manifest(root).images == before.images
    assert '"train/A.jpg"' in (root / "birds_train.jsonl").read_text()


def test_a_jsonl_file_beside_shards_is_repaired_and_the_manifest_says_nothing(tmp_path: Path) -> None:
    turn = Turn(images=("train/a.jpg",), user="u", assistant="x")
    row = Conversation(id="a", source="s", conversations=(turn,))
    with DatasetWriter(
        tmp_path / "out", name="b", converter="merge", versions={}, splits=("train",), shape="parquet", shard_bytes=1
    ) as writer:
        for number in range(2):
            writer.add("train", replace(row, id=str(number)), [b"x"])
        manifest = writer.finish()
    (tmp_path / "out" / "train").mkdir()
    (tmp_path / "out" / "train" / "A.jpg").touch()
    path = tmp_path / "out" / "b_train.jsonl"
    path.write_bytes(msgspec.json.encode(row) + b"\n")
    said = f"{tmp_path / 'out' / 'manifest.json'} does not name b_train.jsonl, and says nothing of its repairs"
    assert phidata.fix(path).remarks == (said,)
    assert b"train/A.jpg" in path.read_bytes()
    assert read_manifest(tmp_path / "out") == manifest


@pytest.mark.parametrize(
    ("name", "what"), [("README.md", "card"), ("manifest.json", "manifest"), ("ledger.jsonl", "ledger")]
)
def test_what_lies_beside_the_data_is_refused(folder: Callable[[], Path], name: str, what: str) -> None:
    root = folder()
    sentence = f"{root / name} is the {what} of a data folder, not rows; give {root} or its data"
    for check in (phidata.validate, phidata.fix):
        with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
            check(root / name)


def test_shards_are_not_repaired_and_say_so(tmp_path: Path) -> None:
    root = tmp_path / "birds"
    with DatasetWriter(
        root, name="birds", converter="merge", versions={}, splits=("train",), shape="parquet"
    ) as writer:
        turn = Turn(images=(), user="u", assistant="x")
        writer.add("train", Conversation(id="a", source="s", conversations=(turn,)), [])
        writer.finish()
    shard = root / "data" / "train-00000-of-00001.parquet"
    assert phidata.fix(root).remarks == (f"{shard} is a shard, which is not repaired in place; make it again",)


def test_the_summary_of_a_repair_is_machine_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f"\n{GOOD}\n" % "a")
    assert main(["validate", str(file), "--fix", "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["summary"]
    assert err == f"{file}: 1 repair made (PHI005 1)\n"
