"""Pictures with captions: COCO's json, tars for WebDataset, or a text beside each picture. One picture of each:

    {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "hello"}, …]}
    00000.tar: 000000017.jpg, 000000017.txt or 000000017.json {"caption": "a red kite", …}
    a/17.jpg, a/17.txt or a/17.json

becomes one row with the picture, a request for a caption, the first caption, and as `answers` all that it has; with
--each caption a row for each of them. Tars are read where they lie. COCO: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phidata.conversion import (
    About,
    Converter,
    ImageFinder,
    Media,
    Option,
    Piece,
    Question,
    Root,
    Row,
    RowNames,
    Settings,
    Skip,
    Turn,
    captioned,
    fields,
    files,
    json_objects,
    question_turns,
)
from phidata.errors import DataError, UsageError

PROMPT = Option(name="prompt", help="What is asked.", default="Describe the image in one sentence.", metavar="TEXT")
EACH = Option(name="each", help="What a row is.", default="image", choices=("image", "caption"))
FIELD = Option(name="field", help="The key of the caption in json beside an image.", default="caption", metavar="KEY")
Found = tuple[Row, str | Piece | None, tuple[str, ...]]


class Captions:
    """A request for a caption a row; pictures without a caption are skipped."""

    about = About(
        name="captions",
        kind="captions of images",
        source="COCO's captions….json with the images, tars of jpg with txt or json, or a folder of them",
        options=(PROMPT, EACH, FIELD),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Row | Skip]:
        for row, image, captions in _found(root, settings["field"]):
            if row.problem is not None or not captions:
                yield row if row.problem else files.skipped(row, "no caption")
                continue
            for k, answers in enumerate([captions] if settings["each"] == "image" else [(one,) for one in captions]):
                yield Question(
                    split=row.split, name=row.name if k == 0 else f"{row.name}-{k}", file=row.file, line=row.line,
                    id=row.id, image=image, user=settings["prompt"], answers=answers,
                )  # fmt: skip

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        assert isinstance(row, Question)
        return question_turns(row, media)


def _found(root: Root, field: str) -> Iterator[Found]:
    if root.files(".tar"):
        return _beside(root, field)
    try:
        return _coco(root, files.with_keys(root, ("image_id", "caption"), ".json", under="annotations"))
    except UsageError:
        captioned.check_folder(root, field)
        return _beside(root, field)


def _coco(root: Root, listed: list[str]) -> Iterator[Found]:
    finder, names = ImageFinder(root), RowNames()
    for file in listed:
        split = files.split_of(file)
        said: dict[Any, list[dict[str, Any]]] = {}
        for _, annotation, _ in json_objects(root.path / file, "annotations"):
            said.setdefault(annotation.get("image_id"), []).append(annotation)
        for line, image, problem in json_objects(root.path / file, "images"):
            captions: tuple[str, ...] = ()
            place = ""
            try:
                of_image = said.pop(image.get("id"), [])
                captions = tuple(dict.fromkeys(fields.text(one, "caption").strip() for one in of_image))
                place = finder.find(fields.text(image, "file_name"), split=split)
            except DataError as error:
                problem = problem or str(error)
            id_, name = fields.identifier(image, "id"), names.next(split)
            yield Row(split=split, name=name, file=file, line=line, id=id_, problem=problem), place, captions
        for unknown in said:
            problem = f"its captions are of the image {unknown!r}, which is not under 'images'"
            yield Row(split=split, name=names.next(split), file=file, id=str(unknown), problem=problem), None, ()


def _beside(root: Root, field: str) -> Iterator[Found]:
    names = RowNames()
    for sample in captioned.samples_in(root):
        problem: str | None = None
        captions: tuple[str, ...] = ()
        try:
            captions = captioned.captions_in(root, sample, field)
        except DataError as error:
            problem = str(error)
        if sample.picture is None and sample.text is not None:
            problem = "it has a text and no picture"
        row = Row(split=sample.split, name=names.next(sample.split), file=sample.place, id=sample.name, problem=problem)
        yield row, sample.picture, captions


converter: Converter[Row] = Captions()
