"""UCF-101: action recognition in short videos. https://www.crcv.ucf.edu/data/UCF101.php

Reads the subset on the hub (https://huggingface.co/datasets/sayakpaul/ucf101-subset) and the original. One clip:

    train/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi                                        the subset
    ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi     trainlist01.txt: "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1"

The original has three divisions into training and test clips; --list says which. A clip becomes
images `train/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.0.jpg` … `.7.jpg` and one turn that asks for its class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from phidata.conversion import About, Converter, HubFile, Media, Option, Root, Row, Settings, Skip, Turn
from phidata.sources import Layout, labelled_files

LIST = Option(name="list", help="Which official division, of the original.", default="01", choices=("01", "02", "03"))


@dataclass(frozen=True, kw_only=True)
class Clip(Row):
    """One video of one action."""

    label: str
    question: str


class Ucf101:
    """Each video as its frames, the question for its class among all classes of the source, and the answer."""

    about = About(
        name="ucf101",
        kind="video classification",
        source="train|val|test/<Class>/*.avi, or <Class>/*.avi with trainlist01.txt and testlist01.txt (or 02, 03)",
        hub=(HubFile("sayakpaul/ucf101-subset", "UCF101_subset.tar.gz"),),
        licence="not stated by the publisher; for research",
        options=(LIST,),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Clip | Skip]:
        lists = {split: f"{split}list{settings['list']}.txt" for split in ("train", "test")}
        layout = Layout(splits=("train", "val", "test"), lists=lists, suffix=".avi")
        found = list(labelled_files(root, layout))
        labels = sorted({clip.label for clip in found if not isinstance(clip, Skip)})
        question = f"Classify the video into one of the following classes: {', '.join(labels)}."
        for clip in found:
            if isinstance(clip, Skip):
                yield clip
                continue
            yield Clip(
                split=clip.split,
                name=f"{clip.split}/{clip.label}/{PurePosixPath(clip.file).stem}",
                file=clip.file,
                problem=clip.problem,
                label=clip.label,
                question=question,
            )

    def convert(self, row: Clip, media: Media) -> tuple[Turn, ...]:
        return (Turn(images=media.frames(row.file), user=row.question, assistant=row.label),)


converter: Converter[Clip] = Ucf101()
