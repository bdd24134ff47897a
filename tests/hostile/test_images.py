"""Every hostile picture of the table, through all that reads pictures; sound ones cut short or changed by chance."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

import phidata
from phidata import DataError
from phidata.media import effort
from phidata.media.effort import TooLaboriousError
from phidata.media.images import decode_rgb, reencode
from phidata.media.pillow import open_image, strict_pillow

from .mutating import mutated
from .picture_kinds import HOW, KINDS, cuts, is_pixels_of, taken
from .pictures import BUILDERS, progressive_jpeg, sequential_jpeg
from .promises import Told, counted, keeps, nothing_changes_but, told
from .table import Line, by_name, lines

LINES = [line for line in lines("images") if line.name.partition(",")[0] in BUILDERS]
TOGETHER = {name: line for name, line in by_name("images").items() if name.startswith("all-")}

Outcomes = Mapping[str, Mapping[str, Told]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that has every hostile picture, a row each."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "images").mkdir()
    for name, build in BUILDERS.items():
        (folder / "images" / name).write_bytes(build())
    turn = {"user": "What is this?", "assistant": "A picture."}
    rows = ({"id": name, "source": "s", "conversations": [{"images": [name], **turn}]} for name in BUILDERS)
    (folder / "pictures_train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def outcomes(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What each command makes of each picture: the picture alone decides, so that one run shows all of them."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(data / "images", source / "pictures" / "all")
    convert = "convert --from image-folder"
    return {
        convert: converted(source, "decoded"),
        f"{convert} --keep-bytes": converted(source, "kept", keep_bytes=True),
        "validate --media decode": validated(data),
    }


def converted(source: Path, name: str, *, keep_bytes: bool = False) -> dict[str, Told]:
    out, num = source / name, len(BUILDERS)
    with nothing_changes_but(source, name):
        phidata.convert(
            "image-folder", source=source / "pictures", out=out, jobs=1, keep_bytes=keep_bytes, max_failures=num
        )
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text("utf-8").splitlines()]
    reasons = {Path(failure["file"]).name: failure["reason"] for failure in failures}
    assert counted(out) == (num - len(reasons), 0, len(reasons))
    return {name: Told(exit=int(name in reasons), out="", err=reasons.get(name, "")) for name in BUILDERS}


def validated(data: Path) -> dict[str, Told]:
    names = list(BUILDERS)
    found: dict[str, list[phidata.Diagnostic]] = {name: [] for name in names}
    for finding in phidata.validate(data, media="decode").diagnostics:
        found[names[finding.line - 1]].append(finding)
    return {
        name: Told(
            exit=int(any(finding.severity == "error" for finding in findings)),
            out="",
            err=" ".join(f"{finding.code} {finding.message}" for finding in findings),
        )
        for name, findings in found.items()
    }


def test_every_picture_of_the_table_is_made() -> None:
    assert dict.fromkeys(line.name.partition(",")[0] for line in LINES) == dict.fromkeys(BUILDERS)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_picture_gives_what_the_table_says(line: Line, outcomes: Outcomes) -> None:
    for command in line.through:
        keeps(line, outcomes[command][line.name.partition(",")[0]])


@pytest.mark.parametrize("line", TOGETHER.values(), ids=lambda line: line.name)
def test_all_of_them_go_through(line: Line, data: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, *options = line.through[0].split()
    if command == "phitrain":
        keeps(line, batched(data))
        return
    out = [] if command in ("stats", "dedup") else ["--out", "page.html" if command == "preview" else "out"]
    with nothing_changes_but(here, *out[1:]), nothing_changes_but(data):
        keeps(line, told(capsys, command, data, *options, *out))


def batched(data: Path) -> Told:
    """Every picture as a batch of `phitrain train` has it, or why there is none."""
    from phitrain.models.phi3v.processing import Phi3VImageProcessor

    processor, rows, said = Phi3VImageProcessor(num_crops=1), phidata.load(data, "train"), []
    for number in range(len(rows)):
        try:
            for image in rows.images(number):
                crops, size = processor.crops(image)
                assert (crops.shape[1:], len(size)) == ((3, 336, 336), 2)
        except DataError as error:
            said.append(str(error))
    return Told(exit=int(bool(said)), out="", err="\n".join(said))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_that_is_cut_short_is_refused_or_whole(kind: str) -> None:
    sound = KINDS[kind]()
    shown = decode_rgb(made(sound))
    for cut in cuts(sound):
        for keep_bytes in (False, True):
            with suppress(DataError):
                assert is_pixels_of(made(cut, keep_bytes=keep_bytes), shown), len(cut)


def made(data: bytes, *, keep_bytes: bool = False) -> bytes:
    how = {"image_format": "png", "quality": 1, "max_side": None, "exif": "apply"}
    return reencode(data, keep_bytes=keep_bytes, **how).data  # type: ignore[arg-type]  # of several kinds


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_with_changed_bytes_is_told_or_taken(kind: str) -> None:
    for how in HOW:
        for number in range(4):
            taken(mutated(KINDS[kind](), Random(f"{kind} {how} {number}")), how)


@contextmanager
def smaller(monkeypatch: pytest.MonkeyPatch, **limits: int) -> Iterator[None]:
    with monkeypatch.context() as patch:
        for name, value in limits.items():
            patch.setattr(effort, name, value)
        yield


@pytest.mark.parametrize(
    "header",
    [
        lambda: b"\xff\xd8" + b"\xff" * 3000,
        lambda: b"P6\n#" + b"x" * 3000,
        lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 3000,
    ],
    ids=["filling", "comment", "segments"],
)
def test_a_header_that_goes_on_and_on_is_given_up(header: Callable[[], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        smaller(monkeypatch, SMALL_BYTES=1000, MAX_READS=1000),
        strict_pillow(),
        pytest.raises(TooLaboriousError, match="it takes more than 1,000 reads"),
    ):
        open_image(BytesIO(header()))


@pytest.mark.parametrize("build", [lambda num: progressive_jpeg(64, 64, num), sequential_jpeg])
def test_ordinary_jpegs_may_have_many_scans(build: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with smaller(monkeypatch, MAX_SCANS=12):
        effort.check_effort(build(10))
        with pytest.raises(TooLaboriousError, match="scans, and a JPEG is decoded up to 12"):
            effort.check_effort(build(13))


def test_marks_in_the_pixels_of_a_sequential_jpeg_are_no_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    with smaller(monkeypatch, MAX_SCANS=1):
        effort.check_effort(KINDS["JPEG"]() + b"\xff\xda" * 9)
