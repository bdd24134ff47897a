"""Data folders to look at, and a browser to look with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .browser import Browser, find_browser, running_browser

HOSTILE = (
    '</script><script>window.hacked = 1</script><!-- <img src=x onerror="window.hacked = 2"> \u2028 \u202e \u200f &amp;'
)
HOSTILE_ID = "\"'><script>window.hacked = 3</script>"

Row = dict[str, Any]


def picture(width: int, height: int, colour: str = "teal") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def turn(images: list[str], user: str, assistant: str, **more: Any) -> Row:
    return {"images": images, "user": user, "assistant": assistant, **more}


def row(id: str, *turns: Row, source: str = "album", **more: Any) -> Row:
    return {"id": id, "source": source, "conversations": turns, **more}


TRAIN = [
    row(
        "album-1",
        turn(["a/1.jpg", "a/2 #?.jpg"], "Which one is red?", "The second."),
        turn([], "Sure?", "Yes.", answers=["Yes.", "I am."]),
        turn(["wide.jpg"], "And this?", "Blue."),
        metadata={"licence": "CC0", "serial": 12345678901234567890123},
    ),
    row(HOSTILE_ID, turn(["a/1.jpg"], HOSTILE, HOSTILE), source="<b>web</b>", metadata={HOSTILE: HOSTILE}),
    row("gone-1", turn(["a/1.jpg", "a/gone.jpg"], "What is this?", "Nothing.")),
]
VAL = [
    row("text-1", turn([], "ما هذا الحيوان؟", "كلب.")),
    row("tokens-1", turn(["a/1.jpg"], "<|image_1|>\nDescribe it.", "A picture.")),
    {"id": "broken-1", "source": "album"},
]
IMAGES = {"a/1.jpg": picture(320, 240), "a/2 #?.jpg": picture(240, 320, "red"), "wide.jpg": picture(900, 300, "blue")}


def write_folder(root: Path, splits: dict[str, list[Row]], images: dict[str, bytes]) -> Path:
    """A data folder of the shape images-jsonl, right or wrong."""
    root.mkdir(parents=True, exist_ok=True)
    for path, data in images.items():
        file = root / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for split, rows in splits.items():
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in rows)
        (root / f"odd_{split}.jsonl").write_text(lines, "utf-8")
    return root


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six rows: several turns, hostile text, a missing image, no image, a control token, and one that is no row."""
    return write_folder(tmp_path_factory.mktemp("page") / "odd", {"train": TRAIN, "val": VAL}, IMAGES)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless Chromium; without one these tests are skipped."""
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium is installed; PHIDATA_CHROMIUM can name one")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as running:
        running.view(width=1280, height=900)
        yield running
