"""Pictures in folders by class, the layout of ImageNet and of nearly every classification set. One picture:

    train/daisy/0001.jpg        or daisy/0001.jpg, which is in the split train

becomes one row that asks for its class among all classes of the source: "Classify the image into one of the following
classes: daisy, rose." and "daisy".
"""

from __future__ import annotations

from collections.abc import Iterator

from phidata.conversion import About, Converter, Media, Root, Settings, Skip, Turn
from phidata.sources import ClassRow, class_question, class_rows

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".jp2", ".ppm", ".pgm", ".pbm",
)  # fmt: skip


class ImageFolder:
    """The question for the class of each picture, and the name of its folder as the answer."""

    about = About(
        name="image-folder",
        kind="image classification",
        source="<split>/<class>/* or <class>/*, images",
        licence="that of your pictures",
        options=(class_question("image"),),
        generic=True,
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[ClassRow | Skip]:
        return class_rows(root, settings, SUFFIXES, "image", keep_suffix=True)

    def convert(self, row: ClassRow, media: Media) -> tuple[Turn, ...]:
        return (Turn(images=(media.image(row.file),), user=row.question, assistant=row.label),)


converter: Converter[ClassRow] = ImageFolder()
