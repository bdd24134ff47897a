"""The scanner reads JSON as json.loads does, and knows where everything stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from phidata.diagnostics import line_rules
from phidata.validation.scan import Path, Scan, scan

from .strategies import changed_lines, dumped, json_values

GRAMMAR = {line_rules.JSON_SYNTAX, line_rules.SEVERAL_VALUES, line_rules.CONTROL_CHARACTER, line_rules.BAD_ESCAPE}


def reads(text: str) -> bool:
    """Whether json.loads takes the text; it also takes NaN and Infinity."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def breaks_grammar(result: Scan) -> bool:
    return any(fault.rule in GRAMMAR and "half of a character" not in fault.message for fault in result.faults)


def at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


@settings(max_examples=400, deadline=None)
@given(dumped(json_values))
def test_a_value_is_what_json_loads_gives(line: bytes) -> None:
    text = line.decode()
    result = scan(text)
    assert (result.complete, result.faults) == (True, [])
    assert json.dumps(result.value) == json.dumps(json.loads(text))


@settings(max_examples=300, deadline=None)
@given(dumped(json_values))
def test_each_value_stands_where_its_span_says(line: bytes) -> None:
    text = line.decode()
    result = scan(text)
    for path, (start, end) in result.spans.items():
        assert json.dumps(json.loads(text[start:end])) == json.dumps(at(result.value, path))
    for path, (start, end) in result.keys.items():
        assert json.loads(text[start:end]) == path[-1]


@settings(max_examples=1500, deadline=None)
@given(changed_lines(dumped(json_values)))
@example(b'"\\ud83d\\u0041"')
@example(b"-")
@example(b'"a\\')
def test_the_grammar_is_that_of_json_loads(line: bytes) -> None:
    text = line.replace(b"\0", b"").decode("utf-8", "surrogateescape")
    result = scan(text)
    assert breaks_grammar(result) != reads(text)
    if reads(text):
        assert json.dumps(result.value) == json.dumps(json.loads(text))


@settings(max_examples=300, deadline=None)
@given(dumped(json_values), st.data())
def test_the_beginning_of_a_right_text_is_cut_short(line: bytes, data: st.DataObject) -> None:
    text = line.decode()
    result = scan(text[: data.draw(st.integers(0, len(text)))])
    assert result.complete or result.cut_short


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_no_text_makes_the_scanner_fail(text: str) -> None:
    scan(text)


def test_places_inside_metadata_are_not_kept() -> None:
    result = scan('{"metadata": {"a": [1]}, "b": {"metadata": [2]}}')
    assert set(result.spans) == {(), ("metadata",), ("b",), ("b", "metadata"), ("b", "metadata", 0)}
    assert set(result.keys) == {("metadata",), ("b",), ("b", "metadata")}


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ('{"a": 1,}', 7, 8),
        ('{"a" 1}', 5, 6),
        ('{"é": "x" "y"}', 10, 11),
        ('{"a": tru}', 6, 9),
        ('{"a": "x', 6, 8),
        ('{"a": [1, 2', 11, 11),
        ("[1] ]", 4, 5),
    ],
)
def test_a_fault_stands_at_its_characters(text: str, start: int, end: int) -> None:
    [fault] = scan(text).faults
    assert (fault.start, fault.end) == (start, end)
