"""How findings look: frames for people, JSON lines, GitHub workflow commands."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phidata.diagnostics import Diagnostic, Summary
from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.excerpt import cut_excerpt, display_width, printable, quoted
from phidata.diagnostics.render import FORMATS, Format, renderer

SUMMARY = Summary(rows=1234, turns=1, images=0, errors=1, warnings=2)


def finding(line: str, start: int, end: int, **changes: object) -> Diagnostic:
    fields: dict[str, object] = {
        "code": "PHI202",
        "severity": "error",
        "path": "rows.jsonl",
        "line": 7,
        "column": start + 1,
        "pointer": "/conversations/0/user",
        "message": "`user` is empty",
        "help": "fill it in",
        "excerpt": cut_excerpt(line, start, end),
    }
    return Diagnostic(**{**fields, **changes})  # type: ignore[arg-type]


def frame(line: str, start: int, end: int) -> list[str]:
    return renderer("text").diagnostic(finding(line, start, end)).splitlines()[1:3]


def test_text_points_at_the_value() -> None:
    assert renderer("text").diagnostic(finding('{"user": ""}', 9, 11)) == dedent(
        """\
        rows.jsonl:7:10: error PHI202: `user` is empty
          7 | {"user": ""}
            |          ^^ /conversations/0/user
            = help: fill it in
        """
    )


def test_a_place_at_the_end_of_a_line_has_one_mark() -> None:
    assert frame('{"id"', 5, 5) == ['  7 | {"id"', "    |      ^ /conversations/0/user"]


def test_a_long_line_shows_what_is_around_the_value() -> None:
    source, marks = frame("x" * 1000 + "ABC" + "y" * 1000, 1000, 1003)
    assert source == f"  7 | …{'x' * 32}ABC{'y' * 53}…"
    assert marks.startswith(f"    | {' ' * 33}^^^ ")


def test_wide_and_combining_characters_keep_the_marks_in_place() -> None:
    assert frame("漢e\u0301\tZ", 4, 5) == ["  7 | 漢e\u0301 Z", "    |     ^ /conversations/0/user"]


def test_nothing_in_the_data_reaches_the_terminal_as_a_control_code() -> None:
    written = renderer("text").diagnostic(
        finding(
            "\x1b[31m\u202e\0\x9b", 0, 4, path="a\x1b[2J.jsonl", pointer="/a\x1b\nb", message=quoted("\x1b]0;x\x07")
        )
    )
    assert not set(written) & set("\x1b\x07\0\x9b\u202e")
    assert len(written.splitlines()) == 4


def test_colour_only_adds_colour() -> None:
    plain, coloured = (renderer("text", color=color).diagnostic(finding("{}", 0, 2)) for color in (False, True))
    assert "\x1b[31m" in coloured
    import click

    assert click.unstyle(coloured) == plain


def test_the_summary_counts_and_names() -> None:
    assert renderer("text").summary(SUMMARY) == "1 error, 2 warnings in 1,234 rows, 1 turn, 0 images"


def test_json_has_exactly_the_published_fields() -> None:
    json_lines = renderer("json")
    assert json.loads(json_lines.diagnostic(finding('{"user": ""}', 9, 11))) == {
        "type": "diagnostic",
        "code": "PHI202",
        "severity": "error",
        "path": "rows.jsonl",
        "line": 7,
        "column": 10,
        "pointer": "/conversations/0/user",
        "message": "`user` is empty",
        "help": "fill it in",
        "id": None,
        "fix": None,
    }
    assert json_lines.summary(SUMMARY) == (
        '{"type": "summary", "rows": 1234, "turns": 1, "images": 0, "errors": 1, "warnings": 2, '
        '"fixable": 0, "unsafely_fixable": 0, "accepted": 0}'
    )


def test_a_row_of_a_shard_stands_in_the_place_of_a_line() -> None:
    found = finding("{}", 0, 1, path="train-00000-of-00002.parquet", row=17)
    assert renderer("text").diagnostic(found).startswith("train-00000-of-00002.parquet: row 17: error PHI202: ")
    written = json.loads(renderer("json").diagnostic(found))
    assert (written["row"], "line" in written, "column" in written) == (17, False, False)
    assert renderer("github").diagnostic(found) == (
        "::error file=train-00000-of-00002.parquet,title=PHI202 blank-text::row 17: `user` is empty; fill it in"
    )


def sarif(*found: Diagnostic) -> dict[str, Any]:
    render = renderer("sarif")
    results = render.between.join(map(render.diagnostic, found))
    log: dict[str, Any] = json.loads(render.begin + results + render.summary(SUMMARY))
    return log


def test_sarif_is_one_log_with_rules_results_and_fingerprints() -> None:
    log = sarif(
        finding('{"user": ""}', 9, 11, path="a b/rows.jsonl", fingerprint="0a1b"),
        finding("{}", 0, 1, path="/data/x.tar", row=3, severity="warning", code="PHI409"),
    )
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert (log["version"], run["columnKind"], driver["name"]) == ("2.1.0", "unicodeCodePoints", "phidata")
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    assert driver["rules"][4] == {
        "id": "PHI005",
        "name": "BlankLine",
        "shortDescription": {"text": "a line without a row"},
        "fullDescription": {"text": RULES["PHI005"].explanation},
        "help": {"text": "delete the line"},
        "defaultConfiguration": {"level": "error"},
    }
    first, second = run["results"]
    assert first == {
        "ruleId": "PHI202",
        "ruleIndex": list(RULES).index("PHI202"),
        "level": "error",
        "message": {"text": "`user` is empty; fill it in"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "a%20b/rows.jsonl"},
                    "region": {"startLine": 7, "startColumn": 10, "snippet": {"text": '{"user": ""}'}},
                },
                "logicalLocations": [{"fullyQualifiedName": "/conversations/0/user", "kind": "member"}],
            }
        ],
        "partialFingerprints": {"phidata/v1": "0a1b"},
    }
    assert second["locations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "file:///data/x.tar"}},
            "logicalLocations": [{"fullyQualifiedName": "row 3/conversations/0/user", "kind": "member"}],
        }
    ]


def test_sarif_without_findings_is_a_log_too() -> None:
    assert sarif()["runs"][0]["results"] == []


def test_github_escapes_what_would_end_a_property_or_a_message() -> None:
    found = finding("{}", 0, 1, path="a,b:c%.jsonl", message="50% of\nit: all", severity="warning")
    assert renderer("github").diagnostic(found) == (
        "::warning file=a%2Cb%3Ac%25.jsonl,line=7,col=1,title=PHI202 blank-text::50%25 of%0Ait: all; fill it in"
    )


@pytest.mark.parametrize("format_", FORMATS)
def test_names_that_are_not_utf8_can_be_written(format_: Format) -> None:
    written = renderer(format_).diagnostic(finding("{}", 0, 1, path="a\udcff.jsonl", pointer="/\ud800"))
    written.encode()


@given(st.text(), st.data())
def test_an_excerpt_holds_the_place_it_was_cut_for(line: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, len(line)))
    cut = cut_excerpt(line, start, end)
    assert cut.text.isprintable()
    assert len(cut.text) <= 90
    assert cut.text[cut.start : cut.end] == printable(line[start : min(end, start + 56)])


def test_width_is_that_of_a_terminal() -> None:
    assert [display_width(text) for text in ("abc", "漢字", "e\u0301", "🙂", "")] == [3, 4, 1, 2, 0]
