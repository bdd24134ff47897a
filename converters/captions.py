"""Pictures with captions: COCO's json, tars for WebDataset, or a text beside each picture. One picture of each:

    {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "hello"}, …]}
    00000.tar: 000000017.jpg, 000000017.txt or 000000017.json {"caption": "a red kite", …}
    a/17.jpg, a/17.txt or a/17.json

becomes one row with the picture, a request for a caption, the first caption, and as `answers` all that it has; with
--each caption a row for each of them. Tars are read where they lie. COCO: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterator

from phidata.conversion import About, Converter, Media, Option, Root, Row, Settings, Skip, Turn
from phidata.sources import captioned, files, questions

PROMPT = Option(name="prompt", help="What is asked.", default="Describe the image in one sentence.", metavar="TEXT")
EACH = Option(name="each", help="What a row is.", default="image", choices=("image", "caption"))
FIELD = Option(name="field", help="The key of the caption in json beside an image.", default="caption", metavar="KEY")


class Captions:
    """A request for a caption a row; pictures without a caption are skipped."""

    about = About(
        name="captions",
        kind="captions of images",
        source="COCO's captions….json with the images, tars of jpg with txt or json, or a folder of them",
        options=(PROMPT, EACH, FIELD),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Row | Skip]:
        for row, image, captions in captioned.found(root, settings["field"]):
            if row.problem is not None or not captions:
                yield row if row.problem else files.skipped(row, "no caption")
                continue
            for k, answers in enumerate([captions] if settings["each"] == "image" else [(one,) for one in captions]):
                yield questions.Question(
                    split=row.split, name=row.name if k == 0 else f"{row.name}-{k}", file=row.file, line=row.line,
                    id=row.id, image=image, user=settings["prompt"], answers=answers,
                )  # fmt: skip

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        assert isinstance(row, questions.Question)
        return questions.turns(row, media)


converter: Converter[Row] = Captions()
