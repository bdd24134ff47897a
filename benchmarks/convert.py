"""Videos per second of `phidata convert` beside a plain PyAV + Pillow loop that does what the published script does.

    python benchmarks/convert.py [--copies 20] [--repeats 3]

All on copies of the twelve UCF-101 clips in examples/, in one run, taking turns; the best time of each counts. A time
has all of a command's work in it: starting processes, hashing, validating, the journal. The images are compared at the
end: all candidates write the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import av

import phidata

CLIPS = Path(__file__).parents[1] / "examples" / "ucf101_subset"
NUM_FRAMES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=20, help="how often each of the twelve clips is converted")
    parser.add_argument("--repeats", type=int, default=3, help="how many times each candidate runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = copy_clips(Path(folder, "source"), options.copies)
        outs = {name: Path(folder, f"out{number}") for number, name in enumerate(CANDIDATES)}
        seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        for _ in range(options.repeats):
            for name, convert in CANDIDATES.items():
                shutil.rmtree(outs[name], ignore_errors=True)
                started = time.perf_counter()
                convert(source, outs[name])
                seconds[name].append(time.perf_counter() - started)
        report({name: min(times) for name, times in seconds.items()}, 12 * options.copies)
        check_same_images(list(outs.values()))


def copy_clips(folder: Path, copies: int) -> Path:
    for clip in sorted(CLIPS.glob("*/*/*.avi")):
        for number in range(copies):
            copy = folder / clip.relative_to(CLIPS).with_stem(f"{clip.stem}_{number}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(clip, copy)
    return folder


def plain_loop(source: Path, out: Path) -> None:
    """Decode every video up to its last wanted frame and save the wanted ones; nothing else."""
    for clip in sorted(source.glob("*/*/*.avi")):
        folder = out / "images" / clip.parent.relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        with av.open(clip) as container:
            num_frames = container.streams.video[0].frames
            wanted = [k * num_frames // NUM_FRAMES for k in range(NUM_FRAMES)]
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    frame.to_image().save(folder / f"{clip.stem}.{wanted.index(index)}.jpg")
                if index == wanted[-1]:
                    break


def phidata_convert(jobs: int, decoder: str = "pyav") -> Callable[[Path, Path], None]:
    def convert(source: Path, out: Path) -> None:
        with redirect_stderr(StringIO()):
            phidata.convert("ucf101", source=source, out=out, num_frames=NUM_FRAMES, jobs=jobs, decoder=decoder)

    return convert


CANDIDATES = {
    "plain PyAV + Pillow loop": plain_loop,
    "phidata convert --jobs 1": phidata_convert(1),
    "phidata convert --jobs 2": phidata_convert(2),
    "phidata convert --jobs 2 --decoder decord": phidata_convert(2, "decord"),
}


def report(seconds: dict[str, float], num_videos: int) -> None:
    print(f"{num_videos} videos of UCF-101, {NUM_FRAMES} frames of each, JPEG quality 75")
    first = next(iter(seconds.values()))
    for name, best in seconds.items():
        print(f"{name:<42} {num_videos / best:7.1f} videos/s {first / best:6.2f}×")


def check_same_images(outs: list[Path]) -> None:
    expected, *others = (
        {path.relative_to(out): path.read_bytes() for path in sorted((out / "images").rglob("*.jpg"))} for out in outs
    )
    if not all(expected == other for other in others):
        sys.exit("the candidates wrote different images")
    print(f"the same bytes in all {len(expected)} images")


if __name__ == "__main__":
    main()
