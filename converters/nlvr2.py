"""NLVR2: is a statement about two pictures true? https://lil.nlp.cornell.edu/nlvr/

Reads the cauldron's subset and the original json lines with the pictures anywhere beside them. One pair:

    images: [{bytes: …}, {bytes: …}], texts: [{user: "The first image is …", assistant: "No.", source: "NLVR2"}, …]
    {"identifier": "dev-850-2-0", "sentence": "The right image …", "label": "True"}; dev-850-2-img0.png, -img1.png

becomes one row with the left and the right picture and a turn for each statement; with --turns split a row for each.
The cauldron asks in one of eight ways, drawn for each statement; the original is asked in one of them too, by its
identifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from zlib import crc32

from phidata.conversion import About, Converter, Media, Root, Row, Settings, Skip, Turn
from phidata.sources import cauldron, fields, files

QUESTIONS = (
    'Evaluate the accuracy of this statement regarding the images: "{}". Is it true?',
    'Given the left and right images, does the statement "{}" hold true?',
    'Assess this claim about the two images: "{}". Correct or not?',
    'For the images shown, is this caption "{}" true?',
    'Considering the images on both sides, is "{}" valid?',
    'Analyze the images presented: Is the assertion "{}" valid?',
    'For the images displayed, is the sentence "{}" factually correct?',
    'Examine the images to the left and right. Is the description "{}" accurate?',
)
PREFIX = "The first image is the image on the left, the second image is the image on the right."
ANSWERS = {"True": "Yes.", "False": "No."}


@dataclass(frozen=True, kw_only=True)
class Pair(Row):
    """Two pictures and what is said about them."""

    images: tuple[str, str]
    statements: tuple[files.RecordRow, ...]


class Nlvr2:
    """The statements about one pair of pictures, each answered "Yes." or "No."; those without a label are skipped."""

    about = About(
        name="nlvr2",
        kind="statements about pairs of images",
        source="the cauldron's Parquet files; or train|dev|test1.json with <pair>-img0.png, <pair>-img1.png",
        hub=(cauldron.hub("nlvr2"),),
        licence="CC BY 4.0 (the statements; the pictures have their own)",
        options=(cauldron.TURNS,),
        splits={"train": "train[500:]", "val": "train[:500]"},
    )

    def rows(self, root: Root, settings: Settings) -> Iterable[Row | Skip]:
        if root.files(".parquet", ".arrow"):
            return cauldron.rows(root, subset="nlvr2", turns=settings["turns"])
        listed = files.with_keys(root, ("identifier", "sentence"), ".json", ".jsonl")
        return _original(root, listed, join=settings["turns"] == "join")

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        if isinstance(row, cauldron.CauldronRow):
            return tuple(cauldron.turns(row, media).turns)
        assert isinstance(row, Pair)
        images = tuple(media.image(image) for image in row.images)
        return tuple(_turn(statement, images if k == 0 else ()) for k, statement in enumerate(row.statements))


def _turn(statement: files.RecordRow, images: tuple[str, ...]) -> Turn:
    sentence, label = fields.text(statement.record, "sentence"), statement.record["label"]
    if not isinstance(label, str) or label not in ANSWERS:
        raise fields.unexpected(statement.record, "label", '"True" or "False"')
    question = QUESTIONS[crc32((statement.id or "").encode()) % len(QUESTIONS)].format(sentence)
    return Turn(images=images, user=f"{PREFIX} {question} Answer yes or no.", assistant=ANSWERS[label])


def _original(root: Root, listed: list[str], *, join: bool) -> Iterator[Row | Skip]:
    finder = files.ImageFinder(root)
    records = files.record_rows(root, listed, id="identifier", split=files.stem_split)
    for file, of_file in groupby(records, key=lambda row: row.file):
        pairs: dict[str, list[files.RecordRow]] = {}
        for row in of_file:
            found = re.fullmatch(r"(.+)-\d+", row.id or "")
            if row.problem is not None:
                yield row
            elif not fields.present(row.record, "label"):
                yield files.skipped(row, "no label")
            elif found is None:
                yield replace(row, problem=f"its 'identifier' is {row.id!r}, one such as 'dev-850-2-0' is expected")
            else:
                pairs.setdefault(found[1] if join else row.id or "", []).append(row)
        for key, rows in pairs.items():
            pair, split = key if join else key.rpartition("-")[0], rows[0].split
            left, right = (finder.find(f"{pair}-img{k}.png", split=split) for k in (0, 1))
            yield Pair(
                split=split, name=f"{split}/{key}", file=file, line=rows[0].line, id=key,
                images=(left, right), statements=tuple(rows),
            )  # fmt: skip


converter: Converter[Row] = Nlvr2()
