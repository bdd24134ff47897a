"""DocVQA: questions about scanned pages. https://www.docvqa.org/datasets/docvqa

Reads the excerpt that the published recipe trains on (https://huggingface.co/datasets/nielsr/docvqa_1200_examples), the
original, and the cauldron's subset. One question:

    {id: "train_0", image: {bytes: …}, query: {en: "What the location address of NSDA?", de: …}, answers: ["1128 …"], …}
    {"questionId": 21704, "question": "What is …?", "image": "documents/ffjw0228_11.png", "answers": ["10,596", …], …}
    images: [{bytes: …}], texts: [{user: "What is …?\\nKeep it short.", assistant: "10,596.", source: "DocVQA"}, …]

becomes one row with the page and one turn: the question and "Answer briefly." on a line of its own (the cauldron's as
it stands), the first accepted answer, and all of them as `answers`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from phidata.conversion import About, Converter, HubFiles, Media, Root, Row, Settings, Skip, Turn
from phidata.sources import cauldron, fields, files

EXCERPT = HubFiles("nielsr/docvqa_1200_examples", ("data/*.parquet",))
COLUMNS = ("image", "query", "answers")


class DocVqa:
    """One question about one page a row; questions without answers (of the original test split) are skipped."""

    about = About(
        name="docvqa",
        kind="questions about scanned pages",
        source="Parquet files with image, query, answers or images, texts; or train|val|test_v1.0.json, documents/",
        hub=(EXCERPT, cauldron.hub("docvqa")),
        licence="not stated by the publisher; for research",
        splits={"train": "train", "val": "test"},
    )

    def rows(self, root: Root, settings: Settings) -> Iterable[Row | Skip]:
        if not root.files(".parquet", ".arrow"):
            return _original(root, files.with_keys(root, ("question", "image"), ".json", under="data"))
        tables = files.tables(root, COLUMNS, cauldron.COLUMNS, folder="docvqa")
        if "texts" in tables[0].table.columns:
            return cauldron.rows(root, subset="docvqa", turns="split")
        return _excerpt(tables)

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        if isinstance(row, cauldron.CauldronRow):
            return tuple(cauldron.turns(row, media).turns)
        record = row.record if isinstance(row, files.RecordRow) else media.record()
        question = fields.text(record, "question" if isinstance(row, files.RecordRow) else "query.en")
        answers = fields.texts(record, "answers")
        images = fields.pictures(media, fields.value(record, "image"))
        return (Turn(images=images, user=f"{question}\nAnswer briefly.", assistant=answers[0], answers=answers),)


def _excerpt(tables: list[files.SourceTable]) -> Iterator[Row | Skip]:
    names = files.RowNames()
    for source in tables:
        for line, record in source.table.rows(("id", "answers")):
            name, id_ = names.next(source.split), fields.identifier(record, "id")
            row = Row(split=source.split, name=name, file=source.file, line=line, id=id_)
            yield row if fields.present(record, "answers") else files.skipped(row, "no answers")


def _original(root: Root, listed: list[str]) -> Iterator[Row | Skip]:
    for row in files.record_rows(root, listed, under="data", id="questionId"):
        yield row if row.problem or fields.present(row.record, "answers") else files.skipped(row, "no answers")


converter: Converter[Row] = DocVqa()
