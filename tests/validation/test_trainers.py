"""`--for`: what each trainer would do to a row, and that rows which it takes as they are have no finding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import phidata
from phidata import UsageError
from phidata.cli import main
from phidata.validation.trainers import TRAINERS

Turn = tuple[int, str, str]  # number of images, user, assistant


def row(*turns: Turn, id_: str = "a") -> str:
    made = [{"images": ["a.png"] * count, "user": user, "assistant": text} for count, user, text in turns]
    return json.dumps({"id": id_, "source": "s", "conversations": made}) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return tmp_path / "rows.jsonl"


def found(file: Path, trainer: Any, *turns: Turn) -> list[tuple[str, str]]:
    file.write_text(row(*turns))
    report = phidata.validate(file, trainer=trainer, select="PHI5")
    return [(item.code, item.pointer.removeprefix("/conversations")) for item in report.diagnostics]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_an_ordinary_row_is_taken_by_every_trainer(file: Path, trainer: str) -> None:
    assert found(file, trainer, (1, "What is <b>this</b>?\nA or B?", "A dog."), (0, "Sure?", "Yes.")) == []


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(2, "u", "x")], [("PHI501", "")]),
        ([(1, "u", "x"), (1, "u", "x")], [("PHI501", "")]),
        ([(0, "an <image> tag", "x")], []),
        ([(1, "an <image> tag", "x")], [("PHI502", "/0/user")]),
        ([(1, "u", "an <image>"), (0, "<image>", "x")], [("PHI502", "/0/assistant"), ("PHI502", "/1/user")]),
        ([(1, " u", "x ")], [("PHI503", "/0/user")]),
        ([(0, " u", "x ")], []),
        ([(0, "u", "x</s>")], [("PHI504", "/0/assistant")]),
        ([(0, "<unk>", "x")], [("PHI504", "/0/user")]),
        ([(0, "ASSISTANT: me", "x")], [("PHI504", "/0/user")]),
        ([(0, "u", "I, ASSISTANT: me")], [("PHI504", "/0/assistant")]),
        ([(0, "MY_ASSISTANT: me", "x")], []),
    ],
)
def test_llava(file: Path, turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert found(file, "llava", *turns) == expected


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(0, "<image>", "x")], [("PHI511", "/0/user")]),
        ([(2, "u", "a <|image_pad|>")], [("PHI511", "/0/assistant")]),
        ([(0, "[IMG] <|image|>", "<start_of_image>")], [("PHI511", "/0/assistant"), ("PHI511", "/0/user")]),
        ([(0, "<video>", "<img>")], []),
    ],
)
def test_trl(file: Path, turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert sorted(found(file, "trl", *turns)) == expected


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(0, "<image>", "x")], [("PHI521", "/0/user")]),
        ([(1, "u", "<video>"), (0, "<audio>", "x")], [("PHI521", "/0/assistant"), ("PHI521", "/1/user")]),
        ([(0, "<|image|>", "x")], []),
    ],
)
def test_llamafactory(file: Path, turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert found(file, "llamafactory", *turns) == expected


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([(1, "<image>", "<image>")], []),  # the tag of the image stands before them
        ([(0, "<image>", "x")], []),
        ([(0, "<image>", "x"), (1, "u", "x")], [("PHI531", "/0/user")]),
        ([(1, "u", "<image>"), (1, "<image>", "x")], [("PHI531", "/0/assistant")]),
        ([(1, "<|image|>", "x")], [("PHI532", "/0/user")]),
        ([(0, "<|image|>", "x")], []),
    ],
)
def test_swift(file: Path, turns: list[Turn], expected: list[tuple[str, str]]) -> None:
    assert found(file, "swift", *turns) == expected


def test_phitrain_stops_at_an_image_that_is_too_thin(file: Path) -> None:
    Image.new("RGB", (6000, 1)).save(file.parent / "a.png")
    file.write_text(row((0, "u", "x"), (1, "u", "x")))
    [finding] = phidata.validate(file, trainer="phitrain").diagnostics
    assert (finding.code, finding.pointer, finding.message) == (
        "PHI603",
        "/conversations/1/images/0",
        "an image of 6000 x 1 pixels is too thin for the model",
    )


def test_a_finding_points_at_the_words_that_are_meant(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(row((1, "an <image> tag", "x")))
    assert main(["validate", str(file), "--for", "llamafactory"]) == 1
    assert capsys.readouterr().out.splitlines()[:3] == [
        f"{file}:1:80: error PHI521: LLaMA-Factory would stop: `user` spells <image>",
        '  1 | …images": ["a.png"], "user": "an <image> tag", "assistant": "x"}]}',
        "    |                                  ^^^^^^^ /conversations/0/user",
    ]


def test_rows_with_other_findings_are_judged_too(file: Path) -> None:
    file.write_text(row((0, " ", "<video>")))
    codes = [item.code for item in phidata.validate(file, trainer="llamafactory").diagnostics]
    assert codes == ["PHI202", "PHI521"]


def test_rows_of_shards_are_judged_as_lines_are(file: Path, tmp_path: Path) -> None:
    from phidata.storage.writer import DatasetWriter

    with DatasetWriter(
        tmp_path / "set", name="x", converter="merge", versions={}, splits=("train",), shape="parquet"
    ) as writer:
        for number in range(3):
            turn = phidata.Turn(images=(), user="<image>" if number == 1 else "u", assistant="x")
            writer.add("train", phidata.Conversation(id=f"{number}", source="s", conversations=(turn,)), [])
        writer.finish()
    [finding] = phidata.validate(tmp_path / "set", trainer="trl").diagnostics
    assert (finding.code, finding.row, finding.id) == ("PHI511", 2, "1")
    file.write_text("")


def test_the_number_of_jobs_does_not_show(file: Path) -> None:
    file.write_text("".join(row((number % 3, "<image>", "x"), id_=f"{number}") for number in range(2000)))
    assert phidata.validate(file, trainer="llava", jobs=2) == phidata.validate(file, trainer="llava")


def test_an_unknown_trainer_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(row((0, "u", "x")))
    with pytest.raises(UsageError, match="no trainer 'axolotl' is known; there are phitrain, llava, trl"):
        phidata.validate(file, trainer="axolotl")  # type: ignore[arg-type]
    assert main(["validate", str(file), "--for", "axolotl"]) == 2
    assert "'axolotl' is not one of 'phitrain'" in capsys.readouterr().err


def test_the_trainers_of_the_command_are_those_of_the_package() -> None:
    from phidata.commands import validate

    assert validate.TRAINERS == TRAINERS
