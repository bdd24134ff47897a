"""The pages about the format and its validation say what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import phidata
from phidata.cli import main
from phidata.diagnostics.page import catalogue_page
from phidata.schema import conversation_schema, schema_version, turn_schema
from phidata.validation import check_line

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_the_catalogue_page_is_up_to_date() -> None:
    assert (DOCS / "diagnostics.md").read_text() == catalogue_page(), (
        "run: python -m phidata.diagnostics.page > docs/diagnostics.md"
    )


@pytest.mark.parametrize(("title", "schema"), [("A row", conversation_schema()), ("A turn", turn_schema())])
def test_the_tables_of_the_format_are_the_schema(title: str, schema: dict[str, Any]) -> None:
    section = (DOCS / "format.md").read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    table = {
        key: (kind, need)
        for key, kind, need in re.findall(r"^\| `(\w+)` \| ([\w ]+) \| (\w+) \|", section, re.MULTILINE)
    }
    expected = {
        key: (
            " or ".join(value["type"]) if isinstance(value["type"], list) else value["type"],
            "required" if key in schema["required"] else "optional",
        )
        for key, value in schema["properties"].items()
    }
    assert table == expected


def test_the_rows_of_the_format_page_are_rows() -> None:
    for block in blocks("format.md", "json"):
        assert check_line(json.dumps(json.loads(block)).encode()) == []


def test_the_paths_of_the_format_page_are_right_and_wrong() -> None:
    from phidata.validation.paths import is_image_path

    page = (DOCS / "format.md").read_text()
    [(right, wrong)] = re.findall(r"^\| `(\S+)` \| `(\S+)` \| absolute \|", page, re.MULTILINE)
    others = re.findall(r"^\| \| `(\S+)` \|", page, re.MULTILINE)
    assert is_image_path(right)
    assert len(others) == 5
    assert not any(map(is_image_path, [wrong, *others]))


def test_commands_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.jsonl").write_text(blocks("validate.md", "json")[0])
    shown = blocks("validate.md", "console")
    assert len(shown) == 2
    for block in shown:
        command, _, output = block.partition("\n")
        assert main(command.split()[2:]) == 1
        assert capsys.readouterr().out == output


def test_the_python_example_of_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.jsonl").write_text(blocks("validate.md", "json")[0])
    report = phidata.validate("pets.jsonl", media="none")
    first = report.diagnostics[0]
    assert (report.ok, report.errors, first.code, first.path, first.line, first.column) == (
        False,
        4,
        "PHI102",
        "pets.jsonl",
        2,
        55,
    )


def test_the_schema_is_a_schema_with_texts_and_true_examples() -> None:
    schema = conversation_schema()
    Draft202012Validator.check_schema(schema)
    assert (schema["$id"], schema_version()) == ("urn:phidata:schema:conversation:1.0", "1.0")
    described = [schema, *schema["properties"].values(), turn_schema(), *turn_schema()["properties"].values()]
    described.append(turn_schema()["properties"]["images"]["items"])
    for part in described:
        assert part["title"]
        assert part["description"].endswith(".")
        for example in part["examples"]:
            Draft202012Validator(part).validate(example)
