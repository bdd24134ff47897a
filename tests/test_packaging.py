"""What is installed: the wheel holds the packages, their data and nothing else, and works away from the checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "examples" / "ucf101_subset"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as an index would get it: the sdist from the checkout, the wheel from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel in it; its dependencies are borrowed from this environment."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    site = next(home.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(installed: Path, program: str, *arguments: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [installed / program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_each_package_file_and_nothing_else(wheel: Path) -> None:
    rooms = {name: name for name in ("phidata", "phitrain")} | {
        name: f"phidata/{name}" for name in ("converters", "schemas")
    }
    expected = {
        f"{installed}/{file.relative_to(ROOT / room)}"
        for room, installed in rooms.items()
        for file in (ROOT / room).rglob("*")
        if file.suffix in {".py", ".json", ".toml", ".html", ".css", ".js"} or file.name == "py.typed"
    }
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert {"phidata/schemas/conversation.schema.json", "phidata/converters/ucf101.py", "phidata/py.typed"} <= names
    assert "phitrain/models/phi3v/tokenizer/tokenizer.json" in names


def test_the_installed_wheel_reads_its_schema_and_finds_its_converters(installed: Path, tmp_path: Path) -> None:
    program = (
        "import phidata, importlib.resources as r; print(phidata.__file__); "
        "print(r.files('phidata').joinpath('schemas', 'conversation.schema.json').read_text()[:1])"
    )
    where, brace = run(installed, "python", "-c", program, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(installed.parent)
    assert brace == "{"

    run(installed, "phidata", "convert", "--from", "ucf101", "--source", str(CLIPS), "--out", "data", cwd=tmp_path)
    run(installed, "phidata", "validate", "data", "--media", "decode", cwd=tmp_path)
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["splits"]["train"]["written"] == 6


def test_commands_and_modules_are_the_same_program(installed: Path, tmp_path: Path) -> None:
    for name in ("phidata", "phitrain"):
        assert run(installed, name, "--version", cwd=tmp_path) == run(
            installed, "python", "-m", name, "--version", cwd=tmp_path
        )


def test_every_dependency_has_a_tested_version() -> None:
    """constraints.txt pins, to what is installed here, each requirement of pyproject.toml that is installed."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    requirements = metadata.requires("phidata-vision") or []
    names = {re.match(r"[\w-]+", requirement)[0].lower().replace("_", "-") for requirement in requirements}  # type: ignore[index]
    assert names - set(pins) == {"flash-attn", "ray", "tomli"} - set(pins)
