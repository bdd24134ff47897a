"""Every file of the collection gives what expectations.jsonl says, and docs/media.md says the same."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import PIL
import pytest

from .expectations import COLLECTION, FILE, ROOT, expectation

EXPECTED: list[dict[str, Any]] = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
BY_PATH = {line["path"]: line for line in EXPECTED}
BY_SHA256 = {line["sha256"]: line for line in EXPECTED}

COPIES = [
    (path, BY_SHA256[sha256])
    for folder in (ROOT / "tests" / "validation" / "images", ROOT / "tests" / "media" / "videos")
    for path in sorted(folder.rglob("*.*"))
    if (sha256 := hashlib.sha256(path.read_bytes()).hexdigest()[:12]) in BY_SHA256
]
ROW = re.compile(r"\| .* \| `(?P<path>(?:image|video)/[^`]*)` \| (?P<gives>.*) \|")
PAGE = ROOT / "docs" / "media.md"


def test_there_are_copies_of_many_kinds() -> None:
    assert len(COPIES) >= 70
    assert {path.suffix for path, _ in COPIES} >= {
        ".png",
        ".jpg",
        ".gif",
        ".webp",
        ".tif",
        ".avif",
        ".mp4",
        ".avi",
        ".mov",
    }


is_older_pillow = int(PIL.__version__.partition(".")[0]) < 13


@pytest.mark.parametrize(("path", "line"), COPIES, ids=[path.name for path, _ in COPIES])
def test_a_file_gives_what_is_expected(path: Path, line: dict[str, Any]) -> None:
    found = expectation(path, line["path"])
    if is_older_pillow and line["gives"].startswith("fails: "):  # it words some of its reasons otherwise
        assert found["gives"].startswith("fails: ")
    else:
        assert found == line


@pytest.mark.skipif(not (COLLECTION / "image").is_dir(), reason="PHIDATA_TEST_DATA names no collection")
@pytest.mark.parametrize("folder", sorted({str(Path(line["path"]).parent) for line in EXPECTED}))
def test_every_file_of_the_collection_gives_what_is_expected(folder: str) -> None:
    found = [
        expectation(path, path.relative_to(COLLECTION).as_posix())
        for path in sorted((COLLECTION / folder).iterdir())
        if path.is_file()
    ]
    assert found == [line for line in EXPECTED if str(Path(line["path"]).parent) == folder]


def test_the_page_says_what_its_examples_give() -> None:
    rows = [match for line in PAGE.read_text(encoding="utf-8").splitlines() if (match := ROW.fullmatch(line))]
    assert len(rows) >= 40
    for row in rows:
        line = BY_PATH[row["path"]]
        outcome = line["gives"] if "decord" not in line else f"{line['gives']} | {line['decord']}"
        assert row["gives"] == outcome, row["path"]
