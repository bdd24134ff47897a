"""Videos in folders by class, as Kinetics and most sets of short clips are laid out. One video:

    train/juggling/clip_0001.mp4        or juggling/clip_0001.mp4, which is in the split train

becomes its frames and one turn that asks for its class among all classes of the source: "Classify the video into one of
the following classes: juggling, surfing." and "juggling".
"""

from __future__ import annotations

from collections.abc import Iterator

from phidata.conversion import About, Converter, Media, Root, Settings, Skip, Turn
from phidata.sources import ClassRow, class_question, class_rows

SUFFIXES = (
    ".avi", ".mp4", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv", ".ts", ".gif",
)  # fmt: skip


class VideoFolder:
    """The question for the class of each video, and the name of its folder as the answer."""

    about = About(
        name="video-folder",
        kind="video classification",
        source="<split>/<class>/* or <class>/*, videos",
        licence="that of your videos",
        options=(class_question("video"),),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ClassRow | Skip]:
        return class_rows(root, settings, SUFFIXES, "video", keep_suffix=False)

    def convert(self, row: ClassRow, media: Media) -> tuple[Turn, ...]:
        return (Turn(images=media.frames(row.file), user=row.question, assistant=row.label),)


converter: Converter[ClassRow] = VideoFolder()
