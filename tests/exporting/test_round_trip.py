"""import(export(x)) = x, for every row that a format can hold; the others are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import phidata
from phidata.conversion.converter import Row, find_converter, full_settings
from phidata.conversion.options import Options
from phidata.conversion.task import Task
from phidata.conversion.worker import Attempt, attempt
from phidata.exporting.formats import FORMATS
from phidata.exporting.result import Unfit
from phidata.records import Conversation, Turn
from phidata.sources.tags import lift_tags, put_tags
from phidata.storage.shape import SHAPES, Shape
from phidata.storage.source import Root

from .conftest import COLOURS, ROWS, WITH_SYSTEM, picture, read_rows, write_folder

TAGS = ("<image>", "<video>", "<audio>")

spelt = st.sampled_from(
    [
        *("<image>", "a <image> b", "<video>", "\n<image>\n", "<imag", "e>", "<IMG_CONTEXT>", "<|image_1|>", "<|end|>"),
        *(
            "\nnewline first",
            " blank first",
            "\n\n",
            "blank last ",
            "a\n",
            "<s>",
            "{{",
            '"',
            "\\n",
            "日本語",
            "\u2028",
            "🦜",
        ),
    ]
)
text = st.lists(st.text(st.characters(codec="utf-8"), max_size=4) | spelt, min_size=1, max_size=3).map("".join)
words = text.filter(lambda said: bool(said) and not said.isspace())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=5,
)
turns = st.builds(
    Turn,
    images=st.lists(st.sampled_from(sorted(COLOURS)), max_size=3).map(tuple),
    user=words,
    assistant=words,
    answers=st.none() | st.lists(text.filter(bool), min_size=1, max_size=2).map(tuple),
)
metadata = st.none() | st.dictionaries(
    text | st.sampled_from(["system", "messages", "images", "id"]), json_values, max_size=3
)
rows = st.builds(
    Conversation,
    id=text.filter(bool),
    source=text.filter(bool),
    conversations=st.lists(turns, min_size=1, max_size=3).map(tuple),
    metadata=metadata,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export")
    for path in COLOURS:
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_bytes(picture(path))
    return made


def imported(to: str, folder: Path, data: bytes) -> Iterator[Conversation | str]:
    """The rows that the converter of a format makes of a file's content, or why it fails."""
    path = folder / f"train{FORMATS[to].suffix}"
    path.write_bytes(data)
    converter = find_converter(to)
    root = Root(path=folder, name="export", file=path.name)
    for row in converter.rows(root, full_settings(converter.about, {})):
        assert isinstance(row, Row)
        found = attempt(Task(number=0, id=row.id or "", row=row), root, Options(keep_bytes=True), converter)
        yield msgspec.json.decode(found.line, type=Conversation) if isinstance(found, Attempt) else found.reason


@pytest.mark.parametrize("to", list(FORMATS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows)
def test_a_row_comes_back_as_it_was_or_is_refused(to: str, folder: Path, row: Conversation) -> None:
    try:
        record = msgspec.json.encode(FORMATS[to].encode(row))
    except Unfit:
        assert _does_not_fit(to, row)
        return
    data = b"[" + record + b"]" if FORMATS[to].is_list else record + b"\n"
    assert list(imported(to, folder, data)) == [row]


def _does_not_fit(to: str, row: Conversation) -> bool:
    said: list[Any] = [text for turn in row.conversations for text in (turn.user, turn.assistant)]
    system = (row.metadata or {}).get("system")
    has_system = isinstance(system, str) and bool(system.strip())
    if to == "llava" and has_system:
        return True
    if to == "swift" and has_system:
        said.append(system)
    return to != "messages" and any(tag in text for tag in TAGS for text in said)


@given(said=text, count=st.integers(0, 3), each_on_a_line=st.booleans())
@settings(deadline=None)
def test_tags_that_are_put_in_are_lifted_without_a_trace(said: str, count: int, each_on_a_line: bool) -> None:
    if "<image>" in said or not said:
        return
    lifted = lift_tags(put_tags(said, "<image>", count, each_on_a_line=each_on_a_line), ("<image>", "<video>"))
    if "<video>" not in said:
        assert lifted == (said, ("<image>",) * count, False)


@pytest.mark.parametrize(
    ("said", "text", "is_inside"),
    [
        ("<image>\nWho?", "Who?", False),
        ("<image> Who?", "Who?", False),
        ("<image>Who?", "Who?", False),
        ("<image>\n\nWho?", "\nWho?", False),
        ("Who?\n<image>", "Who?", False),
        ("Who?<image>", "Who?", False),
        ("Who? <image>", "Who?", False),
        ("<image>\n<image>\nWho?", "Who?", False),
        ("<image> <image> Who?", "Who?", False),
        ("Who?\n<image><image>", "Who?", False),
        ("Who?\n<image>\n<image>", "Who?", False),
        ("Is <image> older?", "Is older?", True),
        ("Is <image> older than <image>?", "Is older than?", True),
        ("First: <image>\nSecond: <image>\nWho?", "First:\nSecond:\nWho?", True),
        ("Look:\n<image>\nWho?", "Look:\nWho?", True),
        ("no tag", "no tag", False),
        ("<image>", "", False),
    ],
)
def test_a_tag_goes_with_one_blank_or_newline(said: str, text: str, is_inside: bool) -> None:
    assert lift_tags(said, ("<image>",)) == (text, ("<image>",) * said.count("<image>"), is_inside)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("to", ["messages"])
def test_every_shape_comes_back_the_same(tmp_path: Path, to: str, shape: Shape) -> None:
    source = write_folder(tmp_path / "pets", *ROWS, WITH_SYSTEM, shape=shape)
    phidata.export(source, to=to, out=tmp_path / "out")
    phidata.convert(to, source=tmp_path / "out", out=tmp_path / "back", ids="source", keep_bytes=True, jobs=1)
    assert read_rows(tmp_path / "back", "train") == (*ROWS, WITH_SYSTEM)
    assert [path.name for path in sorted((tmp_path / "back").glob("*.jsonl"))] == [
        "ledger.jsonl",
        "messages_my_val.jsonl",
        "messages_train.jsonl",
    ]
    for path in COLOURS:
        assert (tmp_path / "back" / "images" / path).read_bytes() == picture(path)


@pytest.mark.parametrize("to", ["llava", "sharegpt", "swift"])
def test_every_format_comes_back_the_same(pets: Path, tmp_path: Path, to: str) -> None:
    phidata.export(pets, to=to, out=tmp_path / "out")
    phidata.convert(to, source=tmp_path / "out", out=tmp_path / "back", ids="source", keep_bytes=True, jobs=1)
    assert read_rows(tmp_path / "back", "train") == ROWS
    assert read_rows(tmp_path / "back", "my_val") == read_rows(pets, "my_val")
