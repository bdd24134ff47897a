"""Pictures in folders by class, the layout of ImageNet and of nearly every classification set. One picture:

    train/daisy/0001.jpg        or daisy/0001.jpg, which is in the split train

becomes one row that asks for its class among all classes of the source: "Classify the image into one of the following
classes: daisy, rose." and "daisy".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from phidata.conversion import About, Converter, Media, Option, Root, Row, Settings, Skip, Turn
from phidata.sources import class_folders, templates

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".ppm", ".pgm", ".pbm",
)  # fmt: skip
QUESTION = Option(
    name="question",
    help="What each row asks; {classes} stands for the names of all classes.",
    default="Classify the image into one of the following classes: {classes}.",
    metavar="TEMPLATE",
)


@dataclass(frozen=True, kw_only=True)
class Picture(Row):
    """One picture of one class."""

    label: str
    question: str


class ImageFolder:
    """The question for the class of each picture, and the name of its folder as the answer."""

    about = About(
        name="image-folder",
        kind="image classification",
        source="<split>/<class>/* or <class>/*, images",
        licence="that of your pictures",
        options=(QUESTION,),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Picture | Skip]:
        templates.check(settings["question"], ("classes",), "--question")
        found = list(class_folders(root, SUFFIXES, "image"))
        labels = sorted({file.label for file in found if not isinstance(file, Skip)})
        question = templates.fill_in(settings["question"], {"classes": ", ".join(labels)})
        for item in found:
            if isinstance(item, Skip):
                yield item
                continue
            name = item.file if item.file.startswith(f"{item.split}/") else f"{item.split}/{item.file}"
            yield Picture(split=item.split, name=name, file=item.file, label=item.label, question=question)

    def convert(self, row: Picture, media: Media) -> tuple[Turn, ...]:
        return (Turn(images=(media.image(row.file),), user=row.question, assistant=row.label),)


converter: Converter[Picture] = ImageFolder()
