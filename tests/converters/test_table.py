"""Any table with --map: csv, tsv, JSON, Parquet, Arrow, one JSON file a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phidata import DataError, UsageError

from .sources import IMAGE, KITCHEN, PAGE, converted, picture, turns, write, write_lines

TEXT = ("images=file", r"user={q}\nBriefly.", "assistant={a}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("val.csv", 'file,q,a\nx/k.jpg,"Who, ""there""?",17\n'),
        ("val.tsv", '\ufefffile\tq\ta\r\nx/k.jpg\tWho, "there"?\t17\r\n'.replace('"there"', "'there'")),
        ("val.jsonl", '{"file": "x/k.jpg", "q": "Who, \\"there\\"?", "a": 17}\n'),
        ("val.json", '[{"file": "x/k.jpg", "q": "Who, \\"there\\"?", "a": 17}]'),
        ("val.json", '{\n"file": "x/k.jpg",\n"q": "Who, \\"there\\"?", "a": 17}'),
    ],
)
def test_a_text_table_is_read(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path / name, text)
    write(tmp_path / "x" / "k.jpg", KITCHEN)
    asked = "Who, 'there'?" if name == "val.tsv" else 'Who, "there"?'
    assert converted("table", tmp_path, map=TEXT) == [
        {
            "id": "val-0000000000",
            "source": "table",
            "conversations": [{"images": ["val/x/k.jpg"], "user": f"{asked}\nBriefly.", "assistant": "17"}],
        }
    ]


def hub_table() -> pa.Table:
    """A table as the hub has them, with a class label."""
    features = b'{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
    schema = pa.schema(
        {
            "nr": pa.int64(),
            "image": pa.list_(IMAGE),
            "query": pa.struct({"en": pa.string()}),
            "label": pa.int64(),
            "all": pa.list_(pa.string()),
        },
        metadata={"huggingface": features},
    )
    rows = [
        {
            "nr": k,
            "image": [picture(data) for data in images],
            "query": {"en": f"{k}?"},
            "label": label,
            "all": ["dog", "puppy", "dog"],
        }
        for k, (images, label) in enumerate([([KITCHEN, PAGE], 1), ([], 0), ([PAGE], -1)])
    ]
    return pa.Table.from_pylist(rows, schema=schema)


MAP = (
    "images=image",
    "user={query.en}",
    "assistant=label",
    "answers=all",
    "id=nr",
    "metadata.number=nr",
    "metadata.said=query.en",
)


@pytest.mark.parametrize("kind", ["parquet", "arrow-file", "arrow-stream"])
def test_a_column_table_is_read_with_nested_columns_and_class_names(tmp_path: Path, kind: str) -> None:
    table = hub_table()
    if kind == "parquet":
        pq.write_table(table, tmp_path / "test-00000-of-00001.parquet", row_group_size=2)
    else:
        new = pa.ipc.new_file if kind == "arrow-file" else pa.ipc.new_stream
        with new(tmp_path / "test.arrow", table.schema) as file:
            file.write_table(table, max_chunksize=2)
    found = converted("table", tmp_path, map=MAP, ids="source")
    assert found[:2] == [
        {
            "id": "0",
            "source": "table",
            "conversations": [
                {
                    "images": ["test/0000000.0.jpg", "test/0000000.1.png"],
                    "user": "0?",
                    "assistant": "dog",
                    "answers": ["dog", "puppy"],
                }
            ],
            "metadata": {"number": 0, "said": "0?"},
        },
        {
            "id": "1",
            "source": "table",
            "conversations": [{"images": [], "user": "1?", "assistant": "cat", "answers": ["dog", "puppy"]}],
            "metadata": {"number": 1, "said": "1?"},
        },
    ]
    name = "test-00000-of-00001.parquet" if kind == "parquet" else "test.arrow"
    assert found[2:] == [f"failed {name}:3: its 'label' is null, where a text or a number is expected"]


def test_one_json_file_a_picture(tmp_path: Path) -> None:
    for name in ("000", "001"):
        write(tmp_path / f"{name}.jpg", KITCHEN)
        write(tmp_path / f"{name}.json", '{\n    "company": "' + name + ' LTD",\n    "total": "9.00"\n}')
    given = ("images={_stem}.jpg", "user=Which company is this?", "assistant=company", "id=_stem")
    assert converted("table", tmp_path, map=given, ids="source") == [
        {
            "id": name,
            "source": "table",
            "conversations": [
                {"images": [f"train/{name}.jpg"], "user": "Which company is this?", "assistant": f"{name} LTD"}
            ],
        }
        for name in ("000", "001")
    ]


def test_the_first_answer_is_the_assistants_when_nothing_else_is_said(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"q": "Who?", "all": ["Ann", 7]}, {"q": "Who?", "all": []}, {"q": "Who?"})
    assert turns("table", tmp_path, map=("user=q", "answers=all")) == [
        [{"images": [], "user": "Who?", "assistant": "Ann", "answers": ["Ann", "7"]}],
        "failed a.jsonl:2: its 'all' is an empty list, where answers are expected",
        "failed a.jsonl:3: it has no 'all'; it has 'q', '_file', '_stem', '_line'",
    ]


def test_braces_and_unicode_stand_in_a_template(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", {"q": "{x} ünï\\n", "a": True})
    assert turns("table", tmp_path, map=("user={{{q}}} ☃", "assistant={a}")) == [
        [{"images": [], "user": "{{x} ünï\\n} ☃", "assistant": "true"}]
    ]


def test_files_are_split_by_their_names_and_can_be_chosen(tmp_path: Path) -> None:
    for name in ("train-1", "train-2", "dev", "other"):
        write_lines(tmp_path / f"{name}.jsonl", {"q": name, "a": "x"})
    given: Any = {"map": ("user=q", "assistant=a")}
    assert [row["id"] for row in converted("table", tmp_path, **given)] == [
        "train-0000000000",
        "train-0000000001",
        "train-0000000002",
        "dev-0000000003",
    ]
    assert [row["id"] for row in converted("table", tmp_path, files="dev*", **given)] == ["dev-0000000000"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (),
            "--map has to say what user and assistant (or answers) are made from, as in --map user='{question}' "
            "--map assistant='{answer}'; there are 'q', 'a', '_file', '_stem', '_line'",
        ),
        (("user=q",), "--map has to say what user and assistant"),
        (("users=q",), "--map 'users=q' is not PART=COLUMN; did you mean 'user'?"),
        (("user",), "--map 'user' is not PART=COLUMN; did you mean 'user'?"),
        (("colour=q",), "--map 'colour=q' is not PART=COLUMN; the parts are images, user, assistant, answers, id"),
        (("user=q", "user=a"), "--map gives 'user' twice; give each part once"),
        (("user={qq}",), "--map user='{qq}': there is no 'qq'; did you mean 'q'?"),
        (("user=question",), "--map user='question': there is no 'question'; there are 'q', 'a', '_file'"),
        (("user={q",), "'{q' is no template: '{' names no column; write {{ and }} for braces"),
        (("user={}",), "'{}' is no template: '{}' names no column; write {{ and }} for braces"),
        (("answers={a}",), "--map answers='{a}': there is no '{a}'; there are 'q', 'a'"),
        (("images=picture",), "--map images='picture': there is no 'picture'; there are 'q', 'a'"),
    ],
)
def test_a_map_that_can_not_be_right_is_refused_before_any_row(
    tmp_path: Path, given: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "a.csv", "q,a\n1,2\n")
    with pytest.raises(UsageError) as refusal:
        converted("table", tmp_path, map=given)
    assert str(refusal.value).startswith(message)


def test_bytes_in_metadata_fail_their_row(tmp_path: Path) -> None:
    pq.write_table(hub_table(), tmp_path / "a.parquet")
    told = converted("table", tmp_path, map=("user=label", "assistant=label", "metadata.it=image"))
    assert told[0] == "failed a.parquet:1: its 'image' holds bytes, which metadata can not hold"
    assert told[1]["metadata"] == {"it": []}


def test_rows_on_one_line_are_each_their_own(tmp_path: Path) -> None:
    write(tmp_path / "a.json", '[{"q":"one","a":"1"},{"q":"two","a":"2"}]')
    assert turns("table", tmp_path, map=("user=q", "assistant=a")) == [
        [{"images": [], "user": "one", "assistant": "1"}],
        [{"images": [], "user": "two", "assistant": "2"}],
    ]


def test_a_number_that_is_none_fails_its_row(tmp_path: Path) -> None:
    table = pa.table({"q": ["1?", "2?", "3?"], "a": [0.5, float("nan"), float("-inf")]})
    pq.write_table(table, tmp_path / "train.parquet")
    assert turns("table", tmp_path, map=("user={q}", "assistant={a}")) == [
        [{"images": [], "user": "1?", "assistant": "0.5"}],
        "failed train.parquet:2: its 'a' is the number nan, where a text or a number is expected",
        "failed train.parquet:3: its 'a' is the number -inf, where a text or a number is expected",
    ]


def test_a_number_that_is_none_in_metadata_fails_its_row(tmp_path: Path) -> None:
    nested = [{"x": [0.5]}, {"x": [1.0, float("inf")]}]
    table = pa.table({"q": ["1?", "2?"], "a": [float("nan"), 1.0], "n": nested})
    pq.write_table(table, tmp_path / "train.parquet")
    assert converted("table", tmp_path, map=("user={q}", "assistant=b c", "metadata.n=n"))[1:] == [
        "failed train.parquet:2: its 'n' holds the number inf, which metadata can not hold",
    ]
    assert converted("table", tmp_path, map=("user={q}", "assistant=b c", "metadata.a=a"))[0] == (
        "failed train.parquet:1: its 'a' is the number nan, which metadata can not hold"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{bad\n",
            "n.jsonl:1: it is not JSON (JSON is malformed: object keys must be strings (byte 1)); mend the file",
        ),
        ("\n7\n[1]\n", "n.jsonl:2: it is the number 7, where an object is expected; mend the file"),
        ('{"a": "\\ud800"}\n', "n.jsonl:1: it is not JSON (\\ud800 is half a character); mend the file"),
        ("{}\n", "n.jsonl:1 has no keys, where columns are expected"),
        ("\n", "n.jsonl is empty, where columns and rows are expected"),
    ],
)
def test_a_table_without_a_readable_row_says_why(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "n.jsonl", text)
    with pytest.raises(DataError) as failure:
        converted("table", tmp_path, map=("user=q {a}", "assistant=a"))
    assert str(failure.value) == message
