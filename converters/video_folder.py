"""Videos in folders by class, as Kinetics and most sets of short clips are laid out. One video:

    train/juggling/clip_0001.mp4        or juggling/clip_0001.mp4, which is in the split train

becomes its frames and one turn that asks for its class among all classes of the source: "Classify the video into one of
the following classes: juggling, surfing." and "juggling".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from phidata.conversion import About, Converter, Media, Option, Root, Row, Settings, Skip, Turn
from phidata.sources import class_folders, templates

SUFFIXES = (
    ".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".ts", ".gif",
)  # fmt: skip
QUESTION = Option(
    name="question",
    help="What each row asks; {classes} stands for the names of all classes.",
    default="Classify the video into one of the following classes: {classes}.",
    metavar="TEMPLATE",
)


@dataclass(frozen=True, kw_only=True)
class Video(Row):
    """One video of one class."""

    label: str
    question: str


class VideoFolder:
    """The question for the class of each video, and the name of its folder as the answer."""

    about = About(
        name="video-folder",
        kind="video classification",
        source="<split>/<class>/* or <class>/*, videos",
        licence="that of your videos",
        options=(QUESTION,),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Video | Skip]:
        templates.check(settings["question"], ("classes",), "--question")
        found = list(class_folders(root, SUFFIXES, "video"))
        labels = sorted({file.label for file in found if not isinstance(file, Skip)})
        question = templates.fill_in(settings["question"], {"classes": ", ".join(labels)})
        stems = Counter(str(PurePosixPath(file.file).with_suffix("")) for file in found)
        for item in found:
            if isinstance(item, Skip):
                yield item
                continue
            path = PurePosixPath(item.file)
            last = path.stem if stems[str(path.with_suffix(""))] == 1 else path.name
            name = f"{item.split}/{item.label}/{last}"
            yield Video(split=item.split, name=name, file=item.file, label=item.label, question=question)

    def convert(self, row: Video, media: Media) -> tuple[Turn, ...]:
        return (Turn(images=media.frames(row.file), user=row.question, assistant=row.label),)


converter: Converter[Video] = VideoFolder()
