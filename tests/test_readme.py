"""The README says what is so: its commands print what it shows, its programs run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from phidata.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's files, and the examples beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "pets.jsonl").write_text(blocks(README, "json")[0])
    return tmp_path


@pytest.mark.usefixtures("somewhere")
def test_commands_print_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    shown = blocks(README, "console")
    assert len(shown) == 2
    for block in shown:
        command, _, output = block.partition("\n")
        main(command.split()[2:])
        assert capsys.readouterr().out == output


def test_the_demo_runs_the_commands_that_the_readme_shows() -> None:
    demo = runpy.run_path(str(ROOT / "examples" / "demo.py"))
    shown = README.replace(" \\\n    ", " ")
    commands = re.findall(r"^\$ (.*)$", shown.split("## Install")[0], re.MULTILINE)
    assert commands == demo["commands"](Path("examples/ucf101_subset"), Path("out/demo"))
    published = demo["commands"](Path("s"), Path("o"), model="owner/name")
    assert [command.split()[1] for command in published] == ["convert", "validate", "train"]
    assert "--model_name_or_path owner/name" in published[-1]


def test_the_programs_of_the_readme_run(somewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["convert", "--from", "ucf101", "--source", "examples/ucf101_subset", "--out", "data/ucf101"])
    loading, with_datasets, with_torch, _ = blocks(README, "python")
    names = run(loading, somewhere)
    assert (len(names["rows"]), names["rows"][0].conversations[0].assistant) == (6, "ApplyEyeMakeup")
    assert names["rows"].images(0)[0].size == (320, 240)
    assert len(run(with_datasets, somewhere)["rows"]) == 6
    capsys.readouterr()
    run(with_torch, somewhere)
    assert capsys.readouterr().out == "".join(f"train-000000000{number} 8\n" for number in range(6))


def test_the_program_of_the_training_page_runs(somewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    from phitrain.create import create_model_folder

    create_model_folder(somewhere / "model", "tiny")
    Image.new("RGB", (60, 80), "white").save(somewhere / "page.png")
    [program] = blocks(TRAINING, "python")
    assert '"microsoft/Phi-3.5-vision-instruct"' in program
    run(
        program.replace('"microsoft/Phi-3.5-vision-instruct"', '"model"').replace(
            "max_new_tokens=64", "max_new_tokens=3"
        ),
        somewhere,
    )
    assert capsys.readouterr().out.endswith("\n")


def test_links_lead_to_files() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_the_reading_order_names_every_module_of_phitrain() -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    order = contributing.partition("phitrain in one sitting")[2].partition("**How the code reads.**")[0]
    named = {name.rstrip("/") for name in re.findall(r"`([a-z0-9_/]+)`", order)}
    parts = [ROOT / "phitrain" / name for name in (".", "models", "models/phi3v")]
    modules = {file.stem for part in parts for file in part.glob("*.py")} - {"__init__", "__main__"}
    assert named == modules | {file.parent.name for file in (ROOT / "phitrain").glob("*/__init__.py")} | {"phi3v"}


def run(program: str, folder: Path) -> dict[str, object]:
    file = folder / "program.py"
    file.write_text(program)
    return runpy.run_path(str(file))
