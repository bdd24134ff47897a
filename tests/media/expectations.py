"""What every picture and video of the collection gives: measured here, checked in as expectations.jsonl.

    python tests/media/expectations.py > tests/media/expectations.jsonl

makes the file again, from the collection in $PHIDATA_TEST_DATA or ../shared/data. A line is one file: `gives` is what a
row gets of it, by the words of docs/media.md; for a video `decord` is what the other decoder gives.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image, ImageStat

from phidata import DataError
from phidata.media.images import reencode
from phidata.media.video import FramePlan, Sample, sample_video

ROOT = Path(__file__).parents[2]
COLLECTION = Path(os.environ.get("PHIDATA_TEST_DATA", ROOT.parent / "shared" / "data"))
FILE = Path(__file__).parent / "expectations.jsonl"

EIGHT = FramePlan(num_frames=8)


def expectation(path: Path, name: str) -> dict[str, Any]:
    """One line of the file."""
    start = {"path": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:12]}
    return start | (picture(path) if name.startswith("image/") else video(path))


def picture(path: Path) -> dict[str, Any]:
    """What --keep-bytes and --exif apply make of it: its size, upright, and whether the file is copied."""
    try:
        made = reencode(path, image_format="jpg", quality=75, max_side=None, keep_bytes=True, exif="apply")
    except DataError as error:
        return {"gives": f"fails: {error}"}
    verb = "copied" if made.data == path.read_bytes() else "encoded anew"
    return {"gives": f"{made.width}×{made.height}, {verb}"}


def video(path: Path) -> dict[str, Any]:
    """How many frames of which size decode, in how many seconds, and what decord makes of it."""
    mine = sample(path, "pyav")
    gives = mine if isinstance(mine, str) else described(mine)
    theirs = sample(path, "decord")
    # In brackets stands what decord says, which depends on which of its threads says it first.
    return {"gives": gives, "decord": re.sub(r" \(.*\)$", "", compared(mine, theirs))}


def sample(path: Path, decoder: str) -> Sample[Image.Image] | str:
    try:
        return sample_video(path, EIGHT, decoder=decoder, keep=lambda image: image)
    except DataError as error:
        return f"fails: {error}"


def described(found: Sample[Image.Image]) -> str:
    width, height = found.frames[0].size
    frames = "1 frame" if found.facts.num_decoded == 1 else f"{found.facts.num_decoded} frames"
    return f"{frames} of {width}×{height}, {found.facts.seconds:.3f} s"


def compared(mine: Sample[Image.Image] | str, theirs: Sample[Image.Image] | str) -> str:
    if isinstance(theirs, str):
        return theirs
    assert not isinstance(mine, str)
    if theirs.facts.num_decoded != mine.facts.num_decoded:
        return f"{theirs.facts.num_decoded} frames"
    pairs = [(ImageStat.Stat(a).mean, ImageStat.Stat(b).mean) for a, b in zip(mine.frames, theirs.frames, strict=True)]
    off = max(abs(a - b) for left, right in pairs for a, b in zip(left, right, strict=True))
    return "the same" if off <= 2 else "other colours"


def main() -> None:
    for folder in ("image", "video"):
        for path in sorted((COLLECTION / folder).rglob("*")):
            if path.is_file():
                name = path.relative_to(COLLECTION).as_posix()
                sys.stdout.write(json.dumps(expectation(path, name), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
