"""The fast path accepts a row exactly when jsonschema and the other rules find nothing in it."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from phidata.schema import conversation_schema
from phidata.validation.accept import Accepted, AcceptedRow, accept, accept_block
from phidata.validation.row import read_row

from .strategies import dumped, lines, rows


def findings(line: bytes) -> list[str]:
    return [found.code for found in read_row(line, path="rows.jsonl", number=1).diagnostics()]


@settings(max_examples=1500, deadline=None)
@given(lines)
@example(b'{"id":"a","id":"b","source":"s","conversations":[{"images":[],"user":"u","assistant":"x"}]}')
@example(b'{"id":"a","source":"s","conversations":[{"images":[],"user":"\\\\","assistant":"\\\\","user":"\\\\"}]}')
def test_a_row_is_accepted_exactly_when_it_has_no_finding(line: bytes) -> None:
    if b"\n" not in line:
        assert (accept([line]) is not None) == (findings(line) == []), findings(line)


@settings(max_examples=300, deadline=None)
@given(dumped(rows))
def test_a_valid_row_is_accepted_and_keeps_its_values(line: bytes) -> None:
    accepted = accept([line])
    assert accepted
    row = json.loads(line)
    assert (accepted.rows[0].id, accepted.rows[0].source) == (row["id"], row["source"])
    turns = [(turn.images, turn.user, turn.assistant) for turn in accepted.rows[0].conversations]
    assert turns == [(turn["images"], turn["user"], turn["assistant"]) for turn in row["conversations"]]


@settings(max_examples=300, deadline=None)
@given(dumped(rows))
def test_an_accepted_row_is_valid_by_the_schema_alone(line: bytes) -> None:
    if accept([line]):
        Draft202012Validator(conversation_schema()).validate(json.loads(line))


@settings(max_examples=200, deadline=None)
@given(st.lists(lines.filter(lambda line: b"\n" not in line), min_size=1, max_size=5))
def test_lines_are_accepted_together_exactly_when_each_is_alone(several: list[bytes]) -> None:
    assert (accept(several) is not None) == all(accept([line]) for line in several)


@pytest.mark.parametrize(("depth", "accepted"), [(62, True), (63, False), (5000, False)])
def test_metadata_may_nest_to_a_depth_of_64(depth: int, accepted: bool) -> None:
    row = '{"id":"a","source":"s","conversations":[{"images":[],"user":"u","assistant":"x"}],"metadata":{"a":@}}'
    line = row.replace("@", "[" * depth + "]" * depth).encode()
    assert bool(accept([line])) == accepted
    assert findings(line) == ([] if accepted else ["PHI014"])


@settings(max_examples=100, deadline=None)
@given(st.lists(lines, min_size=1, max_size=3), st.sampled_from([b"\n", b"", b"\n\n", b"\r\n"]))
def test_a_block_is_accepted_only_when_each_of_its_lines_is(several: list[bytes], end: bytes) -> None:
    block = b"\n".join(several) + end
    own = block.removesuffix(b"\n").split(b"\n")
    if clean := accept_block(block):
        assert [accept([line]) for line in own] == [Accepted([row], *counts(row)) for row in clean.rows]
    else:
        assert not all(accept([line]) and line[:1] == b"{" and line[-1:] == b"}" for line in own)


def counts(row: AcceptedRow) -> tuple[int, int]:
    return len(row.conversations), sum(len(turn.images) for turn in row.conversations)


ROW = b'{"id":"%d","source":"s","conversations":[{"images":["a/%d.jpg"],"user":"u","assistant":"x"}]}\n'


@pytest.mark.parametrize("num_rows", [3, 1000])  # a few bytes, and more than numpy is asked about
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"id":"1",', b'{"id":"1",\n'),
        (b'{"id":"1",', b' {"id":"1",'),
        (b"}]}\n", b"}]} \n"),
        (b"}]}\n", b"}]}\n\n"),
        (b"}]}\n", b"}]}"),
        (b'"source":"s",', b'"source":"s","source":"t",'),
        (b"a/1.jpg", b"a//1.jpg"),
        (b"a/1.jpg", b"a/./1.jpg"),
        (b"a/1.jpg", b"/a/1.jpg"),
        (b"a/1.jpg", b"a/1.jpg/"),
        (b"a/1.jpg", b"a/.."),
        (b"a/1.jpg", b"http:a/1.jpg"),
        (b'"u"', b'"<s>"'),
        (b'"u"', b'" "'),
    ],
)
def test_one_odd_row_keeps_a_block_from_being_accepted(num_rows: int, old: bytes, new: bytes) -> None:
    block = b"".join(ROW % (number, number) for number in range(num_rows))
    assert accept_block(block)
    assert accept_block(block.removesuffix(b"\n"))
    assert accept_block(block.replace(old, new, 1)) is None


@pytest.mark.parametrize("path", [b"a/.b/c.jpg", b"a/b.:c", b"\xc3\xa9/\xe4\xba\xba.jpg"])
def test_names_that_only_look_odd_are_accepted_in_a_block(path: bytes) -> None:
    assert accept_block((ROW % (1, 1) * 1000).replace(b"a/1.jpg", path))
