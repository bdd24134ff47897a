"""A folder that is made in an empty one, and takes its place entry by entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phidata import UsageError
from phidata.storage.place import NewFolder

# Makes `a`, `b` and the manifest, and dies when so many of them have moved up.
PROGRAM = """
import os, sys
from pathlib import Path
from phidata.storage.place import NewFolder
move, left = Path.replace, int(sys.argv[2])
def moved(path, target):
    global left
    if path.name in ("a", "b", "manifest.json"):
        if left == 0:
            os._exit(9)
        left -= 1
    return move(path, target)
Path.replace = moved
with NewFolder(Path(sys.argv[1])) as folder:
    (folder.path / "a").mkdir()
    for name in ("a/x", "b", "manifest.json"):
        (folder.path / name).write_text("old")
    folder.become_final()
"""


def killed(place: Path, moves: int) -> int:
    return subprocess.run([sys.executable, "-c", PROGRAM, str(place), str(moves)], check=False).returncode


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_place_that_a_killed_process_began_to_fill_is_filled_anew(tmp_path: Path, moves: int) -> None:
    place = tmp_path / "out"
    place.mkdir()
    assert killed(place, moves) == 9
    with NewFolder(place) as folder:
        assert list(folder.path.iterdir()) == []
        (folder.path / "c").write_text("new")
        folder.become_final()
    assert [path.name for path in place.iterdir()] == ["c"]


def test_a_place_that_is_filled_is_refused_again(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    assert killed(place, 3) == 0
    assert sorted(path.name for path in place.iterdir()) == ["a", "b", "manifest.json"]
    with pytest.raises(UsageError, match=r"out holds other files \(a, b, manifest\.json\)"):
        NewFolder(place)


def test_files_of_others_are_never_taken_for_what_a_killed_process_left(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    assert killed(place, 1) == 9
    (place / "mine").write_text("mine")
    with pytest.raises(UsageError, match=r"out holds other files \(mine\)"):
        NewFolder(place)
    assert (place / "a" / "x").read_text() == "old"
