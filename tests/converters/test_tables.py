"""Tables and annotation files are read row by row, and what is wrong in them is said with its place."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phidata import DataError, UsageError
from phidata.storage.annotations import is_json, json_items, json_keys, json_objects, json_records, read_json
from phidata.storage.tables import Table, open_table

from .sources import write

ROWS = pa.table({"a": list(range(100)), "image": [{"bytes": b"%d" % k, "path": None} for k in range(100)]})


def write_table(path: Path) -> Table:
    if path.suffix == ".parquet":
        pq.write_table(ROWS, path, row_group_size=7)
    else:
        new = pa.ipc.new_file if path.stem == "file" else pa.ipc.new_stream
        with new(path, ROWS.schema) as file:
            file.write_table(ROWS, max_chunksize=7)
    return open_table(path)


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
def test_rows_come_without_bytes_and_one_row_comes_whole(tmp_path: Path, name: str) -> None:
    table = write_table(tmp_path / name)
    assert table.columns == ("a", "image")
    assert list(table.rows()) == [(k + 1, {"a": k}) for k in range(100)]
    assert list(table.rows(())) == [(k + 1, {}) for k in range(100)]
    for number in (1, 2, 50, 100, 3):
        image = {"bytes": b"%d" % (number - 1), "path": None}
        assert table.row(number) == {"a": number - 1, "image": image}
    with pytest.raises(DataError, match=f"{name} has no row 101"):
        table.row(101)


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow", "stream.arrow"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_half_a_table_is_refused(tmp_path: Path, name: str, share: float) -> None:
    write_table(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    write(tmp_path / name, content[: int(len(content) * share)])
    kind = "Parquet" if name == "a.parquet" else "Arrow"
    with pytest.raises(DataError, match=rf"^{name} is no whole {kind} file \(.*\); get it again$"):
        open_table(tmp_path / name)


def test_damage_inside_a_table_is_told_with_its_row(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[1000:3000] = b"\xff" * 2000
    table = open_table(write(tmp_path / "a.parquet", bytes(content)))
    with pytest.raises(DataError, match=r"^a\.parquet: row \d+ can not be read \(.*\); get the file again$"):
        list(table.rows())


def test_a_csv_row_has_the_line_on_which_it_begins(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "a.csv", '\ufeffa,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n'))
    assert list(table.rows()) == [(2, {"a": "1", "b": "x\r\ny"}), (5, {"a": "2", "b": "z"})]
    assert (table.row(5), table.row(2)) == ({"a": "2", "b": "z"}, {"a": "1", "b": "x\r\ny"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n", "it has 1 fields, the header has 2; mend the file"),
        ("1,2,3\n", "it has 3 fields, the header has 2; mend the file"),
        ('1,"x\n', "it is no row of the table (unexpected end of data); mend the file"),
        ('1,"x"y\n', "it is no row of the table (',' expected after '\"'); mend the file"),
    ],
)
def test_a_csv_row_that_is_none_fails_alone(tmp_path: Path, text: str, message: str) -> None:
    table = open_table(write(tmp_path / "a.csv", f"a,b\n0,x\n{text}"))
    assert list(table.rows()) == [(2, {"a": "0", "b": "x"}), (3, {})]
    with pytest.raises(DataError) as failure:
        table.row(3)
    assert str(failure.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\né,1\n".encode("latin-1"), "a.csv:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a,b\né,1\n".encode("utf-16"), "a.csv is UTF-16, where UTF-8 is expected; save it as UTF-8"),
        (b"a,b,a\n1,2,3\n", "a.csv:1: two columns are called 'a'; rename one"),
    ],
)
def test_a_csv_file_that_can_not_be_right_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write(tmp_path / "a.csv", content)
    with pytest.raises(DataError) as failure:
        list(open_table(tmp_path / "a.csv").rows())
    assert str(failure.value) == message


def test_another_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^a\.xlsx is no table; there are \.parquet, \.arrow, \.csv"):
        open_table(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ('{"a": 1}\n\n{"a": 2}', None, [1, 3]),
        ('\ufeff[\n{"a": 1},\n\n{"a": 2}]', None, [2, 4]),
        ('[\n{"a": 1}, {"a": 2},\n\n{"a": 2}]', None, [1, 2, 3]),  # by its place, where two would have one line
        ('{"x": [0], "data": [{"a": 1},{"a": 2}]}', "data", [1, 2]),
        ('{\n"a":\n{}}', None, [1]),
        ('{"x": [0],\n"data": [{"a": 1},\n{"a": 2}]}', "data", [2, 3]),
        ("[]", None, []),
        ("", None, []),
    ],
)
def test_a_record_has_the_line_on_which_it_begins(tmp_path: Path, text: str, key: str | None, lines: list[int]) -> None:
    assert [record.line for record in json_records(write(tmp_path / "a.json", text), key)] == lines


def test_what_is_no_object_has_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"a": 1}\n{"a": \n[1]\n{"a": "\xe9"}\nnull\n')
    assert [(entry.line, entry.value, entry.problem) for entry in json_objects(path)] == [
        (1, {"a": 1}, None),
        (2, {}, "it is not JSON (Input data was truncated); mend the file"),
        (3, {}, "it is a list, where an object is expected; mend the file"),
        (4, {}, "it is not UTF-8 (byte 0xe9); save the file as UTF-8"),
        (5, {}, "it is null, where an object is expected; mend the file"),
    ]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('[{"a": 1}', None, "a.json is not JSON to its end (Input data was truncated); get it again or mend it"),
        ('{"data": [1', "data", "a.json is not JSON to its end (Input data was truncated); get it again or mend it"),
        (
            '{"x": 1}',
            "data",
            "a.json is laid out otherwise than expected under 'data' (Expected `array`, got `null`)",
        ),
    ],
)
def test_a_list_that_is_cut_short_is_refused(tmp_path: Path, text: str, key: str | None, message: str) -> None:
    with pytest.raises(DataError) as failure:
        list(json_records(write(tmp_path / "a.json", text), key))
    assert str(failure.value) == message


def test_members_have_their_keys_and_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", '{"1": {"q": 1},\n\n "2": {"q": 2}}')
    assert [tuple(item) for item in json_items(path)] == [("1", 1, b'{"q": 1}'), ("2", 3, b'{"q": 2}')]
    assert list(json_items(write(tmp_path / "b.json", '{"q": 1}\n{"q": 2}\n'))) == []
    assert [tuple(item) for item in json_items(write(tmp_path / "c.json", '\ufeff{"1\\"": 1,\n"\\n" : "1"}'))] == [
        ('1"', 1, b"1"),
        ("\n", 2, b'"1"'),
    ]
    assert list(json_items(write(tmp_path / "d.json", "{ }\n"))) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"a": 1},\n"b": 2,\n"a": 3}',
        '{"a": 1,\n"b": {"b": [":"]},\n"\\u0061": 1}',
        '{"a": 12,\n"b": "\\"a\\": {",\n"a": 1}',
        '{"a": 12,\n"x": 1,\n"a": 1}',
    ],
)
def test_a_key_that_comes_twice_is_told(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(DataError, match=r"^a\.json:3: the key 'a' is that of line 1 too; give each row its own$"):
        list(json_items(path))


DEEP = "[" * 3000


def test_json_that_is_too_deep_is_a_problem(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl", f'{{"a": 1}}\n{{"a": {DEEP}\n')
    assert [(line, value, str(problem)[:14]) for line, value, problem in json_objects(lines)] == [
        (1, {"a": 1}, "None"),
        (2, {}, "it is not JSON"),
    ]
    for name, text in {"list.json": f"[{DEEP}", "object.json": f'{{"a": {DEEP}'}.items():
        path = write(tmp_path / name, text)
        assert not is_json(path)
        with pytest.raises(DataError, match=f"^{name} is not JSON to its end"):
            read_json(path)
    with pytest.raises(DataError, match=r"^list\.json is not JSON to its end"):
        list(json_records(tmp_path / "list.json"))
    with pytest.raises(DataError, match=r"^object\.json:1 is not JSON"):
        json_keys(tmp_path / "object.json")


def test_rows_of_a_list_on_one_line_are_read_each_for_itself(tmp_path: Path) -> None:
    table = open_table(write(tmp_path / "a.json", '[{"q":"one"},{"q":"two"},\n{"q":"three"}]'))
    assert list(table.rows()) == [(1, {"q": "one"}), (2, {"q": "two"}), (3, {"q": "three"})]
    assert [table.row(number)["q"] for number in (2, 1, 3)] == ["two", "one", "three"]


@pytest.mark.parametrize("name", ["a.parquet", "file.arrow"])
def test_a_cell_that_can_not_be_read_is_told_with_its_column(tmp_path: Path, name: str) -> None:
    columns = {"a": [1, 2, 3], "when": pa.array([0, 10**17, 0], pa.timestamp("ms"))}
    rows = pa.table(columns)
    if name == "a.parquet":
        pq.write_table(rows, tmp_path / name)
    else:
        with pa.ipc.new_file(tmp_path / name, rows.schema) as file:
            file.write_table(rows)
    table = open_table(tmp_path / name)
    assert list(table.rows(("a",))) == [(1, {"a": 1}), (2, {"a": 2}), (3, {"a": 3})]
    assert [number for number, row in table.rows() if row] == [1, 3]
    assert table.row(3)["a"] == 3
    with pytest.raises(DataError, match=r"^its 'when' can not be read \(.+\)$"):
        table.row(2)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_header_that_is_no_csv_is_told(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, 'a,"b"c\n1,2\n'.replace(",", "," if name == "a.csv" else "\t"))
    with pytest.raises(DataError, match=rf"^{name}:1: the header is no row of column names \(.* expected after '\"'\)"):
        open_table(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (r'{"a": "x", "a": "z"}', "it has the key 'a' twice; mend the file"),
        (r'{"a": "x: y", "b": [{"c" :1, "d": 2, "\u0063": 3}]}', "it has the key 'c' twice; mend the file"),
        (r'{"a": "x: y", "b": [{"c": 1}, {"c": 2.5}], "c": {"a": "a:"}}', None),
        (r'{"a": "\udc00 \ud83d\ude00"}', r"it is not JSON (\udc00 is half a character); mend the file"),
        (r'{"a": "\\ud800 \ud83d\ude00"}', None),
    ],
)
def test_a_record_that_would_lose_something_has_a_problem(tmp_path: Path, text: str, problem: str | None) -> None:
    assert [entry.problem for entry in json_objects(write(tmp_path / "a.jsonl", text + "\n"))] == [problem]
