"""Hateful Memes: does a picture with its text hurt somebody? https://ai.meta.com/tools/hatefulmemes/

Reads the cauldron's subset and the original jsonl files with img/. One meme:

    images: [{bytes: …}], texts: [{user: "Is this meme spreading toxicity?\\nAnswer yes or no.", assistant: "No.", …}]
    {"id": 42953, "img": "img/42953.png", "label": 0, "text": "its their character not their color that matters"}

becomes one row with one picture and one turn. The cauldron asks one of eleven questions, drawn for each meme; the
original gets one of them too, by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from zlib import crc32

from phidata.conversion import About, Converter, Media, Root, Row, Settings, Skip, Turn
from phidata.sources import cauldron, fields, files

QUESTIONS = (
    "Is the sentiment of this meme offensive?",
    "Does this meme promote hate speech?",
    "Can this meme be considered disrespectful?",
    "Does this meme carry a negative message?",
    "Is this meme spreading toxicity?",
    "Can this meme be harmful to a community?",
    "Is the humor in this meme in bad taste?",
    "Is the message of this meme aggressive?",
    "Does this meme support discrimination?",
    "Is the language used in this meme hateful?",
    "Can this meme be interpreted as derogatory?",
)


class HatefulMemes:
    """One meme a row, answered "Yes." or "No."; memes without a label (of the original test split) are skipped."""

    about = About(
        name="hateful_memes",
        kind="yes/no questions about memes",
        source="the cauldron's Parquet files; or train|dev|test….jsonl with img/",
        hub=(cauldron.hub("hateful_memes"),),
        licence="the Hateful Memes licence of the publisher; for research",
        splits={"train": "train[500:]", "val": "train[:500]"},
    )

    def rows(self, root: Root, settings: Settings) -> Iterable[Row | Skip]:
        if root.files(".parquet", ".arrow"):
            return cauldron.rows(root, subset="hateful_memes", turns="join")
        return _original(root, files.with_keys(root, ("id", "img", "text"), ".jsonl"))

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        if isinstance(row, cauldron.CauldronRow):
            return tuple(cauldron.turns(row, media).turns)
        assert isinstance(row, files.RecordRow)
        label = row.record["label"]
        if type(label) is not int or label not in (0, 1):
            raise fields.unexpected(row.record, "label", "0 or 1")
        question = QUESTIONS[crc32((row.id or row.name).encode()) % len(QUESTIONS)]
        image = media.image(fields.text(row.record, "img"))
        return (Turn(images=(image,), user=f"{question}\nAnswer yes or no.", assistant="Yes." if label else "No."),)


def _original(root: Root, listed: list[str]) -> Iterator[files.RecordRow | Skip]:
    for row in files.record_rows(root, listed, id="id", split=files.stem_split):
        yield row if row.problem or fields.present(row.record, "label") else files.skipped(row, "no label")


converter: Converter[Row] = HatefulMemes()
