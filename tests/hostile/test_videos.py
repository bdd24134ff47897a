"""Every hostile video of the table through both decoders; sound ones cut short or changed by chance; bad converters."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from random import Random

import pytest

import phidata
from phidata.media.ending import declared_end
from phidata.media.video import VideoError, sample_frames
from phidata.media.whole import check_whole

from .clips import BUILDERS, KINDS, clip
from .mutating import mutated
from .picture_kinds import cuts
from .promises import Told, counted, keeps, nothing_changes_but, told
from .table import Line, by_name, lines

CHANGES = 2  # of a clip of each kind
ENDLESS = ("ts", "mpg")  # streams that may end behind each of their packets
LINES = [line for line in lines("videos") if line.name.partition(",")[0] in BUILDERS]
CONVERT = "convert --from video-folder"
WAYS = ("hang", "memory", "segfault")

Outcomes = Mapping[str, Mapping[str, Told]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of the videos of the table, and sound ones of every kind with changed bytes."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "source" / "all").mkdir(parents=True)
    changed = {
        f"changed-{number}.{kind}": mutated(clip(kind), Random(f"{kind} {number}"))
        for kind in KINDS
        for number in range(CHANGES)
    }
    for name, data in ({name: build() for name, build in BUILDERS.items()} | changed).items():
        (folder / "source" / "all" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def outcomes(source: Path) -> Outcomes:
    """What each decoder makes of each video: the video alone decides, so that one run shows all of them."""
    return {CONVERT: converted(source, "pyav"), f"{CONVERT} --decoder decord": converted(source, "decord")}


def converted(source: Path, decoder: str) -> dict[str, Told]:
    names = [path.name for path in (source / "source" / "all").iterdir()]
    out = source / decoder
    with nothing_changes_but(source, decoder):
        phidata.convert(
            "video-folder",
            source=source / "source",
            out=out,
            jobs=1,
            num_frames=2,
            decoder=decoder,
            max_failures=len(names),
            row_timeout_s=30,
        )
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text("utf-8").splitlines()]
    reasons = {Path(failure["file"]).name: failure["reason"] for failure in failures}
    assert counted(out) == (len(names) - len(reasons), 0, len(reasons))
    return {name: Told(exit=int(name in reasons), out="", err=reasons.get(name, "")) for name in names}


def test_every_video_of_the_table_is_made() -> None:
    assert dict.fromkeys(line.name.partition(",")[0] for line in LINES) == dict.fromkeys(BUILDERS)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_video_gives_what_the_table_says(line: Line, outcomes: Outcomes) -> None:
    for command in line.through:
        keeps(line, outcomes[command][line.name.partition(",")[0]])


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes_fail_a_row_or_do_not(kind: str, outcomes: Outcomes) -> None:
    for told_of in outcomes.values():
        for number in range(CHANGES):
            found = told_of[f"changed-{number}.{kind}"]
            assert bool(found.err) == (found.exit == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_that_is_cut_short_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(clip(kind))
    check_whole(path)
    for cut in cuts(clip(kind)):
        path.write_bytes(cut)
        if kind in ENDLESS and declared_end(BytesIO(cut), len(cut)) == len(cut):
            continue
        with pytest.raises(VideoError, match="the file is cut short"):
            sample_frames(path, 2, decoder="pyav", keep=lambda image: image.size)


def test_a_live_recording_says_where_its_last_frame_ends(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    data = clip("webm", live=True)
    for length, is_whole in ((len(data), True), (len(data) - 1, False), (len(data) // 2, False)):
        path.write_bytes(data[:length])
        with path.open("rb") as file:
            assert (declared_end(file, length) == length) is is_whole


DEADLY = """
    import os, resource, signal, time
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101

    def segfault():
        os.kill(os.getpid(), signal.SIGSEGV)

    def memory():
        own = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + (64 << 20), resource.getrlimit(resource.RLIMIT_AS)[1]))
        try:
            bytearray(1 << 30)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def hang():
        time.sleep(600)

    class Deadly(Ucf101):
        about = replace(Ucf101.about, name="deadly")

        def convert(self, row, media):
            {"segfault": segfault, "memory": memory, "hang": hang}.get(row.label, int)()
            return super().convert(row, media)

    converter = Deadly()
"""


def test_a_converter_that_dies_hangs_or_eats_memory_costs_its_row(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known = by_name("videos")
    Path("deadly.py").write_text(textwrap.dedent(DEADLY))
    for name in (*(f"train/{way}" for way in WAYS), "train/sound", "val/sound", "test/sound"):
        (here / "source" / name).mkdir(parents=True)
        (here / "source" / name / "v.avi").write_bytes(clip("avi"))
    options = ["--num-frames", "1", "--jobs", "1", "--row-timeout", "2"]
    found = told(capfd, "convert", "--from", here / "deadly.py", "--source", "source", "--out", "out", *options)
    assert found.exit == 1, found.err
    failures = [json.loads(line) for line in Path("out/failures.jsonl").read_text().splitlines()]
    reasons = {Path(failure["file"]).parent.name: failure["reason"] for failure in failures}
    assert reasons == {name: known[name].says for name in WAYS}
    assert counted(Path("out")) == (3, 0, len(WAYS))
