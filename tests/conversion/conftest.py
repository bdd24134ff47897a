"""Sources to convert, converters to plug in, and what an output folder holds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIPS = ROOT / "examples" / "ucf101_subset"
VIDEOS = ROOT / "tests" / "media" / "videos"
SMALL_CLIP = VIDEOS / "video.avi"  # 8 frames of 32×32 pixels

SIX_CLIPS = (
    "train/Jump/v_Jump_g01_c01.avi",
    "train/Jump/v_Jump_g01_c02.avi",
    "train/Run/v_Run_g01_c01.avi",
    "val/Run/v_Run_g02_c01.avi",
    "test/Jump/v_Jump_g03_c01.avi",
    "test/Run/v_Run_g03_c01.avi",
)


def write_source(root: Path, *files: str, clip: Path = SMALL_CLIP) -> Path:
    """Copy the clip to every one of the paths."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip, root / file)
    return root


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the sha256 of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_rows(folder: Path, split: str) -> list[Any]:
    return [json.loads(line) for line in (folder / f"ucf101_{split}.jsonl").read_text().splitlines()]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start `phidata convert` as the leader of its own process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "phidata", "convert", *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `phidata convert`."""
    process = start(*arguments, **environment)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.fixture
def six_clips(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", *SIX_CLIPS)


Plug = Callable[[str, str], Path]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Install a converter, given its name and its module's text, as a third party's package would be."""

    def install(name: str, text: str) -> Path:
        site = tmp_path / "site"
        information = site / f"{name}-1.0.dist-info"
        information.mkdir(parents=True)
        (site / f"{name}_converter.py").write_text(textwrap.dedent(text))
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[phidata.converters]\n{name} = {name}_converter:converter\n")
        monkeypatch.syspath_prepend(site)
        monkeypatch.setenv("PYTHONPATH", str(site))
        return site

    return install
