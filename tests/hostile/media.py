"""`python -m tests.hostile media`: pictures and videos with changed bytes, given to all that reads them, and counted.

    python -m tests.hostile media --cases 400     all kinds; the table is tests/hostile/media.jsonl

Each kind runs in a process of its own, and each video is decoded in one more, which may die as a worker may.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from phidata.errors import DataError
from phidata.media.video import DECODERS, FramePlan, sample_video

from .clips import KINDS as CLIPS
from .clips import clip
from .mutating import mutated
from .mutations import Count, run_cases
from .picture_kinds import HOW, KINDS, taken
from .targets import Read, Target

RESULTS = Path(__file__).parent / "media.jsonl"
TOLD, TAKEN, MISTAKE = 3, 4, 5  # how a process that decodes ends
PLAN = FramePlan(num_frames=4)


def media_targets() -> Iterator[Target]:
    """Each kind of picture, and each kind of video with each decoder that opens it."""
    for name, build in KINDS.items():
        yield Target(
            name=f"picture, {name}", what=f"through {len(HOW)} readers", data=build, mutate=mutated, read=_read_picture
        )
    for kind in CLIPS:
        for decoder in DECODERS if kind != "gif" else DECODERS[:1]:
            yield Target(
                name=f"video, {kind}", what=f"through {decoder}", data=_clip(kind), mutate=mutated, read=_video(decoder)
            )


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile media", description=__doc__)
    parser.add_argument("--cases", type=int, default=400, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    counts = []
    for target in media_targets():
        line = _in_process(target, given.cases, given.seed)
        click.echo(line, nl=False)
        counts.append(Count(**json.loads(line)))
    RESULTS.write_text("".join(json.dumps(asdict(count)) + "\n" for count in counts), "utf-8")
    click.echo(f"{sum(count.cases for count in counts)} cases, {sum(count.faults for count in counts)} faults")
    return int(any(count.faults for count in counts))


def results() -> list[Count]:
    """The table as it was last written."""
    return [Count(**json.loads(line)) for line in RESULTS.read_text("utf-8").splitlines()]


def _clip(kind: str) -> Callable[[], bytes]:
    return lambda: clip(kind)


def _read_picture(_: Path, data: bytes) -> bool:
    found = {how: taken(data, how) for how in HOW}
    return found["convert"]


def _video(decoder: str) -> Read:
    def read(folder: Path, data: bytes) -> bool:
        path = folder / "clip"
        path.write_bytes(data)
        child = os.fork()
        if not child:
            os._exit(_decoded(path, decoder))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (TOLD, TAKEN) or code < 0, code
        return code == TAKEN

    return read


def _decoded(path: Path, decoder: str) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        sample_video(path, PLAN, decoder=decoder, keep=lambda image: image.tobytes())
    except DataError as error:
        return TOLD if str(error) else MISTAKE
    except BaseException:
        return MISTAKE
    return TAKEN


def _in_process(target: Target, cases: int, seed: int) -> str:
    """The line of a kind; a process that dies has no line, and that is told."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        with tempfile.TemporaryDirectory() as folder:
            count, faults = run_cases(target, range(cases), seed, Path(folder))
        for fault in faults:
            click.echo(f"  {fault.target}, case {fault.case}: {fault.said}", err=True)
        os.write(theirs, json.dumps(asdict(count)).encode() + b"\n")
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8") as lines:
        line = lines.read()
    if os.waitpid(child, 0)[1] or not line:
        raise SystemExit(f"{target.name} {target.what}: the process died")
    return line
