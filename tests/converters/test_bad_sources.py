"""Every converter and everything that can be wrong with a source: one sentence, the right exit code, nothing written.

bad_sources.txt holds what is told: `exit 2` for what was asked, `exit 1` for a source that can not be used, `row` for a
row that fails while the others are converted. `python -m tests.converters.test_bad_sources` writes it anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import phidata
from phidata.conversion.converter import registered_converters
from phidata.conversion.selection import Selection
from phidata.errors import PhidataError

from .sources import (
    CAULDRON,
    EXCERPT,
    IMAGE,
    KITCHEN,
    LEFT,
    PAGE,
    RIGHT,
    cauldron_row,
    converted,
    excerpt_row,
    write,
    write_lines,
    write_parquet,
)

TOLD = Path(__file__).parent / "bad_sources.txt"
CLIP = (Path(__file__).parents[1] / "media" / "videos" / "video.avi").read_bytes()


class Kind(NamedTuple):
    """A converter with a sound source of two rows: its main file, the medium of its first row, and a text in the main
    file that another type is put for."""

    name: str
    make: Callable[[Path], object]
    main: str
    medium: str
    text: tuple[str, str] | None
    settings: dict[str, Any] = {}  # noqa: RUF012


def _docvqa(folder: Path) -> None:
    asked = [{"questionId": k, "question": "Who?", "image": f"documents/{k}.png", "answers": ["A"]} for k in (1, 2)]
    write(folder / "val_v1.0.json", {"data": asked})
    _pictures(folder, "documents/1.png", "documents/2.png", data=PAGE)


def _excerpt(folder: Path) -> None:
    rows = [excerpt_row("1", "Who?", ["A"]), excerpt_row("2", "Who?", ["A"])]
    write_parquet(folder / "train.parquet", rows, EXCERPT)


def _memes(folder: Path) -> None:
    write_lines(folder / "dev.jsonl", *({"id": k, "img": f"img/{k}.png", "label": 1, "text": "x"} for k in (1, 2)))
    _pictures(folder, "img/1.png", "img/2.png")


def _nlvr2(folder: Path) -> None:
    statements = [{"identifier": f"dev-{k}-0-0", "sentence": "A.", "label": "True"} for k in (1, 2)]
    write_lines(folder / "dev.json", *statements)
    for k in (1, 2):
        _pictures(folder, f"dev-{k}-0-img0.png", data=LEFT)
        _pictures(folder, f"dev-{k}-0-img1.png", data=RIGHT)


def _cauldron(folder: Path) -> None:
    write_parquet(folder / "train.parquet", [cauldron_row("X", ("Who?", "A")) for _ in (1, 2)], CAULDRON)


def _vqa(folder: Path) -> None:
    write(folder / "q.json", {str(k): {"imageId": f"n{k}", "question": "Who?", "answer": "A"} for k in (1, 2)})
    _pictures(folder, "n1.jpg", "n2.jpg")


def _coco(folder: Path) -> None:
    images = [{"id": k, "file_name": f"{k}.jpg"} for k in (1, 2)]
    write(folder / "c.json", {"images": images, "annotations": [{"image_id": k, "caption": "A"} for k in (1, 2)]})
    _pictures(folder, "1.jpg", "2.jpg")


def _csv(folder: Path) -> None:
    write(folder / "t.csv", "file,q,a\n1.jpg,Who?,A\n2.jpg,Who?,A\n")
    _pictures(folder, "1.jpg", "2.jpg")


def _classes(folder: Path) -> None:
    _pictures(folder, "train/a/1.jpg", "train/b/1.jpg")


def _videos(folder: Path) -> None:
    _pictures(folder, "train/a/1.avi", "train/b/1.avi", data=CLIP)


def _ucf101(folder: Path) -> None:
    _pictures(folder, "Run/v_Run_g01_c01.avi", "Run/v_Run_g02_c01.avi", data=CLIP)
    write(folder / "trainlist01.txt", "Run/v_Run_g01_c01.avi 1\n")
    write(folder / "testlist01.txt", "Run/v_Run_g02_c01.avi\n")


def _chats(**record: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        lines = (json.dumps(record).replace("K.jpg", f"{k}.jpg") for k in (1, 2))
        write(folder / "train.jsonl", "".join(f"{line}\n" for line in lines))
        _pictures(folder, "1.jpg", "2.jpg")

    return make


def _pictures(folder: Path, *files: str, data: bytes = KITCHEN) -> None:
    for file in files:
        write(folder / file, data)


PAIRS = [{"from": "human", "value": "<image>\nWho?"}, {"from": "gpt", "value": "A"}]
SAID = [{"role": "user", "content": "<image>Who?"}, {"role": "assistant", "content": "A"}]
TYPED = [{"type": "image_url", "image_url": {"url": "K.jpg"}}, {"type": "text", "text": "Who?"}]
KINDS = (
    Kind("captions", _coco, "c.json", "1.jpg", ('"A"', "7")),
    Kind("cauldron", _cauldron, "train.parquet", "images", None),
    Kind("docvqa", _docvqa, "val_v1.0.json", "documents/1.png", ('"Who?"', "7")),
    Kind("docvqa", _excerpt, "train.parquet", "image", None),
    Kind("hateful_memes", _memes, "dev.jsonl", "img/1.png", ('"label": 1', '"label": "1"')),
    Kind("image-folder", _classes, "train/a/1.jpg", "train/a/1.jpg", None),
    Kind("llava", _chats(id="7", image="K.jpg", conversations=PAIRS), "train.jsonl", "1.jpg", ('"A"', "7")),
    Kind(
        "messages",
        _chats(messages=[{"role": "user", "content": TYPED}, {"role": "assistant", "content": "A"}]),
        "train.jsonl",
        "1.jpg",
        ('"Who?"', "7"),
    ),
    Kind("nlvr2", _nlvr2, "dev.json", "dev-1-0-img1.png", ('"A."', "7")),
    Kind("sharegpt", _chats(conversations=PAIRS, images=["K.jpg"]), "train.jsonl", "1.jpg", ('"A"', "7")),
    Kind("swift", _chats(messages=SAID, images=["K.jpg"]), "train.jsonl", "1.jpg", ('"A"', "7")),
    Kind(
        "table", _csv, "t.csv", "1.jpg", ("Who?,A", "Who?"), {"map": ("images=file", "user=q", "assistant=a", "id=q")}
    ),
    Kind("ucf101", _ucf101, "trainlist01.txt", "Run/v_Run_g01_c01.avi", ("Run/", "")),
    Kind("video-folder", _videos, "train/a/1.avi", "train/a/1.avi", None),
    Kind("vqa", _vqa, "q.json", "n1.jpg", ('"A"', "7")),
)


def told(kind: Kind, folder: Path) -> list[str]:
    """What is told about each thing that can be wrong, as the lines of bad_sources.txt."""
    lines = []
    for case, spoil in SPOILT.items():
        source = folder / case.replace(" ", "-")
        kind.make(source)
        options: dict[str, Any] = dict(kind.settings)
        if spoil(kind, source, options) is not False:
            lines.append(f"{kind.name} ({kind.main}), {case}: {_sentence(kind.name, source, options)}")
    return lines


def _no_source(_: Kind, source: Path, __: dict[str, Any]) -> None:
    shutil.rmtree(source)


def _empty_folder(_: Kind, source: Path, __: dict[str, Any]) -> None:
    shutil.rmtree(source)
    source.mkdir()


def _empty_file(kind: Kind, source: Path, _: dict[str, Any]) -> None:
    write(source / kind.main, b"")


def _half_a_file(kind: Kind, source: Path, _: dict[str, Any]) -> None:
    content = (source / kind.main).read_bytes()
    write(source / kind.main, content[: len(content) * 3 // 4])


def _wrong_encoding(kind: Kind, source: Path, _: dict[str, Any]) -> bool | None:
    if kind.main.endswith((".jpg", ".avi")):
        return False
    if not kind.main.endswith(".parquet"):
        write(source / kind.main, (source / kind.main).read_text("utf-8").encode("utf-16"))
        return None
    table = pq.read_table(source / kind.main)
    spoilt = [_latin(column) for column in table.columns]
    pq.write_table(pa.Table.from_arrays(spoilt, names=table.column_names), source / kind.main)
    return None


def _latin(column: Any) -> Any:
    """The column with a byte that is not UTF-8 in each of its texts."""
    return pa.ipc.open_stream(_stream(column).replace(b"Who?", b"Wh\xe9?")).read_all().column(0)


def _stream(column: Any) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"x": column})
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _missing_image(kind: Kind, source: Path, _: dict[str, Any]) -> bool | None:
    if kind.medium == kind.main:
        return False
    _spoil_medium(kind, source, None)
    return None


def _corrupt_image(kind: Kind, source: Path, _: dict[str, Any]) -> None:
    data = CLIP if kind.medium.endswith(".avi") else KITCHEN
    _spoil_medium(kind, source, data[: len(data) // 2])


def _spoil_medium(kind: Kind, source: Path, data: bytes | None) -> None:
    if kind.main.endswith(".parquet"):
        table = pq.read_table(source / kind.main)
        place = table.column_names.index(kind.medium)
        many = kind.medium == "images"
        spoilt = [[{"bytes": data, "path": None}] if many else {"bytes": data, "path": None}] * table.num_rows
        column = pa.array(spoilt, pa.list_(IMAGE) if many else IMAGE)
        pq.write_table(table.set_column(place, kind.medium, column), source / kind.main)
    elif data is None:
        (source / kind.medium).unlink()
    else:
        write(source / kind.medium, data)


def _wrong_type(kind: Kind, source: Path, _: dict[str, Any]) -> None:
    if kind.text is not None:
        write(source / kind.main, (source / kind.main).read_text("utf-8").replace(*kind.text, 1))
    elif kind.main.endswith(".parquet"):
        table = pq.read_table(source / kind.main)
        name = "texts" if kind.medium == "images" else "query"
        pq.write_table(table.set_column(table.column_names.index(name), name, pa.array([7, 7])), source / kind.main)
    else:
        write(source / kind.medium, "not a picture")


def _unknown_split(_: Kind, __: Path, options: dict[str, Any]) -> None:
    options["selection"] = Selection(splits={"new": "nosuch[:1]"})


def _unknown_option(_: Kind, __: Path, options: dict[str, Any]) -> None:
    options["colour"] = "red"


SPOILT: dict[str, Callable[[Kind, Path, dict[str, Any]], bool | None]] = {
    "no source": _no_source,
    "empty folder": _empty_folder,
    "empty file": _empty_file,
    "half a file": _half_a_file,
    "wrong encoding": _wrong_encoding,
    "missing image": _missing_image,
    "corrupt image": _corrupt_image,
    "wrong type": _wrong_type,
    "unknown split": _unknown_split,
    "unknown option": _unknown_option,
}


def _sentence(name: str, source: Path, options: dict[str, Any]) -> str:
    try:
        found = converted(name, source, **options)
    except PhidataError as error:
        _check_nothing_is_written(name, source, options, error)
        return f"exit {error.exit_code}: {error}".replace(str(source), "SOURCE")
    failed = [text for text in found if isinstance(text, str) and not text.startswith("skipped")]
    return (failed[0].replace("failed", "row") if failed else "no failure").replace(str(source), "SOURCE")


def _check_nothing_is_written(name: str, source: Path, options: dict[str, Any], error: PhidataError) -> None:
    selection = options.get("selection", Selection())
    settings = {key: value for key, value in options.items() if key != "selection"}
    out = source.parent / "out"
    with pytest.raises(type(error)) as raised:
        phidata.convert(name, source=source, out=out, settings=settings, splits=selection.splits)
    assert str(raised.value) == str(error)
    assert not out.exists()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name}-{kind.main}")
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path, kind: Kind) -> None:
    expected = [line for line in TOLD.read_text("utf-8").splitlines() if line.startswith(f"{kind.name} ({kind.main}),")]
    assert told(kind, tmp_path) == expected


def test_nothing_wrong_goes_unnoticed() -> None:
    lines = TOLD.read_text("utf-8").splitlines()
    assert [line for line in lines if line.endswith("no failure")] == []
    assert {kind.name for kind in KINDS} == set(registered_converters())


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        told_of = (told(kind, Path(folder) / f"{kind.name}-{kind.main.replace('/', '-')}") for kind in KINDS)
        TOLD.write_text("".join(f"{line}\n" for lines in told_of for line in lines), "utf-8")
